//! Flags that reach a server, read the same by every tool; [`said`] has the variables of images and clients.

mod said;

use std::path::PathBuf;
use std::time::Duration;

use pilotfish_quantity::parse_duration_above_zero;

use crate::settings::{EngineName, Password, Route, Secret, Settings, Text, Tls, TlsMode};
use crate::url;
pub(crate) use said::Kind;
use said::Said;

/// How to reach the database server.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// As mysql:// or postgres://user:password@host:port/database
    #[arg(
        long,
        env = "PILOTFISH_URL",
        hide_env_values = true,
        value_delimiter = ' '
    )]
    url: Vec<Secret>,
    /// Kind of server: mariadb, mysql, postgres; else it is detected
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
    /// TCP port [default: 3306, of PostgreSQL 5432]
    #[arg(long, env = "PILOTFISH_PORT")]
    port: Option<u16>,
    /// Unix socket or PostgreSQL's folder of them, no host and port
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

    /// Whether flags or their variables name a server or an account: then nobody else's variables do.
    #[must_use]
    pub fn names_a_server(&self) -> bool {
        let way = self.host.is_some() || self.port.is_some() || self.socket.is_some();
        !self.url.is_empty() || way || self.user.is_some()
    }

    /// What flags or their variables say of TLS, for a server that something else names.
    ///
    /// # Errors
    /// A sentence for every mistake.
    pub fn tls_alone(&self) -> Result<Tls, Vec<String>> {
        let mut mistakes = Vec::new();
        let tls = self.tls(&mut mistakes);
        match mistakes.is_empty() {
            true => Ok(tls),
            false => Err(mistakes),
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
            let Some(kind) = self.kind(&address, &env, &mut mistakes) else {
                continue;
            };
            let said = Said::read(kind, &env, &mut mistakes);
            if let Some(settings) = self.target(address, kind, &tls, said, &mut mistakes) {
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

    /// Whose protocol is spoken and whose variables count: told by the flags, else by the variables that are set.
    fn kind(
        &self,
        address: &url::Address,
        env: &impl Fn(&str) -> Option<String>,
        mistakes: &mut Vec<String>,
    ) -> Option<Kind> {
        let flagged = self.engine.map(Kind::of);
        if let (Some(flagged), Some(scheme)) = (flagged, address.kind)
            && flagged != scheme
        {
            mistakes.push("--engine and the scheme of --url contradict each other".to_owned());
            return None;
        }
        let by_route = match (&self.socket, self.port) {
            (Some(path), _) => Kind::of_socket(path),
            (None, Some(port)) => Kind::of_port(port),
            (None, None) => None,
        };
        let told = flagged.or(address.kind).or(by_route);
        Some(told.unwrap_or_else(|| Kind::of_variables(env)))
    }

    fn target(
        &self,
        address: url::Address,
        kind: Kind,
        tls: &Tls,
        said: Said,
        mistakes: &mut Vec<String>,
    ) -> Option<Settings> {
        self.contradictions(&address, mistakes);
        let route = address
            .route
            .or_else(|| self.route(kind, mistakes))
            .or(said.route)
            .unwrap_or_else(|| kind.default_route());
        let tls = Tls {
            mode: tls.mode.or(said.tls.mode),
            ca: tls.ca.clone().or(said.tls.ca),
            identity: tls.identity.clone().or(said.tls.identity),
        };
        // Not libpq's variable, which says nothing of sockets.
        let asked_for = !matches!(self.tls_mode, None | Some(TlsMode::Disable));
        if matches!(route, Route::Socket(_)) && asked_for {
            mistakes.push("--tls-mode: a Unix socket has no TLS, leave it out".to_owned());
        }
        let user = address.user.or_else(|| self.user.clone());
        let given = address.password.map(Text::Value).or_else(|| self.secret());
        let account = match (user, given) {
            (Some(user), given) => Some((Text::Value(user), given)),
            (None, Some(given)) => Some((Text::Value("pilotfish".to_owned()), Some(given))),
            (None, None) => said.account,
        };
        let Some((user, password)) = account else {
            mistakes.push(kind.no_account().to_owned());
            return None;
        };
        let database = address.database.or_else(|| self.database.clone());
        let database = database.map(Text::Value).or(said.database);
        let in_file = said.pass_file.filter(|_| password.is_none());
        let in_file =
            in_file.and_then(|path| said::pass_file(path, &route, &user, database.as_ref()));
        Some(Settings {
            engine: self.engine.or(kind.only_engine()),
            route,
            user,
            password: in_file.map_or_else(|| Password::new(password), Password::in_file),
            database,
            tls,
            connect_timeout: self.connect_timeout,
        })
    }

    /// What both the address and a flag say.
    fn contradictions(&self, address: &url::Address, mistakes: &mut Vec<String>) {
        let secret_given = self.password.is_some() || self.password_file.is_some();
        let way_given = self.host.is_some() || self.port.is_some() || self.socket.is_some();
        for (twice, flag) in [
            (address.user.is_some() && self.user.is_some(), "--user"),
            (
                address.password.is_some() && secret_given,
                "--password-file",
            ),
            (
                address.database.is_some() && self.database.is_some(),
                "--database",
            ),
            (
                address.route.is_some() && way_given,
                "--host, --port or --socket",
            ),
        ] {
            if twice {
                mistakes.push(format!(
                    "--url and {flag}, or its variable, both say it: keep one"
                ));
            }
        }
    }

    fn secret(&self) -> Option<Text<Secret>> {
        let value = self.password.clone().map(Text::Value);
        value.or_else(|| self.password_file.clone().map(Text::File))
    }

    /// The way that the flags name, if they do.
    fn route(&self, kind: Kind, mistakes: &mut Vec<String>) -> Option<Route> {
        if let Some(path) = &self.socket {
            if self.host.is_some() || self.port.is_some() {
                mistakes.push("--socket and --host or --port: give one way".to_owned());
            }
            return Some(Route::Socket(path.clone()));
        }
        if self.host.is_none() && self.port.is_none() {
            return None;
        }
        Some(Route::Tcp {
            host: self.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned()),
            port: self.port.unwrap_or(kind.default_port()),
        })
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

#[cfg(test)]
mod tests;
