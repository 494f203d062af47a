//! Where a tuple as dumps are made of ends, found in blocks of 64 bytes: one bit says of each byte what it is, and a few
//! operations on such words find out what takes a walk from literal to literal one branch after the other.
//!
//! A block is eight rows of eight bytes, and a word's byte is a column: the bit of the byte at `8 * row + column` is bit
//! `row` of byte `column`. Compilers make whole registers of that on any processor, in no more steps than its bytes take
//! to be compared; bits in the order of the bytes take as long again.

use super::find_special;

const BLOCK: usize = 64;

/// The last byte's bit.
const LAST: u32 = 63;

/// What became of a tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It is plain, and ends before this position.
    End(usize),
    /// It is not plain, or not whole.
    Odd,
    /// Not enough text is behind it for a block.
    Short,
}

/// What the byte ahead of a block was, each in the lowest bit.
#[derive(Debug)]
struct Before {
    /// A parenthesis or a comma: a literal begins.
    opens: u64,
    digit: u64,
    dot: u64,
    minus: u64,
    /// The end of a string, as far as it is known.
    closing: u64,
    null: u64,
    /// A digit behind a dot.
    fraction: u64,
    /// A backslash that escapes.
    escapes: u64,
    /// All bits: the block begins in a string.
    string: u64,
}

impl Before {
    /// A comma or the parenthesis is ahead.
    const OPENED: Self = Self {
        opens: 1,
        ..Self::NOTHING
    };
    const IN_A_STRING: Self = Self {
        string: u64::MAX,
        ..Self::NOTHING
    };
    const NOTHING: Self = Self {
        opens: 0,
        digit: 0,
        dot: 0,
        minus: 0,
        closing: 0,
        null: 0,
        fraction: 0,
        escapes: 0,
        string: 0,
    };
}

/// Finds the end of the tuple that has its `(` ahead of `at`: of NULL, plain numbers and strings in `'`, with nothing
/// around them.
#[inline]
pub(super) fn end_of_plain(text: &[u8], at: usize, escapes: bool) -> Found {
    let mut here = at;
    let mut before = Before::OPENED;
    loop {
        let Some(block) = text.get(here..).and_then(<[u8]>::first_chunk::<BLOCK>) else {
            return Found::Short;
        };
        let mut quotes = bits(block, |byte| byte == b'\'');
        if escapes {
            quotes &= !escaped(block, &mut before.escapes);
        }
        let inside = from_odd_to_even(quotes) ^ before.string;
        if inside == u64::MAX && before.escapes == 0 {
            match find_special(text, here + BLOCK, b'\'', escapes) {
                Some(found) => here = found,
                None => return Found::Odd,
            }
            before = Before::IN_A_STRING;
            continue;
        }
        let kinds = Kinds::of(block, quotes, inside);
        let end = first(kinds.ends);
        let mut ours = end.map_or(u64::MAX, |end| up_to(end + 1));
        let mut words = Words::default();
        if kinds.rest & ours != 0 {
            match Words::of(block, kinds.rest & ours, kinds.behind_comma(&before)) {
                Some(found) => words = found,
                None => return Found::Odd,
            }
        }
        if let Some(cut) = words.cut {
            ours &= up_to(cut);
        }
        let (wrong, fraction) = kinds.wrong(&words, &before);
        if wrong & ours != 0 {
            return Found::Odd;
        }
        match (words.cut, end) {
            (Some(cut), _) => {
                here += cut;
                before = Before::OPENED;
            }
            (None, Some(end)) => return Found::End(here + end + 1),
            (None, None) => {
                here += BLOCK;
                before = Before {
                    opens: kinds.commas >> LAST,
                    digit: kinds.digits >> LAST,
                    dot: kinds.dots >> LAST,
                    minus: words.minuses >> LAST,
                    closing: kinds.closing >> LAST,
                    null: words.nulls >> LAST,
                    fraction,
                    escapes: before.escapes,
                    string: (inside >> LAST).wrapping_neg(),
                };
            }
        }
    }
}

/// What the bytes of a block are outside of strings, and the quotes around those.
struct Kinds {
    opening: u64,
    closing: u64,
    digits: u64,
    dots: u64,
    commas: u64,
    ends: u64,
    rest: u64,
}

impl Kinds {
    #[inline(always)]
    fn of(block: &[u8; BLOCK], quotes: u64, inside: u64) -> Self {
        let outside = !(inside | quotes);
        let digits = outside & bits(block, |byte| byte.is_ascii_digit());
        let dots = outside & bits(block, |byte| byte == b'.');
        let commas = outside & bits(block, |byte| byte == b',');
        let ends = outside & bits(block, |byte| byte == b')');
        Self {
            opening: quotes & inside,
            closing: quotes & !inside,
            digits,
            dots,
            commas,
            ends,
            rest: outside & !(digits | dots | commas | ends),
        }
    }

    #[inline(always)]
    const fn behind_comma(&self, before: &Before) -> u64 {
        moved(self.commas, before.opens)
    }

    /// What cannot stand behind the byte ahead of it in a plain tuple; and whether the block ends in a fraction.
    #[inline(always)]
    fn wrong(&self, words: &Words, before: &Before) -> (u64, u64) {
        let behind_comma = self.behind_comma(before);
        let behind_digit = moved(self.digits, before.digit);
        let behind_dot = moved(self.dots, before.dot);
        let behind_string = moved(self.closing, before.closing);
        let behind_minus = moved(words.minuses, before.minus);
        let behind_null = moved(words.nulls, before.null);
        let number = behind_digit | behind_dot;
        let mut wrong = self.digits & !(number | behind_comma | behind_minus)
            | self.dots & !behind_digit
            | (self.commas | self.ends) & !(number | behind_string | behind_null)
            | self.opening & !(behind_comma | behind_string);
        // A second dot in a number: all fractions are gone through at once, digit by digit.
        let (mut run, mut fraction) = (behind_dot | before.fraction, 0);
        while run != 0 {
            wrong |= run & self.dots;
            run &= self.digits;
            fraction |= run >> LAST;
            run = moved(run, 0);
        }
        (wrong, fraction)
    }
}

/// What is no digit, dot, comma or end outside of strings.
#[derive(Default)]
struct Words {
    minuses: u64,
    /// Last letters of NULLs.
    nulls: u64,
    /// A NULL begins here that may go on beyond the block.
    cut: Option<usize>,
}

impl Words {
    /// `None` where it belongs to nothing plain.
    fn of(block: &[u8; BLOCK], rest: u64, opened: u64) -> Option<Self> {
        let (mut rest, opened) = (transposed(rest), transposed(opened));
        let (mut minuses, mut nulls, mut cut) = (0, 0, None);
        while rest != 0 {
            let at = rest.trailing_zeros();
            if opened >> at & 1 == 0 {
                return None;
            }
            match &block[at as usize..] {
                [b'-', ..] => {
                    minuses |= 1 << at;
                    rest &= rest - 1;
                }
                [b'N', b'U', b'L', b'L', ..] => {
                    nulls |= 8 << at;
                    rest &= !(15 << at);
                }
                [b'N', more @ ..] if more.len() < 3 => {
                    cut = Some(at as usize);
                    break;
                }
                _ => return None,
            }
        }
        Some(Self {
            minuses: transposed(minuses),
            nulls: transposed(nulls),
            cut,
        })
    }
}

/// The lowest bit in each byte of a word.
const COLUMNS: u64 = 0x0101_0101_0101_0101;

/// A bit for each byte of a block: its row.
const WEIGHTS: [u8; BLOCK] = {
    let mut weights = [0; BLOCK];
    let mut at = 0;
    while at < BLOCK {
        weights[at] = 1 << (at / 8);
        at += 1;
    }
    weights
};

/// One bit for each byte that `is` so. Inlined by force: it is no more than some twenty instructions on whole registers
/// then.
#[inline(always)]
fn bits(block: &[u8; BLOCK], is: impl Fn(u8) -> bool) -> u64 {
    let mut weighed = [0_u8; BLOCK];
    for ((out, byte), weight) in weighed.iter_mut().zip(block).zip(&WEIGHTS) {
        *out = if is(*byte) { *weight } else { 0 };
    }
    let (pairs, _) = weighed.as_chunks::<16>();
    let pairs = pairs.iter();
    let pair = pairs.fold(0, |all, pair| all | u128::from_le_bytes(*pair));
    pair as u64 | (pair >> 64) as u64
}

/// Each bit moved to the byte behind its own; `ahead` is what comes to the first.
#[inline(always)]
const fn moved(bits: u64, ahead: u64) -> u64 {
    bits << 8 | bits >> 55 & 0xfe | ahead
}

/// All from the first bit to ahead of the second, from the third to ahead of the fourth, and so on.
#[inline(always)]
const fn from_odd_to_even(mut bits: u64) -> u64 {
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^= bits << 32;
    let mut rows = bits >> 56;
    rows ^= rows << 1;
    rows ^= rows << 2;
    rows ^= rows << 4;
    bits ^ (rows << 1 & 0xff).wrapping_mul(COLUMNS)
}

/// The place of the first bit.
#[inline(always)]
const fn first(bits: u64) -> Option<usize> {
    if bits == 0 {
        return None;
    }
    let mut rows = bits | bits >> 32;
    rows |= rows >> 16;
    rows |= rows >> 8;
    let row = rows.trailing_zeros();
    let column = (bits >> row & COLUMNS).trailing_zeros() / 8;
    Some((8 * row + column) as usize)
}

/// All bits ahead of a place.
#[inline(always)]
const fn up_to(place: usize) -> u64 {
    let (row, column) = (place / 8, place % 8);
    let above = (1 << row) - 1;
    let left = (1 << (8 * column)) - 1;
    // A place behind the last byte is in no row, and all rows are above it.
    COLUMNS.wrapping_mul(above) | (COLUMNS << (row % 8)) & left
}

/// Rows made columns and columns rows, so that bits are in the order of their bytes, or in ours again.
const fn transposed(mut word: u64) -> u64 {
    let mut swapped = (word ^ word >> 7) & 0x00aa_00aa_00aa_00aa;
    word ^= swapped ^ swapped << 7;
    swapped = (word ^ word >> 14) & 0x0000_cccc_0000_cccc;
    word ^= swapped ^ swapped << 14;
    swapped = (word ^ word >> 28) & 0x0000_0000_f0f0_f0f0;
    word ^ swapped ^ swapped << 28
}

/// What backslashes escape in the block; `first` says it of its first byte, and then of the next block's.
#[inline(always)]
fn escaped(block: &[u8; BLOCK], first: &mut u64) -> u64 {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    let any = bits(block, |byte| byte == b'\\');
    if any == 0 {
        return std::mem::take(first);
    }
    let backslashes = transposed(any);
    // A backslash escapes where an even number of others is right ahead of it: a carry runs through all that follow
    // one another, and where it comes out tells which.
    let may = backslashes & !*first;
    let codes = (may << 1 | ODD).wrapping_sub(may) ^ ODD;
    let escaped = codes ^ (backslashes | *first);
    *first = (codes & backslashes) >> LAST;
    transposed(escaped)
}
