//! INSERTs of rows within a file: cut into chunks, joined with their neighbours, or held back until
//! it is known that nothing follows their rows.

use std::sync::Arc;

use bytes::Bytes;
use pilotfish_sql::mysql::{TokenKind, Tuples};

use crate::digest;
use crate::error::excerpt;
use crate::mysql::computed::is_computed;
use crate::mysql::frame::{Ending, View};
use crate::mysql::insert::{Beginning, Head, beginning};
use crate::mysql::phrase::{asks, running};
use crate::mysql::script::{BEYOND, Script, Shared};
use crate::mysql::session::refuse_looking_back;
use crate::mysql::single::refuse_several_in_tail;
use crate::mysql::table::Numbering;
use crate::mysql::walk::{Asking, Chunk, Meaning, Order, Walk, Walked};
use crate::mysql::whereabouts::refuse_in_value;
use crate::{Error, InsertHead, Item, Position, Rows, Verb};

/// A head and what its rows depend on.
#[derive(Debug)]
pub(crate) struct Known {
    head: Arc<InsertHead>,
    table: String,
    meaning: Meaning,
}

/// An INSERT whose tuples are being read.
#[derive(Debug)]
pub(crate) struct Inserting {
    /// Where the statement begins.
    pub(crate) at: Position,
    known: Arc<Known>,
    walk: Walk,
    /// Where the chunk's first tuple is.
    first: Position,
    /// Chunks that wait for the statement's end: what follows the rows decides what they mean.
    held: Vec<(Chunk, Position)>,
    held_bytes: usize,
    asking: Asking,
    /// So many rows came that nothing may follow them any more.
    released: bool,
}

/// A chunk that more rows of the same head may join.
#[derive(Debug)]
pub(crate) struct Gathered {
    known: Arc<Known>,
    chunk: Chunk,
    position: Position,
}

impl Script {
    /// Begins an INSERT of rows, if the statement here is one; reads on if that is not known yet.
    pub(crate) fn begin_rows(&mut self, shared: &mut Shared) -> Result<bool, Error> {
        let data = self.window.data();
        let again = self
            .known
            .as_ref()
            .filter(|known| repeats(data, &known.head.text));
        let known = match again {
            Some(known) => Arc::clone(known),
            None => match beginning(&self.view()) {
                Beginning::Rows(head) if head.length <= shared.options.statement_limit => {
                    let known = self.know(head, shared);
                    self.refuse_actions(&known, shared)?;
                    known
                }
                Beginning::Rows(_) | Beginning::Other => return Ok(false),
                // A head beyond the limit begins no rows, however much of it is in memory: whoever
                // reads whole statements says what is wrong with it.
                Beginning::NeedMore if data.len() > shared.options.statement_limit + BEYOND => {
                    return Ok(false);
                }
                Beginning::NeedMore => return self.fill().map(|()| true),
            },
        };
        let at = self.window.position(0);
        self.transaction.change(&at);
        self.session.goes_on();
        self.proof.goes_on();
        self.window.consume(known.head.text.len());
        let chunk = Chunk {
            tuples: std::mem::take(&mut self.spare),
            ..Chunk::default()
        };
        let number = shared.catalog.digests.count(&known.table);
        let walk = Walk::new(known.meaning, chunk, shared.options.chunk_bytes, number);
        self.inserting = Some(Inserting {
            first: at.clone(),
            at,
            known: Arc::clone(&known),
            walk,
            held: Vec::new(),
            held_bytes: 0,
            asking: Asking::default(),
            released: false,
        });
        self.known = Some(known);
        Ok(true)
    }

    /// Rows that foreign keys would carry on to others, or leave out.
    fn refuse_actions(&self, known: &Known, shared: &mut Shared) -> Result<(), Error> {
        let acting = self.session.checks_foreign_keys();
        let ties = &mut shared.catalog.ties;
        let judged = ties.refuse_rows(&known.table, known.head.verb, acting);
        judged.map_err(|what| Error::Refused {
            at: self.window.position(0),
            what,
            head: excerpt(&known.head.text),
        })
    }

    fn know(&self, head: Head, shared: &mut Shared) -> Arc<Known> {
        let Head {
            table,
            columns,
            verb,
            length,
        } = head;
        let text = &self.window.data()[..length];
        // The quick look may have missed it for want of text.
        if let Some(known) = self.known.as_ref().filter(|known| known.head.text == text) {
            return Arc::clone(known);
        }
        let mode = self.mode();
        let key = shared.catalog.key(&table);
        let (numbering, draws) = shared.catalog.numbering(&key, columns.as_deref());
        let places = shared.catalog.digests.key_places(&key, columns.as_deref());
        let names = columns
            .as_ref()
            .map(|columns| columns.join("\0"))
            .unwrap_or_default();
        let verb_byte = [match verb {
            Verb::Insert | Verb::Copy => 0,
            Verb::InsertIgnore => 1,
            Verb::Replace => 2,
        }];
        let seed = digest::seed(&[self.session.key().as_bytes(), names.as_bytes(), &verb_byte]);
        let head = InsertHead {
            table,
            columns,
            verb,
            text: Bytes::copy_from_slice(text),
            tail: None,
            no_backslash_escapes: mode.no_backslash_escapes,
        };
        let shown_unmarked = match numbering {
            Numbering::At(place) => place + 1,
            Numbering::None | Numbering::Omitted | Numbering::Unknown => 0,
        };
        let meaning = Meaning {
            mode,
            verb,
            numbering,
            draws,
            zero_is_next: self.session.zero_is_next(),
            seed,
            key: places,
            shown: places.behind().max(shown_unmarked),
            shown_unmarked,
        };
        Arc::new(Known {
            head: Arc::new(head),
            table: key,
            meaning,
        })
    }

    /// Reads tuples of the current INSERT.
    pub(crate) fn walk_rows(&mut self, shared: &mut Shared) -> Result<(), Error> {
        let mode = self.mode();
        let Some(inserting) = &mut self.inserting else {
            return Ok(());
        };
        let ended = self.window.ended();
        let view = View {
            data: self.window.data(),
            ended,
            delimiter: &self.delimiter,
            mode,
        };
        let (done, first, stop) =
            inserting
                .walk
                .take(&view, &mut shared.marking, &inserting.known.table);
        if let Some(first) = first {
            inserting.first = self.window.position(first);
        }
        self.window.consume(done);
        match stop {
            Walked::NeedMore if ended => {
                let at = inserting.at.clone();
                Err(Error::cut_off(at, "inside the INSERT that began here"))
            }
            Walked::NeedMore if self.window.data().len() > self.max_packet => Err(Error::Packet {
                at: self.window.position(0),
                limit: self.max_packet,
                head: excerpt(&inserting.known.head.text),
            }),
            Walked::NeedMore => self.fill(),
            Walked::Full => self.hold_chunk(shared),
            Walked::End => {
                self.hold_chunk(shared)?;
                self.end_rows(shared);
                Ok(())
            }
            Walked::Tail => self.tail(shared),
            Walked::Malformed(at) => Err(self
                .window
                .malformed(at, "this cannot stand in a VALUES list")),
            Walked::Refused => {
                let why = inserting.walk.refused.take().unwrap_or_default();
                Err(self.window.refused(0, &why))
            }
        }
    }

    /// Puts the chunk aside; passes on what waits once it is more than may wait.
    fn hold_chunk(&mut self, shared: &mut Shared) -> Result<(), Error> {
        let limit = shared.options.statement_limit;
        let Some(inserting) = &mut self.inserting else {
            return Ok(());
        };
        let chunk = std::mem::take(&mut inserting.walk.chunk);
        inserting.held_bytes += chunk.tuples.len();
        inserting.asking = inserting.asking.merged(chunk.asking);
        inserting.held.push((chunk, inserting.first.clone()));
        if inserting.released || inserting.held_bytes > limit {
            if inserting.asking.is_one(inserting.is_plain()) {
                let what = format!(
                    "rows some of which the server numbers, in an INSERT longer than {limit} bytes that cannot be cut without other numbers: cut it up, or write the numbers into the rows"
                );
                return Err(Error::Refused {
                    at: inserting.at.clone(),
                    what,
                    head: excerpt(&inserting.known.head.text),
                });
            }
            inserting.released = true;
            let known = Arc::clone(&inserting.known);
            for (chunk, position) in std::mem::take(&mut inserting.held) {
                self.pass(&known, chunk, position, shared);
            }
        }
        Ok(())
    }

    /// The statement is over, with nothing after its rows.
    fn end_rows(&mut self, shared: &mut Shared) {
        let Some(inserting) = self.inserting.take() else {
            return;
        };
        let alone = !inserting.released && inserting.held.len() == 1;
        let one = inserting.asking.is_one(inserting.is_plain());
        for (mut chunk, position) in together(inserting.held, one) {
            chunk.lone = alone && chunk.count == 1;
            self.pass(&inserting.known, chunk, position, shared);
        }
    }

    /// Something follows the rows: ON DUPLICATE KEY UPDATE, or what only the server understands.
    fn tail(&mut self, shared: &mut Shared) -> Result<(), Error> {
        let (length, next) = match self.ending("the end of an INSERT", shared)? {
            Ending::At { length, next } => (length, next),
            Ending::NeedMore => return self.fill_within("the end of an INSERT", shared),
            Ending::Open(_) => {
                let at = self
                    .inserting
                    .as_ref()
                    .map(|inserting| inserting.at.clone());
                let at = at.unwrap_or_else(|| self.window.position(0));
                return Err(Error::cut_off(at, "inside the INSERT that began here"));
            }
            Ending::Command(at) => {
                return Err(self
                    .window
                    .malformed(at, "this cannot follow a VALUES list"));
            }
        };
        self.hold_chunk(shared)?;
        let Some(inserting) = self.inserting.take() else {
            return Ok(());
        };
        if inserting.released {
            let limit = shared.options.statement_limit;
            let what = format!(
                "rows followed by more than `;` in an INSERT longer than {limit} bytes; cut it up, or raise the limit"
            );
            return Err(self.window.malformed(0, &what));
        }
        let tail = Bytes::copy_from_slice(self.window.data()[..length].trim_ascii_end());
        self.window.consume(next);
        self.known = None;
        if is_on_duplicate(&tail, &inserting) {
            self.pass_gathered(shared);
            let tokens = running(&tail, inserting.known.meaning.mode);
            let judged = refuse_several_in_tail(&tokens)
                .and_then(|()| refuse_looking_back(&tokens))
                .and_then(|()| refuse_in_value(&tokens))
                .and_then(|()| match self.session.checks_foreign_keys() {
                    true => shared
                        .catalog
                        .ties
                        .refuse_tail(&inserting.known.table, &tokens),
                    false => Ok(()),
                });
            if let Err(what) = judged {
                return Err(Error::Refused {
                    at: inserting.at,
                    what,
                    head: excerpt(&inserting.known.head.text),
                });
            }
            pass_on_duplicate(inserting, tail, shared);
            return Ok(());
        }
        let text = whole_text(&inserting, &tail);
        self.take_statement(text, inserting.at, shared)
    }

    /// Counts a chunk and joins it to the rows before it, or passes those on.
    fn pass(&mut self, known: &Arc<Known>, chunk: Chunk, position: Position, shared: &mut Shared) {
        shared.catalog.digests.rows(&known.table, chunk.sum, &chunk);
        shared.pass_marks();
        let chunk = match shared.marking.leaves_out() {
            true => chunk.into_fresh(),
            false => chunk,
        };
        if chunk.count == 0 {
            self.spare = chunk.tuples;
            return;
        }
        let limit = shared.options.chunk_bytes;
        match &mut self.gathered {
            Some(gathered)
                if Arc::ptr_eq(&gathered.known, known)
                    && gathered.chunk.may_join(&chunk)
                    && gathered.chunk.tuples.len() + chunk.tuples.len() <= limit + limit / 4 =>
            {
                gathered.chunk.append(&chunk);
                self.spare = chunk.tuples;
                self.spare.clear();
            }
            _ => {
                self.pass_gathered(shared);
                self.gathered = Some(Gathered {
                    known: Arc::clone(known),
                    chunk,
                    position,
                });
            }
        }
        if self
            .gathered
            .as_ref()
            .is_some_and(|gathered| gathered.chunk.tuples.len() >= limit)
        {
            self.pass_gathered(shared);
        }
    }

    /// Passes on the rows that were gathered.
    pub(crate) fn pass_gathered(&mut self, shared: &mut Shared) {
        if let Some(Gathered {
            known,
            chunk,
            position,
        }) = self.gathered.take()
        {
            shared
                .ready
                .push_back(rows(Arc::clone(&known.head), chunk, position));
        }
    }
}

fn rows(head: Arc<InsertHead>, chunk: Chunk, position: Position) -> Item {
    let Chunk {
        tuples,
        count,
        order,
        lone,
        whole,
        ..
    } = chunk;
    Item::Rows(Rows {
        head,
        tuples: Bytes::from(tuples),
        count,
        position,
        order: order.public(),
        lone,
        whole,
    })
}

impl Inserting {
    /// Whether no duplicate may give back the number it was offered.
    fn is_plain(&self) -> bool {
        self.known.meaning.verb == Verb::Insert
    }
}

/// The chunks of an INSERT, in one where they must stay in one.
fn together(held: Vec<(Chunk, Position)>, one: bool) -> Vec<(Chunk, Position)> {
    let mut held = held.into_iter();
    match held.next() {
        Some((mut all, position)) if one => {
            held.for_each(|(chunk, _)| all.append(&chunk));
            all.whole = true;
            vec![(all, position)]
        }
        first => first.into_iter().chain(held).collect(),
    }
}

/// Whether the text begins with this head again, and a tuple follows.
fn repeats(text: &[u8], head: &[u8]) -> bool {
    text.strip_prefix(head)
        .is_some_and(|rest| rest.trim_ascii_start().first() == Some(&b'('))
}

/// `ON DUPLICATE KEY UPDATE ..`, in MySQL also after `AS new`.
fn is_on_duplicate(tail: &[u8], inserting: &Inserting) -> bool {
    let tokens = running(tail, inserting.known.meaning.mode);
    let begins = tokens
        .first()
        .is_some_and(|token| token.is("ON") || token.is("AS"));
    let mut words = tokens.windows(3);
    begins
        && words
            .any(|three| three[0].is("DUPLICATE") && three[1].is("KEY") && three[2].is("UPDATE"))
}

fn pass_on_duplicate(inserting: Inserting, tail: Bytes, shared: &mut Shared) {
    let Inserting {
        known,
        held,
        asking,
        ..
    } = inserting;
    shared.marking.forget(&known.table);
    // Variables live on the dump's own session, and only it asks tables that others fill.
    let tokens = running(&tail, known.meaning.mode);
    let variable = tokens.iter().any(|token| token.kind == TokenKind::Variable);
    let expressions = variable || asks(&tokens);
    let computed = is_computed(&tokens);
    drop(tokens);
    let alone = held.len() == 1;
    let mut number = shared.catalog.digests.count(&known.table);
    let seed = digest::seed(&[&known.meaning.seed.to_le_bytes(), &tail]);
    let head = Arc::new(InsertHead {
        tail: Some(tail),
        ..InsertHead::clone(&known.head)
    });
    for (mut chunk, position) in together(held, asking.is_one(false)) {
        let mut sum = 0_u128;
        let mut walk = Tuples::new(known.meaning.mode.no_backslash_escapes);
        // The tuples were walked once already: they are well formed.
        let _ = walk.for_each::<std::convert::Infallible>(&chunk.tuples, |_, tuple| {
            sum = sum.wrapping_add(digest::row(tuple, seed, Some(number)));
            number += 1;
            Ok(())
        });
        chunk.computed |= computed;
        shared.catalog.digests.rows(&known.table, sum, &chunk);
        chunk.order = chunk.order.merged(Order {
            expressions,
            reason: Some("ON DUPLICATE KEY UPDATE"),
        });
        chunk.lone = alone && chunk.count == 1;
        shared
            .ready
            .push_back(rows(Arc::clone(&head), chunk, position));
    }
}

/// The statement put together again, for the server to judge.
fn whole_text(inserting: &Inserting, tail: &[u8]) -> Bytes {
    let mut text = inserting.known.head.text.to_vec();
    for (index, (chunk, _)) in inserting.held.iter().enumerate() {
        text.push(if index == 0 { b' ' } else { b',' });
        text.extend_from_slice(&chunk.tuples);
    }
    text.push(b' ');
    text.extend_from_slice(tail);
    text.into()
}
