//! The rows of a dump against the marks of those that are stored.

use std::collections::BTreeMap;

use super::code::Encoder;
use super::known::{Known, KnownRows};
use super::{Difference, Key};
use crate::mysql::table::KeyPlaces;

/// Finds what differs, table after table.
pub(crate) struct Comparer {
    known: Box<dyn KnownRows>,
    /// Rows that may still differ.
    room: u64,
    current: Option<Walk>,
    /// Tables that are over: their rows and what differs, where they could be compared.
    over: BTreeMap<String, Option<(u64, Difference)>>,
}

/// A walk over a table's rows and over its marks.
struct Walk {
    table: String,
    known: Known,
    /// The first stored row that the dump has not come to.
    stored: Option<(Key, u64)>,
    last: Option<Key>,
    rows: u64,
    difference: Difference,
    patch: Encoder,
    /// Rows of it that may still differ.
    room: u64,
}

impl Comparer {
    /// `limit`: most rows of all tables that may differ; beyond it a table is no longer compared.
    pub(crate) fn new(known: Box<dyn KnownRows>, limit: u64) -> Self {
        Self {
            known,
            room: limit,
            current: None,
            over: BTreeMap::new(),
        }
    }

    /// A row of the dump; whether it is stored already.
    pub(crate) fn row(
        &mut self,
        table: &str,
        places: &KeyPlaces,
        key: Option<Key>,
        mark: u64,
    ) -> bool {
        if let Some(current) = &mut self.current
            && current.table == table
        {
            let stored = key.and_then(|key| current.row(key, mark));
            return stored.unwrap_or_else(|| self.give_up());
        }
        if self.over.contains_key(table) {
            // Given up, or rows that come behind those of other tables.
            self.over.insert(table.to_owned(), None);
            return false;
        }
        self.end();
        match self.begin(table, places) {
            Some(walk) => {
                self.current = Some(walk);
                self.row(table, places, key, mark)
            }
            None => {
                self.over.insert(table.to_owned(), None);
                false
            }
        }
    }

    fn begin(&mut self, table: &str, places: &KeyPlaces) -> Option<Walk> {
        let width = Some(places.width()).filter(|width| *width > 0)?;
        let mut known = Known::new(width, self.known.layers(table)?);
        Some(Walk {
            table: table.to_owned(),
            stored: known.next().ok()?,
            known,
            last: None,
            rows: 0,
            difference: Difference {
                width,
                ..Difference::default()
            },
            patch: Encoder::new(width),
            room: self.room,
        })
    }

    /// Rows of a table are not stored as they say.
    pub(super) fn forget(&mut self, table: &str) {
        self.end();
        self.over.insert(table.to_owned(), None);
    }

    /// The table differs by too much, or cannot be compared.
    fn give_up(&mut self) -> bool {
        if let Some(current) = self.current.take() {
            self.over.insert(current.table, None);
        }
        false
    }

    /// The rows of the table are over: what is stored behind them goes.
    pub(super) fn end(&mut self) {
        let Some(current) = self.current.take() else {
            return;
        };
        let (table, rows) = (current.table.clone(), current.rows);
        let difference = current.finish();
        let taken = difference.as_ref().map_or(0, |it| it.come + it.going());
        self.room = self.room.saturating_sub(taken);
        self.over
            .insert(table, difference.map(|difference| (rows, difference)));
    }

    /// The dump is over: what differs, of every table all of whose rows came to be compared.
    pub(super) fn finish(
        mut self,
        rows: impl Fn(&str) -> Option<u64>,
    ) -> BTreeMap<String, Difference> {
        self.end();
        let over = self.over.into_iter();
        let compared = over.filter_map(|(table, compared)| {
            let (seen, difference) = compared?;
            // A table that the dump drops and makes again has fewer.
            (rows(&table) == Some(seen)).then_some((table, difference))
        });
        compared.collect()
    }
}

impl Walk {
    /// Whether a row is stored; `None` where that cannot be said.
    fn row(&mut self, key: Key, mark: u64) -> Option<bool> {
        if self.last.is_some_and(|last| last >= key) {
            return None;
        }
        self.last = Some(key);
        self.rows += 1;
        while let Some((stored, _)) = self.stored.filter(|(stored, _)| *stored < key) {
            self.goes(&stored)?;
        }
        if let Some((_, known)) = self.stored.filter(|(stored, _)| *stored == key) {
            self.stored = self.known.next().ok()?;
            if known == mark {
                return Some(true);
            }
            self.note_gone(&key)?;
        }
        self.room = self.room.checked_sub(1)?;
        self.difference.come += 1;
        self.patch.push(&key, mark);
        Some(false)
    }

    /// The first stored row is in the dump no more.
    fn goes(&mut self, key: &Key) -> Option<()> {
        self.note_gone(key)?;
        self.patch.push(key, 0);
        self.stored = self.known.next().ok()?;
        Some(())
    }

    fn note_gone(&mut self, key: &Key) -> Option<()> {
        self.room = self.room.checked_sub(1)?;
        self.difference
            .gone
            .extend_from_slice(&key[..self.difference.width]);
        Some(())
    }

    fn finish(mut self) -> Option<Difference> {
        while let Some((key, _)) = self.stored {
            self.goes(&key)?;
        }
        self.difference.patch = self.patch.take();
        Some(self.difference)
    }
}
