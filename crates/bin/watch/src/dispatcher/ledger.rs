//! Takes in what the server's ledger says: which verdicts of ours it makes obsolete.

use std::time::Instant;

use super::outcome::Verdict;
use super::{Dispatcher, Live};

impl Dispatcher {
    pub(super) fn ledger_read(&mut self, now: Instant, ledger: Vec<Live>) {
        let resumed = self
            .ledger
            .as_deref()
            .is_some_and(|before| forgives(before, &ledger));
        self.ledger = Some(ledger);
        if std::mem::take(&mut self.away)
            && let Some(retry) = &mut self.retry
        {
            retry.not_before = now;
        }
        let Some(digest) = self.seen.as_ref().map(|seen| seen.digest.clone()) else {
            return;
        };
        let live = self.is_live(&digest);
        let rejected = self.is_rejected(&digest);
        // Gone from the server although loaded: its data was replaced. Rolled back: the ledger
        // remembers that, and a resume must find no verdict of ours in its way, not even one that came
        // between two readings: then all that is seen is that the release is live no more. The same
        // content stored otherwise is refused under a digest that the ledger does not know.
        let replaced = self.was_live && !live;
        let obsolete = match self.verdict_on(&digest) {
            Some(Verdict::Done) => rejected || replaced,
            Some(Verdict::Bad { .. }) => resumed || replaced,
            Some(Verdict::Held) | None => false,
        };
        if resumed {
            self.retry = None;
        }
        if obsolete {
            self.verdict = None;
        }
        self.was_live = live;
    }

    /// Whether what lies on the volume is live, as far as a server that answers says so.
    pub(crate) fn is_level(&self) -> bool {
        let seen = self.seen.as_ref();
        !self.away && seen.is_some_and(|seen| self.is_live(&seen.digest))
    }

    /// Live and complete: a release that lost a part, or whose objects are still being made, needs a run.
    pub(super) fn is_live(&self, digest: &str) -> bool {
        let mut ledger = self.ledger.iter().flatten();
        ledger.any(|live| live.digest == digest && live.whole && !live.finishing)
    }

    /// Rolled back. What is live is not: a rollback that was killed before its swap has booked it.
    pub(super) fn is_rejected(&self, digest: &str) -> bool {
        let Some(ledger) = self.ledger.as_deref() else {
            return false;
        };
        rejects(ledger, digest) && ledger.iter().all(|live| live.digest != digest)
    }

    /// Rejected, and nothing is to be done: a loader also finishes what a rollback that was killed left.
    pub(super) fn is_left_alone(&self, digest: &str) -> bool {
        let mut ledger = self.ledger.iter().flatten();
        self.is_rejected(digest) && !ledger.any(|live| live.finishing)
    }
}

fn rejects(ledger: &[Live], digest: &str) -> bool {
    ledger
        .iter()
        .any(|live| live.rejected.iter().any(|other| other == digest))
}

/// Whether a release that was rejected `before` is so no more.
fn forgives(before: &[Live], now: &[Live]) -> bool {
    let mut rejected = before.iter().flat_map(|live| &live.rejected);
    rejected.any(|digest| !rejects(now, digest))
}
