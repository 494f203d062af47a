//! Room on the volume, asked before and while it is filled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pilotfish_failure::{Failure, Kind};

/// Bytes written between two looks at the disk.
const LOOK_EVERY: u64 = 16 << 20;

/// Free space of one volume, of which a reserve stays.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    root: PathBuf,
    reserve: u64,
    unseen: Arc<AtomicU64>,
}

impl Space {
    pub(crate) fn new(root: &Path, reserve: u64) -> Self {
        Self {
            root: root.to_owned(),
            reserve,
            unseen: Arc::default(),
        }
    }

    /// Bytes that may still be written without touching the reserve.
    pub(crate) fn available(&self) -> Result<u64, Failure> {
        let at = self.root.display();
        let volume = rustix::fs::statvfs(&self.root)
            .map_err(|error| Failure::from(std::io::Error::from(error)))
            .map_err(|failure| failure.context(format!("ask for the free space of {at}")))?;
        let free = volume.f_bavail.saturating_mul(volume.f_frsize);
        Ok(free.saturating_sub(self.reserve))
    }

    /// Fails when fewer than `need` bytes may still be written.
    pub(crate) fn require(&self, need: u64, what: &str) -> Result<(), Failure> {
        let have = self.available()?;
        if have >= need {
            return Ok(());
        }
        Err(self.full(need, have, what))
    }

    /// Notes bytes about to be written; looks at the disk now and then.
    pub(crate) fn spend(&self, bytes: u64, what: &str) -> Result<(), Failure> {
        let unseen = self.unseen.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if unseen < LOOK_EVERY {
            return Ok(());
        }
        self.unseen.store(0, Ordering::Relaxed);
        self.require(bytes, what)
    }

    /// The failure of a disk that took no more bytes.
    pub(crate) fn ran_out(&self, error: std::io::Error, what: &str) -> Failure {
        let full = matches!(
            error.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        );
        match self.available() {
            Ok(have) if full => self.full(have + 1, have, what),
            _ => Failure::from(error).context(format!("write {what}")),
        }
    }

    fn full(&self, need: u64, have: u64, what: &str) -> Failure {
        let (at, reserve) = (self.root.display(), self.reserve);
        let message = format!(
            "write {what} on {at}: need {need} bytes, have {have} besides the reserve of {reserve}"
        );
        Failure::new(Kind::CannotWrite, message)
            .with_hint("grow the volume, or lower --keep, --keep-for or --reserve")
    }
}
