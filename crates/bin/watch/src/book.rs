//! The loads of this process and of those before it, by id.
//!
//! In memory first, so that a load can be followed while the server is away; written to the server's
//! book as soon as it can be, so that ids survive a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pilotfish_failure::{Failure, Kind};
use pilotfish_loader::{LoadRecord, Report, State};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::dispatcher::{AUTO, Mark};
use crate::job::{Job, in_time};
use crate::view::unix_now;

/// Loads kept in memory; the server's book knows older ones.
const MOST_KEPT: usize = 200;

/// Pause before the server's book is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Time for the last entries when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One load: what the server's book holds of it, and the digest once that is known.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) record: LoadRecord,
    pub(crate) digest: Option<String>,
    /// Order within one second.
    number: u64,
}

impl Entry {
    fn new(id: &str, release: Option<String>, number: u64) -> Self {
        let now = unix_now();
        let record = LoadRecord {
            id: id.to_owned(),
            release,
            state: State::Waiting,
            error: None,
            exit_code: None,
            created_at: now,
            updated_at: now,
            rows: 0,
            bytes: 0,
            report: None,
        };
        Self {
            record,
            digest: None,
            number,
        }
    }
}

/// All loads that are known here.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: BTreeMap<String, Entry>,
    numbers: u64,
}

impl Book {
    pub(crate) fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// All of them, newest first.
    pub(crate) fn newest(&self) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.entries.values().collect();
        all.sort_by_key(|entry| std::cmp::Reverse((entry.record.created_at, entry.number)));
        all
    }

    /// Takes over an entry of an earlier process.
    pub(crate) fn adopt(&mut self, record: LoadRecord) {
        let digest = record.report.as_ref().map(|report| report.digest.clone());
        let number = self.next_number();
        self.entries.entry(record.id.clone()).or_insert(Entry {
            record,
            digest,
            number,
        });
    }

    /// Opens the entry of a load that was asked for.
    pub(crate) fn open(&mut self, id: &str, release: Option<String>) {
        self.entry(id, release);
        self.forget_oldest();
    }

    fn entry(&mut self, id: &str, release: Option<String>) -> &mut Entry {
        let number = self.next_number();
        self.entries
            .entry(id.to_owned())
            .or_insert_with(|| Entry::new(id, release, number))
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Notes where a load stands. `report` is what the run did that ended just now.
    pub(crate) fn mark(&mut self, id: &str, mark: Mark, report: Option<&Report>) -> LoadRecord {
        let entry = self.entry(id, None);
        let record = &mut entry.record;
        record.updated_at = unix_now();
        let (state, digest, error, exit_code) = match mark {
            Mark::Waiting => (State::Waiting, None, None, None),
            Mark::Queued { digest, error } => (State::Queued, Some(digest), error, None),
            Mark::Running { digest } => (State::Running, Some(digest), None, None),
            Mark::Succeeded { digest } => (State::Succeeded, Some(digest), None, Some(0)),
            Mark::Failed { kind, error } => {
                (State::Failed, None, Some(error), Some(kind.exit_code()))
            }
            Mark::Cancelled { why } => (
                State::Cancelled,
                None,
                Some(why),
                Some(Kind::Cancelled.exit_code()),
            ),
        };
        record.state = state;
        record.error = error;
        record.exit_code = exit_code;
        if let (State::Succeeded, Some(report)) = (state, report) {
            record.rows = report.rows;
            record.bytes = report.bytes;
            record.report = Some(report.clone());
        }
        entry.digest = digest.or(entry.digest.take());
        if id.starts_with(AUTO) && record.release.is_none() {
            record.release.clone_from(&entry.digest);
        }
        let record = entry.record.clone();
        self.forget_oldest();
        record
    }

    fn forget_oldest(&mut self) {
        while self.entries.len() > MOST_KEPT {
            let ended = |entry: &&Entry| entry.record.state.is_terminal();
            let oldest = self
                .entries
                .values()
                .filter(ended)
                .min_by_key(|e| e.record.created_at);
            let Some(id) = oldest.map(|entry| entry.record.id.clone()) else {
                return;
            };
            self.entries.remove(&id);
        }
    }
}

/// Carries entries to the server's book, the newest state of each, for as long as that takes.
#[derive(Clone, Default)]
pub(crate) struct Scribe {
    unwritten: Arc<Mutex<Unwritten>>,
    more: Arc<Notify>,
}

/// By id: the newest state, and which one of all that were noted.
#[derive(Default)]
struct Unwritten {
    records: BTreeMap<String, (u64, LoadRecord)>,
    noted: u64,
}

impl Scribe {
    pub(crate) fn note(&self, record: LoadRecord) {
        let mut unwritten = self.lock();
        unwritten.noted += 1;
        let number = unwritten.noted;
        let records = &mut unwritten.records;
        records.insert(record.id.clone(), (number, record));
        if records.len() > MOST_KEPT {
            // The server has been away for long: what is over is the first to be given up.
            let over = records
                .iter()
                .find(|(_, (_, record))| record.state.is_terminal());
            let id = over.or(records.iter().next()).map(|(id, _)| id.clone());
            if let Some(id) = id {
                records.remove(&id);
            }
        }
        self.more.notify_one();
    }

    /// Writes until `stop`, then what is left, for two seconds at most.
    pub(crate) async fn write(self, job: Arc<Job>, stop: CancellationToken) {
        tokio::select! {
            () = self.go_on(&job) => {}
            () = stop.cancelled() => {}
        }
        match tokio::time::timeout(LAST_WORDS, self.write_all(&job)).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => debug!(%failure, "the book of loads misses the last entries"),
            Err(_) => debug!("the book of loads misses the last entries: no answer"),
        }
    }

    async fn go_on(&self, job: &Job) {
        let mut warned = BTreeSet::new();
        loop {
            self.more.notified().await;
            while let Err(failure) = self.write_all(job).await {
                // A server that is away, or a replica that takes no writes, says the same each time.
                if warned.len() < MOST_KEPT && warned.insert(failure.to_string()) {
                    warn!(%failure, "cannot write the book of loads: ids do not survive a restart");
                }
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = self.more.notified() => {}
                }
            }
        }
    }

    /// Tries each entry once; one that the server refuses keeps no other from being written. Nothing is
    /// lost when the wait is given up: an entry leaves the list once it is written.
    async fn write_all(&self, job: &Job) -> Result<(), Failure> {
        let ids: Vec<String> = self.lock().records.keys().cloned().collect();
        let mut outcome = Ok(());
        for id in ids {
            let Some((number, record)) = self.lock().records.get(&id).cloned() else {
                continue;
            };
            match in_time("write the book of loads", job.record(&record)).await {
                Ok(()) => self.forget(&id, number),
                Err(failure) => {
                    let away = matches!(failure.kind(), Kind::Unreachable | Kind::TimedOut);
                    outcome = outcome.and(Err(failure));
                    if away {
                        break;
                    }
                }
            }
        }
        outcome
    }

    /// A newer state may have come while this one was written.
    fn forget(&self, id: &str, number: u64) {
        let records = &mut self.lock().records;
        if records.get(id).is_some_and(|(newest, _)| *newest == number) {
            records.remove(id);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Unwritten> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
