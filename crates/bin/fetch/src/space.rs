//! Room on the volume, asked before and while it is filled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pilotfish_failure::{Failure, Kind};

/// Bytes written between two looks at the disk.
const LOOK_EVERY: u64 = 16 << 20;

/// Which of a release's bytes: while they are unpacked, the volume has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    Stored,
    Unpacked,
}

/// Free space of one volume, of which a reserve stays, for one release.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    root: PathBuf,
    reserve: u64,
    /// Bytes of the object, where the source says it.
    size: u64,
    written: Arc<Written>,
}

/// Bytes of the release on the volume.
#[derive(Debug, Default)]
struct Written {
    stored: AtomicU64,
    unpacked: AtomicU64,
    /// Since the last look at the disk.
    unseen: AtomicU64,
}

impl Space {
    pub(crate) fn new(root: &Path, reserve: u64, size: Option<u64>) -> Self {
        Self {
            root: root.to_owned(),
            reserve,
            size: size.unwrap_or(0),
            written: Arc::default(),
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

    /// Fails when what is missing of the object beside the `had` bytes of an earlier run does not fit.
    pub(crate) fn begin(&self, had: u64, what: &str) -> Result<(), Failure> {
        self.written.stored.store(had, Ordering::Relaxed);
        self.require(self.size.saturating_sub(had), what)
    }

    /// Fails when fewer than `more` bytes may still be written.
    fn require(&self, more: u64, what: &str) -> Result<(), Failure> {
        let have = self.available()?;
        if have >= more {
            return Ok(());
        }
        Err(self.full(have, what))
    }

    /// Notes bytes that are written now; looks at the disk now and then.
    pub(crate) fn spend(&self, bytes: u64, of: Bytes) -> Result<(), Failure> {
        let (written, what) = match of {
            Bytes::Stored => (&self.written.stored, "the download"),
            Bytes::Unpacked => (&self.written.unpacked, "the unpacked files"),
        };
        written.fetch_add(bytes, Ordering::Relaxed);
        let unseen = self.written.unseen.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if unseen < LOOK_EVERY {
            return Ok(());
        }
        self.written.unseen.store(0, Ordering::Relaxed);
        self.require(bytes, what)
    }

    /// The failure of a disk that took no more bytes.
    pub(crate) fn ran_out(&self, error: std::io::Error, what: &str) -> Failure {
        let full = matches!(
            error.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        );
        match self.available() {
            Ok(have) if full => self.full(have, what),
            _ => Failure::from(error).context(format!("write {what}")),
        }
    }

    fn full(&self, have: u64, what: &str) -> Failure {
        let (at, reserve) = (self.root.display(), self.reserve);
        let stored = self.written.stored.load(Ordering::Relaxed);
        let unpacked = self.written.unpacked.load(Ordering::Relaxed);
        let (need, had) = (self.size.max(stored) + unpacked, stored + unpacked);
        let message = format!(
            "write {what} on {at}: the release needs at least {}, of which {} came so far; {} are free besides \
             the {} that --reserve keeps",
            size(need),
            size(had),
            size(have),
            size(reserve)
        );
        Failure::new(Kind::CannotWrite, message)
            .with_hint("grow the volume, or lower --keep, --keep-for or --reserve")
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes < MIB {
        return format!("{bytes} bytes");
    }
    let tenths = u128::from(bytes) * 10 / u128::from(MIB);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_is_smaller_than_the_reserve_is_told_which_setting_it_is() {
        let space = Space::new(Path::new("/"), 1 << 60, Some(3 << 20));
        let told = space.begin(0, "the object").unwrap_err().to_string();
        assert!(told.contains("needs at least 3.0 MiB"), "{told}");
        assert!(
            told.contains("0 bytes are free besides the 1099511627776.0 MiB that --reserve keeps"),
            "{told}"
        );
    }

    #[test]
    fn a_full_disk_tells_the_release_s_bytes_as_far_as_they_are_known() {
        let told = |space: &Space| {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            space.ran_out(full, "the file dump.sql").to_string()
        };
        let root = Path::new("/");
        // All of the disk is the reserve.
        let space = Space::new(root, u64::MAX, Some(5000));
        let early = space.begin(1000, "s3://b/k").unwrap_err().to_string();
        assert!(
            early
                .contains("at least 5000 bytes, of which 1000 bytes came so far; 0 bytes are free"),
            "{early}"
        );
        space.spend(500, Bytes::Stored).unwrap();
        assert!(told(&space).contains("at least 5000 bytes, of which 1500 bytes came"));
        space.spend(7000, Bytes::Unpacked).unwrap();
        assert!(told(&space).contains("at least 12000 bytes, of which 8500 bytes came"));
        // A source that does not say how much it has.
        let space = Space::new(root, u64::MAX, None);
        space.spend(300, Bytes::Stored).unwrap();
        assert!(told(&space).contains("at least 300 bytes, of which 300 bytes came"));
    }
}
