//! Takes in how a run ended: who is told what, what is tried again and when, what is remembered.

use std::time::{Duration, Instant};

use pilotfish_failure::Kind;

use super::{Batch, Dispatcher, Mark, Order, Rider, Wish, fail, mark, queued};

/// First and longest pause after a failure that passes.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is known about a digest beyond the ledger.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A load of it succeeded.
    Done,
    /// Its data is bad.
    Bad { error: String },
    /// Someone stopped it.
    Held,
}

/// A release whose load failed, and when the next try is due.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) digest: String,
    attempts: u32,
    pub(super) not_before: Instant,
    pub(super) error: String,
}

impl Dispatcher {
    pub(super) fn ended(
        &mut self,
        now: Instant,
        outcome: Result<(), (Kind, String)>,
        orders: &mut Vec<Order>,
    ) {
        let Some(batch) = self.running.take() else {
            return;
        };
        let stopping = self.stopping.take();
        self.outdated = self.readings;
        let digest = batch.release.digest.clone();
        match outcome {
            Ok(()) => {
                self.retry = None;
                self.judge(&digest, Verdict::Done);
                let done = Mark::Succeeded { digest };
                orders.extend(
                    batch
                        .riders
                        .iter()
                        .map(|rider| mark(&rider.id, done.clone())),
                );
            }
            Err(_) if stopping.is_some() || self.draining => {
                self.stopped(batch, stopping.unwrap_or_default(), orders);
            }
            Err((kind, error)) if kind.is_transient() => {
                self.pause(now, digest, error.clone(), false);
                self.requeue(batch, kind, &error, orders);
            }
            // The loader has finished, or tried to, what a rollback left; the release itself stays away.
            Err((Kind::BadData, error)) if self.is_rejected(&digest) => {
                self.pause(now, digest, error.clone(), true);
                fail(batch.riders, Kind::BadData, &error, orders);
            }
            Err((Kind::BadData, error)) => {
                self.retry = None;
                fail(batch.riders, Kind::BadData, &error, orders);
                self.judge(&digest, Verdict::Bad { error });
            }
            Err((kind, error)) => {
                // Rights and settings are for a person to mend; the level is still tried, slowly.
                self.pause(now, digest, error.clone(), true);
                let (auto, asked) = batch.riders.into_iter().partition(Rider::is_auto);
                fail(asked, kind, &error, orders);
                self.requeue(
                    Batch {
                        release: batch.release,
                        riders: auto,
                        known_by: batch.known_by,
                    },
                    kind,
                    &error,
                    orders,
                );
            }
        }
    }

    /// Remembers what became of a release, as long as it is the one on the volume.
    fn judge(&mut self, digest: &str, verdict: Verdict) {
        if self.seen.as_ref().is_some_and(|seen| seen.digest == digest) {
            self.verdict = Some((digest.to_owned(), verdict));
        }
    }

    /// Someone stopped the run. What was asked for survives a drain: the next process takes it up.
    fn stopped(&mut self, batch: Batch, why: &str, orders: &mut Vec<Order>) {
        let digest = batch.release.digest;
        for rider in batch.riders {
            let stands = if self.draining && !rider.is_auto() {
                Mark::Queued {
                    digest: digest.clone(),
                    error: Some(why.to_owned()),
                }
            } else {
                Mark::Cancelled {
                    why: why.to_owned(),
                }
            };
            orders.push(mark(&rider.id, stands));
        }
        self.judge(&digest, Verdict::Held);
    }

    /// Puts a failed batch back into the queue, unless the volume has moved on.
    fn requeue(&mut self, mut batch: Batch, kind: Kind, error: &str, orders: &mut Vec<Order>) {
        if batch.riders.is_empty() {
            return;
        }
        let current = self.seen.clone();
        let current = current.filter(|seen| seen.digest == batch.release.digest);
        if let Some(current) = current
            && self.queued.is_none()
        {
            // As it lies there now: plain files may have been written again with the same content.
            batch.release = current;
            for rider in &batch.riders {
                orders.push(mark(
                    &rider.id,
                    queued(&batch.release, Some(error.to_owned())),
                ));
            }
            batch.known_by = self.readings;
            self.queued = Some(batch);
            return;
        }
        let (latest, others) = batch
            .riders
            .into_iter()
            .partition(|rider| matches!(rider.wish, Wish::Latest { .. }));
        self.waiting.extend::<Vec<Rider>>(latest);
        fail(others, kind, error, orders);
    }

    fn pause(&mut self, now: Instant, digest: String, error: String, longest: bool) {
        let attempts = match &self.retry {
            Some(retry) if retry.digest == digest => retry.attempts.saturating_add(1),
            _ => 1,
        };
        let doubled = FIRST_PAUSE
            .saturating_mul(1 << (attempts - 1).min(10))
            .min(LONGEST_PAUSE);
        let pause = if longest { LONGEST_PAUSE } else { doubled };
        let not_before = now + pause.mul_f64((self.jitter)().clamp(0.5, 1.5));
        self.retry = Some(Retry {
            digest,
            attempts,
            not_before,
            error,
        });
    }
}
