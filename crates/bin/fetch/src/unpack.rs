//! What was stored becomes files: decompressed, unpacked from archives, or left as it is.
//!
//! Content decides, names do not. Archives come from strangers: entries that climb out of the
//! folder, links, devices and absurd growth are refused, and modes and owners in them mean nothing.

pub(crate) mod archive;

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::{self, BufReader, Chain, Cursor, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use pilotfish_dump::compress::{self, Format};
use pilotfish_failure::{Context, Failure, Kind};
use pilotfish_volume::{FileEntry, MANIFEST};
use sha2::{Digest, Sha256};

use crate::config::Limits;
use crate::flush::Flusher;
use crate::inflow::Tail;
use crate::space::{Bytes, Space};

/// Bytes that travel at once from the decompressor to the writer, and how many such buffers.
const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 4;

/// Growth is not judged below this: a few kilobytes of zeros compress a thousandfold.
const SMALL: u64 = 16 << 20;

/// Most files of one archive; the list of them is held in memory.
const MOST_FILES: usize = 100_000;

/// What became of the stored bytes.
#[derive(Debug)]
pub(crate) enum Unpacked {
    /// Nothing to unpack: the stored file is the release's file.
    AsStored,
    /// These files.
    Files(Vec<FileEntry>),
}

/// Unpacks what `tail` brings into the folder `into`; `name` is the stored object's. Blocks.
pub(crate) fn unpack(
    tail: Tail,
    into: &Path,
    name: &str,
    limits: Limits,
    space: Space,
) -> Result<Unpacked, Failure> {
    let head = tail.head(archive::HEAD).context("read the download")?;
    if is_as_stored(&head) {
        return Ok(Unpacked::AsStored);
    }
    let mut writer = Writer {
        into,
        name,
        growth: Growth::new(tail.position(), limits),
        files: Vec::new(),
        space,
    };
    if archive::is_zip(&head) {
        writer.unzip(&tail)?;
    } else if archive::is_tar(&head) {
        writer.untar(Box::new(BufReader::with_capacity(CHUNK, tail)))?;
    } else {
        let stored = BufReader::with_capacity(4 * CHUNK, tail);
        let plain = compress::reader(stored).map_err(|error| writer.corrupt(&error))?;
        let (head, mut plain) =
            peek(plain, archive::HEAD).map_err(|error| writer.corrupt(&error))?;
        if archive::is_tar(&head) {
            writer.untar(Box::new(plain))?;
        } else {
            writer.file(&mut plain, without_suffix(name))?;
        }
    }
    if writer.files.is_empty() {
        return Err(writer.refuse("the archive holds no file"));
    }
    Ok(Unpacked::Files(writer.files))
}

/// Whether there is nothing to unpack in what begins like this.
pub(crate) fn is_as_stored(head: &[u8]) -> bool {
    compress::sniff(head) == Format::Plain && !archive::is_tar(head) && !archive::is_zip(head)
}

/// Whether a file of this name may lie on a volume.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.contains(['/', '\0']) {
        return Err("it is no file name; give --name");
    }
    if name.starts_with('.') {
        return Err("names that begin with a dot are hidden from readers; give --name");
    }
    if name == MANIFEST {
        return Err("the release's manifest has this name; give --name");
    }
    Ok(())
}

/// The name without the suffix of its compression.
pub(crate) fn without_suffix(name: &str) -> &str {
    let suffixes = [".gz", ".zst", ".zstd", ".xz", ".bz2", ".lz4"];
    let stem = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    stem.filter(|stem| !stem.is_empty()).unwrap_or(name)
}

type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// The first bytes of a reader, and a reader that has them still.
pub(crate) fn peek<R: Read>(mut reader: R, length: usize) -> io::Result<(Vec<u8>, Peeked<R>)> {
    let mut head = Vec::with_capacity(length);
    reader.by_ref().take(length as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(reader)))
}

/// How much bigger things have become.
#[derive(Debug)]
pub(crate) struct Growth {
    /// Stored bytes read so far.
    stored: Arc<AtomicU64>,
    made: u64,
    limits: Limits,
}

impl Growth {
    pub(crate) fn new(stored: Arc<AtomicU64>, limits: Limits) -> Self {
        Self {
            stored,
            made: 0,
            limits,
        }
    }

    /// Counts unpacked bytes; the refusal in words when they are too many.
    pub(crate) fn add(&mut self, bytes: u64) -> Result<(), String> {
        self.made += bytes;
        if let Some(most) = self.limits.bytes
            && self.made > most
        {
            return Err(format!(
                "it unpacks to more than {most} bytes (--max-bytes)"
            ));
        }
        let stored = self.stored.load(Ordering::Relaxed);
        let times = self.limits.expansion;
        if self.made > SMALL && self.made > stored.saturating_mul(times) {
            return Err(format!(
                "it unpacks to more than {times} times its size (--max-expansion)"
            ));
        }
        Ok(())
    }
}

/// What a decompressor's error says about the stored bytes, all of which are there.
pub(crate) fn damage(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("it was stored cut off: {error}"),
        _ => format!("it is corrupt: {error}"),
    }
}

/// Writes the files of a release.
struct Writer<'a> {
    into: &'a Path,
    name: &'a str,
    growth: Growth,
    files: Vec<FileEntry>,
    space: Space,
}

impl Writer<'_> {
    fn refuse(&self, problem: impl std::fmt::Display) -> Failure {
        Failure::new(Kind::BadData, format!("unpack {}: {problem}", self.name))
    }

    /// A decompressor's or an archive's error: the stored bytes are not what they should be.
    fn corrupt(&self, error: &io::Error) -> Failure {
        self.refuse(damage(error))
    }

    /// Writes one file. The caller reads and decompresses; a thread of its own hashes and writes.
    fn file(&mut self, content: &mut dyn Read, name: &str) -> Result<(), Failure> {
        if self.files.len() == MOST_FILES {
            return Err(self.refuse(format!("it has more than {MOST_FILES} files")));
        }
        let path = self.into.join(name);
        if let Some(folder) = path.parent() {
            create_dir_all(folder).map_err(|error| self.unwritten(error, name))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| self.unwritten(error, name))?;
        let (full, filled) = sync_channel(CHUNKS);
        let (empty, emptied) = channel();
        for _ in 0..CHUNKS {
            let _ = empty.send(Vec::with_capacity(CHUNK));
        }
        let (read, written) = std::thread::scope(|scope| {
            let writer = scope.spawn(move || write(file, &filled, &empty));
            let read = self.pump(content, &emptied, |chunk| full.send(chunk).is_ok());
            drop(full);
            (read, writer.join())
        });
        read?;
        let written = written.map_err(|_| Failure::new(Kind::Bug, "the writer of files ended"))?;
        let (size, sha256) = written.map_err(|error| self.unwritten(error, name))?;
        self.files.push(FileEntry {
            name: name.to_owned(),
            size,
            sha256,
        });
        Ok(())
    }

    /// Fills chunk after chunk; ends early, without an error, when the writer has ended with one.
    fn pump(
        &mut self,
        content: &mut dyn Read,
        emptied: &Receiver<Vec<u8>>,
        mut send: impl FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Failure> {
        while let Ok(mut chunk) = emptied.recv() {
            chunk.clear();
            (&mut *content)
                .take(CHUNK as u64)
                .read_to_end(&mut chunk)
                .map_err(|error| self.corrupt(&error))?;
            if chunk.is_empty() {
                break;
            }
            let length = chunk.len() as u64;
            self.growth
                .add(length)
                .map_err(|problem| self.refuse(problem))?;
            self.space.spend(length, Bytes::Unpacked)?;
            if !send(chunk) {
                break;
            }
        }
        Ok(())
    }

    /// Reads to the end without keeping anything: what follows counts as growth, too.
    fn drain(&mut self, rest: &mut dyn Read) -> Result<(), Failure> {
        let mut chunk = Vec::with_capacity(CHUNK);
        loop {
            chunk.clear();
            (&mut *rest)
                .take(CHUNK as u64)
                .read_to_end(&mut chunk)
                .map_err(|error| self.corrupt(&error))?;
            if chunk.is_empty() {
                return Ok(());
            }
            self.growth
                .add(chunk.len() as u64)
                .map_err(|problem| self.refuse(problem))?;
        }
    }

    fn unwritten(&self, error: io::Error, name: &str) -> Failure {
        match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                self.refuse(format!("it has two entries of the name {name:?}"))
            }
            io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => {
                self.refuse(format!("the name {name:?} cannot be a file's"))
            }
            _ => self.space.ran_out(error, &format!("the file {name}")),
        }
    }
}

/// Hashes and writes what comes, and gives the buffers back.
fn write(
    file: File,
    filled: &Receiver<Vec<u8>>,
    empty: &Sender<Vec<u8>>,
) -> io::Result<(u64, String)> {
    let file = Arc::new(file);
    let mut flusher = None;
    let mut sha256 = Sha256::new();
    let mut size = 0;
    for chunk in filled {
        (&*file).write_all(&chunk)?;
        sha256.update(&chunk);
        let length = chunk.len() as u64;
        size += length;
        let _ = empty.send(chunk);
        // Small files are not worth a thread.
        if size > SMALL {
            flusher
                .get_or_insert_with(|| Flusher::start(Arc::clone(&file)))
                .wrote(length);
        }
    }
    Ok((size, hex::encode(sha256.finalize())))
}
