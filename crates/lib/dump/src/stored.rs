//! The stored side of a dump: which files, in which order, and what their bytes hash to.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sha2::{Digest, Sha256};

use crate::postgres::archive::{self, Files, Unpacked};
use crate::tap::{FolderHashes, Tap};
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
pub(crate) const READ: usize = 256 * 1024;

/// Whether the file of this name, a path inside a directory, is read with it.
#[must_use]
pub fn is_read(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    // The shell's `*` does not match names with a dot in front: a volume's `..data` is one.
    let listed = !name.starts_with('.') && !name.contains('/');
    listed && ENDINGS.iter().any(|ending| lower.ends_with(ending))
}

/// Those of the names in a folder that are read together, in their order: the files of an archive of pg_dump, where
/// it is one, else those that [`is_read`] names.
pub fn read_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.into_iter().collect();
    if names.iter().any(|name| archive::is_contents(name)) {
        names.retain(|name| archive::belongs(name));
    } else {
        names.retain(|name| is_read(name));
    }
    names.sort_unstable_by_key(|name| name.as_bytes());
    names
}

/// A file still to be read, or a folder that is an archive.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Name in errors.
    pub(crate) label: Arc<str>,
    /// `None` is standard input.
    path: Option<PathBuf>,
    /// Name in the directory's digest; empty where there is no directory.
    name: String,
    /// Names and paths of an archive's files; `None` for a file.
    files: Option<Arc<Vec<(String, PathBuf)>>>,
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
                files: None,
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
        let mut files = BTreeMap::new();
        let mut ignored = Vec::new();
        for entry in fs::read_dir(path).map_err(|source| unreadable(path, source))? {
            let entry = entry.map_err(|source| unreadable(path, source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let file = entry.path();
            let metadata = fs::metadata(&file).map_err(|source| unreadable(&file, source))?;
            if metadata.is_file() {
                files.insert(name, (file, metadata.len()));
            } else {
                ignored.push(name);
            }
        }
        let read = read_of(files.keys().map(String::as_str));
        let read: Vec<String> = read.into_iter().map(str::to_owned).collect();
        let mut total = 0;
        let mut listed = Vec::new();
        for name in read {
            if let Some((file, bytes)) = files.remove(&name) {
                total += bytes;
                listed.push((name, file));
            }
        }
        ignored.extend(files.into_keys());
        ignored.sort();
        let is_archive = listed.iter().any(|(name, _)| archive::is_contents(name));
        let parts = match is_archive {
            true => vec![Part::archive(path, listed)],
            false => listed
                .into_iter()
                .map(|(name, file)| Part::file(file, name))
                .collect(),
        };
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
            files: None,
        }
    }

    fn archive(folder: &Path, files: Vec<(String, PathBuf)>) -> Self {
        Self {
            label: folder.display().to_string().into(),
            path: Some(folder.to_owned()),
            name: String::new(),
            files: Some(Arc::new(files)),
        }
    }

    /// The file or folder; standard input has none.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Names and paths of the files, where it is a folder that is an archive.
    pub(crate) fn files(&self) -> Option<Arc<Vec<(String, PathBuf)>>> {
        self.files.clone()
    }

    /// Its files as one of it, or as itself.
    fn each(&self) -> Vec<Self> {
        match &self.files {
            None => vec![self.clone()],
            Some(files) => files
                .iter()
                .map(|(name, path)| Self::file(path.clone(), name.clone()))
                .collect(),
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

impl Part {
    /// The hash of its stored bytes.
    fn hash(&self, count: Arc<AtomicU64>) -> Result<String, Error> {
        let (mut tap, hash) = Tap::new(self.open()?, count);
        io::copy(&mut tap, &mut io::sink()).map_err(|source| Error::Read {
            file: self.label.to_string(),
            source,
        })?;
        Ok(hash.hex())
    }
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Read {
        file: path.display().to_string(),
        source,
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

    /// Adds the files of an archive that is a folder; `hashes` are those of the files that were read.
    pub(crate) fn add_folder(
        &mut self,
        part: &Part,
        hashes: &FolderHashes,
        count: &Arc<AtomicU64>,
    ) -> Result<(), Error> {
        for file in part.each() {
            let known = hashes.of(&file.name);
            let hash = match known {
                Some(hash) => hash,
                None => file.hash(Arc::clone(count))?,
            };
            self.add(&file, hash);
        }
        Ok(())
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
    for part in parts.parts.iter().flat_map(Part::each) {
        let hash = part.hash(Arc::default())?;
        identity.add(&part, hash);
    }
    Ok(identity.hex(parts.directory))
}

/// The file that is `meant` by its name in errors, where it is compressed or an archive of pg_dump; such a folder too.
#[must_use]
pub fn archive(source: &Path, meant: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let parts = Parts::of(&Source::Path(source.to_owned())).ok()?;
    let mut parts = parts.parts.into_iter();
    let part = parts.find(|part| meant(&part.label))?;
    let path = part.path?;
    if part.files.is_some() {
        return Some(path);
    }
    let mut head = Vec::with_capacity(compress::HEAD);
    let stored = File::open(&path).ok()?;
    let read = stored.take(compress::HEAD as u64).read_to_end(&mut head);
    let packed = compress::sniff(&head) != compress::Format::Plain || archive::begins(&head);
    (read.is_ok() && packed).then_some(path)
}

/// Whether an archive is damaged or cut off, as far as it is read while `goes_on`. Some formats tell only at a block's
/// end, when what they gave before was taken for rows already.
#[must_use]
pub fn is_damaged(archive: &Path, goes_on: impl Fn() -> bool) -> bool {
    let mut text = match text_of(archive) {
        Ok(text) => text,
        Err(error) => return goes_on() && is_damage(&error),
    };
    let mut buffer = vec![0; READ];
    while goes_on() {
        match text.read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return is_damage(&error);
            }
        }
    }
    false
}

fn is_damage(error: &io::Error) -> bool {
    compress::is_damage(error) || error.kind() == io::ErrorKind::UnexpectedEof
}

/// The text of a compressed file or an archive.
fn text_of(archive: &Path) -> io::Result<Box<dyn Read + Send>> {
    if archive.is_dir() {
        let folder = archive.to_owned();
        let files: Files = Box::new(move |name| match File::open(folder.join(name)) {
            Ok(file) => Ok(Some(Box::new(BufReader::new(file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        });
        return Ok(Box::new(archive::unpack_folder(files)?.text));
    }
    let stored = BufReader::with_capacity(READ, File::open(archive)?);
    match archive::unpack(compress::reader(stored)?, Some(archive))? {
        Unpacked::Plain(text) => Ok(text),
        Unpacked::Archive(archive) => Ok(Box::new(archive.text)),
    }
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

    #[test]
    fn a_folder_with_a_table_of_contents_is_an_archive() {
        let names = ["b.sql", "a.sql.gz", ".c.sql", "README"];
        assert_eq!(read_of(names), ["a.sql.gz", "b.sql"]);
        let names = [
            "toc.dat",
            "restore.sql",
            "blobs_12.toc",
            "a.sql",
            "9.dat.gz",
            "blob_7.dat.zst",
            "10.dat",
            "x.dat",
        ];
        let read = [
            "10.dat",
            "9.dat.gz",
            "blob_7.dat.zst",
            "blobs_12.toc",
            "restore.sql",
            "toc.dat",
        ];
        assert_eq!(read_of(names), read);
    }
}
