//! Tokens of one statement, as PostgreSQL's lexer would cut it (`scan.l`, which `psqlscan.l` follows).

use super::Mode;
use super::literal::{content, dollar_content, unescaped, unquoted};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// A keyword or an unquoted name.
    Word,
    /// `"name"` or `U&"name"`; the text keeps its quotes.
    QuotedName,
    /// `'..'` in which `\` is an ordinary byte.
    String,
    /// `E'..'`, and `'..'` without `standard_conforming_strings`: `\` escapes.
    EscapeString,
    /// `U&'..'`.
    UnicodeString,
    /// `B'..'` and `X'..'`.
    BitString,
    /// `$$..$$`, `$tag$..$tag$`.
    DollarString,
    /// An integer, decimal or float without sign.
    Number,
    /// `$1`.
    Parameter,
    /// A run of operator characters, `:=` among them.
    Operator,
    /// One of `( ) [ ] , ; . :`, or `::`, or `..`, or a byte that belongs to nothing.
    Punctuation,
}

/// One token, borrowed from the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// Its bytes.
    pub text: &'a [u8],
    /// Offset of its first byte in the statement.
    pub at: usize,
}

impl Token<'_> {
    /// Offset of the byte after it.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.at + self.text.len()
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

    /// The name it spells, in small letters where it is not quoted, if it can be one.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let bytes = match (self.kind, self.text) {
            (TokenKind::Word, text) => text.to_ascii_lowercase(),
            (TokenKind::QuotedName, [b'u' | b'U', b'&', quoted @ ..]) => {
                unescaped(&unquoted(quoted)?)?
            }
            (TokenKind::QuotedName, text) => unquoted(text)?,
            _ => return None,
        };
        let mut name = String::from_utf8_lossy(&bytes).into_owned();
        while name.len() > NAME_BYTES {
            name.pop();
        }
        Some(name)
    }

    /// What a string holds, but that of `U&'..'`, which its UESCAPE decides.
    #[must_use]
    pub fn string(&self) -> Option<Vec<u8>> {
        match self.kind {
            TokenKind::String => content(self.text, false),
            TokenKind::EscapeString => content(self.text, true),
            TokenKind::DollarString => dollar_content(self.text),
            _ => None,
        }
    }
}

/// Bytes of a name; the server cuts longer ones.
const NAME_BYTES: usize = 63;

/// Cuts a text into tokens, without comments and blanks. A region that is not closed reaches to the end.
#[must_use]
pub fn tokens(text: &[u8], mode: Mode) -> Tokens<'_> {
    Tokens { text, mode, at: 0 }
}

/// Iterator over [`Token`]s.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    text: &'a [u8],
    mode: Mode,
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let text = self.text;
        loop {
            match text.get(self.at..)? {
                [] => return None,
                [byte, ..] if is_blank(*byte) => self.at += 1,
                [b'-', b'-', ..] => self.at = line_end(text, self.at),
                [b'/', b'*', ..] => {
                    self.at = end_of_comment(text, self.at).unwrap_or(text.len());
                }
                _ => break,
            }
        }
        let at = self.at;
        let (kind, end) = self.kind_and_end(at);
        self.at = end;
        let text = &text[at..end];
        Some(Token { kind, text, at })
    }
}

impl Tokens<'_> {
    fn kind_and_end(&self, at: usize) -> (TokenKind, usize) {
        let text = self.text;
        let conforming = self.mode.standard_conforming_strings;
        let string = |from, escapes| string_end(text, from, escapes).unwrap_or(text.len());
        let name = |from| name_end(text, from).unwrap_or(text.len());
        match &text[at..] {
            [b'\'', ..] if conforming => (TokenKind::String, string(at + 1, false)),
            [b'\'', ..] => (TokenKind::EscapeString, string(at + 1, true)),
            [b'"', ..] => (TokenKind::QuotedName, name(at + 1)),
            [b'e' | b'E', b'\'', ..] => (TokenKind::EscapeString, string(at + 2, true)),
            [b'b' | b'B' | b'x' | b'X', b'\'', ..] => (TokenKind::BitString, string(at + 2, false)),
            [b'u' | b'U', b'&', b'\'', ..] => (TokenKind::UnicodeString, string(at + 3, false)),
            [b'u' | b'U', b'&', b'"', ..] => (TokenKind::QuotedName, name(at + 3)),
            [byte, ..] if is_name_start(*byte) => (TokenKind::Word, run(text, at, is_name_byte)),
            [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => (TokenKind::Number, number(text, at)),
            [b'$', b'0'..=b'9', ..] => (
                TokenKind::Parameter,
                run(text, at + 1, |byte| byte.is_ascii_digit()),
            ),
            [b'$', ..] => match dollar_tag(&text[at..]) {
                Some(tag) => (TokenKind::DollarString, dollar_end(text, at, tag)),
                None => (TokenKind::Punctuation, at + 1),
            },
            [b':', b':', ..] | [b'.', b'.', ..] => (TokenKind::Punctuation, at + 2),
            [b':', b'=', ..] => (TokenKind::Operator, at + 2),
            [byte, ..] if is_operator(*byte) => (TokenKind::Operator, operator_end(text, at)),
            _ => (TokenKind::Punctuation, at + 1),
        }
    }
}

const fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// Bytes that an unquoted name begins with; every byte of a multi-byte character is one.
#[must_use]
pub const fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | 0x80..)
}

/// Bytes of an unquoted name.
#[must_use]
pub const fn is_name_byte(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

const fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*' | b'/'
    ) || matches!(byte, b'%' | b'<' | b'>' | b'=')
}

fn run(text: &[u8], at: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter()
        .position(|byte| !belongs(*byte))
        .map_or(text.len(), |length| at + length)
}

/// A line ends before its line feed or carriage return.
fn line_end(text: &[u8], at: usize) -> usize {
    run(text, at, |byte| !matches!(byte, b'\n' | b'\r'))
}

/// Offset after the comment `/* .. */` at `at`; comments nest.
#[must_use]
pub fn end_of_comment(text: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = at;
    loop {
        match text.get(at..)? {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            [_, ..] => at += 1,
            [] => return None,
        }
    }
}

/// Offset after a string whose content begins at `at`, with what continues it on further lines.
fn string_end(text: &[u8], mut at: usize, escapes: bool) -> Option<usize> {
    loop {
        match text.get(at..)? {
            [b'\\', _, ..] if escapes => at += 2,
            [b'\'', b'\'', ..] => at += 2,
            [b'\'', ..] => match continuation(text, at + 1) {
                Some(further) => at = further,
                None => return Some(at + 1),
            },
            [_, ..] => at += 1,
            [] => return None,
        }
    }
}

/// After a closing quote: where the content goes on, if only blanks with a line's end stand between it
/// and the next quote.
pub(super) fn continuation(text: &[u8], mut at: usize) -> Option<usize> {
    let mut lines = false;
    loop {
        match text.get(at..)? {
            [b'\n' | b'\r', ..] => {
                lines = true;
                at += 1;
            }
            [byte, ..] if is_blank(*byte) => at += 1,
            [b'-', b'-', ..] => at = line_end(text, at),
            [b'\'', ..] if lines => return Some(at + 1),
            _ => return None,
        }
    }
}

fn name_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match text.get(at..)? {
            [b'"', b'"', ..] => at += 2,
            [b'"', ..] => return Some(at + 1),
            [_, ..] => at += 1,
            [] => return None,
        }
    }
}

/// Length of the `$tag$` that the text begins with.
#[must_use]
pub fn dollar_tag(text: &[u8]) -> Option<usize> {
    let inner = text.strip_prefix(b"$")?;
    let length = inner.iter().position(|byte| *byte == b'$')?;
    let mut tag = inner[..length].iter();
    let begins = tag.next().is_none_or(|byte| is_name_start(*byte));
    (begins && tag.all(|byte| is_name_byte(*byte))).then_some(length + 2)
}

fn dollar_end(text: &[u8], at: usize, tag: usize) -> usize {
    let (delimiter, inner) = text[at..].split_at(tag);
    memchr::memmem::find(inner, delimiter).map_or(text.len(), |length| at + length + 2 * tag)
}

fn number(text: &[u8], at: usize) -> usize {
    let digits = |from| run(text, from, |byte| byte.is_ascii_digit() || byte == b'_');
    if let [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', digit, ..] = &text[at..]
        && (digit.is_ascii_hexdigit() || *digit == b'_')
    {
        return run(text, at + 2, |byte| {
            byte.is_ascii_hexdigit() || byte == b'_'
        });
    }
    let mut end = digits(at);
    // `1..2` is a range of PL/pgSQL: two numbers.
    if text.get(end) == Some(&b'.') && text.get(end + 1) != Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    end
}

/// An operator ends before a comment, and in `+` or `-` only if it holds a byte that SQL's own lack.
fn operator_end(text: &[u8], at: usize) -> usize {
    let all = &text[at..run(text, at, is_operator)];
    let comment = all.windows(2).position(|two| two == b"--" || two == b"/*");
    let mut operator = comment.map_or(all, |length| &all[..length]);
    let special = |byte: &u8| {
        matches!(
            byte,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%'
        )
    };
    while let [rest @ .., b'+' | b'-'] = operator
        && !rest.is_empty()
        && !rest.iter().any(special)
    {
        operator = rest;
    }
    at + operator.len()
}

#[cfg(test)]
mod tests;
