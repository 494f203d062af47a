//! Marks of rows: a row's key and eight bytes of its hash, by which the next dump finds out which rows changed.
//!
//! Only tables whose primary key is made of integers have them, as long as most of their rows come in the order of that
//! key: the marks of two dumps are then compared by one walk over both, whatever their size.

mod code;
mod compare;
mod known;
mod order;
mod places;

use std::collections::BTreeMap;

use bytes::Bytes;

pub(crate) use compare::Comparer;
pub use known::{Chunks, KnownRows};

pub(crate) use places::KeyPlaces;

use code::Encoder;
use order::{Marked, Order};

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
    /// 0 for rows in the order of their keys, 1 for those that came behind their place.
    pub layer: u8,
    /// Number of the chunk within its table and layer, from 0.
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
    /// Rows that come behind their place are marked, too.
    lenient: bool,
    ready: Vec<Marks>,
    current: Option<Recorded>,
    /// Tables that are over, with the number of their rows where all of them are marked.
    over: BTreeMap<String, Option<u64>>,
}

#[derive(Debug)]
struct Recorded {
    table: String,
    /// `None`: not all of them can be marked.
    order: Option<Order>,
    chunks: Chunked,
    rows: u64,
}

/// Marks of one layer as they are cut.
#[derive(Debug)]
struct Chunked {
    layer: u8,
    seq: u32,
    chunk: Encoder,
}

impl Recorder {
    /// For rows that come in any order, nearly that of their keys.
    pub(crate) fn lenient() -> Self {
        Self {
            lenient: true,
            ..Self::default()
        }
    }

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
        let Some(order) = &mut current.order else {
            return;
        };
        let taken = key.map(|key| order.push((key, mark)));
        match taken {
            Some(Ok(next)) if self.lenient || order.is_strict() => {
                current.rows += 1;
                if let Some(row) = next {
                    current.chunks.push(&row, &current.table, &mut self.ready);
                }
            }
            _ => current.order = None,
        }
    }

    fn begin(&mut self, table: &str, width: usize) {
        self.end();
        // Rows of a table that was over: their place among the others is not known.
        let whole = width > 0 && !self.over.contains_key(table);
        self.current = Some(Recorded {
            table: table.to_owned(),
            order: whole.then(Order::default),
            chunks: Chunked::new(width, 0),
            rows: 0,
        });
    }

    /// The rows of the table are over: its last chunks are ready.
    fn end(&mut self) {
        let Some(current) = self.current.take() else {
            return;
        };
        let Recorded {
            table,
            order,
            mut chunks,
            rows,
        } = current;
        let marked = order.map(|order| {
            let (rest, late) = order.finish();
            for row in rest {
                chunks.push(&row, &table, &mut self.ready);
            }
            let mut aside = Chunked::new(chunks.chunk.width(), 1);
            chunks.cut(&table, &mut self.ready);
            for row in late {
                aside.push(&row, &table, &mut self.ready);
            }
            aside.cut(&table, &mut self.ready);
            rows
        });
        self.over.insert(table, marked);
    }
}

impl Chunked {
    const fn new(width: usize, layer: u8) -> Self {
        Self {
            layer,
            seq: 0,
            chunk: Encoder::new(width),
        }
    }

    fn push(&mut self, (key, mark): &Marked, table: &str, ready: &mut Vec<Marks>) {
        self.chunk.push(key, *mark);
        if self.chunk.rows() == CHUNK_ROWS {
            self.cut(table, ready);
        }
    }

    fn cut(&mut self, table: &str, ready: &mut Vec<Marks>) {
        let body = self.chunk.take();
        if body.is_empty() {
            return;
        }
        ready.push(Marks {
            table: table.to_owned(),
            layer: self.layer,
            seq: self.seq,
            body,
        });
        self.seq += 1;
    }
}
