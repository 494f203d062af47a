//! The server that is asked, and the way to it.

mod auth_modules;
mod option_file;

use std::fmt;

use pilotfish_engine::query::{self, Session};
use pilotfish_engine::{EngineName, Error, Route, Settings, Tls};

pub(crate) use auth_modules::AuthModules;
pub(crate) use option_file::OptionFile;

/// Where the settings come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Flags and variables.
    Settings(Box<Settings>),
    /// A section of a client's option file, read for every session: a password that was rotated counts at once.
    OptionFile(Box<OptionFile>),
}

impl Source {
    /// With what flags say of TLS, which count before what it says itself.
    pub(crate) fn with_tls(mut self, flags: &Tls) -> Self {
        match &mut self {
            Self::Settings(settings) => settings.tls = over(flags, &settings.tls),
            Self::OptionFile(file) => file.tls = flags.clone(),
        }
        self
    }
}

/// One over the other.
fn over(first: &Tls, second: &Tls) -> Tls {
    let (first, second) = (first.clone(), second.clone());
    Tls {
        mode: first.mode.or(second.mode),
        ca: first.ca.or(second.ca),
        identity: first.identity.or(second.identity),
    }
}

/// A server.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    source: Source,
}

impl Target {
    pub(crate) fn new(source: Source) -> Self {
        Self { source }
    }

    /// Whose names the metrics have, before anybody has answered.
    pub(crate) fn engine(&self) -> EngineName {
        match &self.source {
            Source::Settings(settings) => settings.engine.unwrap_or(EngineName::MariaDb),
            Source::OptionFile(_) => EngineName::MariaDb,
        }
    }

    /// Nobody has said whether it is a PostgreSQL, which says nothing before it is spoken to.
    pub(crate) fn may_be_silent(&self) -> bool {
        match &self.source {
            Source::Settings(settings) => settings.engine.is_none(),
            Source::OptionFile(_) => false,
        }
    }

    /// `host:port`, or `localhost:port` of a socket, as postgres_exporter calls a server.
    pub(crate) fn server_label(&self) -> String {
        let Source::Settings(settings) = &self.source else {
            return String::new();
        };
        match &settings.route {
            Route::Tcp { host, port } => format!("{host}:{port}"),
            Route::Socket(path) => {
                let port = path.extension().and_then(|port| port.to_str());
                format!("localhost:{}", port.unwrap_or("5432"))
            }
        }
    }

    pub(crate) async fn session(&self, database: Option<&str>) -> Result<Box<dyn Session>, Error> {
        query::open(&self.settings().await?).session(database).await
    }

    async fn settings(&self) -> Result<Settings, Error> {
        match &self.source {
            Source::Settings(settings) => Ok(settings.as_ref().clone()),
            Source::OptionFile(file) => file.read().await,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Settings(settings) => settings.fmt(f),
            Source::OptionFile(file) => file.fmt(f),
        }
    }
}
