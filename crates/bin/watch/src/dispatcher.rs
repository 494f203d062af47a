//! Decides what to load and when. Pure: time comes in, orders go out, nothing is done here.
//!
//! The rules:
//! - Level, not edge: a release that lies on the volume and is not live is loaded, whoever put it
//!   there; one that is live is not.
//! - The latest release wins. At most one load runs and at most one is queued; a queued one is
//!   replaced when a newer release appears, never stacked.
//! - A load that names a release waits until the volume has it. Loads that want the same release
//!   share one run.
//! - A rolled-back release is left alone. Bad data is not tried again. What passes (server away,
//!   busy, read-only) is tried again, ever more slowly. Someone who asks gets a try of their own.
//! - A load that was asked for ends by a run, or by a ledger that was read after it was asked for:
//!   what was live a while ago says nothing of a server that may be dead by now.

mod ledger;
mod obstacle;
mod outcome;
mod release;
mod rest;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use pilotfish_failure::Kind;

pub(crate) use obstacle::Obstacle;
use outcome::{Retry, Verdict};
pub(crate) use release::{FEWEST_DIGITS, Live, Release};

/// How the ids of loads begin that nobody asked for.
pub(crate) const AUTO: &str = "auto-";

/// Loads that may wait or ride at one time; more are refused.
const MOST_ASKED: usize = 64;

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// The volume was looked at and had settled.
    Looked { look: u64, release: Option<Release> },
    /// The server's ledger was read, in the reading with this number.
    Ledger { reading: u64, ledger: Vec<Live> },
    /// The server does not answer.
    ServerAway,
    /// The running load ended.
    Ended(Result<(), (Kind, String)>),
    /// Someone wants this load to stop.
    Cancel(String),
    /// Stop what runs, start nothing any more.
    Drain,
    /// Time went by.
    Tick,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Load this release.
    Start(Release),
    /// End the running load; it will report its end.
    Stop,
    /// Note where a load stands.
    Mark { id: String, mark: Mark },
}

/// Where a load stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    Waiting,
    /// With the digest it will load, and why the last try failed.
    Queued {
        digest: String,
        error: Option<String>,
    },
    Running {
        digest: String,
    },
    Succeeded {
        digest: String,
    },
    Failed {
        kind: Kind,
        error: String,
    },
    Cancelled {
        why: String,
    },
}

/// Why a load was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The process is about to end.
    Draining,
    /// Too many wait already.
    Full,
}

/// What a load wants.
#[derive(Debug, Clone)]
enum Wish {
    /// The release with this digest or version.
    Named(String),
    /// Whatever the first look with this number or a later one finds.
    Latest { look: u64 },
    /// Nobody asked: the level differs.
    Auto,
}

/// A load with an id that shares a run.
#[derive(Debug)]
struct Rider {
    id: String,
    wish: Wish,
    /// Automatic ones never expire.
    expires: Option<Instant>,
}

impl Rider {
    fn is_auto(&self) -> bool {
        matches!(self.wish, Wish::Auto)
    }
}

/// A release and the loads that are done once it is live.
#[derive(Debug)]
struct Batch {
    release: Release,
    riders: Vec<Rider>,
    /// The last reading of the ledger that had begun when someone asked for it or its run failed:
    /// only a later one may end it without a run.
    known_by: u64,
}

/// The state behind the decisions.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    ask_timeout: Duration,
    /// A factor around 1 for each pause, kept within 0.5 and 1.5: pods do not knock in step.
    jitter: fn() -> f64,
    /// Distinguishes the automatic loads of this process.
    prefix: String,
    autos: u64,
    look: u64,
    seen: Option<Release>,
    ledger: Option<Vec<Live>>,
    /// Readings of the ledger that have begun, and the number of the one in `ledger`.
    readings: u64,
    read: u64,
    /// Readings up to this one began before the last run ended: they say nothing about its end.
    outdated: u64,
    away: bool,
    was_live: bool,
    waiting: Vec<Rider>,
    queued: Option<Batch>,
    running: Option<Batch>,
    stopping: Option<&'static str>,
    verdict: Option<(String, Verdict)>,
    retry: Option<Retry>,
    draining: bool,
}

impl Dispatcher {
    pub(crate) fn new(ask_timeout: Duration, prefix: String, jitter: fn() -> f64) -> Self {
        Self {
            ask_timeout,
            jitter,
            prefix,
            autos: 0,
            look: 0,
            seen: None,
            ledger: None,
            readings: 0,
            read: 0,
            outdated: 0,
            away: false,
            was_live: false,
            waiting: Vec::new(),
            queued: None,
            running: None,
            stopping: None,
            verdict: None,
            retry: None,
            draining: false,
        }
    }

    /// Takes a load that someone asked for. Without a `release` it wants what a look numbered `look`
    /// or later finds: what was on the volume when it was asked for, or newer.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        id: String,
        release: Option<String>,
        look: u64,
    ) -> Result<Vec<Order>, Refusal> {
        if self.draining {
            return Err(Refusal::Draining);
        }
        let riders = |batch: &Option<Batch>| batch.as_ref().map_or(0, |batch| batch.riders.len());
        if self.waiting.len() + riders(&self.queued) + riders(&self.running) >= MOST_ASKED {
            return Err(Refusal::Full);
        }
        // Whoever asks may have mended what was in the way.
        if let Some(retry) = &mut self.retry {
            retry.not_before = now;
        }
        let wish = release.map_or(Wish::Latest { look }, Wish::Named);
        let mut orders = vec![mark(&id, Mark::Waiting)];
        self.waiting.push(Rider {
            id,
            wish,
            expires: Some(now + self.ask_timeout),
        });
        self.settle(now, &mut orders);
        Ok(orders)
    }

    /// Takes in what happened and says what to do.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) -> Vec<Order> {
        let mut orders = Vec::new();
        match input {
            Input::Looked { look, release } => self.looked(look, release, &mut orders),
            Input::Ledger { reading, ledger } => {
                self.read = reading;
                self.ledger_read(now, ledger);
            }
            Input::ServerAway => self.away = true,
            Input::Ended(outcome) => self.ended(now, outcome, &mut orders),
            Input::Cancel(id) => self.cancel(&id, &mut orders),
            Input::Drain => {
                self.draining = true;
                self.stop("drained: it starts over with the next process", &mut orders);
            }
            Input::Tick => {}
        }
        self.settle(now, &mut orders);
        orders
    }

    /// When to call again with [`Input::Tick`], if nothing else happens.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        // A pause that is over starts nothing where the server is away or a load runs: what ends that
        // calls by itself, and a time that has passed would wake the caller without end.
        let held = self.draining || self.away || self.running.is_some();
        let retry = self.queued.as_ref().filter(|_| !held).and_then(|batch| {
            let digest = &batch.release.digest;
            let retry = self.retry.as_ref();
            retry.filter(|retry| retry.digest == *digest && !self.is_left_alone(digest))
        });
        let retry = retry.map(|retry| retry.not_before);
        let queued = self.queued.iter().flat_map(|batch| &batch.riders);
        self.waiting
            .iter()
            .chain(queued)
            .filter_map(|rider| rider.expires)
            .chain(retry)
            .min()
    }

    /// Whether a load waits for a release that is not on the volume.
    pub(crate) fn wants_release(&self) -> bool {
        self.waiting
            .iter()
            .any(|rider| matches!(rider.wish, Wish::Named(_)))
    }

    /// The number of a reading of the ledger that begins now.
    pub(crate) fn begin_reading(&mut self) -> u64 {
        self.readings += 1;
        self.readings
    }

    /// Whether no run has ended since this reading began.
    pub(crate) fn is_current(&self, reading: u64) -> bool {
        reading > self.outdated
    }

    /// Whether a load waits for the ledger to be read anew.
    pub(crate) fn awaits_ledger(&self) -> bool {
        let mut queued = self.queued.iter();
        !self.draining && queued.any(|batch| self.read <= batch.known_by)
    }

    /// Whether a load waits for a reading that has not begun yet.
    pub(crate) fn wants_reading(&self) -> bool {
        let mut queued = self.queued.iter();
        self.awaits_ledger() && queued.any(|batch| self.readings <= batch.known_by)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// What lies on the volume, as last seen.
    pub(crate) fn seen(&self) -> Option<&Release> {
        self.seen.as_ref()
    }

    fn looked(&mut self, look: u64, release: Option<Release>, orders: &mut Vec<Order>) {
        self.look = self.look.max(look);
        let digest = release.as_ref().map(|release| release.digest.clone());
        if digest.as_ref() == self.seen.as_ref().map(|release| &release.digest) {
            // Same content; the folder may be another one, and the old one swept.
            if let (Some(batch), Some(release)) = (&mut self.queued, &release) {
                batch.release = release.clone();
            }
            self.seen = release;
            return;
        }
        self.seen = release;
        self.verdict = None;
        self.was_live = self
            .seen
            .as_ref()
            .is_some_and(|seen| self.is_live(&seen.digest));
        let Some(batch) = self.queued.take() else {
            return;
        };
        let newer = digest.map_or_else(
            || "its release is gone from the volume".to_owned(),
            |digest| format!("replaced: release {} is on the volume now", short(&digest)),
        );
        for rider in batch.riders {
            match rider.wish {
                Wish::Latest { .. } => {
                    orders.push(mark(&rider.id, Mark::Waiting));
                    self.waiting.push(rider);
                }
                Wish::Named(_) | Wish::Auto => {
                    orders.push(mark(&rider.id, Mark::Cancelled { why: newer.clone() }));
                }
            }
        }
    }

    /// One load leaves; the run that it shares stops only when nobody else asked for it.
    fn cancel(&mut self, id: &str, orders: &mut Vec<Order>) {
        const WHY: &str = "cancelled on request";
        let has = |riders: &[Rider]| riders.iter().any(|rider| rider.id == id);
        let cancelled = mark(
            id,
            Mark::Cancelled {
                why: WHY.to_owned(),
            },
        );
        if let Some(batch) = self.running.as_mut().filter(|batch| has(&batch.riders)) {
            let is_wanted = |rider: &Rider| rider.id != id && !rider.is_auto();
            if batch.riders.iter().any(is_wanted) {
                batch.riders.retain(|rider| rider.id != id);
                orders.push(cancelled);
            } else {
                self.stop(WHY, orders);
            }
        } else if has(&self.waiting) {
            self.waiting.retain(|rider| rider.id != id);
            orders.push(cancelled);
        } else if let Some(batch) = self.queued.as_mut().filter(|batch| has(&batch.riders)) {
            batch.riders.retain(|rider| rider.id != id);
            orders.push(cancelled);
            if batch.riders.is_empty() {
                // Held, or the level would queue it again at once.
                self.verdict = Some((batch.release.digest.clone(), Verdict::Held));
                self.queued = None;
            }
        }
    }

    fn stop(&mut self, why: &'static str, orders: &mut Vec<Order>) {
        if self.running.is_some() && self.stopping.is_none() {
            self.stopping = Some(why);
            orders.push(Order::Stop);
        }
    }
}

fn queued(release: &Release, error: Option<String>) -> Mark {
    Mark::Queued {
        digest: release.digest.clone(),
        error,
    }
}

fn mark(id: &str, mark: Mark) -> Order {
    Order::Mark {
        id: id.to_owned(),
        mark,
    }
}

fn fail(riders: Vec<Rider>, kind: Kind, error: &str, orders: &mut Vec<Order>) {
    for rider in riders {
        orders.push(mark(
            &rider.id,
            Mark::Failed {
                kind,
                error: error.to_owned(),
            },
        ));
    }
}

/// The first digits of a digest, enough for people.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
