//! Where statements begin and end, as the stock client would cut them.
//!
//! Every function looks at the text that is in memory and either decides for good or says that it
//! needs more: how the text was cut into reads never shows.

use pilotfish_sql::Flavour;
use pilotfish_sql::mysql::{
    Comment, Mode, comment_at, dash_comment, skip_comment, skip_line, skip_quoted,
};

/// No decision looks further ahead than this: the longest conditional marker and delimiter.
pub(crate) const LOOKAHEAD: usize = 16;

/// Longest delimiter that can be set.
pub(crate) const DELIMITER: usize = LOOKAHEAD;

/// Text in memory, with what is needed to cut it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a [u8],
    /// Nothing comes after `data`.
    pub(crate) ended: bool,
    pub(crate) delimiter: &'a [u8],
    pub(crate) mode: Mode,
}

/// What stands between two statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    NeedMore,
    /// The text is over.
    End,
    /// That many bytes of whitespace.
    Blank(usize),
    /// A `/* .. */` of that many bytes that says nothing.
    Comment(usize),
    /// A `--` or `#` comment of that many bytes, line feed not included.
    LineComment(usize),
    /// A comment that is never closed.
    Open,
    /// A delimiter of that many bytes: an empty statement.
    Delimiter(usize),
    /// A statement begins here.
    Statement,
}

/// Where a statement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    NeedMore,
    /// Its text is `length` bytes, and the next thing begins at `next`.
    At {
        length: usize,
        next: usize,
    },
    /// The text ends inside it: in what.
    Open(&'static str),
    /// A client command with a backslash, at this place.
    Command(usize),
}

impl<'a> View<'a> {
    fn short(&self, at: usize) -> bool {
        !self.ended && at + LOOKAHEAD > self.data.len()
    }

    fn at_delimiter(&self, at: usize) -> bool {
        self.data[at..].starts_with(self.delimiter)
    }

    /// Looks at the first thing between two statements.
    pub(crate) fn between(&self) -> Between {
        let data = self.data;
        let blank = data.iter().take_while(|byte| is_blank(**byte)).count();
        if blank > 0 {
            return Between::Blank(blank);
        }
        if data.is_empty() && self.ended {
            return Between::End;
        }
        if self.short(0) {
            return Between::NeedMore;
        }
        if self.at_delimiter(0) {
            return Between::Delimiter(self.delimiter.len());
        }
        match data {
            [b'#', ..] => self.line_comment(),
            [b'-', b'-', ..] if dash_comment(data, 0) => self.line_comment(),
            [b'/', b'*', ..] if is_inert(data, self.mode.flavour) => {
                // Only what is conditional may hold comments of its own.
                let nests = comment_at(data, 0, self.mode.flavour) != Comment::Plain;
                match skip_comment(data, 0, nests) {
                    Some(length) => Between::Comment(length),
                    None if self.ended => Between::Open,
                    None => Between::NeedMore,
                }
            }
            _ => Between::Statement,
        }
    }

    fn line_comment(&self) -> Between {
        let end = skip_line(self.data, 0);
        if end == self.data.len() && !self.ended {
            return Between::NeedMore;
        }
        Between::LineComment(end)
    }

    /// Finds the end of the statement that begins at `at`; positions count from the view's start.
    pub(crate) fn ending(&self, at: usize) -> Ending {
        let data = self.data;
        let mut here = at;
        let mut entered = 0_u32;
        while here < data.len() {
            if self.short(here) {
                return Ending::NeedMore;
            }
            if entered == 0 && self.at_delimiter(here) {
                return Ending::At {
                    length: here,
                    next: here + self.delimiter.len(),
                };
            }
            let region = match data[here] {
                quote @ (b'\'' | b'"') => {
                    let escapes = !self.mode.no_backslash_escapes;
                    (skip_quoted(data, here + 1, quote, escapes), "a string")
                }
                b'`' => (skip_quoted(data, here + 1, b'`', false), "a name"),
                b'/' if data.get(here + 1) == Some(&b'*') => {
                    match comment_at(data, here, self.mode.flavour) {
                        Comment::Run { marker } => {
                            entered += 1;
                            (Some(here + marker), "")
                        }
                        Comment::Plain => (skip_comment(data, here, false), "a comment"),
                        Comment::Skip => (skip_comment(data, here, true), "a comment"),
                    }
                }
                b'*' if entered > 0 && data.get(here + 1) == Some(&b'/') => {
                    entered -= 1;
                    (Some(here + 2), "")
                }
                b'#' => (self.line_end(here), "a comment"),
                b'-' if dash_comment(data, here) => (self.line_end(here), "a comment"),
                b'\\' => match data.get(here + 1) {
                    Some(b'g' | b'G') if entered == 0 => {
                        return Ending::At {
                            length: here,
                            next: here + 2,
                        };
                    }
                    // An old spelling of NULL.
                    Some(b'N') => (Some(here + 2), ""),
                    _ => return Ending::Command(here),
                },
                _ => (Some(here + 1), ""),
            };
            match region {
                (Some(next), _) => here = next,
                (None, what) if self.ended => return Ending::Open(what),
                (None, _) => return Ending::NeedMore,
            }
        }
        if self.ended {
            Ending::Open("a statement")
        } else {
            Ending::NeedMore
        }
    }

    fn line_end(&self, at: usize) -> Option<usize> {
        let end = skip_line(self.data, at);
        (end < self.data.len() || self.ended).then_some(end)
    }

    /// The line that begins here without its end, and its length with it; `None` if more is needed.
    pub(crate) fn line(&self) -> Option<(&'a [u8], usize)> {
        let end = self.line_end(0)?;
        Some((
            self.data[..end].trim_ascii_end(),
            (end + 1).min(self.data.len()),
        ))
    }

    /// The first word, if the statement begins with one.
    pub(crate) fn first_word(&self) -> &'a [u8] {
        let length = self
            .data
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        &self.data[..length]
    }
}

/// Whether the comment that the text begins with can be dropped: ordinary ones, and the sandbox
/// line of mariadb-dump (`/*!999999\- enable the sandbox mode */`), which asks the client for less
/// than what is refused here anyway. A skipped `/*!80000 SET .. */` is a statement without effect.
fn is_inert(data: &[u8], flavour: Flavour) -> bool {
    data.starts_with(b"/*!999999\\-")
        || data.starts_with(b"/*M!999999\\-")
        || comment_at(data, 0, flavour) == Comment::Plain
}

pub(crate) const fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// The argument of a DELIMITER command, as the client reads it: quoted, or to the first space.
pub(crate) fn delimiter_argument(line: &[u8]) -> Option<&[u8]> {
    let rest = line[b"DELIMITER".len()..].trim_ascii_start();
    let argument = match rest {
        [quote @ (b'\'' | b'"' | b'`'), rest @ ..] => {
            &rest[..rest
                .iter()
                .position(|byte| byte == quote)
                .unwrap_or(rest.len())]
        }
        rest => {
            &rest[..rest
                .iter()
                .position(|byte| is_blank(*byte))
                .unwrap_or(rest.len())]
        }
    };
    let usable = !argument.is_empty() && argument.len() <= DELIMITER && !argument.contains(&b'\\');
    usable.then_some(argument)
}

/// Commands of the stock clients that are no SQL: most run programs, read or write files, or talk.
const COMMANDS: [&str; 20] = [
    "source",
    "system",
    "tee",
    "notee",
    "pager",
    "nopager",
    "edit",
    "connect",
    "quit",
    "exit",
    "prompt",
    "rehash",
    "status",
    "charset",
    "warnings",
    "nowarning",
    "print",
    "clear",
    "ego",
    "go",
];

/// Whether a statement that begins with this word is a client command.
pub(crate) fn is_client_command(word: &[u8]) -> bool {
    COMMANDS
        .iter()
        .any(|command| word.eq_ignore_ascii_case(command.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str) -> View<'_> {
        let mode = Mode::new(Flavour {
            mariadb: true,
            version: 101_119,
        });
        View {
            data: text.as_bytes(),
            ended: true,
            delimiter: b";",
            mode,
        }
    }

    fn statement(text: &str) -> &str {
        match view(text).ending(0) {
            Ending::At { length, .. } => &text[..length],
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn endings() {
        for (text, expected) in [
            ("SELECT 1;x", "SELECT 1"),
            ("SELECT ';', \";\", `;`;x", "SELECT ';', \";\", `;`"),
            (r"SELECT '\';';x", r"SELECT '\';'"),
            ("SELECT 1 -- it's;\n;x", "SELECT 1 -- it's;\n"),
            ("SELECT 1 --;x", "SELECT 1 --"),
            ("SELECT 1 # it's;\n;x", "SELECT 1 # it's;\n"),
            ("SELECT /* it's; */ 1;x", "SELECT /* it's; */ 1"),
            (
                "/*!50003 CREATE TRIGGER t BEGIN /* ; */ x; '*/'; END */;x",
                "/*!50003 CREATE TRIGGER t BEGIN /* ; */ x; '*/'; END */",
            ),
            (
                "/*!50003 CREATE TABLE `*/` (a int) */;x",
                "/*!50003 CREATE TABLE `*/` (a int) */",
            ),
            (
                "/*!80000 it's; /* x */ ; */;x",
                "/*!80000 it's; /* x */ ; */",
            ),
            ("SELECT 1\\G", "SELECT 1"),
            ("SELECT \\N;", "SELECT \\N"),
        ] {
            assert_eq!(statement(text), expected);
        }
        assert_eq!(view("SELECT 'a;").ending(0), Ending::Open("a string"));
        assert_eq!(view("SELECT `a;").ending(0), Ending::Open("a name"));
        assert_eq!(view("SELECT /* a;").ending(0), Ending::Open("a comment"));
        assert_eq!(view("SELECT 1").ending(0), Ending::Open("a statement"));
        assert_eq!(view("SELECT 1 \\! ls;").ending(0), Ending::Command(9));
    }

    #[test]
    fn other_delimiters() {
        for (delimiter, text) in [
            ("//", "a; b / c //"),
            ("$$", "a; '$$' $$"),
            (";;", "a; b ;;"),
        ] {
            let view = View {
                delimiter: delimiter.as_bytes(),
                ..view(text)
            };
            let next = text.len();
            let length = next - delimiter.len();
            assert_eq!(view.ending(0), Ending::At { length, next }, "{text}");
        }
    }

    #[test]
    fn delimiter_arguments() {
        for (line, expected) in [
            ("DELIMITER ;;", Some(";;")),
            ("delimiter  // rest", Some("//")),
            ("DELIMITER '$ $'", Some("$ $")),
            ("DELIMITER", None),
            ("DELIMITER \\x", None),
        ] {
            assert_eq!(
                delimiter_argument(line.as_bytes()),
                expected.map(str::as_bytes),
                "{line}"
            );
        }
    }

    #[test]
    fn between_statements() {
        assert_eq!(view(" \n\tx").between(), Between::Blank(3));
        assert_eq!(view("-- a; b\nx").between(), Between::LineComment(7));
        assert_eq!(view("--a").between(), Between::Statement);
        assert_eq!(view("/* a */x").between(), Between::Comment(7));
        assert_eq!(view("/* /* a */x").between(), Between::Comment(10));
        assert_eq!(
            view("/*!999999\\- enable the sandbox mode */ \n").between(),
            Between::Comment(38)
        );
        assert_eq!(view("/*!80000 SET x */;").between(), Between::Statement);
        assert_eq!(view("/* a").between(), Between::Open);
        assert_eq!(view(";x").between(), Between::Delimiter(1));
        assert_eq!(view("").between(), Between::End);
        assert_eq!(
            View {
                ended: false,
                ..view("SEL")
            }
            .between(),
            Between::NeedMore
        );
    }
}
