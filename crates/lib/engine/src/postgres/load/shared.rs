//! What the connections of one stage share: where things are, and how many rows were stored.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use pilotfish_sql::postgres::Mode;
use serde::{Deserialize, Serialize};

use super::Access;
use super::lock::Lock;
use super::schemas::{Schemas, mentions};
use super::statement;
use super::text::{utf8, without_database};
use crate::Error;

/// What the connections of one stage share.
pub(super) struct Shared {
    pub(super) access: Access,
    pub(super) lock: Lock,
    /// The number of the marks that this load keeps; `None`: it keeps none.
    pub(super) marks: Option<i64>,
    schemas: RwLock<Schemas>,
    mode: RwLock<Mode>,
    counts: Mutex<Counts>,
    at_swap: Mutex<Vec<AtSwap>>,
}

/// Rows by table, as the server's answers say.
#[derive(Debug, Default)]
struct Counts {
    rows: BTreeMap<String, u64>,
    /// Partitioned: its rows are its partitions'.
    parents: BTreeSet<String>,
    /// Foreign: its rows are another server's.
    foreign: BTreeSet<String>,
    /// Made like a live one, for rows that change in place.
    stand_ins: BTreeSet<String>,
    /// Whose statistics are those of all its rows.
    analyzed: BTreeSet<String>,
    /// A statement that is not understood may have changed any of them.
    unsure: bool,
}

/// A statement about the database that runs with the swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AtSwap {
    pub(super) first: Option<String>,
    /// Where it fails, what it is about stays as it is.
    pub(super) tolerant: bool,
    /// It makes something in a swapped schema, which goes and comes back with that.
    pub(super) in_schema: bool,
    pub(super) sql: String,
}

impl Shared {
    pub(super) fn new(access: Access, lock: Lock, marks: Option<i64>, schemas: Schemas) -> Self {
        Self {
            access,
            lock,
            marks,
            schemas: RwLock::new(schemas),
            mode: RwLock::default(),
            counts: Mutex::default(),
            at_swap: Mutex::default(),
        }
    }

    /// The dump's session reads text so from now on.
    pub(super) fn read_by(&self, mode: Mode) {
        *self.mode.write().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    /// A statement that is not understood may have changed rows of any table.
    pub(super) fn lose_count(&self) {
        self.counts().unsure = true;
    }

    /// Rows of this table are another server's.
    pub(super) fn leads_elsewhere(&self, table: &str) {
        self.counts().foreign.insert(table.to_owned());
    }

    pub(super) fn is_foreign(&self, table: &str) -> bool {
        self.counts().foreign.contains(table)
    }

    /// This table is like the live one, and its rows will be that one's.
    pub(super) fn stands_in(&self, table: &str) {
        self.counts().stand_ins.insert(table.to_owned());
    }

    pub(super) fn is_stand_in(&self, table: &str) -> bool {
        self.counts().stand_ins.contains(table)
    }

    /// Rows of this table are its partitions'.
    pub(super) fn has_partitions(&self, table: &str) {
        self.counts().parents.insert(table.to_owned());
    }

    pub(super) fn schemas(&self) -> RwLockReadGuard<'_, Schemas> {
        self.schemas.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Schemas)) {
        change(&mut self.schemas.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn mode(&self) -> Mode {
        *self.mode.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn at_swap(&self) -> MutexGuard<'_, Vec<AtSwap>> {
        self.at_swap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement without its own database's name, which may stand before a schema's.
    pub(super) fn at_home<'s>(&self, sql: &'s [u8]) -> Cow<'s, [u8]> {
        let options = &self.access.options;
        let own = |name: &str| {
            let own = name == options.database || options.dump_database.as_deref() == Some(name);
            own && !self.schemas().is_own(name)
        };
        without_database(sql, self.mode(), &own)
    }

    /// A statement of the dump as it acts on the stage.
    pub(super) fn rewritten(&self, sql: &[u8]) -> Result<String, Error> {
        let rewritten = self.schemas().rewrite(sql, self.mode())?.into_owned();
        utf8(rewritten)
    }

    /// Refuses rows that ask what is not the dump's.
    pub(super) fn refuse_strangers(&self, sql: &[u8]) -> Result<(), Error> {
        let schemas = self.schemas();
        let stranger = mentions(sql, self.mode())
            .into_iter()
            .find(|(schema, object)| {
                let shared = object
                    .as_ref()
                    .is_some_and(|name| schemas.extensions.brought(schema, name));
                !schemas.is_own(schema) && !shared && !statement::harmless(schema)
            });
        match stranger {
            Some((schema, _)) if !self.access.keeps_names() => Err(Error::Refused(format!(
                "it names {schema}, which is not of the dump"
            ))),
            _ => Ok(()),
        }
    }

    /// The server stored rows of a table; `None` where its answer does not tell how many.
    pub(super) fn stored(&self, table: &str, rows: Option<u64>) {
        let mut counts = self.counts();
        counts.analyzed.remove(table);
        match rows.filter(|_| !counts.parents.contains(table)) {
            Some(rows) => *counts.rows.entry(table.to_owned()).or_default() += rows,
            None => counts.unsure = true,
        }
    }

    /// Rows of a table where all answers of the server tell; COPY says exactly what it stored.
    pub(super) fn counted(&self, table: &str) -> Option<u64> {
        let counts = self.counts();
        (!counts.unsure).then(|| counts.rows.get(table).copied().unwrap_or_default())
    }

    /// Statistics of a table were taken.
    pub(super) fn analyzed(&self, table: &str) {
        self.counts().analyzed.insert(table.to_owned());
    }

    /// Tables whose statistics need not be taken again.
    pub(super) fn known_by_statistics(&self) -> BTreeSet<String> {
        let counts = self.counts();
        match counts.unsure {
            true => BTreeSet::new(),
            false => counts.analyzed.clone(),
        }
    }

    pub(super) fn is_parent(&self, table: &str) -> bool {
        self.counts().parents.contains(table)
    }

    /// See `drift.rs`: rows prove by themselves who wrote them.
    pub(super) fn proof(&self, table: &str) -> String {
        if self.is_parent(table) {
            "partitions"
        } else {
            "rows"
        }
        .to_owned()
    }
}
