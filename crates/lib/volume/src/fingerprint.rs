//! What is on a volume now, cheaply enough to ask every second.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;

use crate::Error;
use crate::release::{live_folder, vanished};

/// What lies on a volume (or at a file's path): two equal fingerprints mean that nothing was
/// published or written in between. No content is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fingerprint {
    /// Neither a release nor a file.
    Empty,
    /// A published release, a ConfigMap or a Secret: the folder that `..data` names.
    Release(String),
    /// Plain files that somebody wrote, by name; hidden ones and folders do not count.
    Files(Vec<FileStamp>),
}

/// What a plain file looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FileStamp {
    /// Name in the folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Last modification in nanoseconds since 1970.
    pub modified_ns: i128,
    /// Last change in nanoseconds since 1970: what `cp -p` and `touch -d` cannot set.
    pub changed_ns: i128,
    /// Inode: a file renamed over another one has a new one, even with the old size and time.
    pub inode: u64,
}

/// Looks at a volume or at a single file.
///
/// # Errors
/// [`Error::Foreign`] when `..data` leads out of the volume, [`Error::Io`] when it cannot be read.
/// A path that does not exist yet is [`Fingerprint::Empty`].
pub fn fingerprint(root: &Path) -> Result<Fingerprint, Error> {
    match fs::metadata(root) {
        Err(error) if vanished(&error) => return Ok(Fingerprint::Empty),
        Err(error) => return Err(Error::io("open", root)(error)),
        Ok(metadata) if metadata.is_file() => {
            return Ok(Fingerprint::Files(vec![stamp(name_of(root), &metadata)]));
        }
        Ok(_) => {}
    }
    if let Some(folder) = live_folder(root)? {
        return Ok(Fingerprint::Release(folder));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(root).map_err(Error::io("list", root))? {
        let entry = entry.map_err(Error::io("list", root))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        // Follows symlinks: a link to a dump elsewhere counts as that dump.
        match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_file() => files.push(stamp(name, &metadata)),
            Ok(_) => {}
            Err(error) if vanished(&error) => {}
            Err(error) => return Err(Error::io("open", &entry.path())(error)),
        }
    }
    files.sort_unstable();
    Ok(if files.is_empty() {
        Fingerprint::Empty
    } else {
        Fingerprint::Files(files)
    })
}

fn stamp(name: String, metadata: &fs::Metadata) -> FileStamp {
    FileStamp {
        name,
        size: metadata.len(),
        modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        inode: metadata.ino(),
    }
}

fn nanoseconds(seconds: i64, more: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(more)
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
