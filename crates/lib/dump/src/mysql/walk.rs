//! The walk over the tuples of an INSERT: every row is cut, judged, hashed and copied once.

use pilotfish_sql::mysql::{
    Literal, Mode, Scan, dash_comment, scan_plain_tuple, scan_tuple, skip_comment, skip_line,
};

use crate::digest;
use crate::marks::{Key, KeyPlaces, Marking, WIDTH};
use crate::mysql::computed::is_computed;
use crate::mysql::frame::{LOOKAHEAD, View, is_blank};
use crate::mysql::phrase::running;
use crate::mysql::session::refuse_looking_back;
use crate::mysql::table::{Draws, Numbering};
use crate::mysql::whereabouts::refuse_in_value;
use crate::{RowOrder, Verb};

/// What the tuples of an INSERT depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meaning {
    pub(crate) mode: Mode,
    pub(crate) verb: Verb,
    pub(crate) numbering: Numbering,
    pub(crate) draws: Draws,
    pub(crate) zero_is_next: bool,
    pub(crate) seed: u64,
    pub(crate) key: KeyPlaces,
    /// So many literals of a plain tuple are of interest, from the first one on.
    pub(crate) shown: usize,
    /// The same where rows have no marks.
    pub(crate) shown_unmarked: usize,
}

/// Rows gathered so far, to become one [`Rows`](crate::Rows).
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) tuples: Vec<u8>,
    pub(crate) count: u64,
    /// Bytes of the tuples without the commas between them.
    pub(crate) bytes: u64,
    pub(crate) sum: u128,
    pub(crate) order: Order,
    /// A row of it was the only one of its INSERT.
    pub(crate) lone: bool,
    /// All rows of its INSERT, which must stay in one; see [`Asking::is_one`].
    pub(crate) whole: bool,
    pub(crate) asking: Asking,
    /// Its rows come from more than what they say: variables, other tables, sequences, the clock.
    pub(crate) computed: bool,
    /// The tuples that are not stored already, where that is looked at.
    pub(crate) fresh: Vec<u8>,
    pub(crate) fresh_count: u64,
}

/// How many rows of an INSERT ask for the next number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asking {
    rows: u64,
    numbered: u64,
    /// Only the server knows of some.
    unknown: bool,
}

impl Asking {
    pub(crate) const fn merged(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            numbered: self.numbered + other.numbered,
            unknown: self.unknown || other.unknown,
        }
    }

    /// Whether any may.
    pub(crate) const fn asks(self) -> bool {
        self.unknown || self.numbered > 0
    }

    /// Whether the numbers depend on these rows being in one INSERT and no others. The server reserves
    /// numbers for all rows of a statement: where not all ask for one, or a duplicate gives its own back,
    /// some are lost at the end of each.
    pub(crate) const fn is_one(self, plain: bool) -> bool {
        let mixed = self.numbered > 0 && (self.numbered < self.rows || !plain);
        self.unknown || mixed
    }
}

/// What the rows of a chunk ask for; see [`RowOrder`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) expressions: bool,
    pub(crate) reason: Option<&'static str>,
}

impl Order {
    pub(crate) const fn merged(self, other: Self) -> Self {
        let reason = if self.reason.is_some() {
            self.reason
        } else {
            other.reason
        };
        Self {
            expressions: self.expressions || other.expressions,
            reason,
        }
    }

    pub(crate) const fn public(self) -> RowOrder {
        match self.reason {
            _ if self.expressions => RowOrder::Session,
            Some(reason) => RowOrder::Ordered(reason),
            None => RowOrder::Free,
        }
    }
}

/// Why a walk over tuples stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walked {
    /// The text in memory ends inside a tuple or between two.
    NeedMore,
    /// The chunk has its size; another tuple follows.
    Full,
    /// The statement is over, its delimiter consumed.
    End,
    /// Something other than a tuple follows.
    Tail,
    /// This byte cannot stand here.
    Malformed(usize),
    /// The tuple here asks for what only its own session knows: see [`Walk::refused`].
    Refused,
}

/// A walk over one INSERT's tuples, through as many views as it takes.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) meaning: Meaning,
    pub(crate) chunk: Chunk,
    chunk_bytes: usize,
    /// Number of the next row in its table, from 0.
    number: u64,
    after_tuple: bool,
    /// Why a tuple cannot be loaded.
    pub(crate) refused: Option<String>,
}

impl Walk {
    pub(crate) const fn new(
        meaning: Meaning,
        chunk: Chunk,
        chunk_bytes: usize,
        number: u64,
    ) -> Self {
        Self {
            meaning,
            chunk,
            chunk_bytes,
            number,
            after_tuple: false,
            refused: None,
        }
    }

    /// Takes tuples from the view; gives how many bytes it is done with, where the chunk's first
    /// tuple begins if it was among them, and why it stopped. `table` is whose rows they are.
    pub(crate) fn take(
        &mut self,
        view: &View<'_>,
        marking: &mut Marking,
        table: &str,
    ) -> (usize, Option<usize>, Walked) {
        let mut at = 0;
        let mut first = None;
        loop {
            if self.after_tuple {
                match after_tuple(view, at) {
                    Ok(next) => at = next,
                    Err((next, stop)) => return (next, first, stop),
                }
                self.after_tuple = false;
            }
            let Some(open) = skip_blank(view, at) else {
                return (at, first, Walked::NeedMore);
            };
            if self.chunk.tuples.len() >= self.chunk_bytes {
                return (open, first, Walked::Full);
            }
            match self.tuple(view.data, open, marking, table) {
                Scan::Complete(_) if self.refused.is_some() => {
                    return (open, first, Walked::Refused);
                }
                Scan::Complete(end) => {
                    if self.chunk.count == 1 {
                        first = Some(open);
                    }
                    at = end;
                    self.after_tuple = true;
                }
                Scan::Incomplete => return (open, first, Walked::NeedMore),
                Scan::Malformed(byte) => return (open, first, Walked::Malformed(byte - open)),
            }
        }
    }

    fn tuple(&mut self, data: &[u8], open: usize, marking: &mut Marking, table: &str) -> Scan {
        let Meaning {
            mode,
            verb,
            seed,
            key: places,
            shown,
            shown_unmarked,
            ..
        } = self.meaning;
        let mut look = Look::new(&self.meaning, marking.is_on());
        let shown = match marking.is_on() {
            true => shown,
            false => shown_unmarked,
        };
        // Most tuples are plain: of these only what stands in certain columns is of interest.
        let plain = scan_plain_tuple(data, open, mode.no_backslash_escapes, shown, |literal| {
            look.see(&literal);
        });
        let end = match plain {
            Some(end) => end,
            None => {
                look = Look::new(&self.meaning, marking.is_on());
                match scan_tuple(data, open, mode.no_backslash_escapes, |literal| {
                    look.see(&literal);
                }) {
                    Scan::Complete(end) => end,
                    stopped => return stopped,
                }
            }
        };
        let Look {
            expressions,
            refused,
            computed,
            next_number,
            unknown,
            drawn,
            key,
            keyed,
            ..
        } = look;
        self.refused = refused;
        self.chunk.computed |= computed || drawn;
        self.chunk.asking = self.chunk.asking.merged(Asking {
            rows: 1,
            numbered: next_number.into(),
            unknown,
        });
        let reason = match verb {
            Verb::Replace => Some("REPLACE"),
            Verb::InsertIgnore => Some("INSERT IGNORE"),
            Verb::Insert if next_number || unknown || drawn => Some("the server numbers the rows"),
            Verb::Insert | Verb::Copy => None,
        };
        let tuple = &data[open..end];
        let chunk = &mut self.chunk;
        let hash = digest::row(tuple, seed, reason.map(|_| self.number));
        chunk.sum = chunk.sum.wrapping_add(hash);
        chunk.order = chunk.order.merged(Order {
            expressions,
            reason,
        });
        chunk.add(tuple);
        if marking.is_on() {
            let free = reason.is_none() && !expressions && !drawn;
            let key = Some(key).filter(|_| free && keyed == places.width());
            if !marking.row(table, &places, key, hash) && marking.leaves_out() {
                chunk.add_fresh(tuple);
            }
        }
        self.number += 1;
        Scan::Complete(end)
    }
}

/// What a look at a tuple's literals finds.
struct Look<'m> {
    meaning: &'m Meaning,
    /// The key is of interest.
    marked: bool,
    numbered: usize,
    place: usize,
    expressions: bool,
    refused: Option<String>,
    computed: bool,
    next_number: bool,
    unknown: bool,
    drawn: bool,
    key: Key,
    keyed: usize,
}

impl<'m> Look<'m> {
    #[inline]
    fn new(meaning: &'m Meaning, marked: bool) -> Self {
        Self {
            marked,
            numbered: match meaning.numbering {
                Numbering::At(place) => place,
                Numbering::None | Numbering::Omitted | Numbering::Unknown => usize::MAX,
            },
            place: 0,
            expressions: false,
            refused: None,
            computed: false,
            next_number: meaning.numbering == Numbering::Omitted,
            unknown: meaning.numbering == Numbering::Unknown,
            drawn: meaning.draws == Draws::Always,
            key: [0; WIDTH],
            keyed: 0,
            meaning,
        }
    }

    #[inline]
    fn see(&mut self, literal: &Literal<'_>) {
        let mode = self.meaning.mode;
        self.expressions |= match literal {
            Literal::Expression(text) => {
                let tokens = running(text, mode);
                let judged = refuse_looking_back(&tokens).and_then(|()| refuse_in_value(&tokens));
                self.refused = self.refused.take().or(judged.err());
                self.computed |= is_computed(&tokens);
                true
            }
            Literal::String { quote: b'"', .. } => mode.ansi_quotes,
            _ => false,
        };
        if self.place == self.numbered {
            self.next_number = asks_for_number(literal, self.meaning.zero_is_next);
            self.unknown |= matches!(literal, Literal::Expression(_));
        }
        self.drawn |= self.meaning.draws == Draws::ByDefault && *literal == Literal::Default;
        if self.marked
            && let Some(column) = self.meaning.key.column_at(self.place)
            && let Some(value) = integer(literal)
        {
            self.key[column] = value;
            self.keyed += 1;
        }
        self.place += 1;
    }
}

impl Chunk {
    fn add(&mut self, tuple: &[u8]) {
        if self.count > 0 {
            self.tuples.push(b',');
        }
        self.tuples.extend_from_slice(tuple);
        self.count += 1;
        self.bytes += tuple.len() as u64;
    }

    fn add_fresh(&mut self, tuple: &[u8]) {
        if self.fresh_count > 0 {
            self.fresh.push(b',');
        }
        self.fresh.extend_from_slice(tuple);
        self.fresh_count += 1;
    }

    /// The chunk without the rows that are stored already.
    pub(crate) fn into_fresh(mut self) -> Self {
        self.tuples = std::mem::take(&mut self.fresh);
        self.count = std::mem::take(&mut self.fresh_count);
        self
    }

    /// Whether the server numbers the rows of two INSERTs alike when they come in one.
    pub(crate) const fn may_join(&self, other: &Self) -> bool {
        !self.whole && !other.whole && !self.asking.merged(other.asking).is_one(true)
    }

    /// Appends another chunk's rows.
    pub(crate) fn append(&mut self, other: &Self) {
        if self.count > 0 && other.count > 0 {
            self.tuples.push(b',');
        }
        self.tuples.extend_from_slice(&other.tuples);
        self.count += other.count;
        self.lone |= other.lone;
        self.asking = self.asking.merged(other.asking);
        self.computed |= other.computed;
        self.sum = self.sum.wrapping_add(other.sum);
        self.bytes += other.bytes;
        self.order = self.order.merged(other.order);
        if self.fresh_count > 0 && other.fresh_count > 0 {
            self.fresh.push(b',');
        }
        self.fresh.extend_from_slice(&other.fresh);
        self.fresh_count += other.fresh_count;
    }
}

/// What an integer literal says, where a key can hold it.
#[inline]
fn integer(literal: &Literal<'_>) -> Option<i64> {
    let Literal::Integer(text) = literal else {
        return None;
    };
    let (digits, negative) = match text {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] => (digits, false),
        digits => (*digits, false),
    };
    let mut value = 0_i64;
    for digit in digits {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        let signed = if negative { -digit } else { digit };
        value = value.checked_mul(10)?.checked_add(signed)?;
    }
    Some(value)
}

/// Whether this value in an AUTO_INCREMENT column makes the server choose the number.
fn asks_for_number(literal: &Literal<'_>, zero_is_next: bool) -> bool {
    match literal {
        Literal::Null | Literal::Default => true,
        Literal::Integer(digits)
        | Literal::Decimal(digits)
        | Literal::String { raw: digits, .. } => {
            zero_is_next
                && digits
                    .iter()
                    .all(|byte| matches!(byte, b'0' | b'-' | b'+' | b'.'))
        }
        Literal::False | Literal::Float(_) | Literal::Hex(_) | Literal::Bits(_) => zero_is_next,
        Literal::True | Literal::Expression(_) => false,
    }
}

/// Position after the comma; or the position to go on from and why the tuples stop.
fn after_tuple(view: &View<'_>, at: usize) -> Result<usize, (usize, Walked)> {
    // Servers write `),(` and `),\n(`: no need to look around.
    if let [b',', b'(' | b'\n', ..] = view.data[at..] {
        return Ok(at + 1);
    }
    let Some(here) = skip_blank(view, at) else {
        return Err((at, Walked::NeedMore));
    };
    let rest = &view.data[here..];
    if rest.starts_with(view.delimiter) {
        return Err((here + view.delimiter.len(), Walked::End));
    }
    match rest {
        [b'\\', b'g' | b'G', ..] => Err((here + 2, Walked::End)),
        [b',', ..] => Ok(here + 1),
        _ => Err((here, Walked::Tail)),
    }
}

/// Skips whitespace and comments; `None` if more text is needed to know what follows.
fn skip_blank(view: &View<'_>, at: usize) -> Option<usize> {
    let data = view.data;
    let mut here = at;
    loop {
        while data.get(here).is_some_and(|byte| is_blank(*byte)) {
            here += 1;
        }
        match data.get(here) {
            Some(b'(') => return Some(here),
            _ if !view.ended && here + LOOKAHEAD > data.len() => return None,
            Some(b'/') if data[here..].starts_with(b"/*") && !data[here..].starts_with(b"/*!") => {
                here = skip_comment(data, here, false)?;
            }
            Some(b'#') => here = skip_line(data, here),
            Some(b'-') if dash_comment(data, here) => here = skip_line(data, here),
            _ => return Some(here),
        }
    }
}
