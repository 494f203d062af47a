//! How far one piece of PostgreSQL's SQL reaches, in text that may go on beyond what is in memory.

use memchr::{memchr, memchr2, memmem};
use pilotfish_sql::postgres::{Mode, end_of_comment, is_name_byte, is_name_start};

/// What is in memory of a text, and how it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a [u8],
    /// Nothing comes after it.
    pub(crate) ended: bool,
    pub(crate) mode: Mode,
}

/// Where a piece ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    To(usize),
    NeedMore,
    /// The text ends inside of what is named.
    Open(&'static str),
}

impl View<'_> {
    /// Skips a string, name, word, number, comment or single byte.
    pub(crate) fn skip(&self, at: usize) -> Skip {
        let Some(rest) = self.data.get(at..).filter(|rest| !rest.is_empty()) else {
            return self.end();
        };
        let escapes = !self.mode.standard_conforming_strings;
        match rest {
            [b'\'', ..] => self.string(at + 1, escapes),
            [b'"', ..] => self.quoted_name(at + 1),
            [b'e' | b'E', b'\'', ..] => self.string(at + 2, true),
            [b'b' | b'B' | b'x' | b'X', b'\'', ..] => self.string(at + 2, false),
            [b'u' | b'U', b'&', b'\'', ..] => self.string(at + 3, false),
            // What could still become one of those above.
            [b'u' | b'U', b'&'] | [b'-' | b'/' | b'$'] if !self.ended => Skip::NeedMore,
            [b'-', b'-', ..] => self.line_comment(at),
            [b'/', b'*', ..] => self.whole(end_of_comment(self.data, at), "a comment"),
            [b'$', digit, ..] if digit.is_ascii_digit() => self.number(at + 1),
            [b'$', ..] => self.dollars(at),
            [first, ..] if first.is_ascii_digit() => self.number(at),
            [first, ..] if is_name_start(*first) => self.run(at, is_name_byte),
            _ => Skip::To(at + 1),
        }
    }

    const fn end(&self) -> Skip {
        if self.ended {
            Skip::To(self.data.len())
        } else {
            Skip::NeedMore
        }
    }

    const fn whole(&self, end: Option<usize>, what: &'static str) -> Skip {
        match end {
            Some(end) => Skip::To(end),
            None if self.ended => Skip::Open(what),
            None => Skip::NeedMore,
        }
    }

    fn run(&self, from: usize, belongs: impl Fn(u8) -> bool) -> Skip {
        let rest = &self.data[from..];
        match rest.iter().position(|byte| !belongs(*byte)) {
            Some(length) => Skip::To(from + length),
            None => self.end(),
        }
    }

    /// What follows a number or parameter without a blank belongs to it, to be refused by the server.
    fn number(&self, at: usize) -> Skip {
        match self.run(at, |byte| byte.is_ascii_digit()) {
            Skip::To(end) if self.data.get(end).is_some_and(|next| is_name_start(*next)) => {
                self.run(end, is_name_byte)
            }
            other => other,
        }
    }

    /// A comment ends before its line feed or carriage return.
    pub(crate) fn line_comment(&self, at: usize) -> Skip {
        match memchr2(b'\n', b'\r', &self.data[at..]) {
            Some(length) => Skip::To(at + length),
            None => self.end(),
        }
    }

    fn quoted_name(&self, from: usize) -> Skip {
        let mut at = from;
        while let Some(length) = memchr(b'"', &self.data[at..]) {
            at += length + 1;
            match self.data.get(at) {
                Some(b'"') => at += 1,
                None if !self.ended => return Skip::NeedMore,
                _ => return Skip::To(at),
            }
        }
        self.whole(None, "a quoted name")
    }

    /// psql reads line by line and does not see that `'..'` on the next line continues `E'..'`, as the server does.
    fn string(&self, from: usize, escapes: bool) -> Skip {
        let mut at = from;
        loop {
            let rest = self.data.get(at..).unwrap_or_default();
            let found = match escapes {
                true => memchr2(b'\'', b'\\', rest),
                false => memchr(b'\'', rest),
            };
            let Some(length) = found else {
                return self.whole(None, "a string");
            };
            at += length + 1;
            match (rest[length], self.data.get(at)) {
                (b'\\', Some(_)) | (b'\'', Some(b'\'')) => at += 1,
                (b'\\', None) => return self.whole(None, "a string"),
                (_, None) if !self.ended => return Skip::NeedMore,
                _ => return Skip::To(at),
            }
        }
    }

    fn dollars(&self, at: usize) -> Skip {
        let inner = &self.data[at + 1..];
        let tag = |byte: &u8| is_name_byte(*byte) && *byte != b'$';
        match inner.iter().position(|byte| !tag(byte)) {
            None if !self.ended => Skip::NeedMore,
            Some(length) if inner[length] == b'$' => {
                let from = at + length + 2;
                let delimiter = &self.data[at..from];
                let end = memmem::find(&self.data[from..], delimiter);
                let end = end.map(|inside| from + inside + delimiter.len());
                self.whole(end, "a dollar-quoted string")
            }
            _ => Skip::To(at + 1),
        }
    }
}

/// Bytes between tokens.
pub(crate) const fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}
