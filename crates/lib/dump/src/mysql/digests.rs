//! What is hashed of tables and objects while a dump is read.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_128;

use crate::TableDigest;
use crate::digest::{chain, hex};
use crate::marks::KeyPlaces;
use crate::mysql::table::{Draws, Layout, Numbering};
use crate::mysql::walk::Chunk;

/// Everything hashed so far.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    tables: BTreeMap<String, Table>,
    objects: BTreeMap<String, u128>,
    /// Triggers by table, in the order in which they are made.
    triggers: Vec<(String, String)>,
    /// Statements that are not understood may touch any table.
    others: u128,
    /// Rows come from more than what they say, too.
    computed: bool,
    /// What the dump sets: variables that others read.
    set: u128,
}

#[derive(Debug, Default)]
struct Table {
    definition: u128,
    rows: u128,
    count: u64,
    bytes: u64,
    references: BTreeSet<String>,
    layout: Layout,
    /// The sequences that its columns draw from.
    draws: BTreeSet<String>,
    /// What its definitions said of the next number.
    counters: u128,
    /// The server numbers some of its rows.
    numbered: bool,
    /// A definition came behind some of its rows: what they say is not what is stored.
    reshaped: bool,
}

impl Digests {
    /// A definition of a table, or an addition to it.
    pub(crate) fn define(
        &mut self,
        table: &str,
        session: &str,
        text: &[u8],
        references: Vec<String>,
    ) {
        let table = self.table(table);
        table.definition = chain(chain(table.definition, session.as_bytes()), text);
        table.references.extend(references);
    }

    /// A definition changes a table that has rows already, or none yet.
    pub(crate) fn reshape(&mut self, table: &str) {
        let table = self.table(table);
        table.reshaped |= table.count > 0;
    }

    /// The columns of a table, to be read or changed.
    pub(crate) fn layout(&mut self, table: &str) -> &mut Layout {
        &mut self.table(table).layout
    }

    /// A definition says where a table's numbers go on.
    pub(crate) fn counts_from(&mut self, table: &str, counter: u64) {
        let table = self.table(table);
        table.counters = chain(table.counters, &counter.to_le_bytes());
    }

    /// The sequences that a table's columns draw from.
    pub(crate) fn draws(&mut self, table: &str, sequences: BTreeSet<String>) {
        self.table(table).draws = sequences;
    }

    /// How an INSERT with these columns is numbered, and which of its rows draw from a sequence.
    pub(crate) fn numbering(&self, table: &str, columns: Option<&[String]>) -> (Numbering, Draws) {
        let table = self.tables.get(table);
        table.map_or((Numbering::None, Draws::Never), |table| {
            (table.layout.numbering(columns), table.layout.draws(columns))
        })
    }

    /// Where an INSERT with these columns has the primary key.
    pub(crate) fn key_places(&self, table: &str, columns: Option<&[String]>) -> KeyPlaces {
        let table = self.tables.get(table);
        table.map_or_else(KeyPlaces::default, |table| table.layout.key_places(columns))
    }

    /// Number of rows of a table so far.
    pub(crate) fn count(&self, table: &str) -> u64 {
        self.tables.get(table).map_or(0, |table| table.count)
    }

    /// Rows by the sum of their hashes.
    pub(crate) fn rows(&mut self, table: &str, sum: u128, chunk: &Chunk) {
        self.computed |= chunk.computed;
        let table = self.table(table);
        table.rows = table.rows.wrapping_add(sum);
        table.count += chunk.count;
        table.bytes += chunk.bytes;
        table.numbered |= chunk.asking.asks();
    }

    pub(crate) fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    pub(crate) fn drop_table(&mut self, table: &str) {
        self.tables.remove(table);
    }

    /// A definition of another object, or an addition to it.
    pub(crate) fn object(&mut self, key: String, session: &str, text: &[u8]) {
        let state = self.objects.entry(key).or_default();
        *state = chain(chain(*state, session.as_bytes()), text);
    }

    /// Notes that a trigger fires after those that its table has already.
    pub(crate) fn fires(&mut self, table: String, key: String) {
        self.triggers.retain(|(_, other)| *other != key);
        self.triggers.push((table, key));
    }

    pub(crate) fn drop_object(&mut self, key: &str) {
        self.objects.remove(key);
        self.triggers.retain(|(_, other)| other != key);
    }

    /// A statement that is not understood.
    pub(crate) fn other(&mut self, session: &str, text: &[u8]) {
        self.others = chain(chain(self.others, session.as_bytes()), text);
    }

    /// A SET.
    pub(crate) fn set(&mut self, text: &[u8]) {
        self.set = chain(self.set, text);
    }

    /// Whether there was such a statement, or rows that say as little.
    pub(crate) const fn is_opaque(&self) -> bool {
        self.others != 0 || self.computed
    }

    fn table(&mut self, name: &str) -> &mut Table {
        self.tables.entry(name.to_owned()).or_default()
    }

    /// The same triggers in another order do something else: each digest holds what fires before it.
    fn order_triggers(&mut self) {
        let mut last: BTreeMap<&String, &String> = BTreeMap::new();
        for (table, key) in &self.triggers {
            if let (Some(before), Some(state)) =
                (last.insert(table, key), self.objects.get_mut(key))
            {
                *state = chain(*state, before.as_bytes());
            }
        }
    }

    /// The finished digests of tables and objects.
    pub(crate) fn finish(mut self) -> (BTreeMap<String, TableDigest>, BTreeMap<String, String>) {
        self.order_triggers();
        let others = match self.is_opaque() {
            true => chain(self.others, &self.set.to_le_bytes()),
            false => 0,
        };
        let tables = self.tables.into_iter().map(|(name, table)| {
            let mut text = Vec::with_capacity(64);
            for part in [
                table.definition,
                table.rows,
                u128::from(table.count),
                others,
            ] {
                text.extend_from_slice(&part.to_le_bytes());
            }
            if table.numbered {
                text.extend_from_slice(&table.counters.to_le_bytes());
            }
            let Table {
                definition,
                count: rows,
                bytes,
                references,
                layout,
                draws,
                reshaped,
                ..
            } = table;
            (
                name,
                TableDigest {
                    digest: hex(xxh3_128(&text)),
                    definition: hex(definition),
                    // As far as it is known here.
                    marked: !reshaped,
                    key: layout.primary_key(),
                    rows,
                    bytes,
                    references,
                    draws,
                    counter: layout.counter,
                },
            )
        });
        let objects = self
            .objects
            .into_iter()
            .map(|(key, state)| (key, hex(state)));
        (tables.collect(), objects.collect())
    }
}
