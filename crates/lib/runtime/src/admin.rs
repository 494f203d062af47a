//! Admin HTTP of daemons.
//!
//! - `GET /livez`: 200 as long as the process can answer; never asks a database.
//! - `GET /readyz`: 200 or 503, the reason in the body.
//! - `GET /metrics`: Prometheus text.
//! - and the tool's own routes.
//!
//! Served on a thread and an event loop of its own, so that a tool busy with a load still answers.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use pilotfish_failure::{Failure, Kind};
use prometheus::{Encoder, Gauge, IntGauge, Opts, Registry, TextEncoder};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::front::{Front, TlsListener};
use crate::process::lock;

/// Whether the tool is ready for its pod to get traffic, and why or why not.
#[derive(Debug, Clone)]
pub struct Ready {
    state: Arc<Mutex<(bool, String)>>,
}

impl Ready {
    /// Not ready, `waiting_for` something: `waiting for the first release`.
    #[must_use]
    pub fn new(waiting_for: &str) -> Self {
        Self {
            state: Arc::new(Mutex::new((false, waiting_for.to_owned()))),
        }
    }

    /// Sets whether the tool is ready, and the reason that `/readyz` shows.
    pub fn set(&self, ready: bool, why: &str) {
        *lock(&self.state) = (ready, why.to_owned());
    }

    /// Whether the tool is ready, and the reason.
    #[must_use]
    pub fn get(&self) -> (bool, String) {
        lock(&self.state).clone()
    }
}

pub(crate) fn register_process_metrics(
    tool: &str,
    registry: &Registry,
) -> Result<(), prometheus::Error> {
    let build = IntGauge::with_opts(
        Opts::new(
            format!("pilotfish_{tool}_build_info"),
            "Always 1; the version is the label.",
        )
        .const_label("version", env!("CARGO_PKG_VERSION")),
    )?;
    build.set(1);
    registry.register(Box::new(build))?;
    let started = Gauge::with_opts(Opts::new(
        format!("pilotfish_{tool}_start_time_seconds"),
        "When the process started, in seconds since the epoch.",
    ))?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    started.set(now.as_secs_f64());
    registry.register(Box::new(started))
}

pub(crate) fn serve(
    listen: SocketAddr,
    ready: Ready,
    routes: Router,
    front: Option<Front>,
    shutdown: CancellationToken,
    stop: CancellationToken,
) -> Result<SocketAddr, Failure> {
    let cannot_listen = |error: std::io::Error| {
        Failure::new(Kind::Config, format!("listen on {listen}: {error}")).with_hint(
            "choose another address with --listen; each tool in a pod needs its own port",
        )
    };
    let listener = TcpListener::bind(listen).map_err(cannot_listen)?;
    listener.set_nonblocking(true).map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let event_loop = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot_listen)?;
    let app = router(ready, shutdown).merge(routes);
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let served = async {
            match front {
                Some(front) => axum::serve(TlsListener::new(listener, front)?, app).await,
                // Handlers may ask who calls.
                None => {
                    let app = app.into_make_service_with_connect_info::<SocketAddr>();
                    axum::serve(listener, app).await
                }
            }
        };
        tokio::select! {
            served = served => served,
            () = stop.cancelled() => Ok(()),
        }
    };
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            if let Err(error) = event_loop.block_on(serve) {
                error!(%error, "admin HTTP ended");
            }
        })
        .map_err(cannot_listen)?;
    info!(%address, "admin HTTP listens");
    Ok(address)
}

fn router(ready: Ready, shutdown: CancellationToken) -> Router {
    let readyz = move || async move {
        let (is_ready, why) = ready.get();
        if shutdown.is_cancelled() {
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                "shutting down\n".to_owned(),
            );
        }
        let status = if is_ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, format!("{why}\n"))
    };
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
}

/// `/metrics` of a registry.
pub(crate) fn metrics(registry: Registry) -> Router {
    let metrics = move || async move {
        let encoder = TextEncoder::new();
        let mut text = Vec::new();
        match encoder.encode(&registry.gather(), &mut text) {
            Ok(()) => (
                [(header::CONTENT_TYPE, encoder.format_type().to_owned())],
                text,
            )
                .into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    };
    Router::new().route("/metrics", get(metrics))
}
