//! What a server was asked for and does not have: it is not asked at every scrape.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::locked;

/// A plugin that is installed counts after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// When it was last seen that it is not there.
#[derive(Debug, Default)]
pub(super) struct Absence(Mutex<Option<Instant>>);

impl Absence {
    pub(super) fn is_known(&self) -> bool {
        locked(&self.0).is_some_and(|since| since.elapsed() < LOOK_AGAIN)
    }

    pub(super) fn note(&self) {
        *locked(&self.0) = Some(Instant::now());
    }
}
