//! `--format=tar`: the table of contents is the first member, the data of each entry one more.

use std::collections::BTreeSet;
use std::io::{self, Read};

use super::contents::{Entry, Head, Layout, Place};
use super::store::Store;
use super::{cut_off, damaged, refused};

const BLOCK: usize = 512;

/// The first member.
const CONTENTS: &[u8] = b"toc.dat";

/// Whether a file that begins so is a tar of pg_dump.
pub(super) fn begins(head: &[u8]) -> bool {
    let name = head.strip_prefix(CONTENTS);
    name.is_some_and(|rest| rest.starts_with(&[0])) && head.get(257..262) == Some(b"ustar")
}

/// The members of a tar, one after the other.
pub(super) struct Tar {
    raw: Box<dyn Read + Send>,
    /// Bytes of the current member that were not read yet, and of what fills its last block up.
    left: u64,
    padding: u64,
    /// Files that entries are still missing.
    missing: BTreeSet<String>,
}

impl Tar {
    pub(super) fn new(raw: Box<dyn Read + Send>) -> Self {
        Self {
            raw,
            left: 0,
            padding: 0,
            missing: BTreeSet::new(),
        }
    }

    /// Reads the table of contents.
    pub(super) fn contents(&mut self) -> io::Result<(Head, Vec<Entry>)> {
        self.member()?;
        let contents = super::contents(&mut Member(self), Layout::Files)?;
        Ok(contents)
    }

    /// Notes which entries have data: their members come in the same order.
    pub(super) fn expects(&mut self, entries: &[Entry]) {
        let with_data = entries.iter().filter(|entry| entry.has_data);
        self.missing = with_data.filter_map(file).collect();
    }

    /// Goes to the next member; its name, or `None` at the mark of the end.
    fn member(&mut self) -> io::Result<Option<String>> {
        let rest = self.left + self.padding;
        if io::copy(&mut self.raw.by_ref().take(rest), &mut io::sink())? < rest {
            return Err(cut_off());
        }
        (self.left, self.padding) = (0, 0);
        let mut block = [0; BLOCK];
        self.raw.read_exact(&mut block)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = tar::Header::from_byte_slice(&block);
        let bad = |_| damaged("the head of a member is none of tar");
        if header.cksum().map_err(bad)? != checksum(&block) {
            return Err(damaged("the head of a member has another checksum"));
        }
        self.left = header.entry_size().map_err(bad)?;
        self.padding = self.left.next_multiple_of(BLOCK as u64) - self.left;
        let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
        Ok(Some(name))
    }
}

/// The member of an entry.
fn file(entry: &Entry) -> Option<String> {
    match &entry.place {
        Place::File(name) if !name.is_empty() => Some(name.clone()),
        _ => None,
    }
}

/// The sum of a head's bytes, its own digits taken for blanks.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let byte = |(at, byte): (usize, &u8)| match at {
        148..156 => u32::from(b' '),
        _ => u32::from(*byte),
    };
    block.iter().enumerate().map(byte).sum()
}

impl Store for Tar {
    fn open(&mut self, entry: &Entry) -> io::Result<()> {
        let wanted = file(entry).ok_or_else(|| damaged("it does not say where its data is"))?;
        self.missing.remove(&wanted);
        // Large objects are members of their own, before the list of them.
        if entry.is("BLOBS") {
            return Ok(());
        }
        while let Some(name) = self.member()? {
            if name == wanted {
                return Ok(());
            }
            if self.missing.contains(&name) {
                return Err(refused(
                    "its members are in another order than its table of contents says: unpack it and give the \
                     folder",
                ));
            }
        }
        Err(cut_off())
    }

    fn next_object(&mut self) -> io::Result<Option<u32>> {
        match self.member()? {
            None => Err(cut_off()),
            Some(name) if name.starts_with("blobs") && name.ends_with(".toc") => Ok(None),
            Some(name) => super::directory::object_of(&name).map(Some),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.raw.read(&mut buffer[..wanted])?;
        if read == 0 && wanted > 0 {
            return Err(cut_off());
        }
        self.left -= read as u64;
        Ok(read)
    }

    fn finish(&mut self) -> io::Result<()> {
        while self.member()?.is_some() {}
        io::copy(&mut self.raw, &mut io::sink()).map(drop)
    }
}

/// The bytes of the current member.
struct Member<'a>(&'a mut Tar);

impl Read for Member<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}
