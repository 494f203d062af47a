//! What a load knows of the tables on its stage.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::columns::Column;
use super::keys::Deferred;

/// What is known of one staged table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) deferred: Mutex<Deferred>,
    /// Rows must go by INSERT: no transactions to undo a stream with, or history of its own.
    pub(super) insert_only: AtomicBool,
    /// MariaDB keeps old versions of its rows in the table itself.
    pub(super) versioned: bool,
}

impl Table {
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

/// All staged tables, shared by the stage and its workers.
#[derive(Debug, Default)]
pub(super) struct Tables(Mutex<HashMap<String, Arc<Table>>>);

impl Tables {
    pub(super) fn get(&self, name: &str) -> Option<Arc<Table>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    pub(super) fn set(&self, name: &str, table: Table) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), Arc::new(table));
    }

    /// Names and tables, in name order.
    pub(super) fn all(&self) -> Vec<(String, Arc<Table>)> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = map
            .iter()
            .map(|(name, table)| (name.clone(), Arc::clone(table)))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}
