//! What is hashed of tables and objects while a dump is read.

use std::collections::{BTreeMap, BTreeSet};

use pilotfish_sql::postgres::Token;
use xxhash_rust::xxh3::xxh3_128;

use crate::TableDigest;
use crate::digest::{chain, hex};

/// Everything hashed so far.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    tables: BTreeMap<String, Table>,
    objects: BTreeMap<String, u128>,
    /// Statements that are not understood may touch any table.
    others: u128,
}

/// What is known at the end, as [`crate::Summary`] has it.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    pub(crate) tables: BTreeMap<String, TableDigest>,
    pub(crate) objects: BTreeMap<String, String>,
    pub(crate) unmade: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Table {
    definition: u128,
    rows: u128,
    count: u64,
    bytes: u64,
    references: BTreeSet<String>,
    key: Vec<String>,
}

/// A statement's text but for its comments and blanks.
pub(crate) fn canonical(tokens: &[Token<'_>]) -> Vec<u8> {
    let texts: Vec<_> = tokens.iter().map(|token| token.text).collect();
    texts.join(&b' ')
}

impl Digests {
    /// A definition of a table.
    pub(crate) fn define(&mut self, table: &str, session: &str, text: &[u8]) {
        let table = self.tables.entry(table.to_owned()).or_default();
        table.definition = chain(chain(table.definition, session.as_bytes()), text);
    }

    pub(crate) fn drop_table(&mut self, table: &str) {
        self.tables.remove(table);
    }

    /// A foreign key of a table.
    pub(crate) fn refer(&mut self, table: &str, to: &str) {
        if let Some(table) = self.tables.get_mut(table) {
            table.references.insert(to.to_owned());
        }
    }

    /// The primary key of a table.
    pub(crate) fn key(&mut self, table: &str, columns: Vec<String>) {
        if let Some(table) = self.tables.get_mut(table) {
            table.key = columns;
        }
    }

    /// Rows by the sum of their hashes.
    pub(crate) fn rows(&mut self, table: &str, sum: u128, count: u64, bytes: usize) {
        let table = self.tables.entry(table.to_owned()).or_default();
        table.rows = table.rows.wrapping_add(sum);
        table.count += count;
        table.bytes += bytes as u64;
    }

    /// A definition of another object, or an addition to it.
    pub(crate) fn object(&mut self, key: String, session: &str, text: &[u8]) {
        let state = self.objects.entry(key).or_default();
        *state = chain(chain(*state, session.as_bytes()), text);
    }

    /// A statement that is not understood.
    pub(crate) fn other(&mut self, session: &str, text: &[u8]) {
        self.others = chain(chain(self.others, session.as_bytes()), text);
    }

    /// Whether there was such a statement.
    pub(crate) const fn is_opaque(&self) -> bool {
        self.others != 0
    }

    /// The finished digests of tables and objects. Rows of a table that the dump does not make, but an extension, are an
    /// object: that table is nobody's to replace or to compare.
    pub(crate) fn finish(self) -> Finished {
        let others = self.others;
        let (made, unmade): (BTreeMap<_, _>, BTreeMap<_, _>) = self
            .tables
            .into_iter()
            .partition(|(_, table)| table.definition != 0);
        let rows = unmade
            .iter()
            .map(|(name, table)| (format!("rows of {name}"), hex(table.rows)));
        let rows: Vec<_> = rows.collect();
        let tables = made.into_iter().map(|(name, table)| {
            let parts = [
                table.definition,
                table.rows,
                u128::from(table.count),
                others,
            ];
            let text: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
            let digest = TableDigest {
                definition: hex(table.definition),
                marked: false,
                key: table.key,
                digest: hex(xxh3_128(&text)),
                rows: table.count,
                bytes: table.bytes,
                references: table.references,
                draws: BTreeSet::new(),
                counter: None,
            };
            (name, digest)
        });
        let objects = self.objects.into_iter();
        let objects = objects.map(|(key, state)| (key, hex(state)));
        Finished {
            tables: tables.collect(),
            objects: objects.chain(rows).collect(),
            unmade: unmade.into_keys().collect(),
        }
    }
}
