//! `COPY .. FROM stdin`: its rows are lines that no SQL is in.

use std::sync::Arc;

use bytes::Bytes;
use memchr::{memchr, memchr2, memmem};
use pilotfish_sql::postgres::Token;

use super::phrase::{Phrase, Qualified};
use super::rows::{Chunk, ROW_LIMIT};
use super::script::{Script, Shared};
use crate::error::excerpt;
use crate::marks::{Key, KeyPlaces, WIDTH};
use crate::{Error, InsertHead, Position, RowOrder, Verb, digest};

/// A COPY whose lines are being read.
#[derive(Debug)]
pub(crate) struct Copying {
    /// Where the statement begins.
    pub(crate) at: Position,
    head: Arc<InsertHead>,
    seed: u64,
    /// Where each line has its table's key; what is marked.
    places: KeyPlaces,
    /// Whether its database is the one that is read.
    reads: bool,
    /// Whether lines end in CR LF; the first one says it for all.
    crlf: Option<bool>,
    chunk: Chunk,
    /// Some of its lines were passed on.
    passed: bool,
    /// What is in memory begins a line; for those who pass over them.
    at_line: bool,
}

/// What a COPY of rows in the dump says.
struct Head {
    table: Qualified,
    columns: Option<Vec<String>>,
    /// Its bytes up to and with `stdin`.
    length: usize,
}

impl Script {
    /// Begins the lines behind a COPY.
    pub(crate) fn begin_copy(
        &mut self,
        text: &Bytes,
        tokens: &[Token<'_>],
        at: Position,
        shared: &mut Shared,
    ) -> Result<(), Error> {
        let refused = |what: &str| Error::Refused {
            at: at.clone(),
            what: what.to_owned(),
            head: excerpt(text),
        };
        let head = head(tokens).map_err(refused)?;
        self.follow(None, shared)?;
        let reads = shared.sections.rows(&mut shared.ready);
        let reads = reads.map_err(|what| refused(&what))?;
        self.lines_follow = true;
        let names = head.columns.as_ref().map(|columns| columns.join("\0"));
        let seed = digest::seed(&[
            self.session.key().as_bytes(),
            names.unwrap_or_default().as_bytes(),
            b"copy",
        ]);
        let table = self.session.table(&head.table);
        let places = match shared.marking.is_on() {
            true => places(
                shared.options.keys.get(&table.name),
                head.columns.as_deref(),
            ),
            false => KeyPlaces::default(),
        };
        let head = InsertHead {
            table,
            columns: head.columns,
            verb: Verb::Copy,
            text: text.slice(..head.length),
            tail: None,
            no_backslash_escapes: false,
        };
        self.copying = Some(Copying {
            chunk: Chunk::new(at.clone()),
            at,
            head: Arc::new(head),
            seed,
            places,
            reads,
            crlf: None,
            passed: false,
            at_line: true,
        });
        Ok(())
    }

    /// What is left of the line that ends in `;`: psql sends the lines behind it as rows.
    pub(crate) fn end_copy_line(&mut self, shared: &Shared) -> Result<(), Error> {
        let data = self.window.data();
        let is_blank = |byte: &&u8| byte.is_ascii_whitespace() && **byte != b'\n';
        let blanks = data.iter().take_while(is_blank).count();
        let length = match data.get(blanks) {
            Some(b'\n') => blanks + 1,
            Some(_) => {
                return Err(self
                    .window
                    .refused(blanks, "more on the line of a COPY, after its `;`"));
            }
            None if self.window.ended() => blanks,
            None => {
                self.window.consume(blanks);
                return self.fill_within("a line", shared);
            }
        };
        self.window.consume(length);
        self.lines_follow = false;
        Ok(())
    }

    /// Passes over lines of the current COPY, to its end or the memory's.
    fn skim_lines(&mut self, mut copying: Copying) -> Result<(), Error> {
        const ENDS: [&[u8]; 2] = [b"\\.\n", b"\\.\r\n"];
        let (data, ended) = (self.window.data(), self.window.ended());
        if copying.at_line {
            if data.len() < ENDS[1].len() && !ended {
                self.copying = Some(copying);
                return self.fill();
            }
            // The stock client does without the last line's end.
            let last = (ended && data.trim_ascii_end() == b"\\.").then_some(data.len());
            let end = ENDS.iter().find(|end| data.starts_with(end));
            if let Some(length) = end.map(|end| end.len()).or(last) {
                self.window.consume(length);
                return Ok(());
            }
        }
        let line = memmem::find(data, b"\n\\.");
        copying.at_line = line.is_some();
        match line {
            Some(at) => self.window.consume(at + 1),
            None if ended => {
                return Err(Error::cut_off(
                    copying.at,
                    "inside the rows of the COPY that began here",
                ));
            }
            None => self.window.consume(data.len().saturating_sub(2)),
        }
        self.copying = Some(copying);
        match line {
            Some(_) => Ok(()),
            None => self.fill(),
        }
    }

    /// Reads lines of the current COPY: all that are in memory, or a chunk of them.
    pub(crate) fn walk_lines(&mut self, shared: &mut Shared) -> Result<(), Error> {
        let Some(mut copying) = self.copying.take() else {
            return Ok(());
        };
        if shared.options.skim {
            return self.skim_lines(copying);
        }
        let limit = shared.options.chunk_bytes;
        let (mut done, mut wrong) = (0, None);
        let data = self.window.data();
        let stop = loop {
            let rest = &data[done..];
            let Some(length) = memchr(b'\n', rest) else {
                break Stop::Line;
            };
            let line = &rest[..length];
            let row = line.strip_suffix(b"\r").unwrap_or(line);
            if row == b"\\." {
                break Stop::End(length + 1);
            }
            if copying.chunk.is_full_with(row.len() + 1, limit) {
                break Stop::Full;
            }
            let crlf = row.len() < line.len();
            let style = *copying.crlf.get_or_insert(crlf);
            wrong = refuse_odd(row).or((style != crlf).then_some(MIXED));
            if wrong.is_some() {
                break Stop::Line;
            }
            if copying.chunk.count == 0 {
                copying.chunk.at = self.window.position(done);
            }
            copying.take(row, shared);
            done += length + 1;
        };
        self.window.consume(done);
        if let Some(what) = wrong {
            return Err(self.window.malformed(0, what));
        }
        match stop {
            Stop::Full => copying.pass(shared, false),
            Stop::End(length) => {
                self.window.consume(length);
                copying.pass(shared, true);
                return Ok(());
            }
            // The stock client does without the last line's end.
            Stop::Line if self.window.ended() && self.window.data().trim_ascii_end() == b"\\." => {
                self.window.consume(self.window.data().len());
                copying.pass(shared, true);
                return Ok(());
            }
            Stop::Line if self.window.ended() => {
                let what = "inside the rows of the COPY that began here";
                return Err(Error::cut_off(copying.at, what));
            }
            Stop::Line if self.window.data().len() > ROW_LIMIT => {
                return Err(Error::TooLong {
                    at: self.window.position(0),
                    what: "a row",
                    limit: ROW_LIMIT,
                    head: excerpt(&copying.head.text),
                });
            }
            Stop::Line => {
                self.copying = Some(copying);
                return self.fill();
            }
        }
        self.copying = Some(copying);
        Ok(())
    }
}

/// Why no more lines are read for now.
enum Stop {
    /// The next one is not whole, or wrong.
    Line,
    /// The chunk is.
    Full,
    /// The line of this length that ends the rows.
    End(usize),
}

impl Copying {
    /// Takes a line.
    #[inline]
    fn take(&mut self, row: &[u8], shared: &mut Shared) {
        let hash = digest::row(row, self.seed, None);
        let is_stored = self.reads && shared.marking.is_on() && {
            let key = key(row, &self.places);
            let table = &self.head.table.name;
            shared.marking.row(table, &self.places, key, hash)
        };
        self.chunk.line(row, hash, is_stored);
    }

    /// `ended`: no more of its lines come.
    fn pass(&mut self, shared: &mut Shared, ended: bool) {
        let next = Chunk::new(self.at.clone());
        let chunk = std::mem::replace(&mut self.chunk, next);
        if self.reads && chunk.count > 0 {
            shared.count(&self.head.table, &chunk);
            shared.pass_marks();
            if !chunk.has_fresh() {
                return;
            }
            let whole = ended && !self.passed;
            self.passed = true;
            let rows = chunk.rows(Arc::clone(&self.head), RowOrder::Free, whole);
            shared.ready.push_back(rows);
        }
    }
}

/// Where lines with these columns have the key, if that is known.
fn places(key: Option<&Vec<String>>, columns: Option<&[String]>) -> KeyPlaces {
    let (Some(key), Some(columns)) = (key, columns) else {
        return KeyPlaces::default();
    };
    KeyPlaces::of(key, |name| columns.iter().position(|column| column == name))
}

/// The key of a line, where it is made of integers.
#[inline]
fn key(row: &[u8], places: &KeyPlaces) -> Option<Key> {
    if places.width() == 0 {
        return None;
    }
    let mut key = [0; WIDTH];
    let mut rest = row;
    for place in 0..places.behind() {
        let end = memchr(b'\t', rest);
        if let Some(column) = places.column_at(place) {
            *key.get_mut(column)? = integer(&rest[..end.unwrap_or(rest.len())])?;
        }
        rest = end.map_or(&[][..], |end| &rest[end + 1..]);
    }
    Some(key)
}

/// A number as the server writes it.
#[inline]
fn integer(text: &[u8]) -> Option<i64> {
    let (digits, negative) = match text {
        [b'-', digits @ ..] => (digits, true),
        digits => (digits, false),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number = 0_i64;
    for digit in digits {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        let more = number.checked_mul(10)?;
        number = match negative {
            true => more.checked_sub(digit)?,
            false => more.checked_add(digit)?,
        };
    }
    Some(number)
}

const MIXED: &str = "line ends of two kinds in the rows of a COPY, which servers refuse";

/// What servers would not take for a row, or for the end of all rows.
fn refuse_odd(row: &[u8]) -> Option<&'static str> {
    let mut at = 0;
    while let Some(found) = memchr2(b'\r', b'\\', &row[at..]) {
        let what = &row[at + found..];
        match what {
            [b'\r', ..] => return Some("a carriage return in the rows of a COPY: write it as \\r"),
            [_, b'.', ..] => return Some("\\. within a row of a COPY, which ends all rows"),
            [_] => {
                return Some(
                    "a backslash at the end of a row of a COPY: write a line's end as \\n",
                );
            }
            _ => at += found + 2,
        }
    }
    None
}

/// What a COPY says.
///
/// # Errors
/// Why it is refused.
fn head(tokens: &[Token<'_>]) -> Result<Head, &'static str> {
    const OTHER: &str =
        "a COPY that reads or writes something else than rows in the dump: take it out of the dump";
    const OPTIONS: &str = "options of a COPY: dump again, pg_dump writes none";
    let mut phrase = Phrase::new(tokens);
    phrase.word("COPY");
    let table = phrase.name().ok_or(OTHER)?;
    let mut columns = None;
    if phrase.punctuation(b'(') {
        let mut names = Vec::new();
        while !phrase.punctuation(b')') {
            names.push(phrase.identifier().ok_or(OTHER)?);
            phrase.punctuation(b',');
        }
        columns = Some(names);
    }
    if !phrase.word("FROM") {
        return Err(OTHER);
    }
    let stdin = phrase.next().filter(|token| token.is("STDIN"));
    let length = stdin.ok_or(OTHER)?.end();
    phrase.word("WITH");
    let text = phrase.punctuation(b'(')
        && phrase.word("FORMAT")
        && phrase
            .next()
            .is_some_and(|format| format.is("TEXT") || format.string().as_deref() == Some(b"text"))
        && phrase.punctuation(b')');
    if !phrase.rest().is_empty() || !text && length < tokens.last().map_or(0, Token::end) {
        return Err(OPTIONS);
    }
    Ok(Head {
        table,
        columns,
        length,
    })
}
