//! What string literals and quoted names hold.

use super::token::{continuation, dollar_tag};

/// The content of `'..'` (also after a prefix) with its continuations on further lines.
pub(super) fn content(text: &[u8], escapes: bool) -> Option<Vec<u8>> {
    let mut at = text.iter().position(|byte| *byte == b'\'')? + 1;
    let mut out = Vec::with_capacity(text.len());
    loop {
        match *text.get(at)? {
            b'\'' if text.get(at + 1) == Some(&b'\'') => {
                out.push(b'\'');
                at += 2;
            }
            b'\'' if at + 1 == text.len() => return Some(out),
            b'\'' => at = continuation(text, at + 1)?,
            b'\\' if escapes => at += 1 + escape(text.get(at + 1..)?, &mut out)?,
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

/// The content of `$tag$..$tag$`.
pub(super) fn dollar_content(text: &[u8]) -> Option<Vec<u8>> {
    let tag = dollar_tag(text)?;
    let inner = text.get(tag..)?;
    inner.strip_suffix(&text[..tag]).map(<[u8]>::to_vec)
}

/// The name that `"..."` spells.
pub(super) fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'"' {
            bytes.next();
        }
        out.push(*byte);
    }
    Some(out)
}

/// What `\` means in front of these bytes; answers how many of them belong to it.
fn escape(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let simple = match *rest.first()? {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unicode(rest, 4, out),
        b'U' => return unicode(rest, 8, out),
        b'x' => match digits(&rest[1..], 2, 16) {
            (0, _) => b'x',
            (length, value) => {
                out.push(value.to_le_bytes()[0]);
                return Some(1 + length);
            }
        },
        b'0'..=b'7' => {
            let (length, value) = digits(rest, 3, 8);
            out.push(value.to_le_bytes()[0]);
            return Some(length);
        }
        byte => byte,
    };
    out.push(simple);
    Some(1)
}

fn unicode(rest: &[u8], count: usize, out: &mut Vec<u8>) -> Option<usize> {
    let (length, value) = digits(&rest[1..], count, 16);
    if length != count {
        return None;
    }
    let mut end = 1 + count;
    let mut point = value;
    // Two escapes of UTF-16 make one character.
    if (0xd800..0xdc00).contains(&value) {
        let second = rest.get(end..)?.strip_prefix(b"\\u")?;
        let (length, low) = digits(second, 4, 16);
        if length != 4 || !(0xdc00..0xe000).contains(&low) {
            return None;
        }
        point = 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
        end += 6;
    }
    let mut buffer = [0; 4];
    let letter = char::from_u32(point)?;
    out.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
    Some(end)
}

/// A number of up to `most` digits: how many there are, and its value.
fn digits(text: &[u8], most: usize, radix: u32) -> (usize, u32) {
    let values = text.iter().take(most);
    let values = values.map_while(|byte| char::from(*byte).to_digit(radix));
    values.fold((0, 0), |(count, sum), digit| {
        (count + 1, sum.wrapping_mul(radix).wrapping_add(digit))
    })
}

/// `\0041` and `\+000041` of `U&".."`, with the escape character that stands where no UESCAPE says another.
pub(super) fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte != b'\\' {
            out.push(*byte);
            at += 1;
            continue;
        }
        if text.get(at + 1) == Some(&b'\\') {
            out.push(b'\\');
            at += 2;
            continue;
        }
        let (skip, count) = match text.get(at + 1)? {
            b'+' => (2, 6),
            _ => (1, 4),
        };
        let (length, value) = digits(text.get(at + skip..)?, count, 16);
        let letter = char::from_u32(value).filter(|_| length == count)?;
        let mut buffer = [0; 4];
        out.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
        at += skip + count;
    }
    Some(out)
}
