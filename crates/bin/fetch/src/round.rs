//! One round: look at the source, and if it has something new, bring it and publish it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::Process;
use pilotfish_storage::{Address, Object, Storage, Version, open};
use pilotfish_volume::{Manifest, utc};
use serde::Serialize;

use crate::bring::{Tried, Volume};
use crate::checksum;
use crate::config::Config;
use crate::download::Stop;
use crate::find::{Found, find};
use crate::metrics::Metrics;
use crate::retry::{Retry, failed};

/// How often a loop looks for leftovers and expired releases while there is nothing new.
const TIDY_EVERY: Duration = Duration::from_secs(600);

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
    /// What to look at, if somebody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Report {
    /// The report of a run that brought nothing, beside a release that is good enough.
    pub(crate) fn source_away(live: Manifest, failure: &Failure) -> Self {
        Self {
            outcome: Outcome::SourceAway,
            release: Some(live),
            received_bytes: 0,
            seconds: 0.0,
            problem: Some(failure.to_string()),
            hint: failure.hint().map(str::to_owned),
        }
    }

    /// Tells a person what became of a run whose end nothing else has told.
    pub(crate) fn tell(&self, source: &Address) {
        let Some(Manifest {
            release,
            sha256,
            fetched_at,
            ..
        }) = &self.release
        else {
            return;
        };
        let since = utc(*fetched_at);
        match self.outcome {
            Outcome::NothingToDo => {
                tracing::info!(
                    %source,
                    release,
                    sha256,
                    since,
                    "nothing new: the volume has what the source has"
                );
            }
            Outcome::Fallback => {
                tracing::warn!(
                    %source,
                    release,
                    sha256,
                    since,
                    problem = self.problem,
                    "the newest object was refused: an older one is in use"
                );
            }
            Outcome::Published | Outcome::SourceAway => {}
        }
    }
}

/// Warns that nothing came, and says what readers of the volume have instead.
pub(crate) fn warn_of(failure: &Failure, source: &Address, live: &Manifest, failures: Option<u32>) {
    let (release, sha256, since) = (&live.release, &live.sha256, utc(live.fetched_at));
    tracing::warn!(
        %source, error = %failure, hint = failure.hint(), failures, release, sha256, since,
        "nothing came from the source: the release on the volume stays in use"
    );
}

/// Runs rounds over one source and one volume.
#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) config: Arc<Config>,
    storage: Arc<dyn Storage>,
    volume: Volume,
    process: Process,
    metrics: Metrics,
    /// When leftovers were last looked for.
    tidied: Option<Instant>,
    /// The version of a lone object that the volume has, if no other one can get its mark.
    known: Option<Version>,
    refused: HashSet<String>,
    /// The last round ended with a refusal.
    denied: bool,
}

impl Rounds {
    pub(crate) fn new(
        config: Arc<Config>,
        storage: Arc<dyn Storage>,
        root: &Path,
        process: &Process,
        metrics: &Metrics,
    ) -> Self {
        let volume = Volume {
            config: Arc::clone(&config),
            storage: Arc::clone(&storage),
            root: root.to_owned(),
            process: process.clone(),
            metrics: metrics.clone(),
        };
        Self {
            config,
            storage,
            volume,
            process: process.clone(),
            metrics: metrics.clone(),
            tidied: None,
            known: None,
            refused: HashSet::new(),
            denied: false,
        }
    }

    /// The manifest of the live release, if there is one.
    pub(crate) async fn live(&self) -> Result<Option<Manifest>, Failure> {
        self.volume.live().await
    }

    /// One round.
    pub(crate) async fn run(&mut self) -> Result<Report, Failure> {
        let started = Instant::now();
        let received = self.metrics.received.get();
        self.renew_account().await?;
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
                self.denied = failure.kind() == Kind::Denied;
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
            hint: None,
        })
    }

    /// The SDK reads an account without an end from its profile once: whoever is refused looks again,
    /// since it may be another one by now.
    async fn renew_account(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.denied) {
            let opened = open(&self.config.address, &self.config.storage).await;
            self.storage = opened.inspect_err(|_| self.denied = true)?;
            self.volume.storage = Arc::clone(&self.storage);
        }
        Ok(())
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
        let mut listed = self.config.address.is_folder();
        loop {
            if let Some(live) = live.filter(|live| self.is_live(&object, &address, live)) {
                if self.agrees(&object, &address, live).await? {
                    self.known = Some(object.version);
                }
                self.tidy().await;
                return Ok(Tried::Live(live.clone()));
            }
            if std::mem::take(&mut listed) {
                // A listing tells neither checksums nor version ids.
                let seen = retry.run(|| self.storage.head(&object.key, None)).await;
                object = seen?.unwrap_or(object);
                continue;
            }
            let looked_up = checksum::expected(&self.config, &*self.storage, &object, &retry);
            let expected = Box::pin(looked_up).await?;
            if let Some(live) = live.filter(|live| Some(&live.sha256) == expected.as_ref())
                && self.same_form(live)
            {
                // Not known: a checksum file is often stored after the object, and may be the old one.
                return Ok(Tried::Live(live.clone()));
            }
            let mark = format!("{address} {:?} {expected:?}", object.version.label());
            if self.refused.contains(&mark) && object.version.label().is_some() {
                let message = format!("take {address}: this version was refused before");
                return Err(Failure::new(Kind::BadData, message));
            }
            let settled = object.is_settled();
            // Boxed, as above: long chains of futures would all lie in this one.
            let brought = Box::pin(
                self.volume
                    .bring(&object, &address, expected.as_deref(), live),
            );
            match brought.await {
                Ok(tried) => {
                    self.known = settled.then_some(object.version);
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
                        return Err(failed(error));
                    }
                    tracing::info!(%error, "starting over");
                    if error.is_transient() {
                        retry.pause(restarts, error).await?;
                    }
                    let seen = retry.run(|| self.storage.head(&object.key, None)).await;
                    object = seen?.unwrap_or(object);
                }
            }
        }
    }

    /// Whether the live release, which is this object, has the expected digest as far as anybody says;
    /// looked up once for each version. Fails when it has another one. A checksum that cannot be read
    /// now contradicts nothing: the release was verified when it came.
    async fn agrees(
        &self,
        object: &Object,
        address: &str,
        live: &Manifest,
    ) -> Result<bool, Failure> {
        let label = object.version.label();
        if (self.known.as_ref()).is_some_and(|known| known.label() == label) {
            return Ok(true);
        }
        let once = Retry {
            limit: 0,
            ..self.retry()
        };
        let looked_up = checksum::expected(&self.config, &*self.storage, object, &once);
        match Box::pin(looked_up).await {
            Ok(expected) => {
                checksum::agree(address, expected.as_deref(), &live.sha256).map(|()| true)
            }
            Err(failure) if failure.kind() == Kind::Cancelled => Err(failure),
            Err(failure) => {
                tracing::warn!(
                    object = address, error = %failure, hint = failure.hint(),
                    "no checksum to compare the live release with"
                );
                Ok(false)
            }
        }
    }

    /// Removes leftovers where nothing is to be published, now and then.
    async fn tidy(&mut self) {
        if self.tidied.is_none_or(|at| at.elapsed() >= TIDY_EVERY) {
            self.tidied = Some(Instant::now());
            self.volume.tidy().await;
        }
    }

    /// Whether the live release is this version of this object, in the wanted form.
    fn is_live(&self, object: &Object, address: &str, live: &Manifest) -> bool {
        // The manifest names only versions that were settled when they were fetched.
        object.version.label().is_some()
            && object.version.label() == live.version
            && object.size.is_none_or(|size| size == live.size)
            && live.source_url == address
            && self.same_form(live)
    }

    fn same_form(&self, live: &Manifest) -> bool {
        self.volume.same_form(live)
    }
}
