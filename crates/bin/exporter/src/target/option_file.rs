//! `.my.cnf`, the option file of MariaDB's and MySQL's clients, as mysqld_exporter reads it.

use std::fmt;
use std::path::PathBuf;

use configparser::ini::Ini;
use pilotfish_engine::data_source;
use pilotfish_engine::{Error, Password, Secret, Settings, Text, Tls, TlsMode};

const DEFAULT_PORT: &str = "3306";

/// A section of an option file. What it says comes before what is said here.
#[derive(Debug, Clone)]
pub(crate) struct OptionFile {
    pub(crate) path: PathBuf,
    pub(crate) section: String,
    /// `host:port` or `unix:///path` of the server, where somebody names it.
    pub(crate) place: Option<String>,
    /// `host:port` for a section that names none.
    pub(crate) fallback: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    /// Certificates are not verified.
    pub(crate) trusting: bool,
    /// What flags say of TLS; it counts before what the file says.
    pub(crate) tls: Tls,
}

impl OptionFile {
    /// The settings as the file has them now.
    ///
    /// # Errors
    /// `Unreadable`, and `Config` where it has no such section, or not what a section needs.
    pub(crate) async fn read(&self) -> Result<Settings, Error> {
        let text = tokio::fs::read_to_string(&self.path).await;
        let text = text.map_err(|cause| Error::Unreadable {
            path: self.path.clone(),
            cause,
        })?;
        self.parse(text)
            .map_err(|why| Error::Config(format!("{self}: {why}")))
    }

    fn parse(&self, text: String) -> Result<Settings, String> {
        let mut ini = Ini::new();
        // A password may hold them.
        ini.set_inline_comment_symbols(Some(&[]));
        ini.read(text)?;
        if !ini.sections().contains(&self.section.to_lowercase()) {
            return Err("there is no such section".to_owned());
        }
        // `client.other` has what `client` has, where it does not say it itself.
        let parents = self
            .section
            .match_indices('.')
            .map(|(dot, _)| &self.section[..dot]);
        let mut sections: Vec<&str> = parents.chain([self.section.as_str()]).collect();
        sections.reverse();
        let value = |key: &str| {
            let value = sections.iter().find_map(|section| ini.get(section, key))?;
            let value = value.trim();
            let pair = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
            let bare = pair('"').or_else(|| pair('\'')).unwrap_or(value);
            (!bare.is_empty()).then(|| bare.to_owned())
        };
        let is_variable = |name| value(name).is_some_and(|text| text.contains("${"));
        if let Some(name) = ["user", "password", "host"]
            .into_iter()
            .find(|name| is_variable(name))
        {
            return Err(format!(
                "{name} has a ${{VARIABLE}}, and none are put in here: write what it stands for"
            ));
        }
        let user = value("user").or_else(|| self.user.clone());
        let user = user.ok_or("it names no user")?;
        let password = value("password").map(Secret::new);
        let password = password.or_else(|| self.password.clone()).map(Text::Value);
        let said = Tls {
            mode: self.tls_mode(&value)?,
            ca: value("ssl-ca").map(PathBuf::from),
            identity: value("ssl-cert")
                .zip(value("ssl-key"))
                .map(|(cert, key)| (cert.into(), key.into())),
        };
        let tls = super::over(&self.tls, &said);
        let place = match (&self.place, value("socket"), value("host")) {
            // Whoever probes names the server.
            (Some(place), ..) => place.clone(),
            (None, Some(socket), _) => format!("unix://{socket}"),
            (None, None, None) if self.fallback.is_some() && value("port").is_none() => {
                self.fallback.clone().unwrap_or_default()
            }
            (None, None, host) => {
                let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
                let port = value("port").unwrap_or_else(|| DEFAULT_PORT.to_owned());
                format!("{host}:{port}")
            }
        };
        data_source::at(
            None,
            &place,
            Text::Value(user),
            Password::new(password),
            tls,
        )
    }

    /// One of its names is misspelt in mysqld_exporter, and so in files.
    fn tls_mode(&self, value: &impl Fn(&str) -> Option<String>) -> Result<Option<TlsMode>, String> {
        let skips = ["ssl-skip-verfication", "ssl-skip-verification"].map(value);
        let skips = skips
            .iter()
            .flatten()
            .any(|text| text == "true" || text == "1");
        if self.trusting || skips {
            return Ok(Some(TlsMode::Require));
        }
        if let Some(name) = value("tls") {
            return data_source::go_tls(&name).map(Some);
        }
        // As MySQL's own clients have it.
        let Some(mode) = value("ssl-mode") else {
            return Ok(None);
        };
        Ok(Some(match mode.to_ascii_uppercase().as_str() {
            "DISABLED" => TlsMode::Disable,
            "PREFERRED" => TlsMode::Prefer,
            "REQUIRED" => TlsMode::Require,
            "VERIFY_CA" => TlsMode::VerifyCa,
            "VERIFY_IDENTITY" => TlsMode::VerifyFull,
            _ => return Err(format!("there is no ssl-mode {mode}")),
        }))
    }
}

impl fmt::Display for OptionFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] of {}", self.section, self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(section: &str, place: Option<&str>) -> OptionFile {
        OptionFile {
            path: "my.cnf".into(),
            section: section.to_owned(),
            place: place.map(str::to_owned),
            fallback: None,
            user: None,
            password: None,
            trusting: false,
            tls: Tls::default(),
        }
    }

    const TEXT: &str = "[client]\nuser = exporter\npassword = \"a#b;c\"\nhost=db\nport=3307\n\
                        # a comment\n[client.other]\nsocket=/run/s\n[empty]\n";

    #[test]
    fn a_section_is_a_server() {
        let settings = file("client", None).parse(TEXT.to_owned()).unwrap();
        assert_eq!(settings.to_string(), "db:3307");
        assert_eq!(settings.user, Text::Value("exporter".to_owned()));
        let settings = file("client.other", None).parse(TEXT.to_owned()).unwrap();
        assert_eq!(settings.to_string(), "/run/s");
        assert_eq!(settings.user, Text::Value("exporter".to_owned()));
        let settings = file("client", Some("far:1"))
            .parse(TEXT.to_owned())
            .unwrap();
        assert_eq!(settings.to_string(), "far:1");
    }

    #[test]
    fn what_is_missing_is_named() {
        let wrong = |section| file(section, None).parse(TEXT.to_owned()).unwrap_err();
        assert_eq!(wrong("nobody"), "there is no such section");
        assert_eq!(wrong("empty"), "it names no user");
        let text = "[client]\nuser=u\npassword=${DB_PASS}\n".to_owned();
        let why = file("client", None).parse(text).unwrap_err();
        assert!(why.contains("password has a ${VARIABLE}"), "{why}");
    }
}
