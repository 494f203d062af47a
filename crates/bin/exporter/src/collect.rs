//! What is asked of a server, one file per collector.
//!
//! A collector is chosen once for a server, by its engine and version, when a session to it begins: nothing is tried to
//! see whether it fails. Names of collectors, flags and metrics are those of mysqld_exporter and postgres_exporter,
//! whose dashboards and alerts go on working; what they never had is called `pilotfish_*`.

mod certificate;
mod choice;
mod mysql;
mod parse;
mod postgres;
mod releases;
mod replication;
mod table;

use async_trait::async_trait;
use pilotfish_engine::query::{Identity, Session};
use pilotfish_engine::{EngineName, Error};

use crate::metric::Gathered;
pub(crate) use choice::{Choices, Own, flags};

/// One collector, as its flag calls it.
#[derive(Debug)]
pub(crate) struct Collector {
    /// As in `--collect.info_schema.tables` or `--collector.stat_database`, without what stands before it.
    pub(crate) name: &'static str,
    /// Runs unless it is turned off; the others run where they are turned on.
    pub(crate) by_default: bool,
    /// For `--help-all` and `exporter list`.
    pub(crate) help: &'static str,
    /// Flags of its own.
    pub(crate) settings: &'static [Setting],
    /// How it is done on this server; `None` where the server has nothing of the kind.
    pub(crate) plan: fn(&Identity, Own<'_>) -> Option<Plan>,
}

/// A flag of a collector: `--collect.<collector>.<name>`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
}

/// How a collector is done.
pub(crate) struct Plan {
    pub(crate) scope: Scope,
    pub(crate) how: Box<dyn Collect>,
}

/// Where a collector asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Once, whatever database the session is in.
    Server,
    /// In every database: PostgreSQL shows tables of one only.
    EachDatabase,
}

impl Plan {
    pub(crate) fn server(how: impl Collect + 'static) -> Self {
        Self {
            scope: Scope::Server,
            how: Box::new(how),
        }
    }

    pub(crate) fn each_database(how: impl Collect + 'static) -> Self {
        Self {
            scope: Scope::EachDatabase,
            how: Box::new(how),
        }
    }
}

/// Asks and reads the answers.
#[async_trait]
pub(crate) trait Collect: Send + Sync {
    /// What is gathered before an error is not shown: half a collector is none.
    ///
    /// # Errors
    /// The server's.
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error>;
}

/// The collectors for an engine.
pub(crate) fn of(engine: EngineName) -> &'static [&'static Collector] {
    match engine {
        EngineName::MariaDb | EngineName::MySql => mysql::COLLECTORS,
        EngineName::Postgres => postgres::COLLECTORS,
    }
}

/// Families that postgres_exporter gives the server's address as a label: those of its oldest part. Its alerts group by it.
const WITH_SERVER: [&str; 7] = [
    "pg_settings_",
    "pg_static",
    "pg_stat_activity_count",
    "pg_stat_activity_max_tx_duration",
    "pg_stat_archiver_",
    "pg_stat_database_conflicts_",
    "pg_stat_replication_",
];

/// Whether a family has the label `server`.
pub(crate) fn names_server(family: &str) -> bool {
    let oldest = [
        "pg_replication_slots_active",
        "pg_replication_slots_pg_wal_lsn_diff",
    ];
    let mut prefixes = WITH_SERVER.iter();
    prefixes.any(|prefix| family.starts_with(prefix)) || oldest.contains(&family)
}

/// A collector that is on, as it is done on one server.
pub(crate) struct Chosen {
    pub(crate) collector: &'static Collector,
    pub(crate) plan: Plan,
}

/// What is on and can be done on this server.
pub(crate) fn choose(identity: &Identity, choices: &Choices) -> Vec<Chosen> {
    let on = of(identity.engine)
        .iter()
        .filter(|collector| choices.is_on(identity.engine, collector));
    on.filter_map(|collector| {
        let plan = (collector.plan)(identity, choices.own(identity.engine, collector))?;
        Some(Chosen { collector, plan })
    })
    .collect()
}
