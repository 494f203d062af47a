//! INSERTs of rows within a file: cut into chunks, joined with their neighbours, or held back until it is
//! known that nothing follows their rows.

use std::sync::Arc;

use bytes::Bytes;
use pilotfish_sql::mysql::Name;

use super::frame::Ending;
use super::insert::{Beginning, Head, Next, Values, keeps_duplicates_out, values};
use super::script::{BEYOND, Script, Shared};
use crate::error::excerpt;
use crate::{Error, InsertHead, Item, Position, RowOrder, Rows, Verb, digest};

/// Longest row: servers have no longer messages, nor values.
pub(crate) const ROW_LIMIT: usize = 1024 * 1024 * 1024;

/// Rows that travel together.
#[derive(Debug)]
pub(crate) struct Chunk {
    text: Vec<u8>,
    /// Rows in it.
    fresh: u64,
    /// All rows: those that are stored already are left out of it.
    pub(crate) count: u64,
    /// Their bytes.
    bytes: usize,
    sum: u128,
    /// Where the first one begins.
    pub(crate) at: Position,
    /// Why they keep their order.
    ordered: Option<&'static str>,
}

impl Chunk {
    pub(crate) const fn new(at: Position) -> Self {
        Self {
            text: Vec::new(),
            fresh: 0,
            count: 0,
            bytes: 0,
            sum: 0,
            at,
            ordered: None,
        }
    }

    /// Whether it is enough, or would be too much with so many bytes more.
    pub(crate) fn is_full_with(&self, more: usize, limit: usize) -> bool {
        self.count > 0 && (self.text.len() >= limit || self.text.len() + more > limit + limit / 4)
    }

    /// A line of a COPY, by its hash.
    #[inline]
    pub(crate) fn line(&mut self, row: &[u8], hash: u128, is_stored: bool) {
        self.count += 1;
        self.bytes += row.len() + 1;
        self.sum = self.sum.wrapping_add(hash);
        if is_stored {
            return;
        }
        self.fresh += 1;
        self.text.extend_from_slice(row);
        self.text.push(b'\n');
    }

    /// A row in parentheses.
    fn row(&mut self, row: &[u8], seed: u64) {
        let comma = usize::from(!self.text.is_empty());
        if comma > 0 {
            self.text.push(b',');
        }
        self.text.extend_from_slice(row);
        self.fresh += 1;
        self.count += 1;
        self.bytes += row.len() + comma;
        self.sum = self.sum.wrapping_add(digest::row(row, seed, None));
    }

    fn append(&mut self, other: &Self) {
        self.text.push(b',');
        self.text.extend_from_slice(&other.text);
        self.fresh += other.fresh;
        self.count += other.count;
        self.bytes += other.bytes + 1;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// Whether any of its rows is to be stored.
    pub(crate) const fn has_fresh(&self) -> bool {
        self.fresh > 0
    }

    pub(crate) fn rows(self, head: Arc<InsertHead>, order: RowOrder, whole: bool) -> Item {
        Item::Rows(Rows {
            head,
            tuples: Bytes::from(self.text),
            count: self.fresh,
            position: self.at,
            order,
            lone: false,
            whole,
        })
    }
}

impl Shared {
    pub(crate) fn count(&mut self, table: &Name, chunk: &Chunk) {
        let Chunk {
            count, bytes, sum, ..
        } = chunk;
        self.digests.rows(&table.name, *sum, *count, *bytes);
    }
}

/// A head and what its rows depend on.
#[derive(Debug)]
pub(crate) struct Known {
    head: Arc<InsertHead>,
    seed: u64,
    /// Whether its database is the one that is read.
    reads: bool,
}

/// An INSERT whose rows are being read.
#[derive(Debug)]
pub(crate) struct Inserting {
    /// Where the statement begins.
    pub(crate) at: Position,
    known: Arc<Known>,
    chunk: Chunk,
    /// Chunks that wait for the statement's end: what follows the rows decides what they mean.
    held: Vec<Chunk>,
    held_bytes: usize,
    /// So many rows came that nothing may follow them any more.
    released: bool,
    /// What comes next must be a row.
    due: bool,
    /// What comes next is left to the server, with all before it.
    odd: bool,
}

/// A chunk that more rows of the same head may join.
#[derive(Debug)]
pub(crate) struct Gathered {
    known: Arc<Known>,
    chunk: Chunk,
}

impl Script {
    /// Begins an INSERT of rows, if the statement here is one; reads on if that is not known yet.
    pub(crate) fn begin_rows(&mut self, shared: &mut Shared) -> Result<bool, Error> {
        let limit = shared.options.statement_limit;
        let data = self.window.data();
        let again = self.known.as_ref();
        let again = again.filter(|known| repeats(data, &known.head.text));
        let known = match again {
            Some(known) => Arc::clone(known),
            None => match self.view().insert() {
                Beginning::Rows(head) if head.length <= limit => self.know(head, shared)?,
                Beginning::Rows(_) | Beginning::Other => return Ok(false),
                // Whoever reads whole statements says what is wrong with it.
                Beginning::NeedMore if data.len() > limit + BEYOND => return Ok(false),
                Beginning::NeedMore => return self.fill().map(|()| true),
            },
        };
        let at = self.window.position(0);
        self.follow(None, shared)?;
        self.window.consume(known.head.text.len());
        self.inserting = Some(Inserting {
            chunk: Chunk::new(at.clone()),
            at,
            known: Arc::clone(&known),
            held: Vec::new(),
            held_bytes: 0,
            released: false,
            due: true,
            odd: false,
        });
        self.known = Some(known);
        Ok(true)
    }

    fn know(&mut self, head: Head, shared: &mut Shared) -> Result<Arc<Known>, Error> {
        let Head {
            table,
            columns,
            length,
        } = head;
        let text = Bytes::copy_from_slice(&self.window.data()[..length]);
        // The quick look may have missed it for want of text.
        if let Some(known) = self.known.as_ref().filter(|known| known.head.text == text) {
            return Ok(Arc::clone(known));
        }
        let reads = shared.sections.rows(&mut shared.ready);
        let reads = reads.map_err(|what| self.window.refused(0, &what))?;
        let names = columns.as_ref().map(|columns| columns.join("\0"));
        let names = names.unwrap_or_default();
        let seed = digest::seed(&[self.session.key().as_bytes(), names.as_bytes(), b"insert"]);
        let head = InsertHead {
            table: self.session.table(&table),
            columns,
            verb: Verb::Insert,
            text,
            tail: None,
            no_backslash_escapes: self.session.mode().standard_conforming_strings,
        };
        Ok(Arc::new(Known {
            head: Arc::new(head),
            seed,
            reads,
        }))
    }

    /// Reads rows of the current INSERT: one, or what stands between two.
    pub(crate) fn walk_rows(&mut self, shared: &mut Shared) -> Result<(), Error> {
        let mode = self.session.mode();
        let view = self.view();
        let next = view.next_row();
        let data = view.data.len();
        let ended = view.ended;
        let Some(inserting) = &mut self.inserting else {
            return Ok(());
        };
        match next {
            _ if inserting.odd => return self.rest(shared),
            Next::NeedMore if data > ROW_LIMIT => {
                return Err(Error::TooLong {
                    at: self.window.position(0),
                    what: "a row",
                    limit: ROW_LIMIT,
                    head: excerpt(&inserting.known.head.text),
                });
            }
            Next::NeedMore => return self.fill(),
            Next::Open(inside) => {
                let what = format!("inside {inside} of the INSERT that began here");
                return Err(Error::cut_off(inserting.at.clone(), &what));
            }
            Next::Blank(length) => self.window.consume(length),
            Next::Row(length) if inserting.due => {
                let row = &self.window.data()[..length];
                let found = values(row, mode);
                if found == Values::Expressions {
                    inserting.odd = true;
                    return Ok(());
                }
                let limit = shared.options.chunk_bytes;
                let ordered =
                    (found == Values::Defaults).then_some("values that the server gives (DEFAULT)");
                let full = inserting.chunk.is_full_with(length + 1, limit);
                if full || inserting.chunk.count > 0 && inserting.chunk.ordered != ordered {
                    self.hold_chunk(shared)?;
                    return Ok(());
                }
                if inserting.chunk.count == 0 {
                    inserting.chunk.at = self.window.position(0);
                    inserting.chunk.ordered = ordered;
                }
                inserting.chunk.row(row, inserting.known.seed);
                inserting.due = false;
                self.window.consume(length);
            }
            Next::Comma if !inserting.due => {
                inserting.due = true;
                self.window.consume(1);
            }
            Next::Semicolon | Next::End if !inserting.due => {
                self.window.consume(usize::from(!(ended && data == 0)));
                self.hold_chunk(shared)?;
                self.end_rows(None, shared);
            }
            _ => inserting.odd = true,
        }
        Ok(())
    }

    /// Puts the chunk aside; passes on what waits once it is more than may wait.
    fn hold_chunk(&mut self, shared: &mut Shared) -> Result<(), Error> {
        let limit = shared.options.statement_limit;
        let Some(inserting) = &mut self.inserting else {
            return Ok(());
        };
        if inserting.chunk.count > 0 {
            let next = Chunk::new(inserting.at.clone());
            let chunk = std::mem::replace(&mut inserting.chunk, next);
            inserting.held_bytes += chunk.text.len();
            inserting.held.push(chunk);
        }
        if inserting.released || inserting.held_bytes > limit {
            inserting.released = true;
            let known = Arc::clone(&inserting.known);
            for chunk in std::mem::take(&mut inserting.held) {
                self.pass(&known, chunk, shared);
            }
        }
        Ok(())
    }

    /// The statement is over.
    fn end_rows(&mut self, tail: Option<Bytes>, shared: &mut Shared) {
        let Some(inserting) = self.inserting.take() else {
            return;
        };
        let known = match tail {
            None => inserting.known,
            Some(tail) => self.tailed(&inserting.known, tail),
        };
        for chunk in inserting.held {
            self.pass(&known, chunk, shared);
        }
    }

    /// The head with its tail: that of the INSERT before, if it was the same, so that their rows join.
    fn tailed(&mut self, known: &Arc<Known>, tail: Bytes) -> Arc<Known> {
        let last = self.gathered.as_ref().map(|gathered| &gathered.known);
        let same = last.filter(|last| {
            last.head.text == known.head.text
                && last.head.tail.as_ref() == Some(&tail)
                && last.seed == known.seed
        });
        if let Some(same) = same {
            return Arc::clone(same);
        }
        let head = InsertHead {
            tail: Some(tail),
            ..InsertHead::clone(&known.head)
        };
        Arc::new(Known {
            head: Arc::new(head),
            seed: known.seed,
            reads: known.reads,
        })
    }

    /// Something else than rows: what follows them all, or a row that only the server understands.
    fn rest(&mut self, shared: &mut Shared) -> Result<(), Error> {
        let (length, next) = match self.ending("the end of an INSERT", shared)? {
            Ending::At { length, next } => (length, next),
            Ending::NeedMore => return self.fill_within("the end of an INSERT", shared),
            other => return Err(self.no_ending(other)),
        };
        let Some(inserting) = &self.inserting else {
            return Ok(());
        };
        let due = inserting.due;
        self.hold_chunk(shared)?;
        if self
            .inserting
            .as_ref()
            .is_some_and(|inserting| inserting.released)
        {
            let limit = shared.options.statement_limit;
            let what =
                format!("more than literals in an INSERT longer than {limit} bytes: cut it up");
            return Err(self.window.refused(0, &what));
        }
        let rest = Bytes::copy_from_slice(self.window.data()[..length].trim_ascii_end());
        self.window.consume(next);
        if !due && keeps_duplicates_out(&rest, self.session.mode()) {
            self.end_rows(Some(rest), shared);
            return Ok(());
        }
        let Some(inserting) = self.inserting.take() else {
            return Ok(());
        };
        let text = whole_text(&inserting, &rest);
        self.take_statement(&text, inserting.at, shared)
    }

    /// Counts a chunk and joins it to the rows before it, or passes those on.
    fn pass(&mut self, known: &Arc<Known>, chunk: Chunk, shared: &mut Shared) {
        if !known.reads {
            return;
        }
        shared.count(&known.head.table, &chunk);
        if shared.marking.is_on() {
            // Only lines of a COPY are marked.
            shared.marking.forget(&known.head.table.name);
        }
        let limit = shared.options.chunk_bytes;
        match &mut self.gathered {
            Some(gathered)
                if Arc::ptr_eq(&gathered.known, known)
                    && gathered.chunk.ordered == chunk.ordered
                    && !gathered.chunk.is_full_with(chunk.text.len() + 1, limit) =>
            {
                gathered.chunk.append(&chunk);
            }
            _ => {
                self.pass_gathered(shared);
                let known = Arc::clone(known);
                self.gathered = Some(Gathered { known, chunk });
            }
        }
    }

    /// Passes on the rows that were gathered.
    pub(crate) fn pass_gathered(&mut self, shared: &mut Shared) {
        if let Some(Gathered { known, chunk }) = self.gathered.take() {
            let tail = known.head.tail.as_ref().map(|_| "ON CONFLICT DO NOTHING");
            let order = match tail.or(chunk.ordered) {
                Some(reason) => RowOrder::Ordered(reason),
                None => RowOrder::Free,
            };
            shared
                .ready
                .push_back(chunk.rows(Arc::clone(&known.head), order, false));
        }
    }
}

/// Whether the text begins with this head again, and a row follows.
fn repeats(text: &[u8], head: &[u8]) -> bool {
    text.strip_prefix(head)
        .is_some_and(|rest| rest.trim_ascii_start().first() == Some(&b'('))
}

/// The statement put together again, for the server to judge.
fn whole_text(inserting: &Inserting, rest: &[u8]) -> Bytes {
    let mut text = inserting.known.head.text.to_vec();
    for (index, chunk) in inserting.held.iter().enumerate() {
        text.push(if index == 0 { b' ' } else { b',' });
        text.extend_from_slice(&chunk.text);
    }
    text.push(match inserting.due && !inserting.held.is_empty() {
        true => b',',
        false => b' ',
    });
    text.extend_from_slice(rest);
    text.into()
}
