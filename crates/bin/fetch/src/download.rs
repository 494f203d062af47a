//! Bytes of one version of an object into a file: ranges in parallel, each going on where it was cut.

use std::sync::Arc;

use futures_util::StreamExt;
use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::Progress;
use pilotfish_storage::{Address, Error, LEAST, Object, Storage};
use tokio::task::JoinSet;

use crate::inflow::Source;
use crate::lane::on_own_thread;
use crate::metrics::Metrics;
use crate::partial::{Part, Partial};
use crate::retry::{Retry, Retrying, cancelled, failed};
use crate::space::{Bytes, Space};

/// Bytes gathered before a write, and the size at which another chunk may not fit. Each connection
/// holds one such buffer besides the client's own, which is as large.
const BUFFER: usize = 512 << 10;
const ENOUGH: usize = 256 << 10;

/// Why a download ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The bytes so far are of no use: the object changed, or came without ranges and was cut.
    Again(Error),
    /// Another publisher published since the round began.
    Overtaken,
    /// There is no use in going on.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Retrying> for Stop {
    fn from(retrying: Retrying) -> Self {
        match retrying {
            Retrying::Storage(error @ Error::Changed { .. }) => Self::Again(error),
            other => Self::Failed(other.into()),
        }
    }
}

/// One download.
#[derive(Debug, Clone)]
pub(crate) struct Download {
    pub(crate) storage: Arc<dyn Storage>,
    /// Names the object in messages: its key may hold a password or a signature.
    pub(crate) address: Address,
    pub(crate) object: Object,
    pub(crate) partial: Arc<Partial>,
    pub(crate) parallel: usize,
    pub(crate) retry: Retry,
    pub(crate) space: Space,
    pub(crate) progress: Progress,
    pub(crate) metrics: Metrics,
}

impl Download {
    /// Downloads what is missing. Dropping the future stops it.
    pub(crate) async fn run(self) -> Result<(), Stop> {
        on_own_thread("download", move || self.transfer()).await?
    }

    async fn transfer(self) -> Result<(), Stop> {
        // Whatever way this ends, those who follow the file hear of it.
        let source = Source(self.partial.inflow());
        if self.object.ranges && self.object.size.is_some() {
            self.in_parts().await?;
        } else {
            self.in_one_stream().await?;
        }
        source.0.complete();
        Ok(())
    }

    async fn in_parts(&self) -> Result<(), Stop> {
        let mut workers = JoinSet::new();
        for _ in 0..self.parallel {
            let download = self.clone();
            workers.spawn(async move {
                while let Some(part) = download.partial.take() {
                    download.part(part).await?;
                }
                Ok::<_, Stop>(())
            });
        }
        loop {
            let ended = tokio::select! {
                ended = workers.join_next() => ended,
                () = self.retry.cancel.cancelled() => return Err(cancelled().into()),
            };
            match ended {
                None => return Ok(()),
                Some(Ok(outcome)) => outcome?,
                Some(Err(lost)) => {
                    return Err(Failure::new(Kind::Bug, format!("download: {lost}")).into());
                }
            }
        }
    }

    /// One part, over as many requests as it takes.
    async fn part(&self, part: Part) -> Result<(), Stop> {
        let mut at = part.start;
        let mut failures = 0;
        while at < part.end {
            let before = at;
            let error = match self.some_of(part, &mut at).await? {
                Ok(()) if at == part.end => return Ok(()),
                Ok(()) => self.cut_short(format!("the answer ended {} bytes early", part.end - at)),
                Err(error) => error,
            };
            // Tries are counted without bytes in between: a long transfer may be cut often.
            failures = if at - before >= LEAST {
                1
            } else {
                failures + 1
            };
            self.retry.pause(failures, error).await?;
        }
        Ok(())
    }

    /// One request: what it brings is written even if it is cut. The inner error is the source's.
    async fn some_of(&self, part: Part, at: &mut u64) -> Result<Result<(), Error>, Failure> {
        let range = *at..part.end;
        let mut stream = match self.storage.read(&self.object, Some(range)).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            let chunk = stream.next().await;
            if let Some(Ok(chunk)) = &chunk {
                let wanted = usize::try_from(part.end - *at).unwrap_or(usize::MAX) - buffer.len();
                buffer.extend_from_slice(&chunk[..chunk.len().min(wanted)]);
            }
            let last = !matches!(chunk, Some(Ok(_)));
            if !buffer.is_empty() && (last || buffer.len() >= ENOUGH) {
                let length = buffer.len() as u64;
                self.written(length, self.partial.write(part, &buffer))?;
                *at += length;
                buffer.clear();
            }
            match chunk {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Ok(Err(error)),
                None => return Ok(Ok(())),
            }
        }
    }

    /// For servers without ranges. What was cut cannot go on: the whole is asked for again.
    async fn in_one_stream(&self) -> Result<(), Stop> {
        let work = async {
            let read = self.storage.read(&self.object, None);
            let mut stream = read.await.map_err(|error| self.stop(error))?;
            let mut at = 0;
            let mut buffer = Vec::with_capacity(BUFFER);
            loop {
                let chunk = stream
                    .next()
                    .await
                    .transpose()
                    .map_err(|error| self.stop(error))?;
                if let Some(chunk) = &chunk {
                    buffer.extend_from_slice(chunk);
                }
                if !buffer.is_empty() && (chunk.is_none() || buffer.len() >= ENOUGH) {
                    let length = buffer.len() as u64;
                    self.written(length, self.partial.append(at, &buffer))?;
                    at += length;
                    buffer.clear();
                }
                if chunk.is_none() {
                    return match self.object.size {
                        Some(size) if size != at => Err(Stop::Again(
                            self.cut_short(format!("it ended after {at} of {size} bytes")),
                        )),
                        _ => Ok(()),
                    };
                }
            }
        };
        tokio::select! {
            done = work => done,
            () = self.retry.cancel.cancelled() => Err(cancelled().into()),
        }
    }

    fn cut_short(&self, reason: String) -> Error {
        self.address.cut_short(&self.object.key, reason)
    }

    fn stop(&self, error: Error) -> Stop {
        if error.is_transient() || matches!(error, Error::Changed { .. }) {
            Stop::Again(error)
        } else {
            Stop::Failed(failed(error))
        }
    }

    /// Accounts for bytes that were written. This thread's own event loop waits for the disk: what
    /// the disk does not take, nobody needs to read from the network.
    fn written(&self, length: u64, outcome: std::io::Result<()>) -> Result<(), Failure> {
        outcome.map_err(|error| self.space.ran_out(error, "the download"))?;
        self.space.spend(length, Bytes::Stored)?;
        self.progress.advance(length);
        self.metrics.received.inc_by(length);
        let length = i64::try_from(length).unwrap_or(0);
        self.metrics.transfer_done.add(length);
        Ok(())
    }
}
