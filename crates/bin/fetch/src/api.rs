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
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use pilotfish_failure::Failure;
use pilotfish_volume::Manifest;
use serde::Serialize;
use tokio::sync::Notify;

use crate::config::Config;
use crate::metrics::{Metrics, now};
use crate::page;
use crate::round::Report;

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
    pub(crate) running: bool,
    pub(crate) transfer_done_bytes: i64,
    pub(crate) transfer_size_bytes: i64,
    pub(crate) consecutive_failures: i64,
    pub(crate) release: Option<Manifest>,
    /// The newest first.
    pub(crate) rounds: VecDeque<Round>,
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
            running: false,
            transfer_done_bytes: 0,
            transfer_size_bytes: 0,
            consecutive_failures: 0,
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

    pub(crate) fn begin(&self) {
        self.status().running = true;
    }

    pub(crate) fn end(&self, round: Result<&Report, &Failure>) {
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
        status
    }
}

#[derive(Clone)]
struct Shared {
    board: Arc<Board>,
    token_file: Option<PathBuf>,
}

pub(crate) fn routes(board: &Arc<Board>, token_file: Option<PathBuf>) -> Router {
    let shared = Shared {
        board: Arc::clone(board),
        token_file,
    };
    Router::new()
        .route("/", get(show_page))
        .route("/v1/fetches", get(show_status).post(ask))
        .with_state(shared)
}

async fn show_page(State(shared): State<Shared>) -> Html<String> {
    Html(page::render(&shared.board.snapshot(), now()))
}

async fn show_status(State(shared): State<Shared>) -> Response {
    axum::Json(shared.board.snapshot()).into_response()
}

async fn ask(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let refuse = |status: StatusCode, error: &str| {
        (status, axum::Json(serde_json::json!({ "error": error }))).into_response()
    };
    let Some(path) = &shared.token_file else {
        return refuse(
            StatusCode::FORBIDDEN,
            "this call is off: start with --token-file",
        );
    };
    // Read for each call, so that a rotated token needs no restart.
    let token = match tokio::fs::read_to_string(path).await {
        Ok(token) if !token.trim().is_empty() => token,
        Ok(_) => return refuse(StatusCode::SERVICE_UNAVAILABLE, "the token file is empty"),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot read the token file");
            return refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "the token file cannot be read",
            );
        }
    };
    if !is_bearer(&headers, token.trim()) {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "the bearer token is missing or wrong",
        );
    }
    shared.board.asked.notify_one();
    (
        StatusCode::ACCEPTED,
        axum::Json(serde_json::json!({ "state": "queued" })),
    )
        .into_response()
}

/// Compares without telling by its time how much of a guess was right.
fn is_bearer(headers: &HeaderMap, token: &str) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let Some((scheme, given)) = given.and_then(|value| value.split_once(' ')) else {
        return false;
    };
    let (given, token) = (given.trim().as_bytes(), token.as_bytes());
    let differences = given
        .iter()
        .zip(token)
        .fold(0, |seen, (a, b)| seen | (a ^ b));
    scheme.eq_ignore_ascii_case("bearer") && given.len() == token.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let with =
            |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert!(is_bearer(&with("Bearer secret"), "secret"));
        assert!(is_bearer(&with("bearer secret"), "secret"));
        for wrong in [
            "Bearer secre",
            "Bearer secrets",
            "Bearer ",
            "Basic secret",
            "secret",
        ] {
            assert!(!is_bearer(&with(wrong), "secret"), "{wrong}");
        }
        assert!(!is_bearer(&HeaderMap::new(), "secret"));
    }
}
