//! Why the release on the volume is neither live nor being loaded: without that said aloud, a sidecar
//! that leaves a release alone looks like one that has nothing to do.

use std::fmt;

use super::{Dispatcher, Verdict, short};

/// What is in the way of the release on the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Someone rolled it back.
    RolledBack { digest: String },
    /// Its data is bad.
    BadData { digest: String, error: String },
    /// Someone cancelled its load.
    Cancelled { digest: String },
    /// The last try failed, and the next one is not due yet.
    Failing { digest: String, error: String },
}

impl Obstacle {
    /// One word for programs.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::RolledBack { .. } => "rolled_back",
            Self::BadData { .. } => "bad_data",
            Self::Cancelled { .. } => "cancelled",
            Self::Failing { .. } => "failing",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolledBack { digest } => write!(
                f,
                "release {} was rolled back and is left alone: run `pilotfish-load resume`, or publish \
                 another release",
                short(digest)
            ),
            Self::BadData { digest, error } => write!(
                f,
                "release {} is bad data and is not tried again: publish another release: {error}",
                short(digest)
            ),
            Self::Cancelled { digest } => write!(
                f,
                "the load of release {} was cancelled: ask for it with PUT /v1/loads/{{id}}, or publish \
                 another release",
                short(digest)
            ),
            Self::Failing { digest, error } => write!(
                f,
                "the load of release {} failed and is tried again: {error}",
                short(digest)
            ),
        }
    }
}

impl Dispatcher {
    /// What keeps the release on the volume from being loaded; `None` when it is live or under way.
    pub(crate) fn obstacle(&self) -> Option<Obstacle> {
        let digest = self.seen.as_ref()?.digest.clone();
        if self.draining || self.is_live(&digest) || self.is_running(&digest) {
            return None;
        }
        if self.is_rejected(&digest) {
            return Some(Obstacle::RolledBack { digest });
        }
        match self.verdict_on(&digest) {
            Some(Verdict::Done) => return None,
            Some(Verdict::Bad { error }) => {
                let error = error.clone();
                return Some(Obstacle::BadData { digest, error });
            }
            Some(Verdict::Held) => return Some(Obstacle::Cancelled { digest }),
            None => {}
        }
        let failed = self.retry.as_ref().filter(|retry| retry.digest == digest)?;
        let error = failed.error.clone();
        Some(Obstacle::Failing { digest, error })
    }
}
