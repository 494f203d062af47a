//! Telling `watch` about a release, until it accepts.
//!
//! At least once, and again at each start: the id is the release's name, so that hearing of the same
//! release twice does nothing twice. Only the newest release is told.

use std::time::Duration;

use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::read_token;
use pilotfish_storage::Options;
use pilotfish_volume::Manifest;
use reqwest::{Client, Url};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Notify;
use crate::metrics::Metrics;
use crate::retry::{backoff, cancelled};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Longest wait for one answer: `watch` answers before it loads.
const ANSWER: Duration = Duration::from_secs(30);

/// Knows how to tell one `watch`.
#[derive(Debug, Clone)]
pub(crate) struct Notifier {
    client: Client,
    config: Notify,
    metrics: Metrics,
    shutdown: CancellationToken,
}

impl Notifier {
    pub(crate) fn new(
        config: &Notify,
        storage: &Options,
        metrics: &Metrics,
        shutdown: &CancellationToken,
    ) -> Result<Self, Failure> {
        Ok(Self {
            client: pilotfish_storage::direct_http_client(storage)?,
            config: config.clone(),
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
        })
    }

    /// Tells of one release, for as long as the configuration allows.
    pub(crate) async fn tell_once(&self, release: &Manifest) -> Result<(), Failure> {
        let (_newest, nothing_newer) = watch::channel(None);
        let patience = self.config.patience;
        match tokio::time::timeout(patience, self.tell(release, nothing_newer)).await {
            Ok(told) => told,
            Err(_) => {
                let message = format!(
                    "notify {}: not accepted within {patience:?}",
                    self.config.url
                );
                Err(Failure::new(Kind::Unreachable, message)
                    .with_hint("the release is published; see the warnings above for the answers"))
            }
        }
    }

    /// Tells of each release that `newest` brings, until shutdown.
    pub(crate) async fn tell_all(self, mut newest: watch::Receiver<Option<Manifest>>) {
        loop {
            let release = newest.borrow_and_update().clone();
            if let Some(release) = release
                && self.tell(&release, newest.clone()).await.is_err()
            {
                return;
            }
            tokio::select! {
                changed = newest.changed() => if changed.is_err() { return },
                () = self.shutdown.cancelled() => return,
            }
        }
    }

    /// Tells until it is accepted, or there is a newer release. Fails only at shutdown.
    async fn tell(
        &self,
        release: &Manifest,
        mut newer: watch::Receiver<Option<Manifest>>,
    ) -> Result<(), Failure> {
        self.metrics.notify_pending.set(1);
        let mut failures = 0;
        loop {
            let problem = tokio::select! {
                put = self.put(release) => match put {
                    Ok(()) => {
                        self.metrics.notify_pending.set(0);
                        tracing::info!(release = release.release, "notified");
                        return Ok(());
                    }
                    Err(problem) => problem,
                },
                () = self.shutdown.cancelled() => return Err(cancelled()),
            };
            failures += 1;
            self.metrics.notify_failures.inc();
            tracing::warn!(to = %self.config.url, problem, failures, "notification not accepted");
            tokio::select! {
                () = tokio::time::sleep(backoff(failures, FIRST_PAUSE, LONGEST_PAUSE)) => {}
                Ok(()) = newer.changed() => return Ok(()),
                () = self.shutdown.cancelled() => return Err(cancelled()),
            }
        }
    }

    /// One call; the answer's meaning in words when it is not accepted.
    async fn put(&self, release: &Manifest) -> Result<(), String> {
        let url = load_url(&self.config.url, &release.release)?;
        let body = serde_json::json!({ "release": release.sha256 }).to_string();
        let mut request = self
            .client
            .put(url)
            .timeout(ANSWER)
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(path) = &self.config.token_file {
            let file = path.display();
            let token = read_token(path)
                .await
                .map_err(|error| format!("the token file {file} cannot be read: {error}"))?
                .ok_or_else(|| format!("the token file {file} is empty"))?;
            request = request.bearer_auth(token);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| chain(&error.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("the answer is {status}")),
        }
    }
}

/// `{base}/v1/loads/{id}`.
fn load_url(base: &Url, id: &str) -> Result<Url, String> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| "the address cannot have a path".to_owned())?
        .pop_if_empty()
        .extend(["v1", "loads", id]);
    Ok(url)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
