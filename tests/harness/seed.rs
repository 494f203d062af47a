//! Random choices that can be repeated.

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::world::variable;

/// A generator whose seed is printed, so that a failure can be repeated with `PILOTFISH_SEED`.
#[must_use]
pub fn seeded(what: &str) -> StdRng {
    let seed = variable("PILOTFISH_SEED").map_or_else(rand::random, |text| {
        text.parse().expect("PILOTFISH_SEED is a number")
    });
    eprintln!("{what}: PILOTFISH_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
