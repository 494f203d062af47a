//! Database servers by ability: what a tool can ask of one without knowing which it is.
//!
//! An [`Engine`] offers traits: [`Probe`] looks, [`query::Query`] asks, [`load::Load`] fills. Engines are found by
//! [`open`]; nobody outside this crate matches on which one it is. This crate does not know dumps,
//! object storage, metrics or the process it runs in: settings come as values ([`Settings`]), made
//! from flags and image variables by [`ServerArgs`].

mod args;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod data_source;
mod error;
pub mod load;
mod mariadb;
mod mysql;
mod mysql_family;
mod pass_file;
mod postgres;
pub mod query;
mod settings;
mod ties;
mod tls;
mod url;

use async_trait::async_trait;
use serde::Serialize;

pub use args::ServerArgs;
pub use error::{Code, Error};
#[cfg(feature = "testing")]
pub use mysql_family::converted_bytes;
pub use pass_file::PassFile;
pub use settings::{EngineName, Password, Route, Secret, Settings, Text, Tls, TlsMode};

/// One kind of server, with the settings to reach one of them.
pub trait Engine: Send + Sync {
    /// `mariadb`, `mysql` or `postgres`.
    fn name(&self) -> &'static str;
    /// Looks at the server; every engine can.
    fn probe(&self) -> &dyn Probe;
    /// Loads dumps, where this engine can.
    fn load(&self) -> Option<&dyn load::Load>;
}

/// Looks at a server, over one fresh connection per call. Nothing is changed.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Connects, authenticates and asks what the server is.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`; `Config` when the server is of another kind than the settings say.
    async fn server(&self) -> Result<Server, Error>;

    /// Whether `table` exists and holds `min` rows or more; stops counting there. `space` is what holds it: a
    /// database of MariaDB and MySQL, a schema of PostgreSQL; without it the session's default counts.
    ///
    /// # Errors
    /// `Sql` in the server's words when the space or the table does not exist.
    async fn rows_at_least(
        &self,
        space: Option<&str>,
        table: &str,
        min: u64,
    ) -> Result<bool, Error>;

    /// Whether the first value that `sql` returns is true: not NULL, not 0, not empty.
    ///
    /// # Errors
    /// `Sql` when the server refuses the statement.
    async fn query_is_true(&self, sql: &str) -> Result<bool, Error>;

    /// The live release of every database that pilotfish loaded. Empty without a ledger, and for an
    /// account without rights on it: servers hide what one may not read.
    ///
    /// # Errors
    /// As [`Probe::server`], and `Sql` when the ledger is damaged.
    async fn live_releases(&self) -> Result<Vec<LiveRelease>, Error>;
}

/// What a server says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Server {
    /// Its own words, such as `10.11.19-MariaDB-ubu2404`.
    pub version: String,
    /// The engine it is.
    pub flavour: &'static str,
    /// Ordinary accounts cannot write.
    pub read_only: bool,
    /// It follows a primary; `None` when it does not, or when the account may not know.
    pub replica: Option<ReplicaState>,
    /// The account lacks the right to see replication, so that `replica` says nothing.
    pub replica_hidden: bool,
    /// When it started, unix seconds, give or take one.
    pub started_at: u64,
    /// It listens on TCP. The stock images' temporary server, which runs while they initialise, does
    /// not.
    pub networking: bool,
}

/// How a replica is doing; of several channels the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReplicaState {
    /// Seconds behind its primary; `None` while the server does not know.
    pub lag_seconds: Option<u64>,
    /// Both the receiving and the applying side run.
    pub running: bool,
}

/// One database and the release that is live in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveRelease {
    /// Database name.
    pub database: String,
    /// SHA-256 of the dump as it was published, hex.
    pub digest: String,
    /// When it became live, unix seconds.
    pub since: u64,
    /// Objects that follow the swap are still being made.
    pub finishing: bool,
}

/// One engine of the registry.
struct Entry {
    name: EngineName,
    open: fn(&Settings) -> Box<dyn Engine>,
}

const REGISTRY: &[Entry] = &[
    Entry {
        name: EngineName::MariaDb,
        open: mariadb::open,
    },
    Entry {
        name: EngineName::MySql,
        open: mysql::open,
    },
    Entry {
        name: EngineName::Postgres,
        open: postgres::open,
    },
];

/// The engine for `settings`: the one they name, without a connection, else the one that answers.
///
/// # Errors
/// As [`Probe::server`], where the engine is to be detected.
pub async fn open(settings: &Settings) -> Result<Box<dyn Engine>, Error> {
    let name = match settings.engine {
        Some(name) => name,
        None => mysql_family::detect(settings).await?,
    };
    let entry = REGISTRY.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| Error::Config(format!("no engine {name:?} in this build")))?;
    Ok((entry.open)(settings))
}
