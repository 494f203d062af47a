//! The rows of a dump against the marks of those that are stored.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::code::{Damaged, Encoder};
use super::known::{Known, KnownRows};
use super::order::Marked;
use super::{Difference, Key, KeyPlaces};

/// Stored rows that are looked through for the one that came, 40 bytes each: so far may rows be from their places. What
/// lies behind them came too early.
const AHEAD: usize = 200_000;

/// So many rows that come too early, one after the other, say that those between are gone.
const STALLED: usize = 4096;

/// Most stored rows that wait for the dump to come to them: some 60 bytes each.
const MOST_PASSED: usize = 400_000;

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
    width: usize,
    stored: Stored,
    /// Stored rows that the walk has passed and the dump has not come to yet.
    passed: BTreeMap<Key, u64>,
    /// Rows that came long before the walk is there: they are taken for changed ones.
    early: BTreeSet<Key>,
    /// Rows that came early since the walk last went on.
    stalled: usize,
    rows: u64,
    come: Vec<Marked>,
    gone: Vec<Key>,
    /// Rows of it that may still differ.
    room: u64,
}

/// The stored rows in their order, the next ones in memory.
struct Stored {
    known: Known,
    next: VecDeque<Marked>,
    ended: bool,
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
    #[inline]
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
        let known = Known::new(width, self.known.layers(table)?);
        Some(Walk {
            table: table.to_owned(),
            width,
            stored: Stored {
                known,
                next: VecDeque::new(),
                ended: false,
            },
            passed: BTreeMap::new(),
            early: BTreeSet::new(),
            stalled: 0,
            rows: 0,
            come: Vec::new(),
            gone: Vec::new(),
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

impl Stored {
    #[inline]
    fn first(&mut self) -> Result<Option<Marked>, Damaged> {
        if self.next.is_empty() {
            self.fill(1)?;
        }
        Ok(self.next.front().copied())
    }

    /// Has so many of the next rows in memory, or all that are left.
    fn fill(&mut self, rows: usize) -> Result<(), Damaged> {
        while self.next.len() < rows && !self.ended {
            match self.known.next()? {
                Some(row) => self.next.push_back(row),
                None => self.ended = true,
            }
        }
        Ok(())
    }

    /// Whether a row of this key is among the next ones, or would be.
    fn is_near(&mut self, key: &Key) -> Result<bool, Damaged> {
        self.fill(AHEAD)?;
        Ok(self.ended || self.next.back().is_some_and(|last| *key <= last.0))
    }
}

impl Walk {
    /// Whether a row is stored; `None` where that cannot be said.
    #[inline]
    fn row(&mut self, key: Key, mark: u64) -> Option<bool> {
        self.rows += 1;
        match self.stored.first().ok()? {
            Some((first, stored)) if first == key => {
                self.stored.next.pop_front();
                self.stalled = 0;
                self.meet(key, stored, mark)
            }
            Some((first, _)) if first < key => self.ahead(key, mark),
            _ => self.behind(key, mark),
        }
    }

    /// A row and what is stored under its key.
    fn meet(&mut self, key: Key, stored: u64, mark: u64) -> Option<bool> {
        if stored == mark {
            return Some(true);
        }
        self.goes(key)?;
        self.comes(key, mark)
    }

    /// A row that the walk has not come to: those before it are gone, or it is early.
    fn ahead(&mut self, key: Key, mark: u64) -> Option<bool> {
        if !self.stored.is_near(&key).ok()? {
            self.stalled += 1;
            if self.stalled <= STALLED {
                self.early.insert(key);
                return self.comes(key, mark);
            }
        }
        self.stalled = 0;
        while let Some((first, stored)) = self.stored.first().ok()?.filter(|row| row.0 < key) {
            self.stored.next.pop_front();
            self.pass(first, stored)?;
        }
        match self.stored.first().ok()? {
            Some((first, stored)) if first == key => {
                self.stored.next.pop_front();
                self.meet(key, stored, mark)
            }
            _ => self.comes(key, mark),
        }
    }

    /// A row that the walk has passed, or a new one.
    fn behind(&mut self, key: Key, mark: u64) -> Option<bool> {
        match self.passed.remove(&key) {
            Some(stored) => self.meet(key, stored, mark),
            None => self.comes(key, mark),
        }
    }

    fn pass(&mut self, key: Key, stored: u64) -> Option<()> {
        if self.early.remove(&key) {
            return self.goes(key);
        }
        self.passed.insert(key, stored);
        (self.passed.len() <= MOST_PASSED).then_some(())
    }

    fn goes(&mut self, key: Key) -> Option<()> {
        self.room = self.room.checked_sub(1)?;
        self.gone.push(key);
        Some(())
    }

    fn comes(&mut self, key: Key, mark: u64) -> Option<bool> {
        self.room = self.room.checked_sub(1)?;
        self.come.push((key, mark));
        Some(false)
    }

    fn finish(mut self) -> Option<Difference> {
        while let Some((key, _)) = self.stored.first().ok()? {
            self.stored.next.pop_front();
            self.goes(key)?;
        }
        for key in std::mem::take(&mut self.passed).into_keys() {
            self.goes(key)?;
        }
        let Self {
            width,
            mut gone,
            mut come,
            ..
        } = self;
        gone.sort_unstable();
        come.sort_unstable();
        Some(Difference {
            patch: patch(width, &gone, &come),
            gone: gone.iter().flat_map(|key| &key[..width]).copied().collect(),
            width,
            come: come.len() as u64,
        })
    }
}

/// The marks of what comes, and zero for what goes and does not come again.
fn patch(width: usize, gone: &[Key], come: &[Marked]) -> bytes::Bytes {
    let mut patch = Encoder::new(width);
    let mut come = come.iter().peekable();
    for key in gone {
        while let Some((before, mark)) = come.next_if(|row| row.0 < *key) {
            patch.push(before, *mark);
        }
        match come.next_if(|row| row.0 == *key) {
            Some((_, mark)) => patch.push(key, *mark),
            None => patch.push(key, 0),
        }
    }
    for (key, mark) in come {
        patch.push(key, *mark);
    }
    patch.take()
}

#[cfg(test)]
mod tests;
