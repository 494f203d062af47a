//! How far a load is, readable from anywhere while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The step a load is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading the ledger, taking the lock, finishing what was left.
    Opening,
    /// Reading the dump once to see which tables changed.
    Surveying,
    /// Rows go onto the stage.
    Staging,
    /// Keys are built.
    Keys,
    /// Counting and asserting.
    Checking,
    /// Looking for the moment to swap.
    Swapping,
    /// Views, triggers and routines follow.
    Finishing,
    /// Dropping what is left over.
    Tidying,
    /// Over.
    Done,
}

const PHASES: [Phase; 9] = [
    Phase::Opening,
    Phase::Surveying,
    Phase::Staging,
    Phase::Keys,
    Phase::Checking,
    Phase::Swapping,
    Phase::Finishing,
    Phase::Tidying,
    Phase::Done,
];

impl Phase {
    /// The phase in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Surveying => "surveying",
            Self::Staging => "staging",
            Self::Keys => "keys",
            Self::Checking => "checking",
            Self::Swapping => "swapping",
            Self::Finishing => "finishing",
            Self::Tidying => "tidying",
            Self::Done => "done",
        }
    }
}

/// Shared between a load and whoever watches it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    phase: AtomicU8,
    rows: AtomicU64,
    rows_total: AtomicU64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    table: Mutex<Option<String>>,
    clock: Mutex<Clock>,
}

/// Where the time went.
#[derive(Debug, Default)]
struct Clock {
    entered: Option<(Phase, Instant)>,
    spent: BTreeMap<&'static str, Duration>,
}

/// One look at a load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The step.
    pub phase: Phase,
    /// Rows stored on the stage.
    pub rows: u64,
    /// Rows there will be, where a survey counted them.
    pub rows_total: Option<u64>,
    /// Bytes of the stored (compressed) dump that were read.
    pub bytes: u64,
    /// Its size, where that is known.
    pub bytes_total: Option<u64>,
    /// The table whose rows went last.
    pub table: Option<String>,
}

impl Progress {
    /// A load that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How far it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let counters = &self.0;
        let total =
            |counter: &AtomicU64| Some(counter.load(Ordering::Relaxed)).filter(|total| *total > 0);
        Snapshot {
            phase: PHASES
                [usize::from(counters.phase.load(Ordering::Relaxed)).min(PHASES.len() - 1)],
            rows: counters.rows.load(Ordering::Relaxed),
            rows_total: total(&counters.rows_total),
            bytes: counters.bytes.load(Ordering::Relaxed),
            bytes_total: total(&counters.bytes_total),
            table: counters
                .table
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        let index = PHASES.iter().position(|known| *known == phase).unwrap_or(0);
        self.0
            .phase
            .store(u8::try_from(index).unwrap_or(0), Ordering::Relaxed);
        let now = Instant::now();
        let mut clock = self.clock();
        if let Some((left, entered)) = clock.entered.replace((phase, now)) {
            *clock.spent.entry(left.name()).or_default() += now.duration_since(entered);
        }
        tracing::debug!(phase = phase.name(), "enters phase");
    }

    /// Time of one kind of work, which goes on beside others.
    pub(crate) fn spent(&self, work: &'static str, took: Duration) {
        *self.clock().spent.entry(work).or_default() += took;
    }

    /// Seconds by stage so far.
    pub(crate) fn stages(&self) -> BTreeMap<String, f64> {
        let clock = self.clock();
        let seconds = clock.spent.iter();
        seconds
            .map(|(stage, spent)| ((*stage).to_owned(), spent.as_secs_f64()))
            .collect()
    }

    fn clock(&self) -> std::sync::MutexGuard<'_, Clock> {
        self.0.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stored(&self, table: &str, rows: u64) {
        self.0.rows.fetch_add(rows, Ordering::Relaxed);
        let mut current = self.0.table.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_deref() != Some(table) {
            *current = Some(table.to_owned());
        }
    }

    pub(crate) fn read(&self, bytes: u64) {
        self.0.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn expect(&self, bytes: Option<u64>, rows: Option<u64>) {
        self.0
            .bytes_total
            .store(bytes.unwrap_or(0), Ordering::Relaxed);
        if let Some(rows) = rows {
            self.0.rows_total.store(rows, Ordering::Relaxed);
        }
    }
}
