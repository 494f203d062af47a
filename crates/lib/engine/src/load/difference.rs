//! Changes of few rows, made in the live tables.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::Release;
use crate::Error;

/// What an engine says that keeps no marks.
pub(super) fn unmarked() -> Error {
    Error::Protocol("rows have no marks here".to_owned())
}

/// The marks of a release's rows.
#[async_trait]
pub trait MarkBook: Send {
    /// The layers of a table's marks, the oldest first, each chunk by chunk; `None` inside where one cannot be had.
    async fn layers(
        &mut self,
        table: &str,
    ) -> Result<Option<Vec<mpsc::Receiver<Option<Bytes>>>>, Error>;
}

/// What a small change does to the live tables.
#[derive(Debug, Clone)]
pub struct DifferencePlan {
    /// The release as the ledger will record it; `since` and the proofs of changed tables are set on the way.
    pub release: Release,
    /// What differs in each changed table; the rows that come are on the stage.
    pub tables: BTreeMap<String, TableDifference>,
    /// Live tables with the `AUTO_INCREMENT` counter that they shall have.
    pub counters: BTreeMap<String, u64>,
    /// Statements of the dump by which sequences go on elsewhere.
    pub sequence_values: Vec<Bytes>,
    /// Rows whose parents are not there may go live.
    pub allow_orphans: bool,
}

/// What differs in one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableDifference {
    /// Keys of the live rows that go, changed ones among them: as many integers each as the key has columns.
    pub gone: Vec<i64>,
    /// The columns of the key.
    pub key: Vec<String>,
    /// Rows on the stage.
    pub come: u64,
    /// The marks of all these.
    pub patch: Bytes,
}

impl TableDifference {
    /// Rows that go.
    #[must_use]
    pub fn going(&self) -> u64 {
        (self.gone.len() / self.key.len().max(1)) as u64
    }
}
