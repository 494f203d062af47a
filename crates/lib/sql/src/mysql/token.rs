//! Tokens of one statement, as the server's lexer would cut it.

use super::comment::{Comment, comment_at, dash_comment, skip_comment, skip_line, skip_quoted};
use super::{Mode, unquote};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// A keyword, an unquoted name or a character set introducer such as `_utf8mb4`.
    Word,
    /// `` `name` ``, and `"name"` under ANSI_QUOTES; the text keeps its quotes.
    QuotedName,
    /// A string with its quotes.
    String,
    /// An integer, decimal or float without sign.
    Number,
    /// `0x..` or `x'..'`.
    Hex,
    /// `0b..` or `b'..'`.
    Bits,
    /// `@user`, `@@system`, `@@session.system`; after a name or string it is the host of an account.
    Variable,
    /// One byte of punctuation, or `:=`.
    Punctuation,
    /// A comment this flavour does not run.
    Comment,
}

/// One token, borrowed from the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// Its bytes.
    pub text: &'a [u8],
    /// Offset of its first byte in the statement.
    pub start: usize,
}

impl Token<'_> {
    /// Offset of the byte after it.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is this keyword, in any case.
    #[must_use]
    pub fn is(&self, keyword: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(keyword.as_bytes())
    }

    /// Whether it is this punctuation.
    #[must_use]
    pub fn is_punctuation(&self, byte: u8) -> bool {
        self.kind == TokenKind::Punctuation && self.text == [byte]
    }

    /// The name it spells, unquoted, if it can be one.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        matches!(self.kind, TokenKind::Word | TokenKind::QuotedName).then(|| unquote(self.text))
    }
}

/// Cuts one statement into tokens. Comments that this flavour runs are entered silently, all others
/// come as [`TokenKind::Comment`]. A region that is not closed reaches to the end.
#[must_use]
pub fn tokens(text: &[u8], mode: Mode) -> Tokens<'_> {
    Tokens {
        text,
        mode,
        at: 0,
        entered: 0,
        after_dot: false,
    }
}

/// Iterator over [`Token`]s.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    text: &'a [u8],
    mode: Mode,
    at: usize,
    entered: u32,
    after_dot: bool,
}

impl<'a> Tokens<'a> {
    /// Whether the last token stands inside a conditional comment that runs.
    #[must_use]
    pub const fn inside_conditional(&self) -> bool {
        self.entered > 0
    }

    fn kind_and_end(&mut self) -> (TokenKind, usize) {
        let (text, at) = (self.text, self.at);
        let escapes = !self.mode.no_backslash_escapes;
        let quoted =
            |from, quote, escapes| skip_quoted(text, from, quote, escapes).unwrap_or(text.len());
        match text[at] {
            b'`' => (TokenKind::QuotedName, quoted(at + 1, b'`', false)),
            b'"' if self.mode.ansi_quotes => (TokenKind::QuotedName, quoted(at + 1, b'"', false)),
            quote @ (b'\'' | b'"') => (TokenKind::String, quoted(at + 1, quote, escapes)),
            b'/' if text[at..].starts_with(b"/*") => {
                let nested = comment_at(text, at, self.mode.flavour) == Comment::Skip;
                (
                    TokenKind::Comment,
                    skip_comment(text, at, nested).unwrap_or(text.len()),
                )
            }
            b'#' => (TokenKind::Comment, skip_line(text, at)),
            b'-' if dash_comment(text, at) => (TokenKind::Comment, skip_line(text, at)),
            b'@' => (TokenKind::Variable, variable_end(text, at, escapes)),
            b'x' | b'X' if text.get(at + 1) == Some(&b'\'') => {
                (TokenKind::Hex, quoted(at + 2, b'\'', false))
            }
            b'b' | b'B' if text.get(at + 1) == Some(&b'\'') => {
                (TokenKind::Bits, quoted(at + 2, b'\'', false))
            }
            b'0'..=b'9' if !self.after_dot => number(text, at),
            b'.' if !self.after_dot
                && text.get(at + 1).is_some_and(u8::is_ascii_digit)
                && (at == 0 || !is_name_byte(text[at - 1]) && text[at - 1] != b'`') =>
            {
                number(text, at)
            }
            byte if is_name_byte(byte) => (TokenKind::Word, word_end(text, at)),
            b':' if text.get(at + 1) == Some(&b'=') => (TokenKind::Punctuation, at + 2),
            _ => (TokenKind::Punctuation, at + 1),
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let rest = self.text.get(self.at..)?;
            match rest {
                [] => return None,
                [byte, ..] if byte.is_ascii_whitespace() || *byte == 0x0b => self.at += 1,
                [b'*', b'/', ..] if self.entered > 0 => {
                    self.entered -= 1;
                    self.at += 2;
                }
                [b'/', b'*', ..] => match comment_at(self.text, self.at, self.mode.flavour) {
                    Comment::Run { marker } => {
                        self.entered += 1;
                        self.at += marker;
                    }
                    Comment::Plain | Comment::Skip => break,
                },
                _ => break,
            }
        }
        let start = self.at;
        let (kind, end) = self.kind_and_end();
        self.at = end;
        let text = &self.text[start..end];
        self.after_dot = kind == TokenKind::Punctuation && text == b".";
        Some(Token { kind, text, start })
    }
}

/// Bytes of an unquoted name; every byte of a multi-byte character is one.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

fn word_end(text: &[u8], at: usize) -> usize {
    text[at..]
        .iter()
        .position(|byte| !is_name_byte(*byte))
        .map_or(text.len(), |length| at + length)
}

fn digits_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter()
        .position(|byte| !byte.is_ascii_digit())
        .map_or(text.len(), |length| at + length)
}

/// A token that begins with a digit, or with `.` before one: a number, or a name such as `1st`.
fn number(text: &[u8], at: usize) -> (TokenKind, usize) {
    let word = word_end(text, at);
    match &text[at..word] {
        [b'0', b'x', digits @ ..]
            if !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit) =>
        {
            return (TokenKind::Hex, word);
        }
        [b'0', b'b', digits @ ..]
            if !digits.is_empty() && digits.iter().all(|digit| matches!(digit, b'0' | b'1')) =>
        {
            return (TokenKind::Bits, word);
        }
        _ => {}
    }
    let mut end = digits_end(text, at);
    if text.get(end) == Some(&b'.') {
        end = digits_end(text, end + 1);
    }
    if let Some(exponent) = exponent_end(text, end) {
        end = exponent;
    }
    if end < word {
        (TokenKind::Word, word)
    } else {
        (TokenKind::Number, end)
    }
}

fn exponent_end(text: &[u8], at: usize) -> Option<usize> {
    if !matches!(text.get(at)?, b'e' | b'E') {
        return None;
    }
    let digits = at + 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
    let end = digits_end(text, digits);
    (end > digits).then_some(end)
}

/// End of `@name`, `@'name'`, `` @`name` ``, `@@name`, `@@scope.name`.
fn variable_end(text: &[u8], at: usize, escapes: bool) -> usize {
    let mut end = at + 1;
    if text.get(end) == Some(&b'@') {
        end += 1;
    }
    match text.get(end) {
        Some(quote @ (b'\'' | b'"' | b'`')) => {
            skip_quoted(text, end + 1, *quote, escapes && *quote != b'`').unwrap_or(text.len())
        }
        _ => text[end..]
            .iter()
            .position(|byte| !is_name_byte(*byte) && *byte != b'.')
            .map_or(text.len(), |length| end + length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flavour;

    const MARIA: Mode = Mode::new(Flavour {
        mariadb: true,
        version: 101_119,
    });

    fn cut(text: &str, mode: Mode) -> Vec<(TokenKind, String)> {
        tokens(text.as_bytes(), mode)
            .map(|token| (token.kind, String::from_utf8_lossy(token.text).into_owned()))
            .collect()
    }

    fn words(text: &str) -> String {
        let cut = cut(text, MARIA).into_iter();
        cut.filter(|(kind, _)| *kind != TokenKind::Comment)
            .map(|(_, text)| text)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn kinds() {
        use TokenKind::{Bits, Hex, Number, Punctuation, QuotedName, String, Variable, Word};
        let expected = [
            (Word, "a1"),
            (QuotedName, "`b``c`"),
            (String, "'it''s \\' x'"),
            (Number, "1.5e-3"),
            (Number, ".5"),
            (Hex, "0xAF"),
            (Hex, "x'00'"),
            (Bits, "b'01'"),
            (Bits, "0b1"),
            (Word, "1st"),
            (Variable, "@@SESSION.SQL_MODE"),
            (Variable, "@OLD"),
            (Punctuation, ":="),
            (Punctuation, "-"),
            (Punctuation, "-"),
            (Number, "7"),
            (Word, "_binary"),
            (String, "'x'"),
        ];
        let text = expected
            .map(|(_, text)| text)
            .join(" ")
            .replace("- - 7", "--7");
        let got = cut(&text, MARIA);
        let got: Vec<_> = got
            .iter()
            .map(|(kind, text)| (*kind, text.as_str()))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn qualified_names_and_accounts() {
        assert_eq!(
            words("`d`.`t` d.1t d.t.c *"),
            "`d` . `t` d . 1t d . t . c *"
        );
        assert_eq!(words("DEFINER=`r`@`%`"), "DEFINER = `r` @`%`");
    }

    #[test]
    fn conditional_comments_are_entered() {
        let view = "/*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50013 SQL SECURITY DEFINER */ /*!50001 VIEW `*/` AS /* x */ SELECT 1 */";
        assert_eq!(
            words(view),
            "CREATE ALGORITHM = UNDEFINED SQL SECURITY DEFINER VIEW `*/` AS SELECT 1"
        );
        assert_eq!(words("a /*!80000 b 'it*/ c -- d\n# e\n--f"), "a c - - f");
    }

    #[test]
    fn modes_of_strings() {
        let ansi = Mode {
            ansi_quotes: true,
            ..MARIA
        };
        assert_eq!(
            cut("\"a\"\"b\"", ansi),
            [(TokenKind::QuotedName, "\"a\"\"b\"".to_owned())]
        );
        let plain = Mode {
            no_backslash_escapes: true,
            ..MARIA
        };
        assert_eq!(cut(r"'a\' b", plain).len(), 2);
        assert_eq!(cut(r"'a\' b", MARIA).len(), 1);
    }
}
