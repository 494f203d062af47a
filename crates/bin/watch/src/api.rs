//! HTTP for people and schedulers.
//!
//! - `PUT /v1/loads/{id}`, `POST /v1/loads` (id: header `Idempotency-Key`): ask for a load; 202 and
//!   `Location`, or the load of that id as it stands. Another body for the same id: 409.
//! - `GET /v1/loads/{id}?wait=30s`: where it stands, at the latest after that time. Unknown: 410.
//! - `GET /v1/loads/{id}/done?failed=500`: 404 until it has ended, then 200, or that code.
//! - `DELETE /v1/loads/{id}`: stop it. `GET /v1/loads`: the last ones.
//! - `POST /v1/drain?wait=20s`: over loopback, see [`crate::drain`].
//! - `GET /v1/state` and the page at `/`.
//!
//! Changing calls need the bearer token of `--token-file`, which is read for each of them. Errors are
//! `{"error": .., "hint": ..}`.

mod body;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{get, post};
use pilotfish_loader::State;
use pilotfish_runtime::{bearer_only, parse_duration};
use serde::Deserialize;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::control::Message;
use crate::dispatcher::Refusal;
use crate::drain::HEADER;
use crate::job::Job;
use crate::page::page;
use crate::view::{LoadView, View};
use body::{id_mistake, new_id_mistake, wish};

/// Longest body of a request, in bytes.
const BODY_LIMIT: usize = 4 << 10;

/// Longest long poll: proxies in between give up soon after a minute.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Time for the server's book to say whether an id is known.
const BOOK_PATIENCE: Duration = Duration::from_secs(5);

/// Looks into the server's book at one time for callers without a token: each is a session there.
pub(crate) const STRANGERS_LOOKS: usize = 2;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) inbox: mpsc::Sender<Message>,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) job: Arc<Job>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) drain_timeout: Duration,
    /// Permits for [`STRANGERS_LOOKS`].
    pub(crate) looks: Arc<Semaphore>,
    /// Cancelled when the process is to end: waits are over then.
    pub(crate) ended: CancellationToken,
}

/// The routes of this tool.
pub(crate) fn routes(door: Door) -> Router {
    let changing = Router::new().route("/v1/loads", post(post_load)).route(
        "/v1/loads/{id}",
        axum::routing::put(put_load).delete(delete_load),
    );
    let changing = bearer_only(changing, door.token_file.clone());
    Router::new()
        .route("/", get(index))
        .route("/v1/state", get(state))
        .route("/v1/loads", get(list))
        .route("/v1/loads/{id}", get(one))
        .route("/v1/loads/{id}/done", get(done))
        .route("/v1/drain", post(drain))
        .merge(changing)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(door)
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    error: String,
    hint: Option<String>,
}

impl Refused {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = serde_json::json!({"error": self.error, "hint": self.hint});
        (self.status, Json(body)).into_response()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    wait: Option<String>,
}

impl Wait {
    fn time(&self) -> Result<Option<Duration>, Refused> {
        let Some(text) = &self.wait else {
            return Ok(None);
        };
        parse_duration(text)
            .map(|time| Some(time.min(LONGEST_WAIT)))
            .map_err(|why| Refused::new(StatusCode::BAD_REQUEST, format!("wait: {why}")))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    failed: Option<u16>,
}

impl Door {
    fn load(&self, id: &str) -> Option<Arc<LoadView>> {
        self.view.borrow().by_id.get(id).cloned()
    }

    /// The load of an id, from memory or from the server's book; for callers with the token.
    async fn find(&self, id: &str) -> Result<Option<Arc<LoadView>>, Refused> {
        if let Some(load) = self.load(id) {
            return Ok(Some(load));
        }
        if let Some(mistake) = id_mistake(id) {
            return Err(Refused::new(StatusCode::BAD_REQUEST, mistake));
        }
        match tokio::time::timeout(BOOK_PATIENCE, self.job.record_of(id)).await {
            Ok(Ok(record)) => Ok(record.map(|record| Arc::new(LoadView::of_record(record, None)))),
            Ok(Err(failure)) => Err(unknown_for_now(&failure.to_string())),
            Err(_) => Err(unknown_for_now("the server does not answer")),
        }
    }

    /// The load of an id that must exist.
    async fn must_find(&self, id: &str) -> Result<Arc<LoadView>, Refused> {
        self.find(id).await?.ok_or_else(|| {
            Refused::new(StatusCode::GONE, format!("no load has the id {id}"))
                .hint("ask for it with PUT /v1/loads/{id}; a Service may have led to another pod")
        })
    }

    /// The same for anybody: strangers may not fill the server with sessions.
    async fn show(&self, id: &str) -> Result<Arc<LoadView>, Refused> {
        if let Some(load) = self.load(id) {
            return Ok(load);
        }
        let Ok(_look) = self.looks.try_acquire() else {
            return Err(unknown_for_now("others are looking")
                .hint("ask again; loads of the last time are answered from memory"));
        };
        self.must_find(id).await
    }

    async fn ask(&self, id: String, body: &Bytes) -> Result<Response, Refused> {
        if let Some(mistake) = new_id_mistake(&id) {
            return Err(Refused::new(StatusCode::BAD_REQUEST, mistake));
        }
        let release = wish(body).map_err(|why| Refused::new(StatusCode::BAD_REQUEST, why))?;
        // A book that cannot be read just now keeps nobody from asking: a load that was done already
        // finds nothing to do.
        if let Some(load) = self.find(&id).await.unwrap_or_default() {
            return answer_again(&load, release.as_deref());
        }
        let (reply, answer) = oneshot::channel();
        let message = Message::Ask {
            id: id.clone(),
            release: release.clone(),
            reply,
        };
        self.inbox.send(message).await.map_err(|_| ending())?;
        match answer.await {
            Ok(Ok(())) => {}
            Ok(Err(Refusal::Full)) => {
                return Err(
                    Refused::new(StatusCode::TOO_MANY_REQUESTS, "too many loads wait")
                        .hint("wait for some of them, or DELETE them"),
                );
            }
            Ok(Err(Refusal::Draining)) | Err(_) => return Err(ending()),
        }
        // It may be that of another caller with the same id.
        let load = self.load(&id).ok_or_else(ending)?;
        answer_again(&load, release.as_deref())
    }

    /// Waits until `ended` says so of the picture, for `patience` at most; false when it did not.
    async fn wait(&self, patience: Duration, mut over: impl FnMut(&View) -> bool) -> bool {
        let mut view = self.view.clone();
        tokio::select! {
            found = view.wait_for(|view| over(view)) => found.is_ok(),
            () = tokio::time::sleep(patience) => false,
            () = self.ended.cancelled() => false,
        }
    }
}

async fn put_load(
    Extract(door): Extract<Door>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refused> {
    door.ask(id, &body).await
}

async fn post_load(
    Extract(door): Extract<Door>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let id = match headers.get("idempotency-key").map(|key| key.to_str()) {
        Some(Ok(key)) => key.trim_matches('"').to_owned(),
        Some(Err(_)) => {
            return Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "Idempotency-Key is not ASCII",
            ));
        }
        None => format!("load-{:016x}", rand::random::<u64>()),
    };
    door.ask(id, &body).await
}

async fn one(
    Extract(door): Extract<Door>,
    Path(id): Path<String>,
    Query(wait): Query<Wait>,
) -> Result<Response, Refused> {
    let mut load = door.show(&id).await?;
    if let Some(patience) = wait.time()?
        && !load.state.is_terminal()
    {
        let ended = |view: &View| {
            view.by_id
                .get(&id)
                .is_some_and(|load| load.state.is_terminal())
        };
        door.wait(patience, ended).await;
        load = door.load(&id).unwrap_or(load);
    }
    Ok(Json(load.as_ref()).into_response())
}

async fn done(
    Extract(door): Extract<Door>,
    Path(id): Path<String>,
    Query(done): Query<Done>,
) -> Result<Response, Refused> {
    let failed = match done.failed {
        None => StatusCode::OK,
        Some(code) => StatusCode::from_u16(code)
            .ok()
            .filter(|code| code.as_u16() >= 200)
            .ok_or_else(|| {
                Refused::new(
                    StatusCode::BAD_REQUEST,
                    "failed: give a status from 200 to 599",
                )
            })?,
    };
    let load = door.show(&id).await?;
    let status = match load.state {
        State::Succeeded => StatusCode::OK,
        State::Failed | State::Cancelled => failed,
        State::Waiting | State::Queued | State::Running => StatusCode::NOT_FOUND,
    };
    Ok((status, Json(load.as_ref())).into_response())
}

async fn delete_load(
    Extract(door): Extract<Door>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    door.must_find(&id).await?;
    let (reply, answer) = oneshot::channel();
    door.inbox
        .send(Message::Cancel {
            id: id.clone(),
            reply,
        })
        .await
        .map_err(|_| ending())?;
    answer.await.map_err(|_| ending())?;
    let load = door.must_find(&id).await?;
    let status = if load.state.is_terminal() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    Ok((status, Json(load.as_ref())).into_response())
}

async fn list(Extract(door): Extract<Door>) -> Response {
    let view = Arc::clone(&door.view.borrow());
    Json(serde_json::json!({"loads": view.loads})).into_response()
}

async fn index(Extract(door): Extract<Door>) -> Response {
    let view = Arc::clone(&door.view.borrow());
    ([(header::CACHE_CONTROL, "no-store")], Html(page(&view))).into_response()
}

async fn state(Extract(door): Extract<Door>) -> Response {
    let view = Arc::clone(&door.view.borrow());
    ([(header::CACHE_CONTROL, "no-store")], Json(view.as_ref())).into_response()
}

/// Ends the load in flight, for the preStop hook of this pod. No token: containers of a pod share the
/// loopback interface and each other's trust; the header keeps web pages out.
async fn drain(
    Extract(door): Extract<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Query(wait): Query<Wait>,
) -> Result<Response, Refused> {
    if !peer.ip().to_canonical().is_loopback() || !headers.contains_key(HEADER) {
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            "drain comes from inside the pod only",
        )
        .hint("run `pilotfish-watch drain` in its container"));
    }
    let patience = wait.time()?.unwrap_or(door.drain_timeout);
    door.inbox
        .send(Message::Drain)
        .await
        .map_err(|_| ending())?;
    let idle = |view: &Arc<View>| view.draining && view.running.is_none();
    let mut view = door.view.clone();
    // A closed picture means that the process has come to its end.
    if tokio::time::timeout(patience, view.wait_for(idle))
        .await
        .is_ok()
    {
        return Ok(Json(serde_json::json!({"drained": true})).into_response());
    }
    Err(Refused::new(
        StatusCode::GATEWAY_TIMEOUT,
        "the running load has not ended yet",
    ))
}

/// The same id again: the same load, unless it asks for something else.
fn answer_again(load: &LoadView, release: Option<&str>) -> Result<Response, Refused> {
    if load.release.as_deref() != release {
        return Err(Refused::new(
            StatusCode::CONFLICT,
            format!("load {} was asked for with another body", load.id),
        )
        .hint("take a new id for a new wish"));
    }
    let status = if load.state.is_terminal() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    Ok(accepted(load, status))
}

fn accepted(load: &LoadView, status: StatusCode) -> Response {
    let location = format!("/v1/loads/{}", load.id);
    let headers = [
        (header::LOCATION, location),
        (header::RETRY_AFTER, "2".to_owned()),
    ];
    (status, headers, Json(load)).into_response()
}

fn ending() -> Refused {
    Refused::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "this process is about to end",
    )
    .hint("ask again: the next one takes it")
}

fn unknown_for_now(why: &str) -> Refused {
    Refused::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("cannot look into the book of loads: {why}"),
    )
}
