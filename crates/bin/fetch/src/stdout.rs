//! The stored bytes, decompressed, on standard output: for a pipe into `load`, without a disk.
//!
//! Bytes are verified only when all are there, so the last of them are held back until then: a
//! stream that failed ends without the dump's trailer, and with an exit code that says so. In memory
//! are one request per connection and the decompressor.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use pilotfish_dump::compress::{self, Format};
use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::{Process, Unit};
use pilotfish_storage::{Address, Error, Object, Storage};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::checksum::{self, Digests};
use crate::config::{Config, Unpack};
use crate::find::{Found, find};
use crate::genuine;
use crate::lane::on_own_thread;
use crate::metrics::Metrics;
use crate::retry::{Retry, cancelled, failed};
use crate::unpack::{Growth, archive, damage, peek};

/// Bytes of one request.
const REQUEST: u64 = 1 << 20;

/// Bytes at the end of the stream that wait for the verification: more than any dump's trailer.
const HELD_BACK: usize = 64 << 10;

/// Chunks on their way from the connections to the decompressor.
const QUEUE: usize = 2;

/// The result of a stream: fields are added, never changed.
#[derive(Debug, Serialize)]
struct Report {
    outcome: &'static str,
    source_url: String,
    sha256: String,
    size: u64,
    written_bytes: u64,
}

/// Streams the object to standard output.
pub(crate) async fn run(
    config: &Arc<Config>,
    storage: &Arc<dyn Storage>,
    process: &Process,
    metrics: &Metrics,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let retry = Retry {
        limit: config.transfer.retries,
        cancel: cancel.clone(),
        metrics: metrics.clone(),
    };
    let object = first(config, storage, &retry).await?;
    let address = config.address.display_of(&object.key);
    let expected = checksum::expected(config, &**storage, &object, &retry).await?;
    checksum::provable(&object, &address, expected.as_deref())?;
    let progress = process.progress("fetch", Unit::Bytes, object.size);
    progress.note(&address);

    let (send, receive) = mpsc::sync_channel::<Bytes>(QUEUE);
    let sink = Sink {
        config: Arc::clone(config),
        process: process.clone(),
        object: object.clone(),
        address: address.clone(),
        expected,
    };
    let writer = tokio::task::spawn_blocking(move || sink.drain(receive));
    let source = Source {
        storage: Arc::clone(storage),
        address: config.address.clone(),
        object,
    };
    let (parallel, patient) = (config.transfer.parallel, retry.clone());
    let (shown, counted) = (progress.clone(), metrics.clone());
    let transfer = on_own_thread("stream", move || async move {
        let mut body = bytes_of(source, parallel, patient);
        while let Some(chunk) = body.try_next().await? {
            let length = chunk.len() as u64;
            // Waits while the reader of standard output is slow; fails when the writer has.
            if send.send(chunk).is_err() {
                return Ok(());
            }
            shown.advance(length);
            counted.received.inc_by(length);
        }
        // An empty chunk is the end; a closed channel without it is a failure.
        let _ = send.send(Bytes::new());
        Ok::<_, Failure>(())
    });
    let transferred = tokio::select! {
        transferred = transfer => transferred.and_then(std::convert::identity),
        () = retry.cancel.cancelled() => Err(cancelled()),
    };
    // A reader that has stopped reading must not hold up a process that is told to end.
    let written = tokio::select! {
        biased;
        () = retry.cancel.cancelled() => return Err(cancelled()),
        written = writer => written,
    };
    let written = written.map_err(|lost| Failure::new(Kind::Bug, format!("write: {lost}")))?;
    if matches!(written, Err(Unwritten::ReaderLeft)) {
        tracing::info!("the reader of standard output has seen enough");
        return Ok(());
    }
    transferred?;
    let report = written?;
    progress.finish();
    process.result(&report);
    Ok(())
}

/// Why not all of the stream was written.
#[derive(Debug)]
enum Unwritten {
    /// Whoever reads closed the pipe: its right, and its own failure to tell if it is one.
    ReaderLeft,
    Failed(Failure),
}

impl From<Failure> for Unwritten {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unwritten> for Failure {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::ReaderLeft => {
                Self::new(Kind::CannotWrite, "write to standard output: it is closed")
            }
            Unwritten::Failed(failure) => failure,
        }
    }
}

async fn first(
    config: &Config,
    storage: &Arc<dyn Storage>,
    retry: &Retry,
) -> Result<Object, Failure> {
    let listed = match find(config, &**storage, None, retry).await? {
        Found::Objects(objects) => objects.into_iter().next(),
        Found::Unchanged => None,
    };
    let listed = listed.ok_or_else(|| Failure::new(Kind::Unreachable, "find an object"))?;
    if !config.address.is_folder() {
        return Ok(listed);
    }
    // Listings have neither checksums nor version ids.
    let seen = retry.run(|| storage.head(&listed.key, None)).await?;
    Ok(seen.unwrap_or(listed))
}

/// An object and where it lies.
#[derive(Clone)]
struct Source {
    storage: Arc<dyn Storage>,
    address: Address,
    object: Object,
}

impl Source {
    fn cut_short(&self, reason: String) -> Error {
        self.address.cut_short(&self.object.key, reason)
    }
}

/// The object's bytes in order, a few requests ahead.
fn bytes_of(
    source: Source,
    parallel: usize,
    retry: Retry,
) -> std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>> {
    let size = match source.object.size {
        Some(size) if source.object.ranges => size,
        _ => return in_one_stream(source),
    };
    let parts = size.div_ceil(REQUEST);
    let requests = (0..parts).map(move |number| {
        let range = number * REQUEST..((number + 1) * REQUEST).min(size);
        let (source, retry) = (source.clone(), retry.clone());
        async move {
            let read = || one_request(&source, range.clone());
            retry.run(read).await.map_err(Failure::from)
        }
    });
    Box::pin(stream::iter(requests).buffered(parallel))
}

async fn one_request(source: &Source, range: Range<u64>) -> Result<Bytes, Error> {
    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut stream = source.storage.read(&source.object, Some(range)).await?;
    let mut bytes = Vec::with_capacity(wanted);
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    bytes.truncate(wanted);
    if bytes.len() < wanted {
        let missing = wanted - bytes.len();
        return Err(source.cut_short(format!("the answer ended {missing} bytes early")));
    }
    Ok(bytes.into())
}

/// Without ranges there is one try: bytes that were written cannot be taken back.
fn in_one_stream(
    source: Source,
) -> std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>> {
    let opening = async move {
        let size = source.object.size;
        let body = source.storage.read(&source.object, None).await?;
        let cut = move |seen: u64| source.cut_short(format!("it ended after {seen} bytes"));
        let counted = stream::try_unfold((body, 0_u64), move |(mut body, seen)| {
            let cut = cut.clone();
            async move {
                match body.next().await.transpose()? {
                    Some(chunk) => {
                        let seen = seen + chunk.len() as u64;
                        Ok(Some((chunk, (body, seen))))
                    }
                    None if size.is_some_and(|size| size != seen) => Err(cut(seen)),
                    None => Ok(None),
                }
            }
        });
        Ok::<_, Error>(counted)
    };
    let body = stream::once(opening).try_flatten().map_err(failed);
    Box::pin(body.try_filter(|chunk| std::future::ready(!chunk.is_empty())))
}

/// The blocking side: hashes, decompresses, writes, and holds the end back until it is verified.
struct Sink {
    config: Arc<Config>,
    process: Process,
    object: Object,
    address: String,
    expected: Option<String>,
}

impl Sink {
    fn drain(self, receive: mpsc::Receiver<Bytes>) -> Result<Report, Unwritten> {
        let digests = Arc::new(std::sync::Mutex::new(Stored {
            digests: Digests::new(&self.object),
            size: 0,
        }));
        let position = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let stored = Hashing {
            receive,
            chunk: Bytes::new(),
            ended: false,
            stored: Arc::clone(&digests),
            position: Arc::clone(&position),
        };
        let mut plain = self.plain(stored)?;
        let mut growth = Growth::new(position, self.config.limits);
        let mut out = self.process.stdout();
        let (written, held) = self.copy(&mut *plain, &mut out, &mut growth)?;
        drop(plain);
        let stored = Arc::into_inner(digests)
            .and_then(|stored| stored.into_inner().ok())
            .ok_or_else(|| Failure::new(Kind::Bug, "the hash is still in use"))?;
        let sha256 = stored
            .digests
            .verify(&self.address, self.expected.as_deref())?;
        out.write_all(&held)
            .and_then(|()| out.flush())
            .map_err(|error| unwritten(&error))?;
        Ok(Report {
            outcome: "streamed",
            source_url: self.address,
            sha256,
            size: stored.size,
            written_bytes: written + held.len() as u64,
        })
    }

    /// The stored bytes decompressed; refuses what no dump can begin with, and archives.
    fn plain(&self, stored: Hashing) -> Result<Box<dyn Read>, Failure> {
        let corrupt = |error: io::Error| self.corrupt(&error);
        let stored = io::BufReader::with_capacity(256 << 10, stored);
        let (head, stored) = peek(stored, archive::HEAD).map_err(corrupt)?;
        genuine::check(&head, &self.config.address, &self.address)?;
        let stored = io::BufReader::with_capacity(256 << 10, stored);
        if self.config.unpack == Unpack::Keep {
            return Ok(Box::new(stored));
        }
        let plain: Box<dyn Read> = match compress::sniff(&head) {
            Format::Plain => Box::new(stored),
            _ => Box::new(compress::reader(stored).map_err(corrupt)?),
        };
        let (head, plain) = peek(plain, archive::HEAD).map_err(corrupt)?;
        if archive::is_tar(&head) || archive::is_zip(&head) {
            let message = format!("stream {}: an archive is several files", self.address);
            let hint = "fetch it onto a volume with --to, or give --decompress keep";
            return Err(Failure::new(Kind::Config, message).with_hint(hint));
        }
        Ok(Box::new(plain))
    }

    /// Writes all but the end, which is given back with the number of bytes before it.
    fn copy(
        &self,
        plain: &mut dyn Read,
        out: &mut dyn Write,
        growth: &mut Growth,
    ) -> Result<(u64, Vec<u8>), Unwritten> {
        let mut held = Vec::with_capacity(HELD_BACK * 5);
        let mut written = 0;
        loop {
            let before = held.len();
            (&mut *plain)
                .take(4 * HELD_BACK as u64)
                .read_to_end(&mut held)
                .map_err(|error| self.corrupt(&error))?;
            let read = held.len() - before;
            if read == 0 {
                return Ok((written, held));
            }
            growth.add(read as u64).map_err(|problem| {
                Failure::new(Kind::BadData, format!("unpack {}: {problem}", self.address))
            })?;
            let free = held.len().saturating_sub(HELD_BACK);
            out.write_all(&held[..free])
                .map_err(|error| unwritten(&error))?;
            held.drain(..free);
            written += free as u64;
        }
    }

    fn corrupt(&self, error: &io::Error) -> Failure {
        let message = format!("unpack {}: {}", self.address, damage(error));
        Failure::new(Kind::BadData, message)
    }
}

fn unwritten(error: &io::Error) -> Unwritten {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Unwritten::ReaderLeft;
    }
    let message = format!("write to standard output: {error}");
    Unwritten::Failed(Failure::new(Kind::CannotWrite, message))
}

struct Stored {
    digests: Digests,
    size: u64,
}

/// The stored bytes as they come, hashed on the way.
struct Hashing {
    receive: mpsc::Receiver<Bytes>,
    chunk: Bytes,
    ended: bool,
    stored: Arc<std::sync::Mutex<Stored>>,
    position: Arc<std::sync::atomic::AtomicU64>,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        if self.chunk.is_empty() {
            self.chunk = self
                .receive
                .recv()
                .map_err(|_| io::Error::other("the transfer ended"))?;
            if self.chunk.is_empty() {
                self.ended = true;
                return Ok(0);
            }
            let mut stored = self
                .stored
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            stored.digests.update(&self.chunk);
            stored.size += self.chunk.len() as u64;
            self.position
                .store(stored.size, std::sync::atomic::Ordering::Relaxed);
        }
        let length = self.chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}
