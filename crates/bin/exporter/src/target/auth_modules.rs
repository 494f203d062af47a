//! `postgres_exporter.yml`: accounts for the servers that probes name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pilotfish_engine::{Password, Secret, Settings, Text, data_source};
use serde::Deserialize;

use crate::yaml;

/// The file; read for every probe.
#[derive(Debug, Clone)]
pub(crate) struct AuthModules {
    pub(crate) path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    auth_modules: BTreeMap<String, Module>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Module {
    /// There is one type only.
    #[serde(rename = "type")]
    kind: String,
    userpass: UserPass,
    /// Parameters of libpq.
    #[serde(default)]
    options: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserPass {
    username: String,
    password: String,
}

/// Without the password.
impl std::fmt::Debug for UserPass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserPass").finish_non_exhaustive()
    }
}

impl AuthModules {
    /// The settings for a server that a probe names, with the account of a module: host, port and database are whoever
    /// asks to say, and nothing else.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) async fn settings(
        &self,
        place: &str,
        module: Option<&str>,
    ) -> Result<Settings, String> {
        let place = place
            .trim_start_matches("postgresql://")
            .trim_start_matches("postgres://");
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-:[]/".contains(letter);
        if !place.chars().all(is_plain) || place.starts_with('/') {
            return Err("the target is no host:port/database".to_owned());
        }
        let name = module.ok_or("give the account: &auth_module=name")?;
        let text = tokio::fs::read_to_string(&self.path).await;
        let text = text.map_err(|error| format!("read {}: {error}", self.path.display()))?;
        let module = find(&text, name).map_err(|why| format!("{}: {why}", self.path.display()))?;
        let mut address = format!("postgresql://{place}?");
        for (name, value) in &module.options {
            let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            address.push_str(&format!("{name}={value}&"));
        }
        let wrong = |why| format!("the target {why}");
        let mut settings = data_source::parse(&address).map_err(wrong)?;
        settings.user = Text::Value(module.userpass.username);
        let password = Secret::new(module.userpass.password);
        settings.password = Password::new(Some(Text::Value(password)));
        Ok(settings)
    }
}

fn find(text: &str, name: &str) -> Result<Module, String> {
    let content: Content = yaml::read(text)?;
    let mut modules = content.auth_modules;
    let module = modules
        .remove(name)
        .ok_or_else(|| format!("no auth module {name}"))?;
    match module.kind.as_str() {
        "userpass" => Ok(module),
        other => Err(format!(
            "auth module {name} is of the type {other}: userpass is the only one"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "auth_modules:\n  a:\n    type: userpass\n    userpass: {username: u, password: hunter2}\n    \
                        options: {sslmode: disable}\n  b:\n    type: other\n    userpass: {username: u, password: p}\n";

    #[test]
    fn modules_are_found_by_name() {
        let module = find(TEXT, "a").unwrap();
        assert_eq!(module.userpass.username, "u");
        assert_eq!(module.options["sslmode"], "disable");
        assert!(!format!("{module:?}").contains("hunter2"));
        assert_eq!(find(TEXT, "c").unwrap_err(), "no auth module c");
        assert!(
            find(TEXT, "b")
                .unwrap_err()
                .contains("userpass is the only one")
        );
        assert!(find("auth_modules: {a: {typo: 1}}", "a").is_err());
    }
}
