//! How hard a server works, as far as it tells: a load that shall be throttled holds back by it.

use std::time::Duration;

use async_trait::async_trait;

use crate::Error;

/// One look at a server. What it does not tell, or does not let the account see, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strain {
    /// The replica that is furthest behind, and how far.
    pub lag: Option<(String, Duration)>,
    /// Why the lag of a replica that somebody named is not known.
    pub unknown_lag: Option<String>,
    /// Sessions in a statement, those of the load among them; on MariaDB and MySQL as `Threads_running` counts, which
    /// takes the dump threads of replicas and the event scheduler for such.
    pub running: Option<u64>,
    /// Old versions of rows that wait for purge: InnoDB's history list.
    pub history: Option<u64>,
    /// The replication slot for which the most of the write-ahead log is kept, and its bytes (PostgreSQL).
    pub wal: Option<(String, u64)>,
}

/// Looks at a server again and again, by a session of its own.
#[async_trait]
pub trait Gauge: Send + Sync {
    /// How it is now.
    async fn read(&mut self) -> Result<Strain, Error>;
    /// What it cannot tell and what would help, in sentences; those that were not said yet.
    fn blind(&mut self) -> Vec<String>;
}
