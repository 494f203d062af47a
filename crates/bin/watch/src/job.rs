//! The loader and the ledger, as this tool uses them.

use std::path::Path;
use std::time::Duration;

use pilotfish_engine::{Engine, Settings};
use pilotfish_failure::{Failure, Kind};
use pilotfish_loader::{LoadRecord, Options, Progress, Report, Source, Status};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::dispatcher::Release;
use crate::source;

/// Longest wait for an answer to one question about ledger or book.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for the server, but not for ever: one that stalls (stopped, or its network is dead) says nothing.
pub(crate) async fn in_time<T>(
    what: &str,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| {
            let message = format!("{what}: no answer within {PATIENCE:?}");
            Err(Failure::new(Kind::TimedOut, message))
        })
}

/// One server and how it is loaded.
pub(crate) struct Job {
    settings: Settings,
    options: Options,
    /// Found at the first answer of the server: which kind it is, it must say itself.
    engine: OnceCell<Box<dyn Engine>>,
}

impl Job {
    pub(crate) fn new(settings: Settings, options: Options) -> Self {
        Self {
            settings,
            options,
            engine: OnceCell::new(),
        }
    }

    async fn engine(&self) -> Result<&dyn Engine, Failure> {
        let engine = self
            .engine
            .get_or_try_init(|| pilotfish_engine::open(&self.settings))
            .await?;
        Ok(engine.as_ref())
    }

    /// What the ledger says, by database; with `--into`, of that one. Also where a release is not whole: what
    /// was rolled back stays so.
    pub(crate) async fn ledger(&self) -> Result<Vec<Status>, Failure> {
        let mut ledger = pilotfish_loader::status(self.engine().await?).await?;
        if let Some(into) = &self.options.into {
            ledger.retain(|status| status.database == *into);
        }
        Ok(ledger)
    }

    /// Has the ledger speak of `release` as the volume does: a part of its dump has a digest of its own.
    pub(crate) fn as_on_volume(&self, ledger: &mut [Status], release: &Release) {
        let name = self.options.ledger_name(release.digest.clone());
        for status in ledger {
            let digests = std::iter::once(&mut status.digest).chain(&mut status.rejected);
            for digest in digests.filter(|digest| **digest == name) {
                digest.clone_from(&release.digest);
            }
        }
    }

    /// Loads a release, or finds that there is nothing to do.
    pub(crate) async fn load(
        &self,
        release: &Release,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Report, Failure> {
        let engine = self.engine().await?;
        let mut options = self.options.clone();
        if let Some(database) = &self.settings.database
            && options.default_database.is_none()
        {
            options.default_database = Some(database.read().await?);
        }
        // Files may be written to, and releases removed, while they are read: what is loaded must be what was seen.
        options.expected = Some(release.digest.clone());
        let source = Source::Path(release.path.clone());
        match pilotfish_loader::load(engine, &source, &options, progress, cancel).await {
            Err(failure) => Err(unless_moved_on(release, failure).await),
            loaded => loaded,
        }
    }

    /// Whose loads these are: a server may have a watch for each of its databases.
    fn asker(&self) -> &str {
        self.options.into.as_deref().unwrap_or_default()
    }

    pub(crate) async fn record(&self, entry: &LoadRecord) -> Result<(), Failure> {
        pilotfish_loader::record(self.engine().await?, self.asker(), entry).await
    }

    pub(crate) async fn record_of(&self, id: &str) -> Result<Option<LoadRecord>, Failure> {
        pilotfish_loader::record_of(self.engine().await?, self.asker(), id).await
    }

    pub(crate) async fn recent(&self, limit: u32) -> Result<Vec<LoadRecord>, Failure> {
        pilotfish_loader::recent(self.engine().await?, self.asker(), limit).await
    }
}

/// What was wrong with files that somebody wrote to or took away while they were read says nothing of the
/// release that is there next, not even where that has the same bytes.
async fn unless_moved_on(release: &Release, failure: Failure) -> Failure {
    if !matches!(failure.kind(), Kind::BadData | Kind::Config | Kind::Usage) {
        return failure;
    }
    let path = &release.path;
    let (moved_on, how) = match &release.stamps {
        Some(stamps) => {
            let now = source::look_at(path).await;
            (now.is_ok_and(|now| now != *stamps), "changed")
        }
        None => {
            let there = tokio::fs::try_exists(path).await;
            (matches!(there, Ok(false)), "were taken away")
        }
    };
    if !moved_on {
        return failure;
    }
    let message = format!("files {how} while they were read: {failure}");
    Failure::new(Kind::Busy, message).with_hint("what is there once they settle is loaded")
}

/// The digest of what lies at `path`; reads all of it unless a manifest says it.
pub(crate) async fn identify(path: &Path) -> Result<String, Failure> {
    pilotfish_loader::release_digest(path).await
}
