//! Marks as bytes: the difference of a key to the one before it, as short as it is, and the mark in eight bytes.

use bytes::Bytes;

use super::{Key, WIDTH};

/// Writes marks in key order.
#[derive(Debug)]
pub(super) struct Encoder {
    width: usize,
    last: Key,
    rows: u64,
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) const fn new(width: usize) -> Self {
        Self {
            width,
            last: [0; WIDTH],
            rows: 0,
            bytes: Vec::new(),
        }
    }

    pub(super) const fn width(&self) -> usize {
        self.width
    }

    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn push(&mut self, key: &Key, mark: u64) {
        let mut same = true;
        for (now, before) in key.iter().zip(&self.last).take(self.width) {
            // Behind a column that differs the others begin anew.
            let from = if same { *before } else { 0 };
            let step = i128::from(*now) - i128::from(from);
            number(step, &mut self.bytes);
            same &= step == 0;
        }
        self.bytes.extend_from_slice(&mark.to_le_bytes());
        self.last = *key;
        self.rows += 1;
    }

    /// What was written; the next key stands for itself.
    pub(super) fn take(&mut self) -> Bytes {
        self.last = [0; WIDTH];
        self.rows = 0;
        Bytes::from(std::mem::take(&mut self.bytes))
    }
}

/// Reads what [`Encoder`] wrote.
#[derive(Debug)]
pub(super) struct Decoder {
    width: usize,
    last: Key,
    bytes: Bytes,
    at: usize,
}

impl Decoder {
    pub(super) const fn new(width: usize, bytes: Bytes) -> Self {
        Self {
            width,
            last: [0; WIDTH],
            bytes,
            at: 0,
        }
    }

    /// The next key and its mark; `Err` where the bytes are damaged.
    pub(super) fn next(&mut self) -> Result<Option<(Key, u64)>, Damaged> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let mut key = [0; WIDTH];
        let mut same = true;
        for (now, before) in key.iter_mut().zip(&self.last).take(self.width) {
            let step = self.bytes.get(self.at..).and_then(read_number);
            let (step, length) = step.ok_or(Damaged)?;
            self.at += length;
            let from = if same { *before } else { 0 };
            *now = i64::try_from(i128::from(from) + step).map_err(|_| Damaged)?;
            same &= step == 0;
        }
        let mark = self.bytes.get(self.at..self.at + 8).ok_or(Damaged)?;
        let mark = <[u8; 8]>::try_from(mark).map_err(|_| Damaged)?;
        self.at += 8;
        self.last = key;
        Ok(Some((key, u64::from_le_bytes(mark))))
    }
}

/// Marks that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

/// Seven bits a byte, the lowest first; the sign is the lowest bit.
fn number(step: i128, out: &mut Vec<u8>) {
    let mut rest = ((step << 1) ^ (step >> 127)) as u128;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[inline]
fn read_number(bytes: &[u8]) -> Option<(i128, usize)> {
    // Neighbours: nearly all of them.
    if let Some(byte) = bytes.first().filter(|byte| **byte < 0x80) {
        let half = i128::from(byte >> 1);
        return Some((if byte & 1 == 0 { half } else { -half - 1 }, 1));
    }
    let mut value = 0_u128;
    for (at, byte) in bytes.iter().enumerate().take(18) {
        value |= u128::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(((value >> 1) as i128 ^ -((value & 1) as i128), at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let keys: [Key; 6] = [
            [i64::MIN, 3, 0, 0],
            [-7, i64::MAX, 0, 0],
            [-7, i64::MAX, 0, 0],
            [0, -1, 0, 0],
            [1, 0, 0, 0],
            [i64::MAX, i64::MIN, 0, 0],
        ];
        let mut encoder = Encoder::new(2);
        for (mark, key) in keys.iter().enumerate() {
            encoder.push(key, mark as u64);
        }
        let bytes = encoder.take();
        let mut decoder = Decoder::new(2, bytes.clone());
        for (mark, key) in keys.iter().enumerate() {
            assert_eq!(decoder.next(), Ok(Some((*key, mark as u64))));
        }
        assert_eq!(decoder.next(), Ok(None));
        let mut cut = Decoder::new(2, bytes.slice(..bytes.len() - 1));
        let end = (0..keys.len()).find_map(|_| cut.next().err());
        assert_eq!(end, Some(Damaged));
    }

    #[test]
    fn neighbours_take_nine_bytes() {
        let mut encoder = Encoder::new(1);
        for key in 1..=1000 {
            encoder.push(&[key, 0, 0, 0], u64::MAX);
        }
        assert_eq!(encoder.rows(), 1000);
        assert_eq!(encoder.take().len(), 9000);
    }
}
