//! Flags that reach a server, read the same by every tool, and the stock images' own variables.

use std::path::PathBuf;
use std::time::Duration;

use pilotfish_quantity::parse_duration_above_zero;

use crate::settings::{EngineName, Password, Route, Secret, Settings, Text, Tls, TlsMode};
use crate::url;

/// How to reach the database server.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// As mysql://user:password@host:port/database
    #[arg(
        long,
        env = "PILOTFISH_URL",
        hide_env_values = true,
        value_delimiter = ' '
    )]
    url: Vec<Secret>,
    /// Kind of server: mariadb or mysql; else it is detected
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_ENGINE",
        value_name = "NAME",
        hide_possible_values = true
    )]
    engine: Option<EngineName>,
    /// Host name or address [default: 127.0.0.1]
    #[arg(long, env = "PILOTFISH_HOST")]
    host: Option<String>,
    /// TCP port [default: 3306]
    #[arg(long, env = "PILOTFISH_PORT")]
    port: Option<u16>,
    /// Unix socket, instead of host and port
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_SOCKET",
        value_name = "PATH"
    )]
    socket: Option<PathBuf>,
    /// Account; else the image's variables are read
    #[arg(long, env = "PILOTFISH_USER")]
    user: Option<String>,
    /// Its password; for the environment only, where a Secret can set it
    #[arg(long, env = "PILOTFISH_PASSWORD", hide = true, hide_env_values = true)]
    password: Option<Secret>,
    /// File with its password, read each time
    #[arg(long, env = "PILOTFISH_PASSWORD_FILE", value_name = "PATH")]
    password_file: Option<PathBuf>,
    /// Default database
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_DATABASE",
        value_name = "NAME"
    )]
    database: Option<String>,
    /// disable, prefer, require, verify-ca, verify-full [default: by route]
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_TLS_MODE",
        value_name = "MODE",
        hide_possible_values = true
    )]
    tls_mode: Option<TlsMode>,
    /// PEM file of CAs that replace the built-in ones
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_TLS_CA",
        value_name = "PATH"
    )]
    tls_ca: Option<PathBuf>,
    /// PEM file of the client's certificate
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_TLS_CERT",
        value_name = "PATH"
    )]
    tls_cert: Option<PathBuf>,
    /// PEM file of the client's private key
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_TLS_KEY",
        value_name = "PATH"
    )]
    tls_key: Option<PathBuf>,
    /// Longest wait for one session
    #[arg(long, hide_short_help = true, env = "PILOTFISH_CONNECT_TIMEOUT", value_name = "TIME", default_value = "10s",
          value_parser = parse_duration_above_zero)]
    connect_timeout: Duration,
}

/// Image variables come in two spellings; MariaDB's image knows both and prefers its own.
const IMAGES: [&str; 2] = ["MARIADB", "MYSQL"];
/// Variables that make an image leave root without a password.
const EMPTY_ROOT: [&str; 3] = [
    "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD",
    "MYSQL_ALLOW_EMPTY_PASSWORD",
    "MARIADB_ALLOW_EMPTY_PASSWORD",
];

impl ServerArgs {
    /// Settings of the one server.
    ///
    /// # Errors
    /// All mistakes, one sentence each; no secret in them.
    pub fn into_settings(
        self,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Settings, Vec<String>> {
        let several = self.url.len() > 1;
        match self.into_targets(env) {
            Ok(_) if several => Err(vec!["--url: give one address".to_owned()]),
            Ok(targets) => targets
                .into_iter()
                .next()
                .ok_or_else(|| vec!["--url: give an address".to_owned()]),
            Err(mistakes) => Err(mistakes),
        }
    }

    /// Settings of several servers: one for each `--url`, everything else shared; one without any.
    ///
    /// # Errors
    /// As [`Self::into_settings`].
    pub fn into_targets(
        self,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<Settings>, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut image = Image::read(&env, &mut mistakes);
        let mut addresses = Vec::new();
        for text in &self.url {
            match url::parse(text.reveal()) {
                Ok(address) => addresses.push(address),
                Err(why) => mistakes.push(format!("--url: the address {why}")),
            }
        }
        if self.url.is_empty() {
            addresses.push(url::Address::default());
        }
        let tls = self.tls(&mut mistakes);
        if self.password.is_some() && self.password_file.is_some() {
            mistakes.push("PILOTFISH_PASSWORD and --password-file are both given: keep one".into());
        }
        let mut targets = Vec::new();
        for address in addresses {
            if let Some(settings) = self.target(address, &tls, &mut image, &mut mistakes) {
                targets.push(settings);
            }
        }
        if mistakes.is_empty() {
            Ok(targets)
        } else {
            mistakes.dedup();
            Err(mistakes)
        }
    }

    fn target(
        &self,
        address: url::Address,
        tls: &Tls,
        image: &mut Image,
        mistakes: &mut Vec<String>,
    ) -> Option<Settings> {
        let mut both = |given: bool, flag: &str| {
            if given {
                mistakes.push(format!(
                    "--url and {flag}, or its variable, both say it: keep one"
                ));
            }
        };
        let secret_given = self.password.is_some() || self.password_file.is_some();
        both(address.user.is_some() && self.user.is_some(), "--user");
        both(
            address.password.is_some() && secret_given,
            "--password-file",
        );
        both(
            address.database.is_some() && self.database.is_some(),
            "--database",
        );
        let flagged = self.host.is_some() || self.port.is_some() || self.socket.is_some();
        both(
            address.route.is_some() && flagged,
            "--host, --port or --socket",
        );
        let route = match address.route {
            Some(route) => route,
            None => self.route(mistakes),
        };
        if matches!(route, Route::Socket(_)) && !matches!(tls.mode, None | Some(TlsMode::Disable)) {
            mistakes.push("--tls-mode: a Unix socket has no TLS, leave it out".to_owned());
        }
        let user = address.user.or_else(|| self.user.clone());
        let given = address.password.map(Text::Value).or_else(|| self.secret());
        let account = match (user, given) {
            (Some(user), given) => Some((Text::Value(user), given)),
            (None, Some(given)) => Some((Text::Value("pilotfish".to_owned()), Some(given))),
            (None, None) => image.account.clone(),
        };
        let Some((user, password)) = account else {
            mistakes.push(NO_ACCOUNT.to_owned());
            return None;
        };
        let database = address.database.or_else(|| self.database.clone());
        Some(Settings {
            engine: self.engine,
            route,
            user,
            password: Password::new(password),
            database: database.map(Text::Value).or_else(|| image.database.clone()),
            tls: tls.clone(),
            connect_timeout: self.connect_timeout,
        })
    }

    fn secret(&self) -> Option<Text<Secret>> {
        let value = self.password.clone().map(Text::Value);
        value.or_else(|| self.password_file.clone().map(Text::File))
    }

    fn route(&self, mistakes: &mut Vec<String>) -> Route {
        match &self.socket {
            Some(path) => {
                if self.host.is_some() || self.port.is_some() {
                    mistakes.push("--socket and --host or --port: give one way".to_owned());
                }
                Route::Socket(path.clone())
            }
            None => Route::Tcp {
                host: self.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned()),
                port: self.port.unwrap_or(3306),
            },
        }
    }

    fn tls(&self, mistakes: &mut Vec<String>) -> Tls {
        let verifies = !matches!(
            self.tls_mode,
            Some(TlsMode::Disable | TlsMode::Prefer | TlsMode::Require)
        );
        if self.tls_ca.is_some() && !verifies {
            mistakes.push("--tls-ca: only verify-ca and verify-full look at it".to_owned());
        }
        let identity = match (self.tls_cert.clone(), self.tls_key.clone()) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                mistakes.push("--tls-cert and --tls-key: give both or neither".to_owned());
                None
            }
        };
        if identity.is_some() && self.tls_mode == Some(TlsMode::Disable) {
            mistakes.push("--tls-cert: --tls-mode disable never shows it".to_owned());
        }
        Tls {
            mode: self.tls_mode,
            ca: self.tls_ca.clone(),
            identity,
        }
    }
}

const NO_ACCOUNT: &str = "no account: give --user and --password-file, --url, or the image's \
                          variables such as MARIADB_ROOT_PASSWORD";

/// What the stock images' variables say.
struct Image {
    account: Option<(Text, Option<Text<Secret>>)>,
    database: Option<Text>,
}

impl Image {
    fn read(env: &impl Fn(&str) -> Option<String>, mistakes: &mut Vec<String>) -> Self {
        let mut variable = |name: &str| -> Option<Text> {
            let mut found = None;
            for image in IMAGES {
                let name = format!("{image}_{name}");
                let value = env(&name).filter(|value| !value.is_empty());
                let file = env(&format!("{name}_FILE")).filter(|path| !path.is_empty());
                if value.is_some() && file.is_some() {
                    mistakes.push(format!("{name} and {name}_FILE are both set: keep one"));
                }
                let here = value
                    .map(Text::Value)
                    .or_else(|| file.map(|path| Text::File(path.into())));
                found = found.or(here);
            }
            found
        };
        let root_password = variable("ROOT_PASSWORD");
        let user = variable("USER");
        let password = variable("PASSWORD");
        let database = variable("DATABASE");
        let hidden = |text: Text| match text {
            Text::Value(value) => Text::Value(Secret::new(value)),
            Text::File(path) => Text::File(path),
        };
        let root = || Text::Value("root".to_owned());
        let empty_root = EMPTY_ROOT
            .iter()
            .any(|name| env(name).is_some_and(|v| !v.is_empty()));
        let account = match (root_password, user, password) {
            (Some(password), _, _) => Some((root(), Some(hidden(password)))),
            (None, _, _) if empty_root => Some((root(), None)),
            (None, Some(user), password) => Some((user, password.map(hidden))),
            (None, None, _) => None,
        };
        Self { account, database }
    }
}

#[cfg(test)]
mod tests;
