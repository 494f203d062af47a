//! Tests that can go on for long.

use crate::world::variable;

/// `short`, or `long` in `./x test --long`: how often, how much.
#[must_use]
pub fn short_or_long<T>(short: T, long: T) -> T {
    if variable("PILOTFISH_LONG").is_some() {
        long
    } else {
        short
    }
}
