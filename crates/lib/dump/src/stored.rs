//! The stored side of a dump: which files, in which order, and what their bytes hash to.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::{Error, compress};

/// Where a dump comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, or a directory whose files are read, as far as [`is_read`] says so, in the order of the stock
    /// images' `/docker-entrypoint-initdb.d`: by name, bytewise, not recursively.
    Path(PathBuf),
    /// Standard input.
    Stdin,
}

/// Endings of a directory's files that are read, in any case; what they hold is told from their content.
const ENDINGS: [&str; 7] = [
    ".sql",
    ".sql.gz",
    ".sql.zst",
    ".sql.zstd",
    ".sql.xz",
    ".sql.bz2",
    ".sql.lz4",
];

/// Bytes asked of a file at once.
const READ: usize = 256 * 1024;

/// Whether the file of this name, a path inside a directory, is read with it.
#[must_use]
pub fn is_read(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    // The shell's `*` does not match names with a dot in front: a volume's `..data` is one.
    let listed = !name.starts_with('.') && !name.contains('/');
    listed && ENDINGS.iter().any(|ending| lower.ends_with(ending))
}

/// A file still to be read.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Name in errors.
    pub(crate) label: Arc<str>,
    /// `None` is standard input.
    path: Option<PathBuf>,
    /// Name in the directory's digest; empty where there is no directory.
    name: String,
}

/// What a source consists of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) parts: Vec<Part>,
    pub(crate) ignored: Vec<String>,
    pub(crate) total_bytes: Option<u64>,
    pub(crate) directory: bool,
}

impl Parts {
    /// Looks at a source without opening its files.
    pub(crate) fn of(source: &Source) -> Result<Self, Error> {
        let Source::Path(path) = source else {
            let part = Part {
                label: "standard input".into(),
                path: None,
                name: String::new(),
            };
            let parts = vec![part];
            return Ok(Self {
                parts,
                ignored: Vec::new(),
                total_bytes: None,
                directory: false,
            });
        };
        let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
        if metadata.is_dir() {
            return Self::of_directory(path);
        }
        // A pipe or a device has no size to show progress against.
        let total_bytes = metadata.is_file().then_some(metadata.len());
        let parts = vec![Part::file(path.clone(), String::new())];
        Ok(Self {
            parts,
            ignored: Vec::new(),
            total_bytes,
            directory: false,
        })
    }

    fn of_directory(path: &Path) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut ignored = Vec::new();
        let mut total = 0;
        for entry in fs::read_dir(path).map_err(|source| unreadable(path, source))? {
            let entry = entry.map_err(|source| unreadable(path, source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let file = entry.path();
            let metadata = fs::metadata(&file).map_err(|source| unreadable(&file, source))?;
            if metadata.is_file() && is_read(&name) {
                total += metadata.len();
                parts.push(Part::file(file, name));
            } else {
                ignored.push(name);
            }
        }
        parts.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        ignored.sort();
        if parts.is_empty() {
            return Err(Error::Empty {
                file: path.display().to_string(),
            });
        }
        Ok(Self {
            parts,
            ignored,
            total_bytes: Some(total),
            directory: true,
        })
    }
}

impl Part {
    fn file(path: PathBuf, name: String) -> Self {
        Self {
            label: path.display().to_string().into(),
            path: Some(path),
            name,
        }
    }

    /// Opens the file, or standard input.
    pub(crate) fn open(&self) -> Result<Box<dyn Read + Send>, Error> {
        match &self.path {
            None => Ok(Box::new(io::stdin())),
            Some(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(source) => Err(unreadable(path, source)),
            },
        }
    }
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Read {
        file: path.display().to_string(),
        source,
    }
}

/// A reader that hashes and counts the stored bytes on their way.
pub(crate) struct Tap {
    raw: Box<dyn Read + Send>,
    hash: Arc<Mutex<Sha256>>,
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
            hash: Arc::clone(&hash.0),
            count,
        };
        (BufReader::with_capacity(READ, tap), hash)
    }
}

impl Read for Tap {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.raw.read(buf)?;
        self.hash
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .update(&buf[..read]);
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

/// The identity of a whole source, file by file in order.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    /// Name and hash.
    files: Vec<(String, String)>,
}

impl Identity {
    pub(crate) fn add(&mut self, part: &Part, hash: String) {
        self.files.push((part.name.clone(), hash));
    }

    pub(crate) fn hex(&self, directory: bool) -> String {
        if !directory {
            let last = self.files.last();
            return last.map(|(_, hash)| hash.clone()).unwrap_or_default();
        }
        let lines = self.files.iter();
        let lines: String = lines
            .map(|(name, hash)| format!("{hash}  {name}\n"))
            .collect();
        hex::encode(Sha256::digest(lines.as_bytes()))
    }

    pub(crate) fn into_files(self) -> Vec<(String, String)> {
        self.files
    }
}

/// The SHA-256 of a file's stored bytes, or of a directory's `<hex>  <name>\n` lines: what
/// [`Summary::sha256`](crate::Summary::sha256) says of the same source.
///
/// # Errors
/// Where the path cannot be read or the directory has nothing to load.
pub fn identify(source: &Path) -> Result<String, Error> {
    let parts = Parts::of(&Source::Path(source.to_owned()))?;
    let mut identity = Identity::default();
    for part in &parts.parts {
        let (mut tap, hash) = Tap::new(part.open()?, Arc::default());
        io::copy(&mut tap, &mut io::sink()).map_err(|source| Error::Read {
            file: part.label.to_string(),
            source,
        })?;
        identity.add(part, hash.hex());
    }
    Ok(identity.hex(parts.directory))
}

/// The file that is `meant` by its name in errors, where it is compressed.
#[must_use]
pub fn archive(source: &Path, meant: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let parts = Parts::of(&Source::Path(source.to_owned())).ok()?;
    let mut parts = parts.parts.into_iter();
    let path = parts.find(|part| meant(&part.label))?.path?;
    let mut head = Vec::with_capacity(compress::HEAD);
    let stored = File::open(&path).ok()?;
    let read = stored.take(compress::HEAD as u64).read_to_end(&mut head);
    let packed = read.is_ok() && compress::sniff(&head) != compress::Format::Plain;
    packed.then_some(path)
}

/// Whether an archive is damaged or cut off, as far as it is read while `goes_on`. Some formats tell only at a block's
/// end, when what they gave before was taken for rows already.
#[must_use]
pub fn is_damaged(archive: &Path, goes_on: impl Fn() -> bool) -> bool {
    let Some(mut text) = File::open(archive)
        .ok()
        .and_then(|stored| compress::reader(BufReader::with_capacity(READ, stored)).ok())
    else {
        return false;
    };
    let mut buffer = vec![0; READ];
    while goes_on() {
        match text.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return compress::is_damage(&error) || error.kind() == io::ErrorKind::UnexpectedEof;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_archive_that_is_meant_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write("a.sql", b"SELECT 1;\n");
        write("b.sql.gz", &[0x1f, 0x8b, 8, 0]);
        let meant = |name: &str| {
            let path = folder.path().join(name).display().to_string();
            archive(folder.path(), |label| label == path)
        };
        assert_eq!(meant("a.sql"), None);
        assert_eq!(meant("b.sql.gz"), Some(folder.path().join("b.sql.gz")));
        assert_eq!(meant("c.sql"), None);
        let archive = folder.path().join("b.sql.gz");
        assert!(is_damaged(&archive, || true));
        assert!(!is_damaged(&archive, || false));
    }
}
