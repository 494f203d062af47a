//! Hashes of stored bytes, taken while they are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use sha2::{Digest, Sha256};

use crate::postgres::archive::Files;
use crate::stored::READ;

/// A reader that hashes and counts the stored bytes on their way.
pub(crate) struct Tap {
    raw: Box<dyn Read + Send>,
    hash: Option<Hashing>,
    count: Arc<AtomicU64>,
}

impl Tap {
    /// A buffered tap over `raw` that adds to `count`.
    pub(crate) fn new(
        raw: Box<dyn Read + Send>,
        count: Arc<AtomicU64>,
    ) -> (BufReader<Self>, TapHash) {
        let hash = TapHash::default();
        let tap = Self {
            raw,
            hash: Some(Hashing::into(hash.clone())),
            count,
        };
        (BufReader::with_capacity(READ, tap), hash)
    }

    /// Nobody asks for the hash.
    pub(crate) fn only_count(&mut self) {
        self.hash = None;
    }
}

impl Read for Tap {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.raw.read(buf)?;
        if let Some(hash) = &mut self.hash {
            hash.add(&buf[..read]);
        }
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Bytes that are hashed where they are read: below, a thread is not worth its start.
const ALONE: u64 = 1 << 20;

/// Pieces that wait for the hash's thread at most.
const WAITING: usize = 8;

/// Hashes what is read, on a thread of its own where that is much: SHA-256 takes as long as all the rest of reading.
struct Hashing {
    hash: TapHash,
    bytes: u64,
    thread: Option<SyncSender<Vec<u8>>>,
}

impl Hashing {
    const fn into(hash: TapHash) -> Self {
        Self {
            hash,
            bytes: 0,
            thread: None,
        }
    }

    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        if self.thread.is_none() && self.bytes > ALONE {
            self.thread = self.hash.thread();
        }
        match &self.thread {
            None => self.hash.update(piece),
            Some(thread) => {
                self.hash.state().sent += piece.len();
                // It ends with this tap, not before.
                if thread.send(piece.to_vec()).is_err() {
                    self.hash.state().sent -= piece.len();
                }
            }
        }
    }
}

/// The hash that a [`Tap`] computes; whole once its reader has reached the end.
#[derive(Debug, Default, Clone)]
pub(crate) struct TapHash(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    hash: Sha256,
    /// Bytes sent to the thread and not hashed yet.
    sent: usize,
}

impl TapHash {
    /// The hash of what was read so far.
    pub(crate) fn hex(&self) -> String {
        let mut state = self.state();
        while state.sent > 0 {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        hex::encode(state.hash.clone().finalize())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, piece: &[u8]) {
        self.state().hash.update(piece);
    }

    /// A thread that hashes what it is sent; `None` where there is none to be had.
    fn thread(&self) -> Option<SyncSender<Vec<u8>>> {
        let (send, pieces) = sync_channel::<Vec<u8>>(WAITING);
        let hash = self.clone();
        let work = move || {
            let mut own = hash.state().hash.clone();
            for piece in pieces {
                own.update(&piece);
                let mut state = hash.state();
                state.sent -= piece.len();
                if state.sent == 0 {
                    state.hash = own.clone();
                    hash.0.1.notify_all();
                }
            }
        };
        let started = thread::Builder::new().name("sha256".to_owned()).spawn(work);
        started.is_ok().then_some(send)
    }
}

/// The hashes of an archive's files that were opened, by name.
#[derive(Debug, Default, Clone)]
pub(crate) struct FolderHashes(Arc<Mutex<BTreeMap<String, TapHash>>>);

impl FolderHashes {
    pub(crate) fn of(&self, name: &str) -> Option<String> {
        let hashes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.get(name).map(TapHash::hex)
    }

    /// Opens the files of an archive and takes note of their hashes.
    pub(crate) fn tapped(
        &self,
        files: Arc<Vec<(String, PathBuf)>>,
        count: Arc<AtomicU64>,
    ) -> Files {
        let hashes = Arc::clone(&self.0);
        Box::new(move |wanted| {
            let place = files.binary_search_by(|(name, _)| name.as_str().cmp(wanted));
            let Ok((name, path)) = place.map(|at| &files[at]) else {
                return Ok(None);
            };
            let (tap, hash) = Tap::new(Box::new(File::open(path)?), Arc::clone(&count));
            let mut hashes = hashes.lock().unwrap_or_else(PoisonError::into_inner);
            hashes.insert(name.clone(), hash);
            Ok(Some(Box::new(tap)))
        })
    }
}
