//! `postgres_exporter.yml`: accounts for the servers that probes name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pilotfish_engine::{Password, Secret, Settings, Text, data_source};
use serde::Deserialize;

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
    /// The settings for a server that a probe names, with the account of a module.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) async fn settings(
        &self,
        place: &str,
        module: Option<&str>,
    ) -> Result<Settings, String> {
        let bare = |place: &str| match place.contains("://") || place.contains('=') {
            true => place.to_owned(),
            false => format!("postgresql://{place}"),
        };
        let wrong = |why| format!("the target {why}");
        let Some(name) = module else {
            return data_source::parse(&bare(place)).map_err(wrong);
        };
        let text = tokio::fs::read_to_string(&self.path).await;
        let text = text.map_err(|error| format!("read {}: {error}", self.path.display()))?;
        let module = find(&text, name).map_err(|why| format!("{}: {why}", self.path.display()))?;
        let options: Vec<_> = module
            .options
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut place = bare(place);
        if !options.is_empty() && place.contains("://") {
            place.push(if place.contains('?') { '&' } else { '?' });
            place.push_str(&options.join("&"));
        }
        let mut settings = data_source::parse(&place).map_err(wrong)?;
        settings.user = Text::Value(module.userpass.username);
        settings.password = Password::new(Some(Text::Value(Secret::new(module.userpass.password))));
        Ok(settings)
    }
}

fn find(text: &str, name: &str) -> Result<Module, String> {
    let content: Content = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
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
