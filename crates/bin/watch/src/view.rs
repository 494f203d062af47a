//! What people and programs see: one picture of everything, made anew whenever something changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pilotfish_loader::{LoadRecord, Report, Snapshot, State, Status};
use serde::Serialize;

use crate::book::Entry;
use crate::dispatcher::Obstacle;

/// Loads in [`View::loads`].
const MOST_SHOWN: usize = 20;

/// Everything at one moment; `GET /v1/state` shows it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct View {
    pub(crate) version: &'static str,
    /// Unix seconds.
    pub(crate) now: u64,
    /// Unix seconds.
    pub(crate) started_at: u64,
    pub(crate) ready: bool,
    pub(crate) ready_why: String,
    pub(crate) draining: bool,
    pub(crate) volume: VolumeView,
    pub(crate) server: ServerView,
    /// What is live, by database.
    pub(crate) live: Vec<Status>,
    /// What keeps the release on the volume from being loaded.
    pub(crate) obstacle: Option<ObstacleView>,
    pub(crate) running: Option<LoadView>,
    /// The last loads, newest first.
    pub(crate) loads: Vec<LoadView>,
    #[serde(skip)]
    pub(crate) by_id: BTreeMap<String, Arc<LoadView>>,
}

impl View {
    /// The part of the picture that shows the loads, which come newest first.
    pub(crate) fn of_loads(newest: &[&Entry], running: Option<&Snapshot>) -> Self {
        let loads: Vec<LoadView> = newest
            .iter()
            .map(|entry| LoadView::of(entry, running))
            .collect();
        Self {
            running: loads
                .iter()
                .find(|load| load.state == State::Running)
                .cloned(),
            loads: loads.iter().take(MOST_SHOWN).cloned().collect(),
            by_id: loads
                .into_iter()
                .map(|load| (load.id.clone(), Arc::new(load)))
                .collect(),
            ..Self::default()
        }
    }
}

/// The volume.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct VolumeView {
    pub(crate) path: String,
    /// `events` or `polling`.
    pub(crate) watching: &'static str,
    /// In words: what is there, or what it waits for.
    pub(crate) status: String,
    pub(crate) digest: Option<String>,
    pub(crate) version: Option<String>,
    /// When it was first seen, Unix seconds.
    pub(crate) since: Option<u64>,
    /// Whether a release lies there whole; else `status` says what it waits for.
    #[serde(skip)]
    pub(crate) settled: bool,
}

/// The server.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ServerView {
    /// `None` before the first answer or failure.
    pub(crate) reachable: Option<bool>,
    pub(crate) error: Option<String>,
}

/// What is in the way of the release on the volume.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ObstacleView {
    /// `rolled_back`, `bad_data`, `cancelled` or `failing`.
    pub(crate) reason: &'static str,
    /// The same in words, and what to do.
    pub(crate) message: String,
}

impl ObstacleView {
    pub(crate) fn of(obstacle: &Obstacle) -> Self {
        Self {
            reason: obstacle.name(),
            message: obstacle.to_string(),
        }
    }
}

/// One load, as the API shows it; a stable contract: fields are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LoadView {
    pub(crate) id: String,
    /// The release that was asked for; none: whatever is there.
    pub(crate) release: Option<String>,
    /// The release it loads, once that is known.
    pub(crate) digest: Option<String>,
    pub(crate) state: State,
    /// The step of a running load.
    pub(crate) phase: Option<&'static str>,
    pub(crate) table: Option<String>,
    pub(crate) rows: u64,
    pub(crate) rows_total: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) bytes_total: Option<u64>,
    pub(crate) error: Option<String>,
    pub(crate) exit_code: Option<u8>,
    /// Unix seconds.
    pub(crate) created_at: u64,
    /// Unix seconds.
    pub(crate) updated_at: u64,
    /// What it did, in words.
    pub(crate) summary: Option<String>,
    pub(crate) report: Option<Report>,
}

impl LoadView {
    /// The picture of an entry; `running` is how far the running load is, for those that ride on it.
    pub(crate) fn of(entry: &Entry, running: Option<&Snapshot>) -> Self {
        let mut view = Self::of_record(entry.record.clone(), entry.digest.clone());
        if let (State::Running, Some(now)) = (view.state, running) {
            view.phase = Some(now.phase.name());
            view.table.clone_from(&now.table);
            (view.rows, view.rows_total) = (now.rows, now.rows_total);
            (view.bytes, view.bytes_total) = (now.bytes, now.bytes_total);
        }
        view
    }

    /// The picture of an entry that only the server's book knows.
    pub(crate) fn of_record(record: LoadRecord, digest: Option<String>) -> Self {
        let digest = digest.or(record.report.as_ref().map(|report| report.digest.clone()));
        Self {
            id: record.id,
            release: record.release,
            digest,
            state: record.state,
            phase: None,
            table: None,
            rows: record.rows,
            rows_total: None,
            bytes: record.bytes,
            bytes_total: None,
            error: record.error,
            exit_code: record.exit_code,
            created_at: record.created_at,
            updated_at: record.updated_at,
            summary: record.report.as_ref().map(Report::sentence),
            report: record.report,
        }
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
