//! One round: look at the source, and if it has something new, bring it and publish it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pilotfish_failure::{Context, Failure, Kind};
use pilotfish_runtime::{Process, Progress, Unit};
use pilotfish_storage::{Object, Storage, Version};
use pilotfish_volume::{Error as VolumeError, Manifest, Publisher, current};
use serde::Serialize;

use crate::checksum;
use crate::config::{Config, Unpack};
use crate::download::Stop;
use crate::find::{Found, find};
use crate::metrics::Metrics;
use crate::receive::{Receiver, blocking};
use crate::retry::Retry;
use crate::space::Space;

/// Times one round starts over because the object changed under it.
const RESTARTS: u32 = 5;

/// Refused objects that a loop remembers, so that it does not fetch them again each time.
const REFUSALS: usize = 1000;

/// How a round ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A release was published.
    Published,
    /// The volume has what the source has.
    NothingToDo,
    /// The newest object was refused, and an older one is live.
    Fallback,
    /// The source is away, and the volume has a release.
    SourceAway,
}

impl Outcome {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::NothingToDo => "nothing_to_do",
            Self::Fallback => "fallback",
            Self::SourceAway => "source_away",
        }
    }
}

/// The result of a round: fields are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    /// The live release's manifest.
    pub(crate) release: Option<Manifest>,
    /// Bytes received in this round.
    pub(crate) received_bytes: u64,
    pub(crate) seconds: f64,
    /// Why the newest object, or the source, could not be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// Runs rounds over one source and one volume.
#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) config: Arc<Config>,
    storage: Arc<dyn Storage>,
    root: PathBuf,
    process: Process,
    metrics: Metrics,
    /// The version of a lone object that the volume has.
    known: Option<Version>,
    refused: HashSet<String>,
}

/// What became of one candidate.
enum Tried {
    Live(Manifest),
    Published(Manifest),
}

impl Rounds {
    pub(crate) fn new(
        config: Arc<Config>,
        storage: Arc<dyn Storage>,
        root: &Path,
        process: &Process,
        metrics: &Metrics,
    ) -> Self {
        Self {
            config,
            storage,
            root: root.to_owned(),
            process: process.clone(),
            metrics: metrics.clone(),
            known: None,
            refused: HashSet::new(),
        }
    }

    /// The manifest of the live release, if there is one.
    pub(crate) async fn live(&self) -> Result<Option<Manifest>, Failure> {
        let root = self.root.clone();
        let release = blocking(move || current(&root).map_err(Failure::from)).await?;
        Ok(release.and_then(|release| release.manifest))
    }

    /// One round.
    pub(crate) async fn run(&mut self) -> Result<Report, Failure> {
        let started = std::time::Instant::now();
        let received = self.metrics.received.get();
        let live = self.live().await?;
        let (outcome, release, problem) = match self.look(live).await {
            Ok(done) => {
                self.metrics.source_up.set(1);
                done
            }
            Err(failure) => {
                let away = matches!(
                    failure.kind(),
                    Kind::Unreachable | Kind::Denied | Kind::TimedOut
                );
                self.metrics.source_up.set(i64::from(!away));
                return Err(failure);
            }
        };
        if let Some(manifest) = &release {
            self.metrics.live(manifest);
        }
        self.metrics
            .fallback
            .set(i64::from(outcome == Outcome::Fallback));
        Ok(Report {
            outcome,
            release,
            received_bytes: self.metrics.received.get() - received,
            seconds: started.elapsed().as_secs_f64(),
            problem,
        })
    }

    fn retry(&self) -> Retry {
        Retry {
            limit: self.config.transfer.retries,
            cancel: self.process.shutdown.clone(),
            metrics: self.metrics.clone(),
        }
    }

    async fn look(
        &mut self,
        live: Option<Manifest>,
    ) -> Result<(Outcome, Option<Manifest>, Option<String>), Failure> {
        if let (checksum::Expected::Sha256(hex), Some(live)) = (&self.config.expected, &live)
            && live.sha256 == *hex
            && self.same_form(live)
        {
            self.tidy().await;
            return Ok((Outcome::NothingToDo, Some(live.clone()), None));
        }
        let known = self.known.as_ref().filter(|_| live.is_some());
        let found = find(&self.config, &*self.storage, known, &self.retry()).await?;
        let Found::Objects(candidates) = found else {
            return Ok((Outcome::NothingToDo, live, None));
        };
        let mut refusal: Option<Failure> = None;
        for candidate in candidates {
            match self.try_candidate(candidate, live.as_ref()).await {
                Ok(tried) => {
                    let problem = refusal.map(|failure| failure.to_string());
                    return Ok(match tried {
                        _ if problem.is_some() => {
                            let (Tried::Live(manifest) | Tried::Published(manifest)) = tried;
                            (Outcome::Fallback, Some(manifest), problem)
                        }
                        Tried::Live(manifest) => (Outcome::NothingToDo, Some(manifest), None),
                        Tried::Published(manifest) => (Outcome::Published, Some(manifest), None),
                    });
                }
                Err(failure) if failure.kind() == Kind::BadData => {
                    if self.config.selection.fallback > 0 {
                        tracing::warn!(error = %failure, "object refused");
                    }
                    // The newest one's refusal is the one to tell.
                    refusal.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(refusal.unwrap_or_else(|| Failure::new(Kind::Bug, "no candidate was tried")))
    }

    /// Brings one object live, unless it is.
    async fn try_candidate(
        &mut self,
        mut object: Object,
        live: Option<&Manifest>,
    ) -> Result<Tried, Failure> {
        let address = self.config.address.display_of(&object.key);
        let retry = self.retry();
        let mut restarts = 0;
        loop {
            if let Some(live) = live.filter(|live| self.is_live(&object, &address, live)) {
                self.known = Some(object.version);
                self.tidy().await;
                return Ok(Tried::Live(live.clone()));
            }
            let expected =
                checksum::expected(&self.config, &*self.storage, &object, &retry).await?;
            if let Some(live) = live.filter(|live| Some(&live.sha256) == expected.as_ref())
                && self.same_form(live)
            {
                self.known = Some(object.version);
                return Ok(Tried::Live(live.clone()));
            }
            let mark = format!("{address} {:?} {expected:?}", object.version.label());
            if self.refused.contains(&mark) && object.version.label().is_some() {
                let message = format!("take {address}: this version was refused before");
                return Err(Failure::new(Kind::BadData, message));
            }
            match self
                .bring(&object, &address, expected.as_deref(), live)
                .await
            {
                Ok(tried) => {
                    self.known = Some(object.version);
                    return Ok(tried);
                }
                Err(Stop::Failed(failure)) => {
                    if failure.kind() == Kind::BadData && self.refused.len() < REFUSALS {
                        self.refused.insert(mark);
                    }
                    return Err(failure);
                }
                Err(Stop::Again(error)) => {
                    restarts += 1;
                    if restarts > RESTARTS {
                        return Err(error.into());
                    }
                    tracing::info!(%error, "starting over");
                    if error.is_transient() {
                        retry.pause(restarts, error).await?;
                    }
                    let seen = retry.run(|| self.storage.head(&object.key, None)).await;
                    object = seen.map_err(Failure::from)?.unwrap_or(object);
                }
            }
        }
    }

    /// Whether the live release is this version of this object, in the wanted form.
    fn is_live(&self, object: &Object, address: &str, live: &Manifest) -> bool {
        // A time is fine to a second: the object may have changed within it after it was fetched.
        let settled = object.version.is_strong()
            || object.modified.is_some_and(|modified| {
                let fetched = SystemTime::UNIX_EPOCH + Duration::from_secs(live.fetched_at);
                fetched
                    .duration_since(modified)
                    .is_ok_and(|age| age > Duration::from_secs(2))
            });
        settled
            && object.version.label().is_some()
            && object.version.label() == live.version
            && object.size.is_none_or(|size| size == live.size)
            && live.source_url == address
            && self.same_form(live)
    }

    /// The same bytes can be published unpacked or as they are.
    fn same_form(&self, live: &Manifest) -> bool {
        live.unpacked == (self.config.unpack == Unpack::Auto)
    }

    /// Downloads, verifies, unpacks and publishes under the volume's lease.
    async fn bring(
        &self,
        object: &Object,
        address: &str,
        expected: Option<&str>,
        live: Option<&Manifest>,
    ) -> Result<Tried, Stop> {
        let (root, holder) = (self.root.clone(), self.config.holder.clone());
        let publisher = Arc::new(
            blocking::<_, VolumeError>(move || Publisher::open(&root, &holder))
                .await
                .map_err(Failure::from)?,
        );
        let lease = Lease::keep(&publisher, &self.process);
        let work = self.bring_leased(&publisher, object, address, expected, live);
        tokio::select! {
            done = work => done,
            lost = lease.lost() => Err(Stop::Failed(lost)),
        }
    }

    async fn bring_leased(
        &self,
        publisher: &Arc<Publisher>,
        object: &Object,
        address: &str,
        expected: Option<&str>,
        live: Option<&Manifest>,
    ) -> Result<Tried, Stop> {
        let progress = self.progress(object, address);
        let receiver = Receiver {
            config: &self.config,
            storage: &self.storage,
            publisher,
            space: Space::new(&self.root, self.config.limits.reserve),
            retry: self.retry(),
            progress: progress.clone(),
            metrics: &self.metrics,
        };
        let received = receiver.receive(object, address, expected, live).await;
        progress.finish();
        if let Err(Stop::Failed(failure)) = &received
            && failure.kind() == Kind::BadData
        {
            // Corrupt parts must not be what the next run goes on from.
            let publisher = Arc::clone(publisher);
            let swept = blocking(move || publisher.sweep_partials(None)).await;
            swept.map_err(Failure::from)?;
        }
        let received = received?;
        if let Some(live) = live
            && live.sha256 == received.manifest.sha256
            && self.same_form(live)
        {
            let (publisher, staging) = (Arc::clone(publisher), received.staging);
            blocking(move || {
                drop(staging);
                publisher.sweep_partials(None)
            })
            .await
            .map_err(Failure::from)?;
            return Ok(Tried::Live(live.clone()));
        }
        let publisher = Arc::clone(publisher);
        let retention = self.config.retention;
        let manifest = blocking::<_, Failure>(move || {
            let release = publisher
                .publish(received.staging, &received.manifest)
                .context("publish the release")?;
            tracing::info!(release = received.manifest.release, path = %release.path.display(), "published");
            // The release is live: what cannot be removed now is removed another time.
            let swept = publisher.sweep(retention.keep, retention.keep_for);
            if let Err(error) = swept {
                tracing::warn!(%error, "old releases stay");
            }
            Ok(received.manifest)
        })
        .await?;
        Ok(Tried::Published(manifest))
    }

    fn progress(&self, object: &Object, address: &str) -> Progress {
        let total = object
            .size
            .and_then(|size| i64::try_from(size).ok())
            .unwrap_or(0);
        self.metrics.transfer_total.set(total);
        self.metrics.transfer_done.set(0);
        let progress = self.process.progress("fetch", Unit::Bytes, object.size);
        progress.note(address);
        progress
    }

    /// Removes leftovers where nothing is to be published. Another publisher at work does it itself.
    async fn tidy(&self) {
        let (root, holder) = (self.root.clone(), self.config.holder.clone());
        let retention = self.config.retention;
        let tidied = blocking(move || {
            let publisher = Publisher::open(&root, &holder)?;
            publisher.sweep_partials(None)?;
            publisher.sweep(retention.keep, retention.keep_for)?;
            Ok::<_, VolumeError>(())
        });
        match tidied.await {
            // A volume mounted read-only has nothing to tidy for us.
            Err(VolumeError::Busy { .. }) | Ok(()) => {}
            Err(error) => tracing::debug!(%error, "the volume was not tidied"),
        }
    }
}

/// Renews the volume's lease while a transfer runs.
struct Lease {
    lost: tokio::sync::oneshot::Receiver<Failure>,
    renewal: tokio::task::JoinHandle<()>,
}

impl Lease {
    fn keep(publisher: &Arc<Publisher>, process: &Process) -> Self {
        let (tell, lost) = tokio::sync::oneshot::channel();
        let publisher = Arc::clone(publisher);
        let shutdown = process.shutdown.clone();
        let renewal = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(pilotfish_volume::LEASE_RENEWAL) => {}
                    () = shutdown.cancelled() => return,
                }
                let publisher = Arc::clone(&publisher);
                let renewed = blocking(move || Ok(publisher.renew()?)).await;
                if let Err(failure) = renewed {
                    let _ = tell.send(failure);
                    return;
                }
            }
        });
        Self { lost, renewal }
    }

    /// Comes back only when the lease is lost.
    async fn lost(mut self) -> Failure {
        match (&mut self.lost).await {
            Ok(failure) => failure,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}
