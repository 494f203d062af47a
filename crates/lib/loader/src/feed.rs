//! The dump's items, read on a thread of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pilotfish_dump::{Item, Options, Reader, Source, Summary};
use pilotfish_failure::{Failure, Kind};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Progress;
use crate::difference::{Comparison, Fresh};
use crate::items::Router;

/// Items read ahead; each is at most one chunk of rows.
const AHEAD: usize = 1;

/// A dump that is being read. Dropping it ends its thread at the next item.
#[derive(Debug)]
pub(crate) struct Feed {
    /// The database the dump names itself.
    pub(crate) database: Option<String>,
    /// Character set and collation that the dump gives it.
    pub(crate) database_charset: Option<String>,
    /// Size of the stored dump, where that is known.
    pub(crate) total: Option<u64>,
    /// What a folder holds beside the files that are read, by name.
    pub(crate) ignored: Vec<String>,
    items: mpsc::Receiver<Item>,
    read: Arc<AtomicU64>,
    thread: JoinHandle<Result<Read, Failure>>,
}

/// A dump that was read to its end.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) summary: Summary,
    /// What reading and decompressing took.
    pub(crate) unpacking: Duration,
    /// What cutting the text into statements and rows took.
    pub(crate) framing: Duration,
}

struct Opened {
    database: Option<String>,
    database_charset: Option<String>,
    total: Option<u64>,
    ignored: Vec<String>,
    read: Arc<AtomicU64>,
}

impl Feed {
    /// Opens a dump and reads as far as its first table.
    pub(crate) async fn open(source: &Source, options: Options) -> Result<Self, Failure> {
        let (send, items) = mpsc::channel(AHEAD);
        let (tell, opened) = oneshot::channel();
        let source = source.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let mut reader = Reader::open(&source, options)?;
            let database = reader.database()?;
            let about = Opened {
                database,
                database_charset: reader.database_charset(),
                total: reader.total_bytes(),
                ignored: reader.ignored().to_vec(),
                read: reader.read_bytes(),
            };
            if tell.send(about).is_err() {
                return Err(abandoned());
            }
            let mut framing = Duration::ZERO;
            loop {
                let begun = Instant::now();
                let item = reader.next()?;
                framing += begun.elapsed();
                let Some(item) = item else { break };
                send.blocking_send(item).map_err(|_| abandoned())?;
            }
            drop(send);
            let (unpacking, waiting) = (reader.unpacking(), reader.waiting_for_text());
            Ok(Read {
                summary: reader.finish()?,
                unpacking,
                framing: framing.saturating_sub(waiting),
            })
        });
        match opened.await {
            Ok(Opened {
                database,
                database_charset,
                total,
                ignored,
                read,
            }) => Ok(Self {
                database,
                database_charset,
                total,
                ignored,
                items,
                read,
                thread,
            }),
            Err(_) => match joined(thread.await) {
                Err(failure) => Err(failure),
                Ok(_) => Err(Failure::new(
                    Kind::Bug,
                    "the dump's reader ended before it began",
                )),
            },
        }
    }

    /// The next item; `None` at the end, also where an error ended it: [`Self::finish`] tells.
    pub(crate) async fn next(&mut self) -> Option<Item> {
        self.items.recv().await
    }

    /// Bytes of the stored dump read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The verdict on the whole dump.
    pub(crate) async fn finish(self) -> Result<Read, Failure> {
        joined(self.thread.await)
    }
}

/// Reads a dump to its end for its summary, and refuses what a load of it would; where its rows are compared, those that
/// are not live yet come along.
pub(crate) async fn survey(
    source: &Source,
    options: Options,
    router: Router,
    comparison: Option<Comparison>,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<(Summary, Option<Fresh>), Failure> {
    let (source, cancel, progress) = (source.clone(), cancel.clone(), progress.clone());
    let thread = tokio::task::spawn_blocking(move || {
        let mut reader = Reader::open(&source, options)?;
        let read = reader.read_bytes();
        progress.expect(reader.total_bytes(), None);
        let mut fresh = comparison.map(|comparison| {
            let Comparison {
                known,
                limit,
                marked,
            } = comparison;
            reader.compare(known, limit);
            Fresh::of(marked.into_keys().collect())
        });
        while let Some(item) = reader.next()? {
            match &item {
                Item::Statement(statement) => drop(router.route(statement)?),
                Item::Rows(rows) => drop(router.rows(rows)?),
                Item::Marks(_) => {}
            }
            if let Some(fresh) = &mut fresh {
                fresh.take(item);
            }
            if cancel.is_cancelled() {
                return Err(Failure::new(
                    Kind::Cancelled,
                    "stopped while reading the dump",
                ));
            }
            progress.read(read.load(Ordering::Relaxed));
        }
        Ok((reader.finish()?, fresh))
    });
    joined(thread.await)
}

fn joined<T>(outcome: Result<Result<T, Failure>, tokio::task::JoinError>) -> Result<T, Failure> {
    outcome.unwrap_or_else(|error| {
        Err(Failure::new(
            Kind::Bug,
            format!("the dump's reader ended: {error}"),
        ))
    })
}

fn abandoned() -> Failure {
    Failure::new(Kind::Cancelled, "nobody waits for the dump any more")
}
