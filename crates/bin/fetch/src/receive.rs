//! One object into a staging folder: downloaded, hashed and unpacked at the same time.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use pilotfish_failure::{Context, Failure, Kind};
use pilotfish_runtime::Progress;
use pilotfish_storage::{Object, Storage};
use pilotfish_volume::{FileEntry, Manifest, Publisher, Staging, release_name};
use sha2::{Digest, Sha256};

use crate::checksum::Digests;
use crate::config::{Config, Unpack};
use crate::download::{Download, Stop};
use crate::flush::Flusher;
use crate::genuine;
use crate::inflow::Tail;
use crate::metrics::{Metrics, now};
use crate::partial::Partial;
use crate::retry::{Retry, cancelled};
use crate::space::Space;
use crate::unpack::{Unpacked, archive, check_name, is_as_stored, unpack, without_suffix};

/// Bytes hashed at once.
const CHUNK: usize = 256 << 10;

/// What receiving needs.
pub(crate) struct Receiver<'a> {
    pub(crate) config: &'a Config,
    pub(crate) storage: &'a Arc<dyn Storage>,
    pub(crate) publisher: &'a Arc<Publisher>,
    pub(crate) space: Space,
    pub(crate) retry: Retry,
    pub(crate) progress: Progress,
    pub(crate) metrics: &'a Metrics,
}

/// A staged release and its manifest.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) staging: Staging,
    pub(crate) manifest: Manifest,
}

impl Receiver<'_> {
    /// Brings the object's bytes, proves them, and lays them out as a release that is not live yet.
    pub(crate) async fn receive(
        &self,
        object: &Object,
        address: &str,
        expected: Option<&str>,
    ) -> Result<Received, Stop> {
        let name = self.name_of(object)?;
        let staging = self.stage(object, address).await?;
        let partial = self.partial(&staging, object, address).await?;
        self.require_space(&partial, address).await?;

        let digest = self.digesting(&partial, object, address);
        let unpacking = self.unpacking(&partial, &staging, &name);
        let download = self.download(&partial, object);
        let ((digests, size), unpacked) = together(download, digest, unpacking).await?;
        check_size(address, size, object.size)?;
        let sha256 = digests.verify(address, expected)?;

        let files = match unpacked {
            Unpacked::Files(files) => files,
            Unpacked::AsStored => {
                self.warn_of_suffix(&name, address);
                name_download(&partial, &staging, &name).await?;
                let sha256 = sha256.clone();
                vec![FileEntry { name, size, sha256 }]
            }
        };
        let publisher = Arc::clone(self.publisher);
        let fetched_at =
            blocking(move || publisher.time_of_next(now()).map_err(Failure::from)).await?;
        let manifest = Manifest {
            release: release_name(fetched_at, &sha256),
            source_url: address.to_owned(),
            // A mark that another version may still get is no mark of these bytes.
            version: object.version.label().filter(|_| object.is_settled()),
            size,
            sha256,
            fetched_at,
            unpacked: self.config.unpack == Unpack::Auto,
            files,
        };
        Ok(Received { staging, manifest })
    }

    /// The stored object's name on the volume.
    fn name_of(&self, object: &Object) -> Result<String, Failure> {
        let name = match &self.config.name {
            Some(name) => name.clone(),
            None => self.config.address.name_of(&object.key),
        };
        check_name(&name)
            .map_err(|problem| Failure::new(Kind::Config, format!("name {name:?}: {problem}")))?;
        Ok(name)
    }

    /// The staging folder of this version of the object; those of others are swept.
    async fn stage(&self, object: &Object, address: &str) -> Result<Staging, Failure> {
        let mark = format!("{address} {:?} {:?}", object.version, object.size);
        let digest = hex::encode(Sha256::digest(mark.as_bytes()));
        let name = digest[..16].to_owned();
        let publisher = Arc::clone(self.publisher);
        blocking(move || {
            publisher.sweep_partials(Some(&name))?;
            Ok(publisher.stage(&name)?)
        })
        .await
    }

    async fn partial(
        &self,
        staging: &Staging,
        object: &Object,
        address: &str,
    ) -> Result<Arc<Partial>, Failure> {
        let scratch: PathBuf = staging.scratch().to_owned();
        let (object, address) = (object.clone(), address.to_owned());
        let part_size = self.config.transfer.part_size;
        blocking(move || Partial::open(&scratch, &object, &address, part_size).map(Arc::new)).await
    }

    /// Room for what is still missing, before the first byte; and shows how much an earlier run left.
    async fn require_space(&self, partial: &Partial, address: &str) -> Result<(), Failure> {
        let had = partial.have();
        self.progress.set(had);
        let (space, what) = (self.space.clone(), address.to_owned());
        blocking(move || space.begin(had, &what)).await
    }

    /// Starts to hash what arrives: the digests and the size, once all of it was seen.
    fn digesting(
        &self,
        partial: &Partial,
        object: &Object,
        address: &str,
    ) -> impl Future<Output = Result<(Digests, u64), Failure>> + use<> {
        let (source, shown) = (self.config.address.clone(), address.to_owned());
        let check = move |head: &[u8]| genuine::check(head, &source, &shown);
        let digests = Digests::new(object);
        spawn(digest(follow(partial), digests, self.config.unpack, check))
    }

    /// Starts to unpack what arrives, unless it is kept as it is.
    fn unpacking(
        &self,
        partial: &Partial,
        staging: &Staging,
        name: &str,
    ) -> impl Future<Output = Result<Unpacked, Failure>> + use<> {
        let keep = self.config.unpack == Unpack::Keep;
        let (tail, into) = (follow(partial), staging.path().to_owned());
        let (limits, space, name) = (self.config.limits, self.space.clone(), name.to_owned());
        spawn(move || match keep {
            true => Ok(Unpacked::AsStored),
            false => unpack(tail, &into, &name, limits, space),
        })
    }

    fn download(&self, partial: &Arc<Partial>, object: &Object) -> Download {
        Download {
            storage: Arc::clone(self.storage),
            address: self.config.address.clone(),
            object: object.clone(),
            partial: Arc::clone(partial),
            parallel: self.config.transfer.parallel,
            retry: self.retry.clone(),
            space: self.space.clone(),
            progress: self.progress.clone(),
            metrics: self.metrics.clone(),
        }
    }

    fn warn_of_suffix(&self, name: &str, address: &str) {
        if self.config.unpack == Unpack::Auto && without_suffix(name) != name {
            tracing::warn!(
                object = address,
                "its name says that it is compressed, its content is not: published as it is"
            );
        }
    }
}

/// A reader of the download from its first byte on.
fn follow(partial: &Partial) -> Tail {
    Tail::new(partial.file(), partial.inflow())
}

/// Makes the download itself the release's file.
async fn name_download(partial: &Partial, staging: &Staging, name: &str) -> Result<(), Failure> {
    let (download, target) = (partial.path(), staging.path().join(name));
    blocking(move || fs::rename(&download, &target).context("name the file")).await
}

/// Last proof that what lies on the disk is what the source described.
fn check_size(address: &str, size: u64, expected: Option<u64>) -> Result<(), Failure> {
    match expected {
        Some(expected) if expected != size => {
            let message = format!("verify {address}: it has {size} bytes, expected {expected}");
            Err(Failure::new(Kind::BadData, message))
        }
        _ => Ok(()),
    }
}

/// Runs the download and those who follow it; the first to fail ends the others.
async fn together<D, U>(
    download: Download,
    digest: impl Future<Output = Result<D, Failure>>,
    unpacking: impl Future<Output = Result<U, Failure>>,
) -> Result<(D, U), Stop> {
    let inflow = download.partial.inflow();
    let mut download = Box::pin(download.run().fuse());
    let (mut digest, mut unpacking) = (pin!(digest.fuse()), pin!(unpacking.fuse()));
    let (mut digested, mut unpacked) = (None, None);
    let stop = loop {
        tokio::select! {
            done = &mut download => if let Err(stop) = done {
                break stop;
            },
            done = &mut digest => match done {
                Ok(done) => digested = Some(done),
                // It only heard first that the download ended, which tells why in a moment.
                Err(_) if inflow.is_broken() => {}
                Err(failure) => break failure.into(),
            },
            // What there is to unpack can be over before the last byte: that still counts.
            done = &mut unpacking => match done {
                Ok(done) => unpacked = Some(done),
                Err(_) if inflow.is_broken() => {}
                Err(failure) => break failure.into(),
            },
        }
        (digested, unpacked) = match (digested, unpacked) {
            (Some(digested), Some(unpacked)) if download.is_terminated() => {
                return Ok((digested, unpacked));
            }
            so_far => so_far,
        };
    };
    // They hear of it at once, and nobody must write into the folder any more.
    drop(download);
    if !digest.is_terminated() {
        let _ = digest.await;
    }
    if !unpacking.is_terminated() {
        let _ = unpacking.await;
    }
    Err(stop)
}

/// Hashes all that `tail` brings, and counts it; `check` sees its beginning first. What will be published as it is stored also goes to
/// the disk on the way; what will be unpacked is deleted before the disk would see it.
fn digest(
    mut tail: Tail,
    mut digests: Digests,
    unpack: Unpack,
    check: impl FnOnce(&[u8]) -> Result<(), Failure> + Send + 'static,
) -> impl FnOnce() -> Result<(Digests, u64), Failure> + Send + 'static {
    move || {
        const DOING: &str = "read the download";
        let head = tail.head(archive::HEAD).context(DOING)?;
        check(&head)?;
        let stays = unpack == Unpack::Keep || is_as_stored(&head);
        let mut flusher = stays.then(|| Flusher::start(tail.file()));
        let mut chunk = vec![0; CHUNK];
        let mut size = 0;
        loop {
            let read = tail.read(&mut chunk).context(DOING)?;
            if read == 0 {
                return Ok((digests, size));
            }
            digests.update(&chunk[..read]);
            size += read as u64;
            if let Some(flusher) = &mut flusher {
                flusher.wrote(read as u64);
            }
        }
    }
}

/// Starts blocking work at once, off the event loop.
fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> impl Future<Output = Result<T, Failure>> {
    let task = tokio::task::spawn_blocking(work);
    async move { task.await.unwrap_or_else(|_| Err(cancelled())) }
}

/// Runs blocking work off the event loop.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // A panic goes on as one; the runtime turns it into exit code 70.
        Err(lost) => std::panic::resume_unwind(lost.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_the_source_did_not_say_is_refused() {
        check_size("s3://b/k", 9, Some(9)).unwrap();
        check_size("s3://b/k", 9, None).unwrap();
        for size in [8, 10, 0] {
            let refused = check_size("s3://b/k", size, Some(9)).unwrap_err();
            assert_eq!(refused.kind(), Kind::BadData);
            assert!(refused.to_string().contains("expected 9"), "{refused}");
        }
    }
}
