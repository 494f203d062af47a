//! A file that is read in order while it is still being filled.
//!
//! Parts arrive in any order at their offsets; readers on their own threads follow the gapless
//! beginning, wait where it ends, and are told when nothing more will come.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How far the gapless beginning of a file reaches.
#[derive(Debug, Default)]
pub(crate) struct Inflow {
    level: Mutex<Level>,
    risen: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Level {
    ready: u64,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Broken,
}

impl Inflow {
    fn level(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first `ready` bytes of the file are there.
    pub(crate) fn rise(&self, ready: u64) {
        let mut level = self.level();
        level.ready = level.ready.max(ready);
        drop(level);
        self.risen.notify_all();
    }

    /// The file has all its bytes.
    pub(crate) fn complete(&self) {
        self.end(End::Complete);
    }

    fn end(&self, end: End) {
        self.level().end.get_or_insert(end);
        self.risen.notify_all();
    }

    /// Waits until the file has `wanted` bytes or no more come; how many it has then.
    fn wait_for(&self, wanted: u64) -> io::Result<u64> {
        let mut level = self.level();
        while level.ready < wanted && level.end.is_none() {
            level = self
                .risen
                .wait(level)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match level.end {
            Some(End::Broken) => Err(io::Error::other("the transfer ended")),
            _ => Ok(level.ready),
        }
    }

    fn wait_for_end(&self) -> io::Result<u64> {
        self.wait_for(u64::MAX)
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.level().end == Some(End::Broken)
    }
}

/// Breaks the inflow when dropped before it was complete: nobody waits for a transfer that is gone.
#[derive(Debug)]
pub(crate) struct Source(pub(crate) Arc<Inflow>);

impl Drop for Source {
    fn drop(&mut self) {
        self.0.end(End::Broken);
    }
}

/// A reader that follows the inflow from the first byte to the last.
#[derive(Debug)]
pub(crate) struct Tail {
    file: Arc<File>,
    inflow: Arc<Inflow>,
    at: Arc<AtomicU64>,
}

impl Tail {
    pub(crate) fn new(file: Arc<File>, inflow: Arc<Inflow>) -> Self {
        Self {
            file,
            inflow,
            at: Arc::default(),
        }
    }

    /// How many bytes were read, for others to see.
    pub(crate) fn position(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.at)
    }

    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// The first `length` bytes, fewer when there are not so many; they will be read again.
    pub(crate) fn head(&self, length: usize) -> io::Result<Vec<u8>> {
        let ready = self.inflow.wait_for(length as u64)?;
        let mut head = vec![0; usize::try_from(ready).unwrap_or(length).min(length)];
        self.file.read_exact_at(&mut head, 0)?;
        Ok(head)
    }

    /// Waits for the last byte; the whole file and its size.
    pub(crate) fn whole(&self) -> io::Result<(Arc<File>, u64)> {
        let size = self.inflow.wait_for_end()?;
        self.at.store(size, Ordering::Relaxed);
        Ok((Arc::clone(&self.file), size))
    }
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.at.load(Ordering::Relaxed);
        let ready = self.inflow.wait_for(at + 1)?.saturating_sub(at);
        let wanted = usize::try_from(ready)
            .unwrap_or(buffer.len())
            .min(buffer.len());
        let read = self.file.read_at(&mut buffer[..wanted], at)?;
        self.at.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(bytes: &[u8]) -> Arc<File> {
        let path = std::env::temp_dir().join(format!("pilotfish-inflow-{}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        Arc::new(file)
    }

    #[test]
    fn a_reader_waits_for_what_is_not_there_yet_and_stops_at_the_end() {
        let file = filled(b"0123456789");
        let inflow = Arc::new(Inflow::default());
        let source = Source(Arc::clone(&inflow));
        let mut tail = Tail::new(file, Arc::clone(&inflow));
        inflow.rise(4);
        let reader = std::thread::spawn(move || {
            assert_eq!(tail.head(3).unwrap(), b"012");
            let mut all = String::new();
            tail.read_to_string(&mut all).map(|_| all)
        });
        inflow.rise(10);
        inflow.complete();
        drop(source);
        assert_eq!(reader.join().unwrap().unwrap(), "0123456789");

        let inflow = Arc::new(Inflow::default());
        let mut tail = Tail::new(filled(b"01"), Arc::clone(&inflow));
        inflow.rise(2);
        drop(Source(inflow));
        assert!(tail.read_to_end(&mut Vec::new()).is_err());
    }
}
