//! One round: look at the source, and if it has something new, bring it and publish it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::Process;
use pilotfish_storage::{Object, Storage, Version, open};
use pilotfish_volume::Manifest;
use tokio_util::sync::CancellationToken;

use crate::bring::{Tried, Volume};
use crate::checksum;
use crate::config::Config;
use crate::download::Stop;
use crate::find::{Found, find};
use crate::metrics::Metrics;
use crate::report::{Outcome, Report};
use crate::retry::{Retry, failed};

/// How often a loop looks for leftovers and expired releases while there is nothing new.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// Times one round starts over because the object changed under it.
const RESTARTS: u32 = 5;

/// Refused objects that a loop remembers, so that it does not fetch them again each time.
const REFUSALS: usize = 1000;

/// What needs no second look while the volume has this very release.
#[derive(Debug)]
struct Known {
    release: String,
    version: Version,
}

/// A round's end: its outcome, the live release, and why it is not the newest object.
type Done = (Outcome, Option<Manifest>, Option<String>);

/// Runs rounds over one source and one volume.
#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) config: Arc<Config>,
    storage: Arc<dyn Storage>,
    volume: Volume,
    /// Ends a round.
    cancel: CancellationToken,
    metrics: Metrics,
    /// When leftovers were last looked for.
    tidied: Option<Instant>,
    /// The version of a lone object, if no other one can get its mark, and the release that has it.
    known: Option<Known>,
    /// Why objects were refused, by their address and version.
    refused: HashMap<String, String>,
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
        cancel: &CancellationToken,
    ) -> Self {
        let volume = Volume {
            config: Arc::clone(&config),
            storage: Arc::clone(&storage),
            root: root.to_owned(),
            process: process.clone(),
            metrics: metrics.clone(),
            cancel: cancel.clone(),
        };
        Self {
            config,
            storage,
            volume,
            cancel: cancel.clone(),
            metrics: metrics.clone(),
            tidied: None,
            known: None,
            refused: HashMap::new(),
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
        let (outcome, release, problem) = match self.undisturbed().await {
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
            cancel: self.cancel.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// Looks again when another publisher was quicker: what was picked may be the older one by now.
    async fn undisturbed(&mut self) -> Result<Done, Failure> {
        for _ in 0..=RESTARTS {
            let live = self.live().await?;
            match self.look(live).await {
                Ok(done) => return Ok(done),
                Err(Ended::Overtaken) => {
                    tracing::info!("another publisher was quicker: starting over");
                }
                Err(Ended::Failed(failure)) => return Err(failure),
            }
        }
        let message = format!(
            "publish: other publishers were quicker {} times; one publisher per volume",
            RESTARTS + 1
        );
        Err(Failure::new(Kind::Busy, message))
    }

    async fn look(&mut self, live: Option<Manifest>) -> Result<Done, Ended> {
        if let (checksum::Expected::Sha256(hex), Some(live)) = (&self.config.expected, &live)
            && live.sha256 == *hex
            && self.same_form(live)
        {
            self.tidy().await?;
            return Ok((Outcome::NothingToDo, Some(live.clone()), None));
        }
        let known = self.known_of(live.as_ref());
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
                Err(Ended::Failed(failure)) if failure.kind() == Kind::BadData => {
                    if self.config.selection.fallback > 0 {
                        tracing::warn!(error = %failure, "object refused");
                    }
                    // The newest one's refusal is the one to tell.
                    refusal.get_or_insert(failure);
                }
                Err(ended) => return Err(ended),
            }
        }
        let refusal = refusal.unwrap_or_else(|| Failure::new(Kind::Bug, "no candidate was tried"));
        Err(refusal.into())
    }

    /// The version that the live release is known to have.
    fn known_of(&self, live: Option<&Manifest>) -> Option<&Version> {
        let known = self.known.as_ref()?;
        live.is_some_and(|live| live.release == known.release)
            .then_some(&known.version)
    }

    /// Brings one object live, unless it is.
    async fn try_candidate(
        &mut self,
        mut object: Object,
        live: Option<&Manifest>,
    ) -> Result<Tried, Ended> {
        let address = self.config.address.display_of(&object.key);
        let retry = self.retry();
        let mut restarts = 0;
        if self.config.address.is_folder() {
            if let Some(tried) = self.is_there(&object, &address, live).await? {
                return Ok(tried);
            }
            // A listing tells neither checksums nor version ids.
            object = again(&*self.storage, object, &retry).await?;
        }
        loop {
            if let Some(tried) = self.is_there(&object, &address, live).await? {
                return Ok(tried);
            }
            match self.take(&object, &address, live).await {
                Ok(tried) => return Ok(tried),
                Err(Stop::Failed(failure)) => return Err(failure.into()),
                Err(Stop::Overtaken) => return Err(Ended::Overtaken),
                Err(Stop::Again(error)) => {
                    restarts += 1;
                    if restarts > RESTARTS {
                        return Err(failed(error).into());
                    }
                    tracing::info!(%error, "starting over");
                    if error.is_transient() {
                        retry.pause(restarts, error).await.map_err(Failure::from)?;
                    }
                    object = again(&*self.storage, object, &retry).await?;
                }
            }
        }
    }

    /// The live release, if it is this object.
    async fn is_there(
        &mut self,
        object: &Object,
        address: &str,
        live: Option<&Manifest>,
    ) -> Result<Option<Tried>, Failure> {
        let Some(live) = live.filter(|live| self.is_live(object, address, live)) else {
            return Ok(None);
        };
        if self.agrees(object, address, live).await? {
            self.known = Some(Known {
                release: live.release.clone(),
                version: object.version.clone(),
            });
        }
        self.tidy().await?;
        Ok(Some(Tried::Live(live.clone())))
    }

    /// Brings an object that is not live as far as its version tells, unless it was refused before.
    async fn take(
        &mut self,
        object: &Object,
        address: &str,
        live: Option<&Manifest>,
    ) -> Result<Tried, Stop> {
        let retry = self.retry();
        let looked_up = checksum::expected(&self.config, &*self.storage, object, &retry);
        let expected = Box::pin(looked_up).await?;
        if let Some(live) = live.filter(|live| Some(&live.sha256) == expected.as_ref())
            && self.same_form(live)
        {
            // Not known: a checksum file is often stored after the object, and may be the old one.
            return Ok(Tried::Live(live.clone()));
        }
        checksum::provable(object, address, expected.as_deref())?;
        let mark = format!("{address} {:?} {expected:?}", object.version.label());
        if let Some(why) = self.refused.get(&mark)
            && object.version.label().is_some()
        {
            let message = format!("take {address}: this version was refused before: {why}");
            return Err(Failure::new(Kind::BadData, message).into());
        }
        let settled = object.is_settled();
        // Boxed, as above: long chains of futures would all lie in this one.
        let brought = Box::pin(
            self.volume
                .bring(object, address, expected.as_deref(), live),
        );
        let brought = brought.await;
        match &brought {
            Ok(Tried::Live(manifest) | Tried::Published(manifest)) => {
                self.known = settled.then(|| Known {
                    release: manifest.release.clone(),
                    version: object.version.clone(),
                });
            }
            Err(Stop::Failed(failure))
                if failure.kind() == Kind::BadData && self.refused.len() < REFUSALS =>
            {
                self.refused.insert(mark, failure.to_string());
            }
            Err(_) => {}
        }
        brought
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
        if (self.known_of(Some(live))).is_some_and(|known| known.label() == label) {
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
    async fn tidy(&mut self) -> Result<(), Failure> {
        if self.tidied.is_none_or(|at| at.elapsed() >= TIDY_EVERY) {
            self.volume.tidy().await?;
            self.tidied = Some(Instant::now());
        }
        Ok(())
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

/// Looks at the object once more.
async fn again(storage: &dyn Storage, object: Object, retry: &Retry) -> Result<Object, Failure> {
    let seen = retry.run(|| storage.head(&object.key, None)).await?;
    Ok(seen.unwrap_or(object))
}

/// Why a round ended without an outcome.
enum Ended {
    /// Another publisher published since the round began.
    Overtaken,
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
