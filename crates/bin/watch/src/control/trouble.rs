//! What is said of trouble: on the page and in `/readyz` for as long as it lasts, in the log when it
//! is new and once a minute from then on. Nobody must take a stuck sidecar for an idle one.

use std::time::{Duration, Instant};

use pilotfish_failure::{Failure, Kind};
use tracing::{error, info, warn};

use super::Control;
use crate::dispatcher::{Obstacle, short};

/// How often the log repeats trouble that lasts.
const AGAIN: Duration = Duration::from_secs(60);

/// A look this long after it was due is worth a word: large files are read in it, and a dead mount never
/// answers.
const LONG_LOOK: Duration = Duration::from_secs(10);

/// The last thing the log said of something, and when.
#[derive(Debug, Default)]
pub(super) struct Said {
    last: Option<(String, Instant)>,
}

impl Said {
    /// Whether this is another thing than the last one; remembers it.
    fn is_new(&mut self, now: Instant, what: &str) -> bool {
        let known = self.last.as_ref().is_some_and(|(last, _)| last == what);
        if !known {
            self.last = Some((what.to_owned(), now));
        }
        !known
    }

    /// Whether this is to be said now: it is another thing than the last one, or that was said a
    /// minute ago.
    pub(super) fn is_due(&mut self, now: Instant, what: &str) -> bool {
        self.last = self
            .last
            .take()
            .filter(|(_, at)| now.saturating_duration_since(*at) < AGAIN);
        self.is_new(now, what)
    }
}

/// A failure and what to do about it, in one line.
pub(super) fn sentence(failure: &Failure) -> String {
    match failure.hint() {
        Some(hint) => format!("{failure} ({hint})"),
        None => failure.to_string(),
    }
}

impl Control {
    /// Tells of a load that failed, unless it failed in the same way before: ERROR where someone must
    /// act. `error` is the failure in one line.
    pub(super) fn tell(&mut self, digest: &str, failure: &Failure, error: &str) {
        let is_new = self.said_of_loads.is_new(Instant::now(), error);
        if failure.kind() == Kind::Cancelled {
            info!(release = %digest, %failure, "load was stopped");
        } else if is_new && failure.kind().is_transient() {
            warn!(release = %digest, %failure, hint = failure.hint(), "load failed, it is tried again");
        } else if is_new {
            error!(
                release = %digest,
                exit_code = failure.kind().exit_code(),
                hint = failure.hint(),
                "load failed: {failure}"
            );
        }
    }

    /// Tells why nothing is loaded although the release on the volume is not live. What a person
    /// decided is told once.
    pub(super) fn remind(&mut self) {
        let now = Instant::now();
        let Some(obstacle) = self.dispatcher.obstacle() else {
            return;
        };
        let is_due = match &obstacle {
            Obstacle::RolledBack { .. } => self.said_of_loads.is_new(now, &obstacle.to_string()),
            Obstacle::BadData { error, .. } | Obstacle::Failing { error, .. } => {
                self.said_of_loads.is_due(now, error)
            }
            Obstacle::Cancelled { .. } => false,
        };
        if is_due {
            warn!(reason = obstacle.name(), "{obstacle}");
        }
    }

    /// Ready once a release is live. A server that is away does not change that; one that answers
    /// and holds no release does: it would serve nothing. The reason names whatever is in the way.
    pub(super) fn say_ready(&self, obstacle: Option<&Obstacle>) {
        let (whole, torn) = (self.live.first(), self.torn.first());
        let stands = match (whole.or(torn), self.server.reachable) {
            (Some(first), _) => {
                let torn = if whole.is_none() {
                    ", but not whole"
                } else {
                    ""
                };
                let (digest, database) = (short(&first.digest), &first.database);
                if digest.is_empty() {
                    format!("half a load without swap is live in {database}")
                } else {
                    format!("release {digest} is live in {database}{torn}")
                }
            }
            (None, Some(true)) => "the server holds no release yet".to_owned(),
            (None, _) => "waiting for a look at the server's ledger".to_owned(),
        };
        let server = self.server.error.as_ref();
        let server = server.map(|error| format!("cannot use the server: {error}"));
        let volume = (!self.volume.settled).then(|| format!("volume: {}", self.volume.status));
        let silence = self.looked_at.elapsed();
        let silent = (silence > self.config.rescan + LONG_LOOK).then(|| {
            let (path, seconds) = (&self.volume.path, silence.as_secs());
            format!("volume: the last look at it ended {seconds} s ago, see whether {path} answers")
        });
        let draining = self.dispatcher.is_draining();
        let draining = draining.then(|| "draining: no load starts any more".to_owned());
        let obstacle = obstacle.map(Obstacle::to_string);
        let parts = [Some(stands), server, obstacle, volume, silent, draining];
        let why: Vec<String> = parts.into_iter().flatten().collect();
        self.ready.set(!self.live.is_empty(), &why.join("; "));
        self.metrics.ready(!self.live.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lasting_trouble_is_said_once_a_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut said = Said::default();
        let due: Vec<u64> = (0..=180)
            .filter(|second| said.is_due(at(*second), "denied"))
            .collect();
        assert_eq!(due, [0, 60, 120, 180]);
        assert!(said.is_due(at(181), "away"));
        assert!(!said.is_new(at(999), "away") && said.is_new(at(999), "denied"));
    }
}
