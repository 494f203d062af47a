//! Marks of rows: a row's key and eight bytes of its hash, by which the next dump finds out which rows changed.
//!
//! Only tables whose primary key is made of integers have them, as long as their rows come in the order of that key:
//! the marks of two dumps are then compared by one walk over both, whatever their size.

mod code;
mod compare;
mod known;

use std::collections::BTreeMap;

use bytes::Bytes;

pub(crate) use compare::Comparer;
pub use known::{Chunks, KnownRows};

use crate::mysql::table::KeyPlaces;
use code::Encoder;

/// Most columns of a key that is marked.
pub(crate) const WIDTH: usize = 4;

/// Rows in one chunk of marks: about 80 KB of them.
const CHUNK_ROWS: u64 = 8192;

/// A key: its integers in the order of its columns, zero behind them.
pub(crate) type Key = [i64; WIDTH];

/// Marks of some rows of a table, in key order; a table's chunks follow one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// The table, as in [`crate::Summary::tables`].
    pub table: String,
    /// Number of the chunk within its table, from 0.
    pub seq: u32,
    /// The marks; only this crate reads them.
    pub body: Bytes,
}

/// What of a table is other than its marks say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Keys of the stored rows that go, changed ones among them: as many integers each as the key has columns.
    pub gone: Vec<i64>,
    /// Columns of the key.
    pub width: usize,
    /// Rows that come, changed ones among them.
    pub come: u64,
    /// The marks of all these, to be kept with those that were there.
    pub patch: Bytes,
}

impl Difference {
    /// Rows that go.
    #[must_use]
    pub fn going(&self) -> u64 {
        (self.gone.len() / self.width.max(1)) as u64
    }
}

/// What is done with each row's mark.
pub(crate) enum Marking {
    Off,
    /// Rows that are loaded are marked.
    Record(Recorder),
    /// Rows that are stored already are left out.
    Compare(Comparer),
}

impl Marking {
    pub(crate) const fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Whether rows that are stored already are left out.
    pub(crate) const fn leaves_out(&self) -> bool {
        matches!(self, Self::Compare(_))
    }

    /// A row of `table`; whether it is stored already.
    #[inline]
    pub(crate) fn row(
        &mut self,
        table: &str,
        places: &KeyPlaces,
        key: Option<Key>,
        hash: u128,
    ) -> bool {
        // Zero means that there is no such row.
        let mark = (hash as u64).max(1);
        match self {
            Self::Off => false,
            Self::Record(recorder) => {
                recorder.row(table, places, key, mark);
                false
            }
            Self::Compare(comparer) => comparer.row(table, places, key, mark),
        }
    }

    /// A file is over, and the table whose rows came last.
    pub(crate) fn end_file(&mut self) {
        match self {
            Self::Off => {}
            Self::Record(recorder) => recorder.end(),
            Self::Compare(comparer) => comparer.end(),
        }
    }

    /// Rows of a table were marked that are not stored as they say.
    pub(crate) fn forget(&mut self, table: &str) {
        match self {
            Self::Off => {}
            Self::Record(recorder) => {
                recorder.end();
                recorder.over.insert(table.to_owned(), None);
            }
            Self::Compare(comparer) => comparer.forget(table),
        }
    }

    /// Whether all rows of a table, so many, are marked.
    pub(crate) fn has_all(&self, table: &str, rows: u64) -> bool {
        match self {
            Self::Record(recorder) => recorder
                .over
                .get(table)
                .map_or(rows == 0, |marked| *marked == Some(rows)),
            Self::Off | Self::Compare(_) => false,
        }
    }

    /// What differs, of the tables that could be compared; `rows` says how many a table has.
    pub(crate) fn differences(
        self,
        rows: impl Fn(&str) -> Option<u64>,
    ) -> BTreeMap<String, Difference> {
        match self {
            Self::Compare(comparer) => comparer.finish(rows),
            Self::Off | Self::Record(_) => BTreeMap::new(),
        }
    }

    /// Chunks that are full.
    pub(crate) fn take_ready(&mut self) -> Vec<Marks> {
        match self {
            Self::Record(recorder) => std::mem::take(&mut recorder.ready),
            Self::Off | Self::Compare(_) => Vec::new(),
        }
    }
}

/// Marks the rows of table after table.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    ready: Vec<Marks>,
    current: Option<Marked>,
    /// Tables that are over, with the number of their rows where all of them are marked.
    over: BTreeMap<String, Option<u64>>,
}

#[derive(Debug)]
struct Marked {
    table: String,
    seq: u32,
    last: Option<Key>,
    chunk: Encoder,
    rows: u64,
    whole: bool,
}

impl Recorder {
    fn row(&mut self, table: &str, places: &KeyPlaces, key: Option<Key>, mark: u64) {
        if self
            .current
            .as_ref()
            .is_none_or(|current| current.table != table)
        {
            self.begin(table, places.width());
        }
        let Some(current) = &mut self.current else {
            return;
        };
        if !current.whole {
            return;
        }
        let Some(key) = key.filter(|key| current.last.is_none_or(|last| last < *key)) else {
            current.whole = false;
            return;
        };
        current.last = Some(key);
        current.rows += 1;
        current.chunk.push(&key, mark);
        if current.chunk.rows() == CHUNK_ROWS {
            self.ready.extend(current.cut());
        }
    }

    fn begin(&mut self, table: &str, width: usize) {
        self.end();
        // Rows of a table that was over: their place among the others is not known.
        let whole = width > 0 && !self.over.contains_key(table);
        self.current = Some(Marked {
            table: table.to_owned(),
            seq: 0,
            last: None,
            chunk: Encoder::new(width),
            rows: 0,
            whole,
        });
    }

    /// The rows of the table are over: its last chunk is ready.
    fn end(&mut self) {
        let Some(mut current) = self.current.take() else {
            return;
        };
        if current.whole {
            self.ready.extend(current.cut());
        }
        let rows = Some(current.rows).filter(|_| current.whole);
        self.over.insert(current.table, rows);
    }
}

impl Marked {
    fn cut(&mut self) -> Option<Marks> {
        let body = self.chunk.take();
        let seq = self.seq;
        self.seq += 1;
        (!body.is_empty()).then(|| Marks {
            table: self.table.clone(),
            seq,
            body,
        })
    }
}
