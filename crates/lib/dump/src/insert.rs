//! INSERT and REPLACE .. VALUES: the head, and the walk over the tuples.

use pilotfish_sql::mysql::{
    Literal, Mode, Name, Scan, Token, TokenKind, Tokens, dash_comment, scan_tuple, skip_comment,
    skip_line, tokens,
};

use crate::digest;
use crate::frame::{View, is_blank};
use crate::table::Numbering;
use crate::{RowOrder, Verb};

/// Bytes after a token that must be in memory before the token is known to be whole.
const MARGIN: usize = 16;

/// The beginning of a statement that may be an INSERT of rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    NeedMore,
    /// Not `INSERT .. VALUES (`: INSERT .. SELECT, .. SET, .. VALUES ROW(..), .. PARTITION.
    Other,
    Rows(Head),
}

/// The head of an INSERT of rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) table: Name,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) verb: Verb,
    /// Length of the text up to and with VALUES.
    pub(crate) length: usize,
}

/// Reads the head of the statement that the view begins with.
pub(crate) fn beginning(view: &View<'_>) -> Beginning {
    let mut words = Words {
        tokens: tokens(view.data, view.mode),
        view,
        next: None,
    };
    match words.head() {
        Ok(head) => Beginning::Rows(head),
        Err(Stop::NeedMore) => Beginning::NeedMore,
        Err(Stop::Other) => Beginning::Other,
    }
}

enum Stop {
    NeedMore,
    Other,
}

/// One token of lookahead over text that may not be whole.
struct Words<'a, 'v> {
    tokens: Tokens<'a>,
    view: &'v View<'a>,
    next: Option<Token<'a>>,
}

impl<'a> Words<'a, '_> {
    fn peek(&mut self) -> Result<Token<'a>, Stop> {
        if let Some(token) = self.next {
            return Ok(token);
        }
        let more = if self.view.ended {
            Stop::Other
        } else {
            Stop::NeedMore
        };
        let found = self
            .tokens
            .by_ref()
            .find(|token| token.kind != TokenKind::Comment);
        match found {
            Some(token) if self.view.ended || token.end() + MARGIN <= self.view.data.len() => {
                self.next = Some(token);
                Ok(token)
            }
            _ => Err(more),
        }
    }

    fn take(&mut self) -> Result<Token<'a>, Stop> {
        let token = self.peek()?;
        self.next = None;
        Ok(token)
    }

    fn word(&mut self, keyword: &str) -> Result<bool, Stop> {
        let here = self.peek()?.is(keyword);
        if here {
            self.next = None;
        }
        Ok(here)
    }

    fn punctuation(&mut self, byte: u8) -> Result<bool, Stop> {
        let here = self.peek()?.is_punctuation(byte);
        if here {
            self.next = None;
        }
        Ok(here)
    }

    fn identifier(&mut self) -> Result<String, Stop> {
        self.take()?.name().ok_or(Stop::Other)
    }

    fn head(&mut self) -> Result<Head, Stop> {
        let replace = self.take()?.is("REPLACE");
        while self.word("LOW_PRIORITY")? || self.word("HIGH_PRIORITY")? || self.word("DELAYED")? {}
        let ignore = self.word("IGNORE")?;
        self.word("INTO")?;
        let first = self.identifier()?;
        let table = if self.punctuation(b'.')? {
            Name {
                database: Some(first),
                name: self.identifier()?,
            }
        } else {
            Name::bare(first)
        };
        let columns = if self.punctuation(b'(')? {
            Some(self.columns()?)
        } else {
            None
        };
        let values = self.take()?;
        let opens = self.peek()?.is_punctuation(b'(');
        if !(values.is("VALUES") || values.is("VALUE"))
            || !opens
            || self.tokens.inside_conditional()
        {
            return Err(Stop::Other);
        }
        let verb = match (replace, ignore) {
            (true, _) => Verb::Replace,
            (false, true) => Verb::InsertIgnore,
            (false, false) => Verb::Insert,
        };
        Ok(Head {
            table,
            columns,
            verb,
            length: values.end(),
        })
    }

    fn columns(&mut self) -> Result<Vec<String>, Stop> {
        let mut columns = Vec::new();
        if self.punctuation(b')')? {
            return Ok(columns);
        }
        loop {
            let mut column = self.identifier()?;
            while self.punctuation(b'.')? {
                column = self.identifier()?;
            }
            columns.push(column);
            if self.punctuation(b')')? {
                return Ok(columns);
            }
            if !self.punctuation(b',')? {
                return Err(Stop::Other);
            }
        }
    }
}

/// What the tuples of an INSERT depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meaning {
    pub(crate) mode: Mode,
    pub(crate) verb: Verb,
    pub(crate) numbering: Numbering,
    pub(crate) zero_is_next: bool,
    pub(crate) seed: u64,
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
        }
    }

    /// Takes tuples from the view; gives how many bytes it is done with, where the chunk's first
    /// tuple begins if it was among them, and why it stopped.
    pub(crate) fn take(&mut self, view: &View<'_>) -> (usize, Option<usize>, Walked) {
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
            match self.tuple(view.data, open) {
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

    fn tuple(&mut self, data: &[u8], open: usize) -> Scan {
        let Meaning {
            mode,
            verb,
            numbering,
            zero_is_next,
            seed,
        } = self.meaning;
        let numbered = match numbering {
            Numbering::At(place) => place,
            Numbering::None | Numbering::Omitted => usize::MAX,
        };
        let mut place = 0;
        let mut expressions = false;
        let mut next_number = numbering == Numbering::Omitted;
        let scan = scan_tuple(data, open, mode.no_backslash_escapes, |literal| {
            expressions |= match literal {
                Literal::Expression(_) => true,
                Literal::String { quote: b'"', .. } => mode.ansi_quotes,
                _ => false,
            };
            if place == numbered {
                next_number = asks_for_number(&literal, zero_is_next);
            }
            place += 1;
        });
        let Scan::Complete(end) = scan else {
            return scan;
        };
        let reason = match verb {
            Verb::Replace => Some("REPLACE"),
            Verb::InsertIgnore => Some("INSERT IGNORE"),
            Verb::Insert if next_number => Some("the server numbers the rows"),
            Verb::Insert => None,
        };
        let tuple = &data[open..end];
        let chunk = &mut self.chunk;
        chunk.sum = chunk
            .sum
            .wrapping_add(digest::row(tuple, seed, reason.map(|_| self.number)));
        chunk.order = chunk.order.merged(Order {
            expressions,
            reason,
        });
        chunk.add(tuple);
        self.number += 1;
        scan
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

    /// Appends another chunk's rows.
    pub(crate) fn append(&mut self, other: &Self) {
        if self.count > 0 && other.count > 0 {
            self.tuples.push(b',');
        }
        self.tuples.extend_from_slice(&other.tuples);
        self.count += other.count;
        self.order = self.order.merged(other.order);
    }
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
            _ if !view.ended && here + MARGIN > data.len() => return None,
            Some(b'/') if data[here..].starts_with(b"/*") && !data[here..].starts_with(b"/*!") => {
                here = skip_comment(data, here, false)?;
            }
            Some(b'#') => here = skip_line(data, here),
            Some(b'-') if dash_comment(data, here) => here = skip_line(data, here),
            _ => return Some(here),
        }
    }
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::Flavour;

    use super::*;

    fn begin(text: &str, ended: bool) -> Beginning {
        let mode = Mode::new(Flavour {
            mariadb: true,
            version: 101_119,
        });
        beginning(&View {
            data: text.as_bytes(),
            ended,
            delimiter: b";",
            mode,
        })
    }

    #[test]
    fn heads() {
        let text = "INSERT /*x*/ LOW_PRIORITY IGNORE INTO `d`.`t` (`a`, b) VALUES\n(1,2);";
        let Beginning::Rows(head) = begin(text, true) else {
            panic!()
        };
        assert_eq!(
            head.table,
            Name {
                database: Some("d".into()),
                name: "t".into()
            }
        );
        assert_eq!(head.columns, Some(vec!["a".into(), "b".into()]));
        assert_eq!(head.verb, Verb::InsertIgnore);
        assert!(text[..head.length].ends_with("VALUES"));
        let Beginning::Rows(head) = begin("replace t value (1)", true) else {
            panic!()
        };
        assert_eq!((head.verb, head.columns), (Verb::Replace, None));
    }

    #[test]
    fn no_heads() {
        for text in [
            "INSERT INTO t SELECT 1",
            "INSERT INTO t (SELECT 1)",
            "INSERT INTO t (a) SELECT 1",
            "INSERT INTO t SET a = 1",
            "INSERT INTO t VALUES ROW(1)",
            "INSERT INTO t PARTITION (p) VALUES (1)",
            "/*! INSERT INTO t VALUES (1) */",
            "INSERT",
        ] {
            assert_eq!(begin(text, true), Beginning::Other, "{text}");
        }
    }

    #[test]
    fn any_prefix_needs_more() {
        let text = "INSERT INTO `t` (`a`,`b`) VALUES (1,2),(3,4);";
        for end in 0..text.find("(1").unwrap() {
            assert_eq!(begin(&text[..end], false), Beginning::NeedMore, "{end}");
        }
    }
}
