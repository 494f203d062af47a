//! One publisher per volume.
//!
//! The lease is a file made with O_EXCL and renewed by its holder. It is stale when it was not
//! renewed for [`LEASE_LIFETIME`] by the volume's own clock (the time a probe file gets there, so
//! that nodes need not agree on the time). A holder killed on this very kernel is noticed at once:
//! its `flock` is gone. Across nodes flock is not trusted, since NFS may keep it to one node.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::release::missing;

/// A lease that was not renewed for this long belongs to whoever takes it next.
pub const LEASE_LIFETIME: Duration = Duration::from_secs(60);

/// How often a holder should renew: three chances before the lease is stale.
pub const LEASE_RENEWAL: Duration = Duration::from_secs(20);

const NAME: &str = "..lease";

/// What the lease file says.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// For messages.
    holder: String,
    /// Tells this lease from every other.
    nonce: String,
    /// The kernel that the holder runs on.
    boot: String,
}

/// The right to publish, given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    root: PathBuf,
    path: PathBuf,
    nonce: String,
    /// Keeps the flock; the kernel drops it with the process.
    file: File,
}

impl Lease {
    pub(crate) fn take(root: &Path, holder: &str) -> Result<Self, Error> {
        let path = root.join(NAME);
        let record = Record {
            holder: holder.to_owned(),
            nonce: nonce(),
            boot: boot_id().unwrap_or_default(),
        };
        loop {
            match create(&path, &record) {
                Ok(file) => {
                    return Ok(Self {
                        root: root.to_owned(),
                        path,
                        nonce: record.nonce,
                        file,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    evict(root, &path, &record)?;
                }
                Err(error) => return Err(Error::io("create", &path)(error)),
            }
        }
    }

    /// Removes what takers that were killed or ran out of disk left beside the lease.
    pub(crate) fn sweep(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.root).map_err(Error::io("list", &self.root))? {
            let entry = entry.map_err(Error::io("list", &self.root))?;
            let name = entry.file_name();
            let beside = name.to_str().and_then(|name| name.strip_prefix(NAME));
            let is_left = beside.is_some_and(|rest| rest.starts_with('-'));
            if is_left && outlived(&self.root, &entry.path())? {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Says that the holder is alive; fails when somebody else took over.
    pub(crate) fn renew(&self) -> Result<(), Error> {
        self.check()?;
        self.file
            .set_modified(volume_time(&self.root)?)
            .map_err(Error::io("renew", &self.path))
    }

    /// Whether the lease is still this holder's.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let ours = match read(&self.path)? {
            Some(record) => record.nonce == self.nonce,
            // On a full disk the lease is an empty file: then it is ours if it is the same file.
            None => self.is_the_file(),
        };
        if ours {
            return Ok(());
        }
        Err(Error::LeaseLost {
            root: self.root.clone(),
        })
    }

    fn is_the_file(&self) -> bool {
        let of = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let (ours, there) = (
            self.file.metadata().map(of),
            fs::metadata(&self.path).map(of),
        );
        matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A lease that was taken over is the other's to remove.
        if self.check().is_ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes the lease so that nobody sees half of it: a full file gets the name by a hard link, which
/// fails when the name is taken; where there are no hard links, O_EXCL does the same. A disk without
/// room for the words takes the name alone: the publisher must get to remove old releases.
fn create(path: &Path, record: &Record) -> io::Result<File> {
    let text = serde_json::to_vec(record)?;
    let draft = path.with_file_name(format!("{NAME}-{}", record.nonce));
    let linked = written(&draft, &text).and_then(|file| {
        fs::hard_link(&draft, path)?;
        Ok(file)
    });
    let _ = fs::remove_file(&draft);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            let file = exclusive(path)?;
            match (&file).write_all(&text) {
                Err(error) if no_room(&error) => file.set_len(0)?,
                Err(error) => {
                    let _ = fs::remove_file(path);
                    return Err(error);
                }
                Ok(()) => {}
            }
            Ok(file)
        }
        linked => linked,
    }
}

fn no_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn written(path: &Path, text: &[u8]) -> io::Result<File> {
    let file = exclusive(path)?;
    (&file).write_all(text)?;
    Ok(file)
}

/// A new file, locked for as long as it is open.
fn exclusive(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let _ = file.try_lock();
    Ok(file)
}

/// Removes a lease whose holder is gone, or says who holds it.
///
/// Of several takers exactly one may remove a given lease: the one that makes `..lease-over-<nonce>`.
fn evict(root: &Path, path: &Path, ours: &Record) -> Result<(), Error> {
    let held = match read(path)? {
        Some(record) => record,
        None if !path.exists() => return Ok(()),
        // Half-written by a holder without hard links, or not ours at all: only its age can tell.
        None => Record {
            holder: "somebody".into(),
            nonce: "unreadable".into(),
            boot: String::new(),
        },
    };
    if !(abandoned(path, &held, ours) || outlived(root, path)?) {
        return Err(Error::Busy {
            root: root.to_owned(),
            holder: held.holder,
        });
    }
    let claim = path.with_file_name(format!("{NAME}-over-{}", held.nonce));
    match OpenOptions::new().write(true).create_new(true).open(&claim) {
        Ok(_) => {
            tracing::warn!(holder = held.holder, "taking over a stale lease");
            let same = read(path)?.is_none_or(|record| record.nonce == held.nonce);
            let removed = if same { fs::remove_file(path) } else { Ok(()) };
            let _ = fs::remove_file(&claim);
            match removed {
                Err(error) if !missing(&error) => Err(Error::io("remove", path)(error)),
                _ => Ok(()),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A taker that died here must not block the volume for ever.
            if outlived(root, &claim)? {
                let _ = fs::remove_file(&claim);
            }
            Err(Error::Busy {
                root: root.to_owned(),
                holder: "another taker".into(),
            })
        }
        Err(error) => Err(Error::io("create", &claim)(error)),
    }
}

/// The holder ran on this kernel and its flock is free: it is dead.
fn abandoned(path: &Path, held: &Record, ours: &Record) -> bool {
    if held.boot.is_empty() || held.boot != ours.boot {
        return false;
    }
    let Ok(file) = OpenOptions::new().write(true).open(path) else {
        return false;
    };
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

/// Not renewed for a lease's lifetime.
fn outlived(root: &Path, path: &Path) -> Result<bool, Error> {
    let renewed = match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(at) => at,
        Err(error) if missing(&error) => return Ok(true),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let age = volume_time(root)?
        .duration_since(renewed)
        .unwrap_or_default();
    Ok(age > LEASE_LIFETIME)
}

/// What time it is where the volume's server keeps the clock.
fn volume_time(root: &Path) -> Result<SystemTime, Error> {
    let path = root.join(format!("{NAME}-clock-{}", nonce()));
    let time = File::create(&path).and_then(|file| file.metadata()?.modified());
    let _ = fs::remove_file(&path);
    time.map_err(Error::io("create", &path))
}

/// The lease's record; none when there is no lease or it cannot be read as one.
fn read(path: &Path) -> Result<Option<Record>, Error> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if missing(&error) => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Names one run of the kernel: file locks and the page cache are shared within it. `None` where it cannot be read.
#[must_use]
pub fn boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .ok()
        .map(|id| id.trim().to_owned())
}

/// 16 hex digits that no other publisher has: the standard library's per-process random keys.
fn nonce() -> String {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    if let Ok(elapsed) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        hasher.write_u128(elapsed.as_nanos());
    }
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_publisher_is_told_who_holds_the_lease() {
        let root = tempfile::tempdir().unwrap();
        let first = Lease::take(root.path(), "pod-a").unwrap();
        let refused = Lease::take(root.path(), "pod-b").unwrap_err();
        assert!(
            refused.to_string().contains("pod-a holds the lease"),
            "{refused}"
        );
        first.renew().unwrap();
        drop(first);
        drop(Lease::take(root.path(), "pod-b").unwrap());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_holder_on_another_node_keeps_it_until_it_is_silent_for_a_lifetime() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(NAME);
        let record = Record {
            holder: "far".into(),
            nonce: "n".into(),
            boot: "other".into(),
        };
        fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(matches!(
            Lease::take(root.path(), "near"),
            Err(Error::Busy { .. })
        ));
        let long_ago = SystemTime::now() - LEASE_LIFETIME - Duration::from_secs(5);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        let taken = Lease::take(root.path(), "near").unwrap();
        taken.check().unwrap();
    }

    #[test]
    fn an_empty_lease_is_its_holders_and_nobody_elses() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(NAME);
        let full = Lease::take(root.path(), "full").unwrap();
        full.file.set_len(0).unwrap();
        full.renew().unwrap();
        let other = Lease::take(root.path(), "other");
        assert!(matches!(other, Err(Error::Busy { .. })), "{other:?}");
        fs::rename(&path, root.path().join("aside")).unwrap();
        File::create(&path).unwrap();
        assert!(matches!(full.renew(), Err(Error::LeaseLost { .. })));
    }

    #[test]
    fn what_killed_takers_left_is_swept_when_it_is_old() {
        let root = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - LEASE_LIFETIME - Duration::from_secs(5);
        let old = root.path().join(format!("{NAME}-dead"));
        File::create(&old).unwrap().set_modified(long_ago).unwrap();
        let new = root.path().join(format!("{NAME}-alive"));
        File::create(&new).unwrap();
        let lease = Lease::take(root.path(), "next").unwrap();
        lease.sweep().unwrap();
        assert!(!old.exists() && new.exists());
        lease.check().unwrap();
    }

    #[test]
    fn a_holder_killed_on_this_kernel_is_replaced_at_once() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(NAME);
        let record = Record {
            holder: "dead".into(),
            nonce: "n".into(),
            boot: boot_id().unwrap(),
        };
        fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
        Lease::take(root.path(), "next").unwrap();
    }

    #[test]
    fn a_holder_that_lost_its_lease_hears_of_it_and_leaves_it_alone() {
        let root = tempfile::tempdir().unwrap();
        let slow = Lease::take(root.path(), "slow").unwrap();
        let record = Record {
            holder: "quick".into(),
            nonce: "q".into(),
            boot: String::new(),
        };
        fs::write(root.path().join(NAME), serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(matches!(slow.renew(), Err(Error::LeaseLost { .. })));
        drop(slow);
        assert!(root.path().join(NAME).exists());
    }
}
