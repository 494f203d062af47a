//! `--format=directory`: the table of contents is a file, the data of each entry one more.

use std::io::{self, BufRead, BufReader, Lines, Read};

use super::contents::{Entry, Head, Layout, Place};
use super::store::Store;
use super::{damaged, within};
use crate::compress;

/// The table of contents. pg_dump does not compress it, people may.
const CONTENTS: &str = "toc.dat";

/// Endings that say how a file is compressed.
const ENDINGS: [&str; 4] = ["", ".gz", ".lz4", ".zst"];

/// Opens a file of the folder by its name; `None` where there is none.
pub(crate) type Files = Box<dyn FnMut(&str) -> io::Result<Option<Box<dyn Read + Send>>> + Send>;

/// Whether a file of this name says that its folder is an archive.
pub(crate) fn is_contents(name: &str) -> bool {
    let ending = name.strip_prefix(CONTENTS);
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

/// Whether a file of this name belongs to an archive in whose folder it lies. `restore.sql` is there where a tar was
/// unpacked, and says nothing more.
pub(crate) fn belongs(name: &str) -> bool {
    let plain = ENDINGS[1..]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let of_entry = plain
        .strip_suffix(".dat")
        .is_some_and(|stem| number(stem) || stem.strip_prefix("blob_").is_some_and(number));
    let of_objects = plain
        .strip_suffix(".toc")
        .is_some_and(|stem| stem == "blobs" || stem.strip_prefix("blobs_").is_some_and(number));
    of_entry || of_objects || is_contents(name) || name == "restore.sql"
}

/// The large object of which a file has the bytes.
pub(super) fn object_of(name: &str) -> io::Result<u32> {
    let number = name
        .strip_prefix("blob_")
        .and_then(|rest| rest.strip_suffix(".dat"));
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| damaged("a file among its large objects is none"))
}

/// The data of an archive in a folder.
pub(super) struct Directory {
    files: Files,
    version: (u8, u8),
    /// Of the data being read.
    data: Option<Box<dyn Read + Send>>,
    /// Large objects that come next, each with its file.
    objects: Option<Lines<BufReader<Box<dyn Read + Send>>>>,
}

impl Directory {
    pub(super) fn new(files: Files) -> Self {
        Self {
            files,
            version: (0, 0),
            data: None,
            objects: None,
        }
    }

    /// Reads the table of contents.
    pub(super) fn contents(&mut self) -> io::Result<(Head, Vec<Entry>)> {
        let mut raw = self.file(CONTENTS)?;
        let contents = super::contents(&mut raw, Layout::Files)?;
        // A hash of it is whole at its end.
        io::copy(&mut raw, &mut io::sink())?;
        self.version = contents.0.version;
        Ok(contents)
    }

    fn file(&mut self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        // Other names could lead out of the folder.
        if !belongs(name) {
            return Err(damaged("a file that it names is none of an archive"));
        }
        for ending in ENDINGS {
            let Some(stored) = (self.files)(&format!("{name}{ending}"))? else {
                continue;
            };
            return match ending {
                "" => Ok(stored),
                _ => compress::reader(BufReader::new(stored)),
            };
        }
        let missing = damaged(&format!("its file {name} is missing"));
        Err(missing)
    }
}

impl Store for Directory {
    fn open(&mut self, entry: &Entry) -> io::Result<()> {
        let Place::File(name) = &entry.place else {
            return Err(damaged("it does not say where its data is"));
        };
        if !entry.is("BLOBS") {
            self.data = Some(self.file(name)?);
            return Ok(());
        }
        // Up to PostgreSQL 16 there was one list only, whatever the entry says.
        let list = match self.version {
            (1, 16..) => self.file(name)?,
            _ => self.file("blobs.toc")?,
        };
        self.objects = Some(BufReader::new(list).lines());
        Ok(())
    }

    fn next_object(&mut self) -> io::Result<Option<u32>> {
        let Some(line) = self.objects.as_mut().and_then(Iterator::next) else {
            self.objects = None;
            return Ok(None);
        };
        let line = line?;
        let (oid, name) = line
            .split_once(' ')
            .ok_or_else(|| damaged("its list of large objects is none"))?;
        let oid = oid
            .parse()
            .map_err(|_| damaged("its list of large objects is none"))?;
        let object = self.file(name);
        self.data = Some(object.map_err(|error| within(&format!("large object {oid}"), error))?);
        Ok(Some(oid))
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.data {
            Some(data) => data.read(buffer),
            None => Ok(0),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
