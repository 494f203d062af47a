//! Comments and quotes: the regions whose content is not SQL, and those that look so but are.

use memchr::{memchr, memchr2, memmem};

use crate::Flavour;

/// What a `/*` begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comment {
    /// An ordinary comment or an optimizer hint.
    Plain,
    /// `/*!NNNNN` that this flavour runs: its code begins `marker` bytes after the `/`.
    Run {
        /// Length of `/*!`, `/*M!` and the version's digits.
        marker: usize,
    },
    /// `/*!NNNNN` that this flavour skips; one ordinary comment may be nested in it.
    Skip,
}

/// Longest marker that [`comment_at`] looks at, plus the byte after it.
const MARKER: usize = b"/*M!100100 ".len();

/// Says what the `/*` at `at` begins; `text` should reach at least 11 bytes further unless it ends.
///
/// MariaDB (measured on 10.11.19) runs versions up to 50699 and 100100 up to its own: 50700 to 99999
/// are MySQL's own features. It also knows `/*M!`. MySQL takes a sixth digit only where whitespace
/// follows, so that `/*!999999\-` is version 99999 to it. With fewer than five digits there is no
/// version, and both run the text, digits and all (measured on 9.7.4).
#[must_use]
pub fn comment_at(text: &[u8], at: usize, flavour: Flavour) -> Comment {
    let head = &text[at..text.len().min(at + MARKER)];
    let (mark, maria) = match head {
        [b'/', b'*', b'!', ..] => (3, false),
        [b'/', b'*', b'M', b'!', ..] if flavour.mariadb => (4, true),
        _ => return Comment::Plain,
    };
    let digits = head[mark..]
        .iter()
        .take(6)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let length = match digits {
        6 if !flavour.mariadb && !head.get(mark + 6).is_some_and(u8::is_ascii_whitespace) => 5,
        5 | 6 => digits,
        _ => return Comment::Run { marker: mark },
    };
    let version = head[mark..mark + length]
        .iter()
        .fold(0_u32, |sum, d| sum * 10 + u32::from(d - b'0'));
    let of_mysql_only = flavour.mariadb && !maria && (50_700..=99_999).contains(&version);
    if version <= flavour.version && !of_mysql_only {
        Comment::Run {
            marker: mark + length,
        }
    } else {
        Comment::Skip
    }
}

/// Position after the comment that begins at `at` with `/*`, or `None` if it does not end in `text`.
///
/// `nested` is for [`Comment::Skip`]: the servers allow one level of `/* .. */` inside it.
#[must_use]
pub fn skip_comment(text: &[u8], at: usize, nested: bool) -> Option<usize> {
    let mut from = at + 2;
    loop {
        let star = from + memmem::find(text.get(from..)?, b"*/")?;
        let inner = if nested {
            memmem::find(&text[from..star], b"/*")
        } else {
            None
        };
        match inner {
            Some(open) => from = skip_comment(text, from + open, false)?,
            None => return Some(star + 2),
        }
    }
}

/// Position of the line feed that ends the line at `at`, or of the text's end.
#[must_use]
pub fn skip_line(text: &[u8], at: usize) -> usize {
    memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length)
}

/// Whether the `--` at `at` begins a comment: a space, a control character or the end must follow.
#[must_use]
pub fn dash_comment(text: &[u8], at: usize) -> bool {
    text[at..].starts_with(b"--")
        && text
            .get(at + 2)
            .is_none_or(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
}

/// Position after the closing quote of the string or name whose opening quote is before `at`, or
/// `None` if it is not closed in `text`. A doubled quote does not close.
///
/// `escapes` says whether `\` escapes: never between backticks.
#[must_use]
pub fn skip_quoted(text: &[u8], at: usize, quote: u8, escapes: bool) -> Option<usize> {
    let mut from = at;
    loop {
        let rest = text.get(from..)?;
        let found = if escapes {
            memchr2(quote, b'\\', rest)?
        } else {
            memchr(quote, rest)?
        };
        let here = from + found;
        if text[here] == quote && text.get(here + 1) != Some(&quote) {
            return Some(here + 1);
        }
        from = here + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARIA: Flavour = Flavour {
        mariadb: true,
        version: 101_119,
    };
    const MYSQL: Flavour = Flavour {
        mariadb: false,
        version: 90_700,
    };

    #[test]
    fn conditional_comments_by_flavour_and_version() {
        let run = |marker| Comment::Run { marker };
        for (text, maria, mysql) in [
            ("/*!40101 SET x*/", run(8), run(8)),
            ("/*!50699 x*/", run(8), run(8)),
            ("/*!50700 x*/", Comment::Skip, run(8)),
            ("/*!80016 x*/", Comment::Skip, run(8)),
            ("/*!99999 x*/", Comment::Skip, Comment::Skip),
            ("/*!100100 x*/", run(9), Comment::Skip),
            ("/*!101119 x*/", run(9), Comment::Skip),
            ("/*!101120 x*/", Comment::Skip, Comment::Skip),
            ("/*M!100616 x*/", run(10), Comment::Plain),
            ("/*M!50701 x*/", run(9), Comment::Plain),
            ("/*! x*/", run(3), run(3)),
            ("/* x*/", Comment::Plain, Comment::Plain),
            ("/*+ BKA(t) */", Comment::Plain, Comment::Plain),
            (
                "/*!999999\\- enable the sandbox mode */",
                Comment::Skip,
                Comment::Skip,
            ),
            (
                "/*M!999999\\- enable the sandbox mode */",
                Comment::Skip,
                Comment::Plain,
            ),
            // MySQL reads five digits here and leaves the sixth in the code.
            ("/*!500031x*/", Comment::Skip, run(8)),
        ] {
            assert_eq!(
                comment_at(text.as_bytes(), 0, MARIA),
                maria,
                "MariaDB {text}"
            );
            assert_eq!(comment_at(text.as_bytes(), 0, MYSQL), mysql, "MySQL {text}");
        }
    }

    #[test]
    fn ends_of_regions() {
        assert_eq!(skip_comment(b"/* a */b", 0, false), Some(7));
        assert_eq!(skip_comment(b"/*!99999 a /* b */ c */d", 0, true), Some(23));
        assert_eq!(skip_comment(b"/* a", 0, false), None);
        assert_eq!(skip_quoted(b"a\\'b'c", 0, b'\'', true), Some(5));
        assert_eq!(skip_quoted(b"a\\'b'c", 0, b'\'', false), Some(3));
        assert_eq!(skip_quoted(b"a''b'", 0, b'\'', true), Some(5));
        assert_eq!(skip_quoted(b"a\\", 0, b'\'', true), None);
        assert!(dash_comment(b"-- x", 0) && dash_comment(b"--", 0) && dash_comment(b"--\n", 0));
        assert!(!dash_comment(b"--x", 0) && !dash_comment(b"- -", 0));
    }
}
