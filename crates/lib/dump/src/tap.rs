//! Hashes of stored bytes, taken while they are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::postgres::archive::Files;
use crate::stored::READ;

/// A reader that hashes and counts the stored bytes on their way.
pub(crate) struct Tap {
    raw: Box<dyn Read + Send>,
    hash: Option<Arc<Mutex<Sha256>>>,
    count: Arc<AtomicU64>,
}

/// The hash that a [`Tap`] computes; whole once its reader has reached the end.
#[derive(Debug, Default, Clone)]
pub(crate) struct TapHash(Arc<Mutex<Sha256>>);

impl Tap {
    /// A buffered tap over `raw` that adds to `count`.
    pub(crate) fn new(
        raw: Box<dyn Read + Send>,
        count: Arc<AtomicU64>,
    ) -> (BufReader<Self>, TapHash) {
        let hash = TapHash::default();
        let tap = Self {
            raw,
            hash: Some(Arc::clone(&hash.0)),
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
        if let Some(hash) = &self.hash {
            let mut hash = hash.lock().unwrap_or_else(PoisonError::into_inner);
            hash.update(&buf[..read]);
        }
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl TapHash {
    pub(crate) fn hex(&self) -> String {
        let hash = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        hex::encode(hash.finalize())
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
