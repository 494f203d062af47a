//! Rounds of looking, until every server is ready in the same round or patience ends.

use std::time::Duration;

use futures_util::future::join_all;
use pilotfish_engine::Settings;
use pilotfish_failure::{Failure, Kind};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::check::{Missing, Target};
use crate::conditions::Conditions;

/// How long to wait, and how.
#[derive(Debug)]
pub(crate) struct Patience {
    /// `None` waits forever.
    pub(crate) timeout: Option<Duration>,
    pub(crate) interval: Duration,
    /// Longest look at one server.
    pub(crate) look_timeout: Duration,
    pub(crate) fail_fast: bool,
}

/// The servers and what each still lacks.
pub(crate) struct Waiting {
    targets: Vec<Target>,
    missing: Vec<Vec<Missing>>,
    conditions: Conditions,
    since: Instant,
}

/// The result document.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    ready: bool,
    seconds: f64,
    servers: Vec<ServerReport>,
}

#[derive(Debug, Serialize)]
struct ServerReport {
    server: String,
    ready: bool,
    missing: Vec<String>,
}

enum End {
    Ready,
    Hopeless(Kind),
    TimedOut,
    Cancelled,
}

impl Waiting {
    pub(crate) fn new(targets: Vec<Settings>, conditions: Conditions) -> Self {
        let missing = targets
            .iter()
            .map(|_| vec![Missing::new("no answer yet")])
            .collect();
        let targets = targets.into_iter().map(Target::new).collect();
        Self {
            targets,
            missing,
            conditions,
            since: Instant::now(),
        }
    }

    /// Waits.
    ///
    /// # Errors
    /// 124 when the time runs out, 143 when told to stop, 77 or 78 with `fail_fast`; each names what
    /// was still missing.
    pub(crate) async fn until_ready(
        &mut self,
        patience: &Patience,
        shutdown: &CancellationToken,
    ) -> Result<(), Failure> {
        let deadline = async {
            match patience.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            end = self.rounds(patience) => end,
            () = shutdown.cancelled() => End::Cancelled,
            () = deadline => End::TimedOut,
        };
        let still = self.describe();
        match end {
            End::Ready => Ok(()),
            End::Hopeless(kind) => Err(Failure::new(kind, still).with_hint(self.hint())),
            End::TimedOut => {
                let limit = patience.timeout.unwrap_or_default();
                let failure =
                    Failure::new(Kind::TimedOut, format!("waited {limit:?} in vain: {still}"));
                Err(failure.with_hint(self.hint()))
            }
            End::Cancelled => Err(Failure::new(
                Kind::Cancelled,
                format!("stopped while waiting: {still}"),
            )),
        }
    }

    async fn rounds(&mut self, patience: &Patience) -> End {
        loop {
            let conditions = &self.conditions;
            let looks = self
                .targets
                .iter_mut()
                .map(|target| target.missing_within(patience.look_timeout, conditions));
            let found = join_all(looks).await;
            let told = std::mem::replace(&mut self.missing, found);
            for ((target, before), now) in self.targets.iter().zip(&told).zip(&self.missing) {
                tell(target, before, now);
            }
            if self.missing.iter().all(Vec::is_empty) {
                return End::Ready;
            }
            let hopeless = self
                .missing
                .iter()
                .flatten()
                .find(|missing| missing.is_final());
            if let (true, Some(missing)) = (patience.fail_fast, hopeless) {
                return End::Hopeless(missing.kind);
            }
            tokio::time::sleep(patience.interval).await;
        }
    }

    /// What to do: about what waiting cannot mend, if there is such a thing.
    fn hint(&self) -> &'static str {
        hint(self.missing.iter().flatten())
            .unwrap_or("raise --timeout, or see why the server is not ready yet")
    }

    fn describe(&self) -> String {
        let named = |(target, missing): (&Target, &Vec<Missing>)| {
            let (server, texts) = (target.to_string(), list(missing));
            // Errors of the network say already where they went.
            if texts.contains(&server) {
                texts
            } else {
                format!("{server}: {texts}")
            }
        };
        let all = self.targets.iter().zip(&self.missing);
        let lacking = all.filter(|(_, missing)| !missing.is_empty());
        lacking.map(named).collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn report(&self) -> Report {
        let servers = self
            .targets
            .iter()
            .zip(&self.missing)
            .map(|(target, missing)| ServerReport {
                server: target.to_string(),
                ready: missing.is_empty(),
                missing: missing.iter().map(ToString::to_string).collect(),
            });
        Report {
            ready: self.missing.iter().all(Vec::is_empty),
            seconds: self.since.elapsed().as_secs_f64(),
            servers: servers.collect(),
        }
    }
}

/// The hint on what waiting cannot mend, else the first one.
fn hint<'a>(missing: impl Iterator<Item = &'a Missing> + Clone) -> Option<&'static str> {
    let hopeless = missing.clone().filter(|missing| missing.is_final());
    hopeless.chain(missing).find_map(|missing| missing.hint)
}

/// One line when the reasons differ from those of the round before.
fn tell(target: &Target, before: &[Missing], now: &[Missing]) {
    if before
        .iter()
        .map(|missing| &missing.what)
        .eq(now.iter().map(|missing| &missing.what))
    {
        return;
    }
    let server = target.to_string();
    if now.is_empty() {
        info!(server, "ready");
    } else if now.iter().any(Missing::is_final) {
        warn!(
            server,
            missing = list(now),
            hint = hint(now.iter()),
            "not ready, and may need a person"
        );
    } else {
        info!(server, missing = list(now), "not ready");
    }
}

fn list(missing: &[Missing]) -> String {
    let texts: Vec<_> = missing.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
