//! tar and zip.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};
use std::rc::Rc;
use std::sync::Arc;

use pilotfish_failure::{Context, Failure};
use tar::EntryType;
use zip::ZipArchive;

use super::{CHUNK, MOST_FILES, Writer, check_name};
use crate::inflow::Tail;

/// Bytes in which a tar or zip can be recognised: one tar header.
pub(crate) const HEAD: usize = 512;

pub(crate) fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// POSIX and GNU tar write `ustar` into each header; the header before POSIX has nothing to know it by.
/// A tar without entries is the zeros of its end; no dump begins like that.
pub(crate) fn is_tar(head: &[u8]) -> bool {
    let blank = head.len() >= HEAD && head.iter().all(|byte| *byte == 0);
    blank || head.get(257..262) == Some(b"ustar")
}

impl Writer<'_> {
    /// Unpacks a tar, as it comes.
    pub(super) fn untar(&mut self, stream: Box<dyn Read + '_>) -> Result<(), Failure> {
        let meter = Rc::new(Meter::default());
        let stream = Metered {
            stream,
            meter: Rc::clone(&meter),
        };
        let mut archive = tar::Archive::new(stream);
        let entries = archive.entries().map_err(|error| self.corrupt(&error))?;
        for entry in entries {
            // Headers, long names and bodies of folders grow as files do.
            self.growth
                .add(meter.between.take())
                .map_err(|problem| self.refuse(problem))?;
            let mut entry = entry.map_err(|error| self.corrupt(&error))?;
            let kind = entry.header().entry_type();
            let name = String::from_utf8(entry.path_bytes().into_owned())
                .map_err(|_| self.refuse("an entry's name is not UTF-8"))?;
            match kind {
                EntryType::Regular | EntryType::Continuous => {
                    let name = self.safe(&name)?;
                    let size = entry.size();
                    meter.inside.set(true);
                    self.file(&mut entry, &name)?;
                    meter.inside.set(false);
                    if self.files.last().is_none_or(|file| file.size != size) {
                        return Err(self.refuse(format!("it breaks off in {name}")));
                    }
                }
                // Folders are made when a file needs them.
                EntryType::Directory | EntryType::XGlobalHeader => {}
                other => {
                    return Err(self.refuse(format!("{name:?} is a {}", described(other))));
                }
            }
        }
        // The end of a tar is a block of zeros; one that just stops was cut between two entries.
        if meter.ended.get() {
            return Err(self.refuse("it breaks off: the end of the archive is missing"));
        }
        meter.inside.set(true);
        self.drain(&mut archive.into_inner())
    }

    /// Unpacks a zip, which has its directory at the end: the download is awaited first.
    pub(super) fn unzip(&mut self, tail: &Tail) -> Result<(), Failure> {
        let (file, size) = tail.whole().context("read the download")?;
        let stored = Positioned {
            file: Arc::clone(&file),
            size,
            at: 0,
        };
        // The library builds the whole directory at once: what it would hold is judged before.
        let entries = entries_of_zip(&file, size);
        if entries.is_some_and(|entries| entries > MOST_FILES as u64) {
            return Err(self.refuse(format!("it has more than {MOST_FILES} files")));
        }
        // The library may also find another end than the last, with other numbers.
        let left = Rc::new(Cell::new(DIRECTORY));
        let stored = Bounded {
            stored: BufReader::with_capacity(CHUNK, stored),
            left: Rc::clone(&left),
        };
        let mut archive = ZipArchive::new(stored).map_err(|error| self.refuse(error))?;
        left.set(u64::MAX);
        if entries != Some(archive.len() as u64) {
            return Err(self.refuse("it has two entries of one name, or two directories"));
        }
        for index in 0..archive.len() {
            let mut entry = archive
                .by_index(index)
                .map_err(|error| self.refuse(error))?;
            let name = entry
                .name()
                .map_err(|error| self.refuse(error))?
                .into_owned();
            if entry.is_dir() {
                continue;
            }
            // The mode's upper bits are the kind of file; zero where the archive came from Windows.
            let kind = entry.unix_mode().unwrap_or(0) & 0o170_000;
            if !matches!(kind, 0 | 0o100_000) {
                return Err(self.refuse(format!("{name:?} is a link or a device")));
            }
            let name = self.safe(&name)?;
            self.file(&mut entry, &name)?;
        }
        Ok(())
    }

    /// The entry's path inside the release, or a refusal when it would lead anywhere else.
    fn safe(&self, name: &str) -> Result<String, Failure> {
        let mut parts = Vec::new();
        for component in Path::new(name).components() {
            match component {
                Component::Normal(part) => parts.push(part.to_string_lossy()),
                Component::CurDir => {}
                _ => return Err(self.refuse(format!("{name:?} leads out of the release"))),
            }
        }
        // A backslash is a folder's end where some archives come from, and part of a name here.
        if name.contains(['\\', '\0']) {
            return Err(self.refuse(format!("{name:?} is no portable name")));
        }
        let top = parts.first().map_or("", |part| part.as_ref());
        check_name(top).map_err(|_| self.refuse(format!("{name:?} cannot lie on a volume")))?;
        Ok(parts.join("/"))
    }
}

/// How many entries the end of a zip says it has; none where there is no end. The library keeps the last
/// of two that have one name.
fn entries_of_zip(file: &File, size: u64) -> Option<u64> {
    /// Of the end's record: all of it without its comment, and the longest comment.
    const RECORD: u64 = 22;
    const LONGEST: u64 = 65_535;
    let from = size.saturating_sub(RECORD + LONGEST);
    let mut end = vec![0; usize::try_from(size - from).ok()?];
    file.read_exact_at(&mut end, from).ok()?;
    let at = end.windows(4).rposition(|mark| mark == b"PK\x05\x06")?;
    let entries: [u8; 2] = end.get(at + 10..at + 12)?.try_into().ok()?;
    let entries = u64::from(u16::from_le_bytes(entries));
    let locator = (from + at as u64).checked_sub(20);
    let large = locator.and_then(|locator| entries_of_zip64(file, locator));
    Some(large.unwrap_or(entries))
}

/// The same of a zip with a second, larger end, whose place is told at `locator`.
fn entries_of_zip64(file: &File, locator: u64) -> Option<u64> {
    let mut place = [0; 20];
    file.read_exact_at(&mut place, locator).ok()?;
    let place = place.strip_prefix(b"PK\x06\x07")?;
    let place = u64::from_le_bytes(place.get(4..12)?.try_into().ok()?);
    let mut record = [0; 56];
    file.read_exact_at(&mut record, place).ok()?;
    let record = record.strip_prefix(b"PK\x06\x06")?;
    Some(u64::from_le_bytes(record.get(28..36)?.try_into().ok()?))
}

fn described(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink | EntryType::Link => "link",
        EntryType::Char | EntryType::Block | EntryType::Fifo => "device",
        EntryType::GNUSparse => "sparse file, which is not supported",
        _ => "kind of entry that is not supported",
    }
}

/// Most bytes between two files of a tar: the library reads long names whole, and passes over the
/// bodies of folders, whatever their headers say.
const BETWEEN: u64 = 1 << 20;

/// How a stream is read.
#[derive(Default)]
struct Meter {
    /// A file is being read, which counts its bytes itself.
    inside: Cell<bool>,
    /// Bytes read since the last entry, but for those inside of it.
    between: Cell<u64>,
    /// The stream was read to its end.
    ended: Cell<bool>,
}

struct Metered<'a> {
    stream: Box<dyn Read + 'a>,
    meter: Rc<Meter>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.meter.ended.set(true);
        }
        if !self.meter.inside.get() {
            let between = self.meter.between.get() + read as u64;
            self.meter.between.set(between);
            if between > BETWEEN {
                let message = format!("more than {BETWEEN} bytes between two files");
                return Err(io::Error::other(message));
            }
        }
        Ok(read)
    }
}

/// Most bytes that are read to know a zip's directory, which takes some times as much memory.
const DIRECTORY: u64 = 16 << 20;

/// A zip of which so many bytes may still be read.
struct Bounded<R> {
    stored: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stored.read(buffer)?;
        let left = self.left.get().checked_sub(read as u64);
        let longer = || io::Error::other(format!("its directory is longer than {DIRECTORY} bytes"));
        self.left.set(left.ok_or_else(longer)?);
        Ok(read)
    }
}

impl<R: Seek> Seek for Bounded<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.stored.seek(to)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        self.stored.stream_position()
    }
}

/// A file with a position of its own: others read the same one.
struct Positioned {
    file: Arc<File>,
    size: u64,
    at: u64,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
