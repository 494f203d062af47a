//! `--format=custom`: behind the table of contents one block of data after the other, each in pieces.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::contents::{Compression, Entry, Head, MAGIC, Place};
use super::field::{self, Offset, Width};
use super::inflate::Inflate;
use super::store::Store;
use super::{damaged, refused};
use crate::compress;

/// Kinds of blocks.
const ROWS: u8 = 1;
const LARGE_OBJECTS: u8 = 3;

/// Bytes asked of the pieces at once; pg_dump writes smaller ones.
const READ: usize = 16 * 1024;

/// The data of a custom archive.
pub(super) struct Custom {
    pieces: Pieces,
    width: Width,
    compression: Compression,
    /// Where the data lies in another order than its entries: the file by a second handle, and what is left of the
    /// stream, which is read to its end all the same.
    by_place: Option<(File, Box<dyn Read + Send>)>,
    /// Entries whose data was not read yet.
    missing: BTreeSet<i64>,
    /// How the table of contents begins. Since PostgreSQL 16, pg_dump to standard output appends it once more instead
    /// of writing places into it, where that is a file.
    repeated: Vec<u8>,
    /// Of the data being read.
    data: Option<Box<dyn Read + Send>>,
}

impl Custom {
    pub(super) fn new(
        raw: Box<dyn Read + Send>,
        path: Option<&Path>,
        head: &Head,
        entries: &[Entry],
    ) -> io::Result<Self> {
        let with_data = || entries.iter().filter(|entry| entry.has_data);
        let file = match is_shuffled(with_data()) {
            true => path.map(reopened).transpose()?.flatten(),
            false => None,
        };
        let (raw, by_place): (Box<dyn Read + Send>, _) = match file {
            Some(file) => (Box::new(io::empty()), Some((file, raw))),
            None => (raw, None),
        };
        Ok(Self {
            pieces: Pieces::new(raw, head.width),
            width: head.width,
            compression: head.compression,
            by_place,
            missing: with_data().map(|entry| entry.id).collect(),
            repeated: beginning(entries, head.width),
            data: None,
        })
    }

    fn begin_data(&mut self) -> io::Result<()> {
        self.pieces.begin();
        let stored = BufReader::with_capacity(READ, self.pieces.clone());
        self.data = Some(match self.compression {
            Compression::None => Box::new(self.pieces.clone()),
            Compression::Gzip => Box::new(Inflate::new(stored)),
            // What is empty may have no frame.
            Compression::Lz4 | Compression::Zstd => compress::reader(stored)?,
        });
        Ok(())
    }

    /// Reads the head of a block: its kind and entry, or `None` at the end of the archive.
    fn block(&mut self) -> io::Result<Option<(u8, i64)>> {
        let mut inner = self.pieces.inner();
        let Some(kind) = field::byte_or_end(&mut inner.raw)? else {
            return Ok(None);
        };
        Ok(Some((kind, field::int(&mut inner.raw, self.width)?)))
    }
}

/// How many entries there are and the number of the first, as the table of contents says it.
fn beginning(entries: &[Entry], width: Width) -> Vec<u8> {
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let first = entries.first().map_or(0, |entry| entry.id);
    [field::written(count, width), field::written(first, width)].concat()
}

/// Whether the data is known to lie in another order than its entries.
fn is_shuffled<'a>(entries: impl Iterator<Item = &'a Entry>) -> bool {
    let places: Vec<u64> = entries
        .filter_map(|entry| match entry.place {
            Place::Offset(Offset::At(at)) => Some(at),
            _ => None,
        })
        .collect();
    !places.is_sorted()
}

/// The file once more, if it is the archive itself and not one that is compressed as a whole.
fn reopened(path: &Path) -> io::Result<Option<File>> {
    let mut file = File::open(path)?;
    let mut magic = [0; MAGIC.len()];
    let is_archive = file.read_exact(&mut magic).is_ok() && magic == MAGIC;
    Ok(is_archive.then_some(file))
}

impl Store for Custom {
    fn open(&mut self, entry: &Entry) -> io::Result<()> {
        let at = match entry.place {
            Place::Offset(Offset::At(at)) => Some(at),
            Place::Offset(Offset::None) => return Err(damaged("it says that it has no data")),
            _ => None,
        };
        if let Some((file, _)) = &self.by_place {
            let mut file = file.try_clone()?;
            let at = at.ok_or_else(|| damaged("it does not say where its data is"))?;
            file.seek(SeekFrom::Start(at))?;
            self.pieces = Pieces::new(Box::new(BufReader::new(file)), self.width);
        }
        let Some((kind, id)) = self.block()? else {
            return Err(super::cut_off());
        };
        if id != entry.id && self.missing.contains(&id) {
            return Err(refused(
                "its data lies in another order than its table of contents says: give the file itself, not a \
                 stream and not compressed as a whole, or dump again into a file",
            ));
        }
        if id != entry.id {
            return Err(damaged("other data is in its place"));
        }
        self.missing.remove(&id);
        match (kind, entry.is("BLOBS")) {
            (ROWS, false) => self.begin_data(),
            (LARGE_OBJECTS, true) => Ok(()),
            _ => Err(damaged("its data is of another kind")),
        }
    }

    fn next_object(&mut self) -> io::Result<Option<u32>> {
        let oid = field::oid(&mut self.pieces.inner().raw, self.width)?;
        if oid == 0 {
            return Ok(None);
        }
        self.begin_data().map(|()| Some(oid))
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(data) = &mut self.data else {
            return Ok(0);
        };
        let read = data.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.data = None;
            // What a decompressor has no use for.
            if self.pieces.read(&mut [0])? > 0 {
                return Err(damaged("it goes on behind its end"));
            }
        }
        Ok(read)
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some((_, stream)) = &mut self.by_place {
            return io::copy(stream, &mut io::sink()).map(drop);
        }
        let mut inner = self.pieces.inner();
        let again = self.repeated.clone();
        let mut rest = Vec::with_capacity(again.len());
        let length = again.len() as u64;
        inner.raw.by_ref().take(length).read_to_end(&mut rest)?;
        if !rest.is_empty() && rest == again {
            return io::copy(&mut inner.raw, &mut io::sink()).map(drop);
        }
        // Tapes and block devices fill up with zeros.
        let mut blank = rest.iter().all(|byte| *byte == 0);
        rest.resize(READ, 0);
        while blank {
            let read = inner.raw.read(&mut rest)?;
            if read == 0 {
                return Ok(());
            }
            blank = rest[..read].iter().all(|byte| *byte == 0);
        }
        Err(damaged("it goes on behind the data of its last entry"))
    }
}

/// The pieces of the current data: each a length and as many bytes, the last of length 0.
#[derive(Clone)]
struct Pieces(Arc<Mutex<Inner>>);

struct Inner {
    raw: Box<dyn Read + Send>,
    width: Width,
    /// Bytes left of the current piece.
    left: u64,
    over: bool,
}

impl Pieces {
    fn new(raw: Box<dyn Read + Send>, width: Width) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            raw,
            width,
            left: 0,
            over: true,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        let mut inner = self.inner();
        (inner.left, inner.over) = (0, false);
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.inner();
        let inner = &mut *inner;
        if inner.over || buffer.is_empty() {
            return Ok(0);
        }
        if inner.left == 0 {
            let length = field::int(&mut inner.raw, inner.width)?;
            inner.left =
                u64::try_from(length).map_err(|_| damaged("a piece has a length below zero"))?;
            inner.over = length == 0;
        }
        if inner.over {
            return Ok(0);
        }
        let wanted = buffer
            .len()
            .min(usize::try_from(inner.left).unwrap_or(usize::MAX));
        let read = inner.raw.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(super::cut_off());
        }
        inner.left -= read as u64;
        Ok(read)
    }
}
