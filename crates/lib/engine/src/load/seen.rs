//! When a loader's lock was last seen in its place, by any of its sessions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So long an answer of the server counts. Another loader's first rows take longer: it takes the lock, looks at what is
/// live, drops the stage of before and makes its own tables.
const FRESH: Duration = Duration::from_millis(20);

/// See the module; clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Option<Instant>>>);

impl Seen {
    /// Whether asking again would be asking for nothing.
    pub(crate) fn is_fresh(&self) -> bool {
        self.seen().is_some_and(|seen| seen.elapsed() < FRESH)
    }

    /// It was there, by an answer to a question of `asked`.
    pub(crate) fn note(&self, asked: Instant) {
        *self.seen() = Some(asked);
    }

    fn seen(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
