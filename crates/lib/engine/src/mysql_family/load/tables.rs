//! What a load knows of the tables on its stage.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::SetOnce;

use super::columns::Column;
use super::keys::Deferred;
use super::proof::Manner;
use crate::Error;

/// What is known of one staged table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) deferred: Mutex<Deferred>,
    /// Rows must go by INSERT: no transactions to undo a stream with, or history of its own.
    pub(super) insert_only: AtomicBool,
    /// MariaDB keeps old versions of its rows in the table itself.
    pub(super) versioned: bool,
    /// It has a multi-valued index (MySQL).
    pub(super) array_key: bool,
}

impl Table {
    /// How its rows are proven.
    pub(super) fn manner(&self) -> Manner {
        let joined = self.columns.iter().filter(|column| column.joined);
        Manner {
            joined: joined.map(|column| column.name.clone()).collect(),
            array_key: self.array_key,
        }
    }

    /// Takes the keys that wait; the second caller gets none.
    pub(super) fn take_keys(&self) -> Vec<String> {
        let mut deferred = self.deferred();
        let adds = deferred.adds();
        deferred.keys.clear();
        deferred.fulltext.clear();
        adds
    }

    pub(super) fn deferred(&self) -> MutexGuard<'_, Deferred> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the foreign keys that wait.
    pub(super) fn take_foreign_keys(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.deferred().foreign)
    }

    /// Gives foreign keys back to wait on.
    pub(super) fn give_foreign_keys(&self, foreign: Vec<(String, String)>) {
        self.deferred().foreign = foreign;
    }
}

/// What was learned of a name, once the server was asked.
#[derive(Debug)]
pub(super) enum Learned {
    Table(Arc<Table>),
    /// A sequence, or a view that stands in for one that comes later.
    Other,
    /// Everybody who needs the table gets to know why.
    Failed(Error),
}

pub(super) type Slot = Arc<SetOnce<Learned>>;

/// All staged tables, shared by the stage and its workers.
///
/// What a table is like is learned while the dump goes on: whoever needs it waits.
#[derive(Debug, Default)]
pub(super) struct Tables(Mutex<BTreeMap<String, Slot>>);

impl Tables {
    /// A table is there; what it is like comes.
    pub(super) fn expect(&self, name: &str) -> Slot {
        let slot = Slot::default();
        self.map().insert(name.to_owned(), Arc::clone(&slot));
        slot
    }

    /// What is known of a table; `None` for what is none.
    ///
    /// # Errors
    /// Why it could not be learned.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Arc<Table>>, Error> {
        let slot = self.map().get(name).cloned();
        let Some(slot) = slot else { return Ok(None) };
        match slot.wait().await {
            Learned::Table(table) => Ok(Some(Arc::clone(table))),
            Learned::Other => Ok(None),
            Learned::Failed(error) => Err(again(error)),
        }
    }

    /// All names, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.map().keys().cloned().collect()
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same failure for one more who asks.
fn again(error: &Error) -> Error {
    match error {
        Error::Sql { code, message } => Error::Sql {
            code: code.clone(),
            message: message.clone(),
        },
        Error::Busy { code, message } => Error::Busy {
            code: code.clone(),
            message: message.clone(),
        },
        Error::Denied(why) => Error::Denied(why.clone()),
        Error::Locked(why) => Error::Locked(why.clone()),
        Error::Unreachable(why) => Error::Unreachable(why.clone()),
        other => Error::Protocol(other.to_string()),
    }
}
