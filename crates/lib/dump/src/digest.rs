//! Digests of tables and objects, so that the loader can leave alone what did not change.
//!
//! Rows are summed, so their order and their cutting into INSERTs do not matter, except where the
//! order decides the outcome: there each row is keyed with its number.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

/// Hash of one row. `seed` stands for all that gives the tuple its meaning, `number` for its place
/// where that matters.
#[inline]
pub(crate) fn row(tuple: &[u8], seed: u64, number: Option<u64>) -> u128 {
    let seed = match number {
        // An odd multiplier: distinct numbers give distinct seeds.
        Some(number) => seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        None => seed,
    };
    xxh3_128_with_seed(tuple, seed)
}

/// The seed of an INSERT's rows.
pub(crate) fn seed(parts: &[&[u8]]) -> u64 {
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        text.extend_from_slice(part);
    }
    xxh3_64(&text)
}

/// Adds a text to what was hashed before, where the order matters.
pub(crate) fn chain(state: u128, text: &[u8]) -> u128 {
    xxh3_128(&[&state.to_le_bytes(), text].concat())
}

/// As a summary spells it.
pub(crate) fn hex(hash: u128) -> String {
    format!("{hash:032x}")
}
