//! However a dump is cut into reads, the same comes out of it: a property for tests and for the fuzzer.

#![allow(clippy::panic, reason = "a property that does not hold ends the test")]

use std::io::{self, Read};

use pilotfish_sql::{Dialect, Flavour};

use crate::grammar::{Step, grammar};
use crate::window::Window;
use crate::{Item, Options};

/// Gives its text in reads of the given lengths, over and over.
pub(crate) struct Cut {
    text: Vec<u8>,
    at: usize,
    lengths: Vec<usize>,
    turn: usize,
}

impl Cut {
    pub(crate) fn new(text: &[u8], lengths: Vec<usize>) -> Self {
        Self {
            text: text.to_vec(),
            at: 0,
            lengths,
            turn: 0,
        }
    }
}

impl Read for Cut {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let length = self.lengths[self.turn % self.lengths.len()];
        self.turn += 1;
        let length = length.min(buf.len()).min(self.text.len() - self.at);
        buf[..length].copy_from_slice(&self.text[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// What comes out of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) items: Vec<Item>,
    /// How it ended, and what the tables' digests were then.
    end: String,
}

pub(crate) fn read(text: &[u8], lengths: Vec<usize>, options: &Options) -> Outcome {
    let cut = Cut::new(text, lengths);
    let mut grammar = grammar(options.clone());
    let steps = || {
        grammar.begin(Window::new(Box::new(cut), "dump.sql".into()))?;
        loop {
            match grammar.step()? {
                Step::More => {}
                over @ Step::Over { .. } => return Ok::<_, crate::Error>(over),
            }
        }
    };
    let end = format!("{:?}", steps());
    let items = std::mem::take(grammar.ready()).into();
    Outcome {
        end: format!("{end} {:?}", grammar.finish()),
        items,
    }
}

/// Reads `text` as a whole, byte by byte and in reads of `lengths`, and compares.
///
/// # Panics
/// When something else comes out, or a statement that does not stand in the text where it says.
pub(crate) fn check(text: &[u8], lengths: Vec<usize>, options: &Options) {
    let whole = read(text, vec![usize::MAX], options);
    assert_eq!(whole, read(text, vec![1], options), "read byte by byte");
    assert_eq!(whole, read(text, lengths, options), "read in pieces");
    for item in &whole.items {
        if let Item::Statement(found) = item {
            let at = usize::try_from(found.position.byte).unwrap_or(usize::MAX);
            let there = text.get(at..).unwrap_or_default();
            // Rows that turn out to be part of a longer statement are put together again, without the
            // comments between them.
            let stands = there.starts_with(&found.text) || is_part(&found.text, there);
            assert!(stands, "not in the text: {item:?}");
        }
    }
}

/// Whether the bytes of `part`, but blanks, come in `text` in the same order.
fn is_part(part: &[u8], text: &[u8]) -> bool {
    let mut rest = text.iter();
    let mut bytes = part.iter().filter(|byte| !byte.is_ascii_whitespace());
    bytes.all(|byte| rest.any(|other| other == byte))
}

/// The same for bytes that a fuzzer chose: the last four say how they are read.
///
/// # Panics
/// When the property does not hold.
#[allow(dead_code, reason = "the fuzzer is a workspace of its own")]
pub fn fuzz(data: &[u8]) {
    let Some((text, [flavour, chunk, limit, length])) = data.split_last_chunk::<4>() else {
        return;
    };
    let mysql = |mariadb, version| Flavour { mariadb, version };
    let dialect = match flavour % 3 {
        0 => mysql(true, 101_119).into(),
        1 => mysql(false, 90_700).into(),
        _ => Dialect::Postgres { version: 180_000 },
    };
    let options = Options {
        chunk_bytes: [8, 64, 4096][usize::from(chunk % 3)],
        statement_limit: [64, 1024, 1 << 20][usize::from(limit % 3)],
        ..Options::new(dialect)
    };
    let lengths = vec![usize::from(*length) + 1, 1, 7];
    check(text, lengths, &options);
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_the_fuzzer_found() {
        // The length of a line after `USE b;` decided whether that was too long a statement.
        let long = format!("USE b;{}\u{0}\u{0}\u{0}\u{0}", "x".repeat(80));
        super::fuzz(long.as_bytes());
        // A `;` in the line of a USE, far beyond the longest statement.
        let far = format!(
            "USE {}\\! {};\u{1}\u{1}\u{0}\u{3}",
            "x".repeat(30),
            "y".repeat(200)
        );
        super::fuzz(far.as_bytes());
        let at_the_limit = format!("USE {}\n;\u{1}\u{1}\u{0}\u{3}", "x".repeat(70));
        super::fuzz(at_the_limit.as_bytes());
        // The head of an INSERT that never ends hides a client command from those who read by pieces.
        let head = format!(
            "INSERT INTO t \\'({}';\u{1}\u{1}\u{0}\u{1}",
            "=".repeat(400)
        );
        super::fuzz(head.as_bytes());
        // What is kept of a SET in small letters stands in the text as it is.
        super::fuzz(b"CREATE TABLE a (i int);\nSEt @a=@@b, @@autocommit=0;\nINSERT INTO a VALUES (1);\n\0\0\0\0");
    }

    #[test]
    fn the_fuzzer_has_nothing_to_say_of_the_fixtures() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
        let other = format!("{folder}/postgres");
        for entry in [folder, &other]
            .into_iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        {
            let Ok(mut bytes) = std::fs::read(entry.unwrap().path()) else {
                continue;
            };
            for length in [0, 1, 5, 8, 23] {
                bytes.extend([length, length / 2, length / 6, length]);
                super::fuzz(&bytes);
                bytes.truncate(bytes.len() - 4);
            }
        }
    }
}
