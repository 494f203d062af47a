//! Looks at the volume until what lies there has settled and has a name.
//!
//! Looks are cheap (names, sizes, times); content is read once per change. A look happens when
//! inotify says so, when someone asks, and every `--rescan` whatever happens, because inotify does
//! not see NFS, other nodes and subPath mounts. A change that only a rescan finds proves the watch
//! silent: from then on the volume is polled.

mod eyes;
mod proof;
mod settle;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pilotfish_failure::{Failure, Kind};
use pilotfish_volume::{FileStamp, Fingerprint, current, fingerprint};
use tokio::sync::{Notify, mpsc};
use tracing::{info, warn};

use crate::args::WatchConfig;
use crate::dispatcher::Release;
use crate::job;
use eyes::Eyes;
use settle::{Settled, Settler};

/// An event may be on its way when a rescan finds a change: only after this long is it missing.
const EVENT_PATIENCE: Duration = Duration::from_secs(1);

/// Bounds of the polling pause, which is `--settle` otherwise.
const SHORTEST_POLL: Duration = Duration::from_millis(200);
const LONGEST_POLL: Duration = Duration::from_secs(10);

/// Plain files up to this size are read again at every rescan: a writer may have kept size and time.
const REHASH_LIMIT: u64 = 64 << 20;

/// What a look found.
#[derive(Debug)]
pub(crate) enum Sighting {
    /// Nothing, or a release with a name.
    Settled {
        look: u64,
        release: Option<Release>,
        status: String,
    },
    /// Something that is not to be loaded yet, or not at all, in words.
    Unsettled { status: String },
    /// Events did not come; from now on it polls.
    Silent,
}

/// Asks for looks, from anywhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asker {
    begun: Arc<AtomicU64>,
    wanted: Arc<Notify>,
}

impl Asker {
    /// Asks for a look; returns the number of the first look that begins after now.
    pub(crate) fn ask(&self) -> u64 {
        let number = self.begun.load(Ordering::SeqCst) + 1;
        self.wanted.notify_one();
        number
    }
}

/// Why it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Start,
    Event,
    Asked,
    Poll,
    Settle,
    Rescan,
}

/// What a fingerprint turned out to be.
#[derive(Debug, Clone)]
enum Named {
    Nothing,
    Release(Release),
    /// Not whole yet, in words.
    Incomplete(String),
}

/// The one who looks.
pub(crate) struct Observer {
    root: PathBuf,
    rescan: Duration,
    poll: Duration,
    asker: Asker,
    sightings: mpsc::Sender<Sighting>,
    eyes: Eyes,
    polling: bool,
    settler: Settler,
    last: Option<Fingerprint>,
    /// What the settled fingerprint was found to be.
    known: Option<(Fingerprint, Named)>,
    deadline: Option<Instant>,
    status: String,
}

impl Observer {
    pub(crate) fn new(
        config: &WatchConfig,
        asker: Asker,
        sightings: mpsc::Sender<Sighting>,
    ) -> Self {
        Self {
            root: config.path.clone(),
            rescan: config.rescan,
            poll: config.settle.clamp(SHORTEST_POLL, LONGEST_POLL),
            asker,
            sightings,
            eyes: Eyes::new(&config.path),
            polling: config.poll,
            settler: Settler::new(config.settle),
            last: None,
            known: None,
            deadline: None,
            status: String::new(),
        }
    }

    /// Looks until nobody listens any more.
    pub(crate) async fn run(mut self) {
        let mut rescan = tokio::time::interval(self.rescan);
        rescan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        rescan.tick().await;
        let mut reason = Reason::Start;
        loop {
            self.open_eyes();
            if !self.look(reason).await {
                return;
            }
            let poll = self.pause();
            let wanted = Arc::clone(&self.asker.wanted);
            reason = tokio::select! {
                () = self.eyes.event() => Reason::Event,
                () = wanted.notified() => Reason::Asked,
                _ = rescan.tick() => Reason::Rescan,
                why = poll => why,
                () = self.sightings.closed() => return,
            };
        }
    }

    /// The next look without any event: when files may have settled, or the next poll.
    fn pause(&self) -> impl Future<Output = Reason> + Send + use<> {
        let settle = self.deadline;
        // Nothing to watch yet counts as polling: the folder may be mounted late.
        let poll = (self.polling || !self.eyes.are_open()).then_some(self.poll);
        async move {
            match (settle, poll) {
                (Some(at), _) => {
                    tokio::time::sleep_until(at.into()).await;
                    Reason::Settle
                }
                (None, Some(poll)) => {
                    tokio::time::sleep(poll).await;
                    Reason::Poll
                }
                (None, None) => std::future::pending().await,
            }
        }
    }

    fn open_eyes(&mut self) {
        if self.polling {
            return;
        }
        if let Err(why) = self.eyes.open() {
            warn!(why, "cannot watch the volume for events: it is polled");
            self.polling = true;
        }
    }

    /// One look; false when nobody listens.
    async fn look(&mut self, reason: Reason) -> bool {
        let look = self.asker.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let found = match look_at(&self.root).await {
            Ok(found) => found,
            Err(failure) => return self.unsettled(failure.to_string()).await,
        };
        let changed = self.last.as_ref().is_some_and(|last| *last != found);
        self.last = Some(found.clone());
        if changed && reason == Reason::Rescan && !self.notice_silence().await {
            return false;
        }
        match self.settler.observe(Instant::now(), &found) {
            Settled::Yes => self.deadline = None,
            Settled::At(when) => {
                self.deadline = Some(when);
                return self
                    .unsettled("files may still be written: waiting until they settle".into())
                    .await;
            }
        }
        let rehash = reason == Reason::Rescan && is_cheap(&found);
        match self.identify(&found, rehash).await {
            Ok(Named::Release(release)) => {
                let status = match &release.version {
                    Some(version) => format!("release {} (version {version})", release.digest),
                    None => format!("release {}", release.digest),
                };
                self.settled(look, Some(release), status).await
            }
            Ok(Named::Nothing) => {
                self.settled(look, None, "nothing is there yet".to_owned())
                    .await
            }
            Ok(Named::Incomplete(why)) => self.unsettled(why).await,
            Err(failure) => {
                // Changed or swept while it was read: the next look tells.
                self.known = None;
                self.deadline = Some(Instant::now() + self.poll);
                self.unsettled(failure.to_string()).await
            }
        }
    }

    /// A change that no event announced: false when nobody listens.
    async fn notice_silence(&mut self) -> bool {
        if self.polling || !self.eyes.are_open() {
            return true;
        }
        tokio::time::sleep(EVENT_PATIENCE).await;
        if self.eyes.heard() {
            return true;
        }
        warn!(
            path = %self.root.display(),
            "the volume changed without an event (network file system or subPath mount): it is polled"
        );
        self.polling = true;
        self.sightings.send(Sighting::Silent).await.is_ok()
    }

    async fn identify(&mut self, found: &Fingerprint, rehash: bool) -> Result<Named, Failure> {
        if let Some((known, named)) = &self.known
            && known == found
            && !rehash
        {
            return Ok(named.clone());
        }
        let named = match found {
            Fingerprint::Empty => Named::Nothing,
            Fingerprint::Release(_) => self.published().await?,
            Fingerprint::Files(files) => self.plain(files, found).await?,
        };
        if look_at(&self.root).await? != *found {
            return Err(Failure::new(
                Kind::Busy,
                "files changed while they were read",
            ));
        }
        self.known = Some((found.clone(), named.clone()));
        Ok(named)
    }

    async fn plain(&self, files: &[FileStamp], found: &Fingerprint) -> Result<Named, Failure> {
        let digest = job::identify(&self.root).await?;
        if let Some(why) = proof::missing(&self.root, files, &digest).await? {
            return Ok(Named::Incomplete(why));
        }
        let path = self.root.clone();
        Ok(Named::Release(Release {
            digest,
            version: None,
            path,
            stamps: Some(found.clone()),
        }))
    }

    async fn published(&self) -> Result<Named, Failure> {
        let root = self.root.clone();
        let release = tokio::task::spawn_blocking(move || current(&root))
            .await
            .map_err(|error| Failure::new(Kind::Bug, format!("read the volume: {error}")))??;
        let Some(release) = release else {
            return Ok(Named::Nothing);
        };
        let digest = job::identify(&release.path).await?;
        let version = release.manifest.and_then(|manifest| manifest.version);
        Ok(Named::Release(Release {
            digest,
            version,
            path: release.path,
            stamps: None,
        }))
    }

    async fn settled(&mut self, look: u64, release: Option<Release>, status: String) -> bool {
        if self.status != status {
            info!(status, "volume");
            self.status.clone_from(&status);
        }
        self.sightings
            .send(Sighting::Settled {
                look,
                release,
                status,
            })
            .await
            .is_ok()
    }

    async fn unsettled(&mut self, status: String) -> bool {
        if self.status != status {
            info!(status, "volume");
            self.status.clone_from(&status);
        }
        self.sightings
            .send(Sighting::Unsettled { status })
            .await
            .is_ok()
    }
}

/// What lies at a path now, by names, sizes and times; no content is read.
pub(crate) async fn look_at(root: &Path) -> Result<Fingerprint, Failure> {
    let root = root.to_owned();
    let found = tokio::task::spawn_blocking(move || {
        let found = fingerprint(&root)?;
        // A checksum beside a single file belongs to it.
        match (found, fingerprint(&proof::beside(&root))) {
            (Fingerprint::Files(mut files), Ok(Fingerprint::Files(sums))) if root.is_file() => {
                files.extend(sums);
                Ok(Fingerprint::Files(files))
            }
            (found, _) => Ok::<_, pilotfish_volume::Error>(found),
        }
    });
    let lost = |error| Failure::new(Kind::Bug, format!("look at the volume: {error}"));
    Ok(found.await.map_err(lost)??)
}

/// Whether plain files may be read again without a change that shows.
fn is_cheap(found: &Fingerprint) -> bool {
    match found {
        Fingerprint::Files(files) => {
            files.iter().map(|file| file.size).sum::<u64>() <= REHASH_LIMIT
        }
        Fingerprint::Empty | Fingerprint::Release(_) => false,
    }
}
