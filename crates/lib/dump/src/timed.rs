//! How long reads take: those of stored bytes, hashed and decompressed on the way, and those of text, which may be ready by then.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time that is added up, by whoever reads.
#[derive(Debug, Default, Clone)]
pub(crate) struct Spent(Arc<AtomicU64>);

impl Spent {
    fn add(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn so_far(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// A reader whose reads are timed.
pub(crate) struct Timed {
    pub(crate) inner: Box<dyn Read + Send>,
    pub(crate) spent: Spent,
}

impl Read for Timed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let begun = Instant::now();
        let read = self.inner.read(buf);
        self.spent.add(begun.elapsed());
        read
    }
}
