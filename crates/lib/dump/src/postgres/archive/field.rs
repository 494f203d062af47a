//! How a table of contents writes numbers and texts.

use std::io::{self, Read};

use super::{cut_off, damaged};

/// Bytes of a text at most: no value of PostgreSQL is longer.
const LONGEST: u64 = 1 << 30;

/// What a file says at its start of how it writes numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Width {
    /// Bytes of a number behind its sign.
    pub(super) int: u8,
    /// Bytes of a place in the file.
    pub(super) offset: u8,
}

/// Where the data of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offset {
    /// pg_dump could not go back to write it down: it wrote to a pipe.
    Unknown,
    At(u64),
    /// The entry has none.
    None,
}

pub(super) fn byte(raw: &mut dyn Read) -> io::Result<u8> {
    let mut one = [0];
    raw.read_exact(&mut one)?;
    Ok(one[0])
}

/// A byte, or `None` at the end.
pub(super) fn byte_or_end(raw: &mut dyn Read) -> io::Result<Option<u8>> {
    match byte(raw) {
        Ok(byte) => Ok(Some(byte)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// A number: its sign, then its bytes, the lowest first.
pub(super) fn int(raw: &mut dyn Read, width: Width) -> io::Result<i64> {
    let sign = byte(raw)?;
    let value = i64::try_from(number(raw, width.int)?).map_err(|_| too_large())?;
    match sign {
        0 => Ok(value),
        1 => Ok(-value),
        _ => Err(damaged("a number in it has no sign")),
    }
}

/// A number, not below zero, as [`int`] reads it.
pub(super) fn written(value: i64, width: Width) -> Vec<u8> {
    let mut bytes = vec![0; 1 + usize::from(width.int)];
    for (to, from) in bytes[1..].iter_mut().zip(value.to_le_bytes()) {
        *to = from;
    }
    bytes
}

/// A number of a large object. Those beyond the middle of their range come with a minus, as C's `int` is.
pub(super) fn oid(raw: &mut dyn Read, width: Width) -> io::Result<u32> {
    let value = int(raw, width)?;
    if let Ok(oid) = u32::try_from(value) {
        return Ok(oid);
    }
    let signed = i32::try_from(value).map_err(|_| too_large())?;
    Ok(signed.cast_unsigned())
}

pub(super) fn offset(raw: &mut dyn Read, width: Width) -> io::Result<Offset> {
    let flag = byte(raw)?;
    let at = number(raw, width.offset)?;
    match flag {
        1 => Ok(Offset::Unknown),
        2 => Ok(Offset::At(at)),
        3 => Ok(Offset::None),
        _ => Err(damaged("it says of no entry's data where it is")),
    }
}

fn number(raw: &mut dyn Read, bytes: u8) -> io::Result<u64> {
    let mut value = 0;
    for at in 0..u32::from(bytes) {
        match byte(raw)? {
            0 => {}
            byte if at < 8 => value |= u64::from(byte) << (8 * at),
            _ => return Err(too_large()),
        }
    }
    Ok(value)
}

/// A text, or `None` for C's null.
pub(super) fn text(raw: &mut dyn Read, width: Width) -> io::Result<Option<Vec<u8>>> {
    let Ok(length) = u64::try_from(int(raw, width)?) else {
        return Ok(None);
    };
    if length > LONGEST {
        return Err(damaged("a text in it is longer than any can be"));
    }
    // Memory grows with what is there, not with what a damaged length says.
    let mut text = Vec::new();
    raw.take(length).read_to_end(&mut text)?;
    if (text.len() as u64) < length {
        return Err(cut_off());
    }
    Ok(Some(text))
}

fn too_large() -> io::Error {
    damaged("a number in it is too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: Width = Width { int: 4, offset: 8 };

    #[test]
    fn numbers_and_texts() {
        assert_eq!(int(&mut &[0, 1, 1, 0, 0][..], WIDTH).unwrap(), 257);
        assert_eq!(int(&mut &[1, 1, 0, 0, 0][..], WIDTH).unwrap(), -1);
        assert_eq!(oid(&mut &[1, 0, 0, 0, 0x80][..], WIDTH).unwrap(), 1 << 31);
        assert_eq!(
            text(&mut &[0, 2, 0, 0, 0, b'a', b'b'][..], WIDTH).unwrap(),
            Some(b"ab".to_vec())
        );
        assert_eq!(text(&mut &[1, 1, 0, 0, 0][..], WIDTH).unwrap(), None);
        for broken in [
            &[0, 3, 0, 0, 0, b'a'][..],
            &[0, 0xff, 0xff, 0xff, 0x7f, b'a'],
            &[0, 1],
        ] {
            assert!(text(&mut &*broken, WIDTH).is_err());
        }
        let at = [2, 9, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(offset(&mut &at[..], WIDTH).unwrap(), Offset::At(9));
        assert!(offset(&mut &[9; 9][..], WIDTH).is_err());
    }
}
