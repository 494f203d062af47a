//! Tuples as dumps are made of, most of whose literals nobody needs to see.

use super::blocks::{Found, end_of_plain};
use super::{Literal, find_special, quick_literal, quick_number};

/// Reads a tuple as dumps are made of: NULL, plain numbers and strings, nothing around them. Only its first literals
/// are shown to `visit`, as many as `shown`; the others are passed over, which takes a third of the time.
///
/// `None` where it is no such tuple, or not whole: [`scan_tuple`] knows what it is then.
#[inline]
pub fn scan_plain_tuple<'a>(
    text: &'a [u8],
    at: usize,
    no_backslash_escapes: bool,
    shown: usize,
    mut visit: impl FnMut(Literal<'a>),
) -> Option<usize> {
    if text.get(at)? != &b'(' {
        return None;
    }
    let escapes = !no_backslash_escapes;
    let found = end_of_plain(text, at + 1, escapes);
    if found == Found::Odd {
        return None;
    }
    let mut here = at + 1;
    for _ in 0..shown {
        let (literal, end) = quick_literal(text, here, escapes)?;
        visit(literal);
        here = end + 1;
        if text[end] == b')' {
            return Some(here);
        }
    }
    match found {
        Found::End(end) => Some(end),
        Found::Odd | Found::Short => pass_literals(text, here, escapes),
    }
}

/// The end of the tuple of which a literal begins at `here`.
pub(super) fn pass_literals(text: &[u8], mut here: usize, escapes: bool) -> Option<usize> {
    loop {
        let end = match text.get(here)? {
            b'\'' => pass_string(text, here + 1, escapes)?,
            b'0'..=b'9' | b'-' => quick_number(text, here)?.1,
            b'N' if text[here..].starts_with(b"NULL") => here + 4,
            _ => return None,
        };
        here = end + 1;
        match text.get(end)? {
            b',' => {}
            b')' => return Some(here),
            _ => return None,
        }
    }
}

/// The end of a string in `'`, of which the text begins at `at`.
#[inline(always)]
fn pass_string(text: &[u8], mut at: usize, escapes: bool) -> Option<usize> {
    loop {
        let found = find_special(text, at, b'\'', escapes)?;
        // Behind `\` and behind a doubled quote the string goes on.
        match text[found] {
            b'\'' if text.get(found + 1)? != &b'\'' => return Some(found + 1),
            _ => at = found + 2,
        }
    }
}
