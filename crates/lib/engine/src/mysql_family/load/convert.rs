//! Turns the tuples of an INSERT into the text that LOAD DATA reads.
//!
//! Fields end with TAB, rows with LF, `\` escapes: the server's own defaults. A batch in which one
//! literal is outside the allow-matrix ([`super::columns`]) is not converted at all.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;
use pilotfish_sql::mysql::{Literal, Tuples, unescape};

use super::columns::{Column, Family};

/// The rows of a batch as LOAD DATA text, in pieces the driver sends as they are.
pub(super) type Pieces = Vec<Bytes>;

/// One write of the driver: 4 KB pieces cost eight times the CPU of 64 KB ones (measured).
const PIECE: usize = 256 * 1024;

/// Bytes of a binary value that take as long in hexadecimal, twice as many, as one text takes by way of a variable
/// (measured: 11 ns a byte on MariaDB 10.11).
const BYTES_A_TEXT: usize = 16;
/// Rows of a batch that tell how all of it travels.
const SAMPLE: usize = 16;

/// How binary values travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    /// As hexadecimal digits, among texts in the session's character set.
    Hex,
    /// As they are: all of the stream is bytes, and texts are given their character set by the statement.
    Raw,
}

impl Binary {
    /// What costs the server less for these rows.
    pub(super) fn cheaper(tuples: &[u8], columns: &[&Column]) -> Self {
        let (mut bytes, mut texts, mut rows) = (0, 0, 0);
        // A row that cannot be read is found when they are converted.
        let _ = Tuples::new(false).for_each(tuples, |values, _| {
            for (value, column) in values.iter().zip(columns) {
                match (column.family, value) {
                    (Family::Binary, Literal::String { raw, .. }) => bytes += raw.len(),
                    (Family::Binary, Literal::Hex(digits)) => bytes += digits.len() / 2,
                    (family, _) => texts += usize::from(family.is_text()),
                }
            }
            rows += 1;
            if rows < SAMPLE { Ok(()) } else { Err(()) }
        });
        match bytes > texts * BYTES_A_TEXT {
            true => Self::Raw,
            false => Self::Hex,
        }
    }
}

/// Why a batch must go by INSERT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("a literal for column {column} means something else in LOAD DATA")]
    Literal { column: String },
    #[error("a row has {found} values for {expected} columns")]
    Arity { found: usize, expected: usize },
    #[error("the rows cannot be read: {0}")]
    Unreadable(String),
}

/// Converts `tuples` for `columns`, in the order in which the tuples name them.
///
/// # Errors
/// [`Unfit`] names what only INSERT can carry.
pub(super) fn rows(
    tuples: &[u8],
    columns: &[&Column],
    charset: &str,
    binary: Binary,
) -> Result<Pieces, Unfit> {
    let mut writer = Writer {
        binary,
        piece: BytesMut::with_capacity(PIECE + PIECE / 8),
        done: Vec::new(),
        scratch: Vec::new(),
    };
    let outcome = Tuples::new(false).for_each(tuples, |values, _| {
        if values.len() != columns.len() {
            return Err(Unfit::Arity {
                found: values.len(),
                expected: columns.len(),
            });
        }
        for (value, column) in values.iter().zip(columns) {
            if !column.takes(value, charset) {
                return Err(Unfit::Literal {
                    column: column.name.clone(),
                });
            }
            writer.field(value, column.family);
        }
        writer.end_row();
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(writer.finish()),
        Err(pilotfish_sql::mysql::TupleError::Row(unfit)) => Err(unfit),
        Err(error) => Err(Unfit::Unreadable(error.to_string())),
    }
}

/// How many bytes rows have as LOAD DATA text, into columns that their first row would fit; `None` where they go by
/// INSERT. For benchmarks.
#[cfg(feature = "testing")]
#[must_use]
pub fn converted_bytes(tuples: &[u8]) -> Option<usize> {
    let mut columns: Vec<Column> = Vec::new();
    let first = Tuples::new(false).for_each(tuples, |literals, _| {
        let family = |literal: &Literal<'_>| match literal {
            Literal::Integer(_) => Family::Integer,
            Literal::Decimal(_) => Family::Decimal,
            _ => Family::Text,
        };
        let column = |literal| Column {
            name: String::new(),
            family: family(literal),
            nullable: true,
            generated: false,
            invisible: false,
            needs_value: false,
            joined: false,
        };
        columns = literals.iter().map(column).collect();
        Err(())
    });
    let _ = first;
    let columns: Vec<&Column> = columns.iter().collect();
    let pieces = rows(tuples, &columns, "utf8mb4", Binary::Hex).ok()?;
    Some(pieces.iter().map(Bytes::len).sum())
}

struct Writer {
    binary: Binary,
    piece: BytesMut,
    done: Pieces,
    scratch: Vec<u8>,
}

impl Writer {
    fn field(&mut self, value: &Literal<'_>, family: Family) {
        match value {
            Literal::Integer(text) | Literal::Decimal(text) | Literal::Float(text) => {
                self.piece.extend_from_slice(text);
            }
            Literal::String {
                raw,
                quote,
                escaped,
                ..
            } => {
                if family == Family::Binary && self.binary == Binary::Hex {
                    self.scratch.clear();
                    unescape(raw, *quote, false, &mut self.scratch);
                    hex(&self.scratch, &mut self.piece);
                } else if *escaped {
                    escaped_text(raw, *quote, &mut self.piece);
                } else {
                    plain_text(raw, &mut self.piece);
                }
            }
            Literal::Hex(digits) => match self.binary {
                Binary::Hex => self.piece.extend_from_slice(digits),
                Binary::Raw => {
                    for byte in bytes_of(digits) {
                        raw_byte(byte, &mut self.piece);
                    }
                }
            },
            Literal::True => self.piece.extend_from_slice(b"1"),
            Literal::False => self.piece.extend_from_slice(b"0"),
            _ => self.piece.extend_from_slice(b"\\N"),
        }
        self.piece.extend_from_slice(b"\t");
    }

    fn end_row(&mut self) {
        // Every field put a TAB behind it: the last one becomes the row's end.
        if let Some(last) = self.piece.last_mut() {
            *last = b'\n';
        }
        if self.piece.len() >= PIECE {
            self.done.push(self.piece.split().freeze());
            self.piece.reserve(PIECE + PIECE / 8);
        }
    }

    fn finish(mut self) -> Pieces {
        if !self.piece.is_empty() {
            self.done.push(self.piece.freeze());
        }
        self.done
    }
}

/// Text without escapes of its own; TAB and LF would end field and row.
fn plain_text(mut raw: &[u8], out: &mut BytesMut) {
    while let Some(at) = memchr2(b'\t', b'\n', raw) {
        out.extend_from_slice(&raw[..at]);
        out.extend_from_slice(if raw[at] == b'\t' { b"\\t" } else { b"\\n" });
        raw = &raw[at + 1..];
    }
    out.extend_from_slice(raw);
}

/// A string literal's text: most escapes mean the same in LOAD DATA, these do not: `\%` and `\_` keep
/// their backslash, `\N` is the letter, a doubled quote is one.
fn escaped_text(raw: &[u8], quote: u8, out: &mut BytesMut) {
    let mut rest = raw;
    loop {
        let Some(at) = rest
            .iter()
            .position(|byte| matches!(byte, b'\\' | b'\t' | b'\n') || *byte == quote)
        else {
            out.extend_from_slice(rest);
            return;
        };
        out.extend_from_slice(&rest[..at]);
        let next = rest.get(at + 1).copied();
        let used = match (rest[at], next) {
            (b'\\', Some(next @ (b'0' | b'b' | b'n' | b'r' | b't' | b'Z' | b'\\'))) => {
                out.extend_from_slice(&[b'\\', next]);
                2
            }
            (b'\\', Some(next @ (b'%' | b'_'))) => {
                out.extend_from_slice(&[b'\\', b'\\', next]);
                2
            }
            (b'\\', Some(next)) => {
                literal_byte(next, out);
                2
            }
            (byte, Some(next)) if byte == quote && next == quote => {
                out.extend_from_slice(&[quote]);
                2
            }
            (byte, _) => {
                literal_byte(byte, out);
                1
            }
        };
        rest = &rest[at + used..];
    }
}

fn literal_byte(byte: u8, out: &mut BytesMut) {
    match byte {
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        byte => out.extend_from_slice(&[byte]),
    }
}

/// A byte that no literal wrote.
fn raw_byte(byte: u8, out: &mut BytesMut) {
    if byte == b'\\' {
        out.extend_from_slice(b"\\\\");
    } else {
        literal_byte(byte, out);
    }
}

/// The bytes that pairs of hexadecimal digits stand for.
fn bytes_of(digits: &[u8]) -> impl Iterator<Item = u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
    digits
        .chunks_exact(2)
        .map(move |pair| value(pair[0]) << 4 | value(pair[1]))
}

fn hex(bytes: &[u8], out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        let pair = [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ];
        out.extend_from_slice(&pair);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, family: Family) -> Column {
        Column {
            name: name.to_owned(),
            family,
            nullable: true,
            generated: false,
            invisible: false,
            needs_value: false,
            joined: false,
        }
    }

    fn convert(tuples: &[u8], columns: &[Column]) -> Result<Vec<u8>, Unfit> {
        let columns: Vec<&Column> = columns.iter().collect();
        rows(tuples, &columns, "utf8mb4", Binary::Hex).map(|pieces| pieces.concat())
    }

    #[test]
    fn bytes_travel_as_they_are_where_most_of_a_row_is_bytes() {
        let columns = [column("t", Family::Text), column("b", Family::Binary)];
        let columns: Vec<&Column> = columns.iter().collect();
        let short = b"('text',_binary 'A\\0')";
        assert_eq!(Binary::cheaper(short, &columns), Binary::Hex);
        let tuples = b"('it''s',0x5C095C4E0A00FF2741),('',_binary 'A\\0\\\\N\t\xff\\\' is longer than that'),(NULL,NULL)";
        assert_eq!(Binary::cheaper(tuples, &columns), Binary::Hex);
        assert_eq!(Binary::cheaper(tuples, &columns[1..]), Binary::Raw);
        let raw = rows(tuples, &columns, "utf8mb4", Binary::Raw)
            .unwrap()
            .concat();
        assert_eq!(
            raw,
            b"it's\t\\\\\\t\\\\N\\n\0\xff'A\n\tA\\0\\\\N\\t\xff' is longer than that\n\\N\t\\N\n"
        );
    }

    #[test]
    fn literals_become_fields() {
        let columns = [
            column("i", Family::Integer),
            column("t", Family::Text),
            column("b", Family::Binary),
        ];
        let tuples = br"(1,'it''s \\ \% \N \n',0x41),(-2,NULL,_binary 'A\0'),(3,'a	b',NULL)";
        assert_eq!(
            convert(tuples, &columns).unwrap(),
            b"1\tit's \\\\ \\\\% N \\n\t41\n-2\t\\N\t4100\n3\ta\\tb\t\\N\n"
        );
    }

    #[test]
    fn what_only_insert_can_carry_is_named() {
        let columns = [column("e", Family::Choice)];
        assert_eq!(
            convert(b"(1)", &columns),
            Err(Unfit::Literal {
                column: "e".to_owned()
            })
        );
        assert_eq!(
            convert(b"('a','b')", &columns),
            Err(Unfit::Arity {
                found: 2,
                expected: 1
            })
        );
    }
}
