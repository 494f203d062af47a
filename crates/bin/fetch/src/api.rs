//! The daemon's HTTP side besides the admin routes.
//!
//! - `POST /v1/fetches`: look at the source now; 202. Needs the bearer token; off without a token file.
//! - `GET /v1/fetches`: what the page shows, as JSON.
//! - `GET /`: a page for a person.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use pilotfish_failure::Failure;
use pilotfish_runtime::bearer_only;
use pilotfish_volume::Manifest;
use serde::Serialize;
use tokio::sync::Notify;

use crate::config::Config;
use crate::metrics::{Metrics, now};
use crate::page;
use crate::report::Report;

/// Rounds that the page remembers.
const REMEMBERED: usize = 12;

/// What the daemon is doing, for whoever asks.
#[derive(Debug)]
pub(crate) struct Board {
    status: Mutex<Status>,
    metrics: Metrics,
    asked: Notify,
}

/// What the daemon is doing: fields are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Status {
    pub(crate) source: String,
    /// Which objects of a folder come into question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) matching: Option<String>,
    pub(crate) running: bool,
    pub(crate) transfer_done_bytes: i64,
    pub(crate) transfer_size_bytes: i64,
    pub(crate) consecutive_failures: i64,
    /// Why the last round failed; none after a success.
    pub(crate) problem: Option<Problem>,
    /// When a round last succeeded, in Unix seconds; 0 before the first.
    pub(crate) last_success: i64,
    pub(crate) release: Option<Manifest>,
    /// The newest first.
    pub(crate) rounds: VecDeque<Round>,
}

/// What keeps the volume from what the source has.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem {
    /// When the first of the failures in a row was, in Unix seconds.
    pub(crate) since: u64,
    pub(crate) error: String,
    /// What to look at.
    pub(crate) hint: Option<String>,
}

/// One round that ended.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    /// Unix seconds.
    pub(crate) at: u64,
    pub(crate) outcome: String,
    pub(crate) release: Option<String>,
    pub(crate) received_bytes: u64,
    pub(crate) problem: Option<String>,
}

impl Board {
    pub(crate) fn new(config: &Config, metrics: &Metrics) -> Self {
        let status = Status {
            source: config.address.to_string(),
            matching: (config.address.is_folder()).then(|| config.selection.matching.to_string()),
            running: false,
            transfer_done_bytes: 0,
            transfer_size_bytes: 0,
            consecutive_failures: 0,
            problem: None,
            last_success: 0,
            release: None,
            rounds: VecDeque::new(),
        };
        Self {
            status: Mutex::new(status),
            metrics: metrics.clone(),
            asked: Notify::new(),
        }
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn live(&self, release: &Manifest) {
        self.status().release = Some(release.clone());
    }

    pub(crate) fn release(&self) -> Option<Manifest> {
        self.status().release.clone()
    }

    pub(crate) fn begin(&self) {
        self.status().running = true;
    }

    pub(crate) fn end(&self, round: Result<&Report, &Failure>) {
        let problem = round.err();
        let round = match round {
            // A daemon that looks every minute would fill the page with nothing.
            Ok(report) if report.received_bytes == 0 && report.problem.is_none() => None,
            Ok(report) => Some(Round {
                at: now(),
                outcome: report.outcome.name().to_owned(),
                release: report
                    .release
                    .as_ref()
                    .map(|release| release.release.clone()),
                received_bytes: report.received_bytes,
                problem: report.problem.clone(),
            }),
            Err(failure) => Some(Round {
                at: now(),
                outcome: failure.kind().name().to_owned(),
                release: None,
                received_bytes: 0,
                problem: Some(failure.to_string()),
            }),
        };
        let mut status = self.status();
        status.running = false;
        status.problem = problem.map(|failure| Problem {
            since: status
                .problem
                .as_ref()
                .map_or_else(now, |first| first.since),
            error: failure.to_string(),
            hint: failure.hint().map(str::to_owned),
        });
        if let Some(round) = round {
            status.rounds.push_front(round);
            status.rounds.truncate(REMEMBERED);
        }
    }

    /// Comes back when somebody asked for a round.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    fn snapshot(&self) -> Status {
        let mut status = self.status().clone();
        status.transfer_done_bytes = self.metrics.transfer_done.get();
        status.transfer_size_bytes = self.metrics.transfer_total.get();
        status.consecutive_failures = self.metrics.consecutive_failures.get();
        status.last_success = self.metrics.last_success.get();
        status
    }
}

pub(crate) fn routes(board: &Arc<Board>, token_file: Option<PathBuf>) -> Router {
    let open = Router::new()
        .route("/", get(show_page))
        .route("/v1/fetches", get(show_status));
    let guarded = bearer_only(Router::new().route("/v1/fetches", post(ask)), token_file);
    open.merge(guarded).with_state(Arc::clone(board))
}

async fn show_page(State(board): State<Arc<Board>>) -> Html<String> {
    Html(page::render(&board.snapshot(), now()))
}

async fn show_status(State(board): State<Arc<Board>>) -> Response {
    axum::Json(board.snapshot()).into_response()
}

async fn ask(State(board): State<Arc<Board>>) -> Response {
    board.asked.notify_one();
    let answer = axum::Json(serde_json::json!({ "state": "queued" }));
    (StatusCode::ACCEPTED, answer).into_response()
}
