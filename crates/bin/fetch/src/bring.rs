//! The volume's side of a round: an object is received and published under the volume's lease.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotfish_failure::{Context, Failure, Kind};
use pilotfish_runtime::{Process, Progress, Unit};
use pilotfish_storage::{Object, Storage};
use pilotfish_volume::{
    Error as VolumeError, LEASE_LIFETIME, LEASE_RENEWAL, Manifest, Publisher, current_if_whole,
    name_without_link,
};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Unpack};
use crate::download::Stop;
use crate::metrics::Metrics;
use crate::receive::{Received, Receiver, blocking};
use crate::retry::Retry;
use crate::space::Space;

/// The volume that releases are published on.
#[derive(Debug)]
pub(crate) struct Volume {
    pub(crate) config: Arc<Config>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) root: PathBuf,
    pub(crate) process: Process,
    pub(crate) metrics: Metrics,
    /// Ends a transfer.
    pub(crate) cancel: CancellationToken,
}

/// What became of an object.
#[derive(Debug)]
pub(crate) enum Tried {
    /// Its bytes were live already.
    Live(Manifest),
    /// It is live now.
    Published(Manifest),
}

impl Volume {
    /// The manifest of the live release, if there is one and it is not damaged.
    pub(crate) async fn live(&self) -> Result<Option<Manifest>, Failure> {
        let root = self.root.clone();
        let release = blocking(move || current_if_whole(&root).map_err(Failure::from)).await?;
        Ok(release.and_then(|release| release.manifest))
    }

    /// Whether the live release has the wanted form: the same bytes can be published unpacked or as
    /// they are.
    pub(crate) fn same_form(&self, live: &Manifest) -> bool {
        live.unpacked == (self.config.unpack == Unpack::Auto)
    }

    /// Downloads, verifies, unpacks and publishes under the volume's lease.
    pub(crate) async fn bring(
        &self,
        object: &Object,
        address: &str,
        expected: Option<&str>,
        live: Option<&Manifest>,
    ) -> Result<Tried, Stop> {
        let publisher = Arc::new(self.publisher().await.map_err(Failure::from)?);
        let work = async {
            // The lease came late: what was live when the object was picked may be so no more.
            let held = Arc::clone(&publisher);
            let now = blocking(move || held.live().map_err(Failure::from)).await?;
            if now.and_then(|release| release.manifest).as_ref() != live {
                return Err(Stop::Overtaken);
            }
            let received = match self.receive(&publisher, object, address, expected).await {
                Err(Stop::Failed(failure)) if failure.kind() == Kind::CannotWrite => {
                    if !self.give_way(&publisher).await? {
                        return Err(failure.into());
                    }
                    self.receive(&publisher, object, address, expected).await?
                }
                received => received?,
            };
            self.publish(&publisher, received, live)
                .await
                .map_err(Stop::from)
        };
        let mut lease = Lease::keep(&publisher, LEASE_RENEWAL);
        let mut done = lease.while_held(work).await;
        if matches!(done, Err(Stop::Failed(_)))
            && let Some(lost) = lost(&publisher).await
        {
            // Whoever took over has swept what this one worked in: that is why it failed.
            done = Err(lost.into());
        }
        if let Err(Stop::Failed(failure)) = &done
            && matches!(failure.kind(), Kind::BadData | Kind::CannotWrite)
        {
            // Corrupt parts must not be what the next run goes on from, and parts that do not fit
            // must not keep the disk full.
            if let Err(error) = sweep_partials(&publisher).await {
                tracing::warn!(%error, "the partial download stays");
            }
        }
        lease.end().await;
        done
    }

    async fn publisher(&self) -> Result<Publisher, VolumeError> {
        let (root, holder) = (self.root.clone(), self.config.holder.clone());
        blocking(move || Publisher::open(&root, &holder)).await
    }

    async fn receive(
        &self,
        publisher: &Arc<Publisher>,
        object: &Object,
        address: &str,
        expected: Option<&str>,
    ) -> Result<Received, Stop> {
        let progress = self.progress(object, address);
        let receiver = Receiver {
            config: &self.config,
            storage: &self.storage,
            publisher,
            space: Space::new(&self.root, self.config.limits.reserve, object.size),
            retry: Retry {
                limit: self.config.transfer.retries,
                cancel: self.cancel.clone(),
                metrics: self.metrics.clone(),
            },
            progress: progress.clone(),
            metrics: &self.metrics,
        };
        let received = receiver.receive(object, address, expected).await;
        progress.finish();
        received
    }

    fn progress(&self, object: &Object, address: &str) -> Progress {
        let total = object.size.and_then(|size| i64::try_from(size).ok());
        self.metrics.transfer_total.set(total.unwrap_or(0));
        self.metrics.transfer_done.set(0);
        let progress = self.process.progress("fetch", Unit::Bytes, object.size);
        progress.note(address);
        progress
    }

    /// Removes the releases that only `--keep-for` protects; whether that made room.
    async fn give_way(&self, publisher: &Arc<Publisher>) -> Result<bool, Failure> {
        let (publisher, keep) = (Arc::clone(publisher), self.config.retention.keep);
        let swept = blocking(move || publisher.sweep(keep, Duration::ZERO)).await?;
        if swept.releases.is_empty() {
            return Ok(false);
        }
        tracing::warn!(releases = ?swept.releases, "space is short: old releases removed early");
        Ok(true)
    }

    async fn publish(
        &self,
        publisher: &Arc<Publisher>,
        received: Received,
        live: Option<&Manifest>,
    ) -> Result<Tried, Failure> {
        let Received { staging, manifest } = received;
        let same = |live: &&Manifest| live.sha256 == manifest.sha256 && self.same_form(live);
        if let Some(live) = live.filter(same) {
            sweep_partials(publisher).await?;
            return Ok(Tried::Live(live.clone()));
        }
        let publisher = Arc::clone(publisher);
        let retention = self.config.retention;
        blocking::<_, Failure>(move || {
            let release = publisher
                .publish(staging, &manifest)
                .context("publish the release")?;
            let path = release.path.display();
            tracing::info!(release = manifest.release, %path, "published");
            // The release is live: what cannot be removed now is removed another time.
            if let Err(error) = publisher.sweep(retention.keep, retention.keep_for) {
                tracing::warn!(%error, "old releases stay");
            }
            Ok(Tried::Published(manifest))
        })
        .await
    }

    /// Removes leftovers where nothing is to be published. Another publisher at work does it itself.
    /// Fails when a name of the live release leads nowhere and cannot be mended.
    pub(crate) async fn tidy(&self) -> Result<(), Failure> {
        let retention = self.config.retention;
        let tidied = async {
            let publisher = self.publisher().await?;
            blocking(move || {
                publisher.sweep_partials(None)?;
                publisher.sweep(retention.keep, retention.keep_for)
            })
            .await
        };
        let error = match tidied.await {
            Err(VolumeError::Busy { .. }) | Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let root = self.root.clone();
        let hidden = blocking(move || name_without_link(&root).map_err(Failure::from)).await?;
        match hidden {
            Some(name) => {
                let doing = format!("link {} to the live release", name.display());
                Err(Failure::from(error).context(doing))
            }
            None => {
                // A volume mounted read-only has nothing to tidy for us.
                tracing::debug!(%error, "the volume was not tidied");
                Ok(())
            }
        }
    }
}

/// The loss of the lease, if it is lost.
async fn lost(publisher: &Arc<Publisher>) -> Option<Failure> {
    let publisher = Arc::clone(publisher);
    let renewed = blocking(move || publisher.renew()).await;
    (renewed.err())
        .filter(|error| matches!(error, VolumeError::LeaseLost { .. }))
        .map(Failure::from)
}

async fn sweep_partials(publisher: &Arc<Publisher>) -> Result<(), Failure> {
    let publisher = Arc::clone(publisher);
    Ok(blocking(move || publisher.sweep_partials(None)).await?)
}

/// Renews the volume's lease while a transfer runs.
struct Lease {
    lost: tokio::sync::oneshot::Receiver<Failure>,
    renewal: tokio::task::JoinHandle<()>,
}

impl Lease {
    /// A shutdown does not end the renewal: what is done until then is still done under the lease.
    fn keep(publisher: &Arc<Publisher>, every: Duration) -> Self {
        let (tell, lost) = tokio::sync::oneshot::channel();
        let publisher = Arc::clone(publisher);
        let renewal = tokio::spawn(async move {
            let mut renewed = Instant::now();
            loop {
                tokio::time::sleep(every).await;
                let publisher = Arc::clone(&publisher);
                let now = Instant::now();
                match blocking(move || publisher.renew()).await {
                    Ok(()) => renewed = now,
                    // A disk that does not answer now may do so at the next of the three chances.
                    Err(error)
                        if !matches!(error, VolumeError::LeaseLost { .. })
                            && renewed.elapsed() < LEASE_LIFETIME =>
                    {
                        tracing::warn!(%error, "the lease was not renewed: trying again");
                    }
                    Err(error) => {
                        let _ = tell.send(error.into());
                        return;
                    }
                }
            }
        });
        Self { lost, renewal }
    }

    /// Does work that needs the lease; to lose it ends the work.
    async fn while_held<T>(
        &mut self,
        work: impl Future<Output = Result<T, Stop>>,
    ) -> Result<T, Stop> {
        tokio::select! {
            done = work => done,
            lost = self.lost() => Err(Stop::Failed(lost)),
        }
    }

    /// Comes back only when the lease is lost.
    async fn lost(&mut self) -> Failure {
        match (&mut self.lost).await {
            Ok(failure) => failure,
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops the renewal and waits for it: the publisher, and the lease with it, is given up by
    /// whoever holds it last, and that must not be a task the process ends without.
    async fn end(&mut self) {
        self.renewal.abort();
        let _ = (&mut self.renewal).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, metadata};
    use std::time::SystemTime;

    use pilotfish_harness::{PATIENCE, World};

    use super::*;

    const OFTEN: Duration = Duration::from_millis(10);

    fn publisher(world: &World) -> Arc<Publisher> {
        Arc::new(Publisher::open(&world.join("volume"), "pod-a").unwrap())
    }

    #[tokio::test]
    async fn the_lease_is_renewed_for_as_long_as_a_drain_takes() {
        let world = World::new();
        let publisher = publisher(&world);
        let path = world.join("volume/..lease");
        let modified = || metadata(&path).unwrap().modified().unwrap();
        let shutdown = CancellationToken::new();
        let mut lease = Lease::keep(&publisher, OFTEN);
        let drain = async {
            shutdown.cancelled().await;
            for _ in 0..5 {
                let file = File::options().append(true).open(&path).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
                while modified() == SystemTime::UNIX_EPOCH {
                    tokio::time::sleep(OFTEN).await;
                }
            }
            Ok::<_, Stop>(())
        };
        shutdown.cancel();
        let renewed = tokio::time::timeout(PATIENCE, lease.while_held(drain));
        renewed.await.expect("five renewals").unwrap();
        lease.end().await;
        drop(publisher);
        assert!(!path.exists(), "the lease is still there");
    }

    #[tokio::test]
    async fn a_renewal_that_fails_once_does_not_end_the_work() {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let world = World::new();
        let publisher = publisher(&world);
        let (path, aside) = (world.join("volume/..lease"), world.join("volume/aside"));
        // A folder cannot be read as a lease.
        std::fs::create_dir(&aside).unwrap();
        let exchange = || renameat_with(CWD, &path, CWD, &aside, RenameFlags::EXCHANGE).unwrap();
        let mut lease = Lease::keep(&publisher, OFTEN);
        let work = async {
            exchange();
            assert!(publisher.renew().is_err());
            tokio::time::sleep(10 * OFTEN).await;
            exchange();
            tokio::time::sleep(10 * OFTEN).await;
            publisher
                .renew()
                .map_err(|error| Failure::from(error).into())
        };
        lease.while_held(work).await.unwrap();
        lease.end().await;
    }

    #[tokio::test]
    async fn work_ends_when_its_lease_is_lost() {
        let world = World::new();
        let publisher = publisher(&world);
        let mut lease = Lease::keep(&publisher, OFTEN);
        world.write(
            "volume/..lease",
            r#"{"holder":"pod-b","nonce":"n","boot":"b"}"#,
        );
        let work = std::future::pending::<Result<(), Stop>>();
        let lost = tokio::time::timeout(PATIENCE, lease.while_held(work)).await;
        let Ok(Err(Stop::Failed(lost))) = lost else {
            panic!("the work went on: {lost:?}");
        };
        assert_eq!(lost.kind(), Kind::Busy);
        lease.end().await;
    }
}
