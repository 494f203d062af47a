//! Literals of `VALUES` tuples: the one place where every byte of a dump's rows is looked at.

mod blocks;
mod plain;

use memchr::{memchr, memchr2};

use super::comment::{dash_comment, skip_comment, skip_line, skip_quoted};

pub use plain::scan_plain_tuple;

/// One literal of a `VALUES` tuple, borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal<'a> {
    /// `NULL`.
    Null,
    /// `DEFAULT`.
    Default,
    /// Digits with an optional sign.
    Integer(&'a [u8]),
    /// Digits with a point and an optional sign.
    Decimal(&'a [u8]),
    /// A number with an exponent.
    Float(&'a [u8]),
    /// A string.
    String {
        /// What stands between the quotes, escapes and all.
        raw: &'a [u8],
        /// `'` or `"`. Under ANSI_QUOTES `"` is a name: the caller knows.
        quote: u8,
        /// `_binary`, `_utf8mb4`, or `N` for a national string, as written.
        introducer: Option<&'a [u8]>,
        /// Whether `raw` holds a `\` that escapes or a doubled quote, so that it is not the value yet.
        escaped: bool,
    },
    /// The digits of `0x..` or `x'..'`.
    Hex(&'a [u8]),
    /// The digits of `0b..` or `b'..'`.
    Bits(&'a [u8]),
    /// `TRUE`.
    True,
    /// `FALSE`.
    False,
    /// Anything else: only a server can evaluate it.
    Expression(&'a [u8]),
}

/// How far [`scan_tuple`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// The tuple ends before this position.
    Complete(usize),
    /// The text ends inside the tuple.
    Incomplete,
    /// The tuple cannot go on with the byte at this position.
    Malformed(usize),
}

/// A tuple list that is not one, or the error of the caller's own closure.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TupleError<E> {
    /// The text is no list of tuples.
    #[error("read the VALUES list: unexpected byte at offset {0}")]
    Malformed(usize),
    /// What the closure returned.
    #[error(transparent)]
    Row(E),
}

/// Walks lists of tuples.
#[derive(Debug, Clone, Copy)]
pub struct Tuples {
    no_backslash_escapes: bool,
}

impl Tuples {
    /// A walker for text written under this `sql_mode`.
    #[must_use]
    pub const fn new(no_backslash_escapes: bool) -> Self {
        Self {
            no_backslash_escapes,
        }
    }

    /// Walks `(..),(..)` and calls `row` with each tuple's literals and raw bytes, parentheses
    /// included. One buffer serves all rows.
    ///
    /// # Errors
    /// The first error of `row`, or the offset where the text stops being a list of tuples.
    pub fn for_each<'a, E>(
        &mut self,
        tuples: &'a [u8],
        mut row: impl FnMut(&[Literal<'a>], &'a [u8]) -> Result<(), E>,
    ) -> Result<(), TupleError<E>> {
        let mut literals = Vec::with_capacity(32);
        let mut at = skip_space(tuples, 0);
        while at < tuples.len() {
            literals.clear();
            let end = match scan_tuple(tuples, at, self.no_backslash_escapes, |literal| {
                literals.push(literal);
            }) {
                Scan::Complete(end) => end,
                Scan::Incomplete => return Err(TupleError::Malformed(tuples.len())),
                Scan::Malformed(at) => return Err(TupleError::Malformed(at)),
            };
            row(&literals, &tuples[at..end]).map_err(TupleError::Row)?;
            at = skip_space(tuples, end);
            match tuples.get(at) {
                Some(b',') => at = skip_space(tuples, at + 1),
                None => break,
                Some(_) => return Err(TupleError::Malformed(at)),
            }
        }
        Ok(())
    }
}

/// Reads the tuple whose `(` is at `at`, giving each literal to `visit` in order.
///
/// It never guesses: at the end of `text` it says [`Scan::Incomplete`], and the caller comes back
/// with more text from the same tuple's start.
pub fn scan_tuple<'a>(
    text: &'a [u8],
    at: usize,
    no_backslash_escapes: bool,
    mut visit: impl FnMut(Literal<'a>),
) -> Scan {
    if text.get(at) != Some(&b'(') {
        return if at < text.len() {
            Scan::Malformed(at)
        } else {
            Scan::Incomplete
        };
    }
    let mut here = skip_space(text, at + 1);
    if text.get(here) == Some(&b')') {
        return Scan::Complete(here + 1);
    }
    let escapes = !no_backslash_escapes;
    loop {
        let (literal, end) = match quick_literal(text, here, escapes) {
            Some(found) => found,
            None => match scan_literal(text, here, escapes) {
                Ok(Some(found)) => found,
                Ok(None) => return Scan::Incomplete,
                Err(malformed) => return Scan::Malformed(malformed),
            },
        };
        visit(literal);
        match text[end] {
            b',' => here = skip_space(text, end + 1),
            _ => return Scan::Complete(end + 1),
        }
    }
}

/// The literals that dumps are made of, where `,` or `)` follows at once: NULL, plain numbers, and
/// strings without escapes. Everything else is left to [`scan_literal`]. Inlined by force: passing a
/// [`Literal`] through memory costs as much as finding it.
#[inline(always)]
fn quick_literal(text: &[u8], at: usize, escapes: bool) -> Option<(Literal<'_>, usize)> {
    let (literal, end) = match text.get(at)? {
        b'\'' => {
            let end = find_special(text, at + 1, b'\'', escapes)?;
            let raw = &text[at + 1..end];
            if text[end] != b'\'' {
                return None;
            }
            (
                Literal::String {
                    raw,
                    quote: b'\'',
                    introducer: None,
                    escaped: false,
                },
                end + 1,
            )
        }
        b'0'..=b'9' | b'-' => quick_number(text, at)?,
        b'N' if text[at..].starts_with(b"NULL") => (Literal::Null, at + 4),
        _ => return None,
    };
    matches!(text.get(end)?, b',' | b')').then_some((literal, end))
}

#[inline(always)]
fn quick_number(text: &[u8], at: usize) -> Option<(Literal<'_>, usize)> {
    let first = at + usize::from(text[at] == b'-');
    let end = behind_digits(text, first)?;
    if end == first {
        return None;
    }
    if text[end] != b'.' {
        return Some((Literal::Integer(&text[at..end]), end));
    }
    let end = behind_digits(text, end + 1)?;
    Some((Literal::Decimal(&text[at..end]), end))
}

/// Position of the first byte from `at` on that is no digit, eight at a time in a register.
#[inline(always)]
fn behind_digits(text: &[u8], mut at: usize) -> Option<usize> {
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    // A digit less than `0`, and more than 9 gives a high bit; the lowest flag is never a false one.
    const BEYOND_NINE: u64 = 0x7676_7676_7676_7676;
    while let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let digits = u64::from_le_bytes(*bytes) ^ ZEROS;
        let found = (digits.wrapping_add(BEYOND_NINE) | digits) & HIGHS;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    while text.get(at)?.is_ascii_digit() {
        at += 1;
    }
    Some(at)
}

/// Position of the next `quote`, or of the next `\` where it escapes.
///
/// Strings in dumps are short: the first bytes are looked at eight at a time in a register, which is
/// done before a call of memchr would have found out which instructions the processor has.
#[inline]
fn find_special(text: &[u8], from: usize, quote: u8, escapes: bool) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let quotes = u64::from(quote) * ONES;
    let escape = if escapes {
        u64::from(b'\\') * ONES
    } else {
        quotes
    };
    let mut at = from;
    for _ in 0..4 {
        let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) else {
            break;
        };
        let word = u64::from_le_bytes(*bytes);
        // Little-endian: the lowest flag is the first byte, and the lowest is never a false one.
        let found = zero_bytes(word ^ quotes) | zero_bytes(word ^ escape);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = text.get(at..)?;
    let found = if escapes {
        memchr2(quote, b'\\', rest)
    } else {
        memchr(quote, rest)
    };
    found.map(|offset| at + offset)
}

/// A literal and the position of the `,` or `)` after it; `None` where the text ends too early.
fn scan_literal(
    text: &[u8],
    at: usize,
    escapes: bool,
) -> Result<Option<(Literal<'_>, usize)>, usize> {
    let Some(first) = text.get(at) else {
        return Ok(None);
    };
    let simple = match first {
        b'\'' | b'"' => scan_string(text, at, at, escapes),
        b'0'..=b'9' | b'-' | b'+' | b'.' => scan_number(text, at),
        b'A'..=b'Z' | b'a'..=b'z' | b'_' => scan_word(text, at, escapes),
        b',' | b')' => return Err(at),
        _ => Simple::Other,
    };
    match simple {
        Simple::Literal(literal, end) => {
            let end = skip_space(text, end);
            match text.get(end) {
                Some(b',' | b')') => return Ok(Some((literal, end))),
                None => return Ok(None),
                Some(_) => {}
            }
        }
        Simple::Incomplete => return Ok(None),
        Simple::Other => {}
    }
    let end = expression_end(text, at, escapes)?;
    Ok(end.map(|end| (Literal::Expression(text[at..end].trim_ascii_end()), end)))
}

enum Simple<'a> {
    /// A literal and the position after it.
    Literal(Literal<'a>, usize),
    Incomplete,
    Other,
}

fn scan_string(text: &[u8], start: usize, open: usize, escapes: bool) -> Simple<'_> {
    let quote = text[open];
    let introducer = (start < open).then(|| text[start..open].trim_ascii_end());
    let mut from = open + 1;
    let mut escaped = false;
    loop {
        let Some(here) = find_special(text, from, quote, escapes) else {
            return Simple::Incomplete;
        };
        if text[here] == quote {
            match text.get(here + 1) {
                None => return Simple::Incomplete,
                Some(next) if *next == quote => {}
                Some(_) => {
                    let raw = &text[open + 1..here];
                    return Simple::Literal(
                        Literal::String {
                            raw,
                            quote,
                            introducer,
                            escaped,
                        },
                        here + 1,
                    );
                }
            }
        }
        escaped = true;
        from = here + 2;
    }
}

fn scan_number(text: &[u8], at: usize) -> Simple<'_> {
    let sign = usize::from(matches!(text[at], b'-' | b'+'));
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let whole = digits(at + sign);
    let radix = text.get(whole).copied();
    if whole == at + 1 && text[at] == b'0' && matches!(radix, Some(b'x' | b'b')) {
        let end = whole + 1;
        let rest = &text[end..];
        let end = end
            + rest
                .iter()
                .take_while(|byte| byte.is_ascii_hexdigit())
                .count();
        let value = &text[whole + 1..end];
        return match radix {
            _ if value.is_empty() => Simple::Other,
            Some(b'x') => Simple::Literal(Literal::Hex(value), end),
            _ if value.iter().all(|bit| matches!(bit, b'0' | b'1')) => {
                Simple::Literal(Literal::Bits(value), end)
            }
            _ => Simple::Other,
        };
    }
    let mut end = whole;
    let mut digits_seen = whole - at - sign;
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1);
        digits_seen += end - whole - 1;
    }
    if digits_seen == 0 {
        return if end == text.len() {
            Simple::Incomplete
        } else {
            Simple::Other
        };
    }
    let point = end > whole;
    match text.get(end) {
        None => Simple::Incomplete,
        Some(b'e' | b'E') => {
            let exponent = end + 1 + usize::from(matches!(text.get(end + 1), Some(b'-' | b'+')));
            let end = digits(exponent);
            match end == exponent {
                true => Simple::Other,
                false => Simple::Literal(Literal::Float(&text[at..end]), end),
            }
        }
        Some(_) if point => Simple::Literal(Literal::Decimal(&text[at..end]), end),
        Some(_) => Simple::Literal(Literal::Integer(&text[at..end]), end),
    }
}

fn scan_word(text: &[u8], at: usize, escapes: bool) -> Simple<'_> {
    let length = text[at..]
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .count();
    let end = at + length;
    let word = &text[at..end];
    let Some(next) = text.get(end) else {
        return Simple::Incomplete;
    };
    match word {
        [b'_', ..] => {
            let open = skip_space(text, end);
            match text.get(open) {
                None => Simple::Incomplete,
                Some(b'\'' | b'"') => scan_string(text, at, open, escapes),
                Some(_) => Simple::Other,
            }
        }
        b"N" | b"n" if *next == b'\'' => scan_string(text, at, end, escapes),
        b"x" | b"X" if *next == b'\'' => {
            scan_digits(text, end, u8::is_ascii_hexdigit, Literal::Hex)
        }
        b"b" | b"B" if *next == b'\'' => {
            scan_digits(text, end, |bit| matches!(bit, b'0' | b'1'), Literal::Bits)
        }
        _ if word.eq_ignore_ascii_case(b"NULL") => Simple::Literal(Literal::Null, end),
        _ if word.eq_ignore_ascii_case(b"DEFAULT") => Simple::Literal(Literal::Default, end),
        _ if word.eq_ignore_ascii_case(b"TRUE") => Simple::Literal(Literal::True, end),
        _ if word.eq_ignore_ascii_case(b"FALSE") => Simple::Literal(Literal::False, end),
        _ => Simple::Other,
    }
}

/// The digits between the quotes of `x'..'` or `b'..'`.
fn scan_digits<'a>(
    text: &'a [u8],
    open: usize,
    digit: impl Fn(&u8) -> bool,
    literal: impl Fn(&'a [u8]) -> Literal<'a>,
) -> Simple<'a> {
    let Some(length) = memchr(b'\'', &text[open + 1..]) else {
        return Simple::Incomplete;
    };
    let digits = &text[open + 1..open + 1 + length];
    match digits.iter().all(digit) {
        true => Simple::Literal(literal(digits), open + length + 2),
        false => Simple::Other,
    }
}

/// Position of the `,` or `)` that ends the expression at `at`. A `;` cannot stand in one.
fn expression_end(text: &[u8], at: usize, escapes: bool) -> Result<Option<usize>, usize> {
    let mut depth = 0_u32;
    let mut here = at;
    while let Some(byte) = text.get(here) {
        let next = match byte {
            b'\'' | b'"' => skip_quoted(text, here + 1, *byte, escapes),
            b'`' => skip_quoted(text, here + 1, b'`', false),
            b'/' if text[here..].starts_with(b"/*") => skip_comment(text, here, false),
            b'#' => Some(skip_line(text, here)),
            b'-' if dash_comment(text, here) => Some(skip_line(text, here)),
            b';' => return Err(here),
            b'(' => {
                depth += 1;
                Some(here + 1)
            }
            b')' | b',' if depth == 0 => return Ok(Some(here)),
            b')' => {
                depth -= 1;
                Some(here + 1)
            }
            _ => Some(here + 1),
        };
        match next {
            Some(next) => here = next,
            None => return Ok(None),
        }
    }
    Ok(None)
}

#[inline]
fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// Appends the value of a string literal's `raw` text to `out`, as the server would read it:
/// `\n`, `\0`, `\Z` and friends, `''`; `\%` and `\_` keep their backslash.
pub fn unescape(raw: &[u8], quote: u8, no_backslash_escapes: bool, out: &mut Vec<u8>) {
    let mut rest = raw;
    loop {
        let found = match no_backslash_escapes {
            true => memchr(quote, rest),
            false => memchr2(quote, b'\\', rest),
        };
        let Some(here) = found else { break };
        out.extend_from_slice(&rest[..here]);
        let next = rest.get(here + 1).copied();
        match (rest[here] == quote, next) {
            (true, _) => out.push(quote),
            (false, Some(escaped)) => match escaped {
                b'0' => out.push(0),
                b'b' => out.push(8),
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                b't' => out.push(b'\t'),
                b'Z' => out.push(26),
                b'%' | b'_' => out.extend_from_slice(&[b'\\', escaped]),
                other => out.push(other),
            },
            (false, None) => out.push(b'\\'),
        }
        rest = rest.get(here + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests;
