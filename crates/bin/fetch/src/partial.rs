//! A file being downloaded, and the notes that let the next run go on after a kill.
//!
//! The notes say which parts are complete, of which version of the object, and on which run of the
//! kernel they were written: a killed process leaves its writes to the page cache, a crashed machine
//! does not, so parts from before a reboot are fetched again and nothing needs to be synced before
//! the release is.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pilotfish_failure::{Context, Failure};
use pilotfish_storage::Object;
use pilotfish_volume::boot_id;
use serde::{Deserialize, Serialize};

use crate::inflow::Inflow;

const FILE: &str = "download";
const NOTES: &str = "download.json";

/// What `download.json` says.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Notes {
    /// Address and version of the object.
    identity: String,
    /// Which run of which kernel wrote the parts.
    boot: Option<String>,
    size: u64,
    part_size: u64,
    /// Numbers of the complete parts.
    done: Vec<u64>,
}

impl Notes {
    /// Whether the file reaches to the end of the last part that the notes call complete.
    fn are_of(&self, path: &Path) -> bool {
        let last = self.done.iter().max();
        let end = last.map_or(0, |last| {
            let end = last.saturating_add(1).saturating_mul(self.part_size);
            end.min(self.size)
        });
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() >= end)
    }
}

/// The file and how much of each part it has.
#[derive(Debug)]
pub(crate) struct Partial {
    file: Arc<File>,
    folder: PathBuf,
    inflow: Arc<Inflow>,
    parts: Mutex<Parts>,
    /// None when nothing may be taken over by another run.
    identity: Option<String>,
}

#[derive(Debug)]
struct Parts {
    size: u64,
    part_size: u64,
    /// Gapless bytes from the start of each part.
    have: Vec<u64>,
    /// The first part that is not complete.
    open: usize,
    /// The next part that nobody works on.
    next: usize,
}

/// One part of the object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) number: usize,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Partial {
    /// Opens the download in `folder`, with the parts that an earlier run left of this very version.
    pub(crate) fn open(
        folder: &Path,
        object: &Object,
        address: &str,
        part_size: u64,
    ) -> Result<Self, Failure> {
        let size = object.size.unwrap_or(0);
        let identity = identity(object, address);
        let path = folder.join(FILE);
        let left = read_notes(folder)
            .filter(|notes| Some(&notes.identity) == identity.as_ref() && notes.size == size)
            .filter(|notes| notes.boot.is_some() && notes.boot == boot_id())
            .filter(|notes| notes.part_size > 0 && notes.are_of(&path));
        if left.is_none() {
            // Before the file is begun anew: notes that outlive it would vouch for its holes.
            forget_notes(folder)?;
        }
        let part_size = left.as_ref().map_or(part_size, |notes| notes.part_size);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(left.is_none())
            .open(&path)
            .context(format!("open {}", path.display()))?;
        let count = usize::try_from(size.div_ceil(part_size)).unwrap_or(0);
        let mut parts = Parts {
            size,
            part_size,
            have: vec![0; count],
            open: 0,
            next: 0,
        };
        for number in left.iter().flat_map(|notes| &notes.done) {
            let number = usize::try_from(*number).unwrap_or(usize::MAX);
            if number < count {
                let part = parts.part(number);
                parts.have[number] = part.end - part.start;
            }
        }
        parts.close();
        let partial = Self {
            file: Arc::new(file),
            folder: folder.to_owned(),
            inflow: Arc::default(),
            identity,
            parts: Mutex::new(parts),
        };
        partial.inflow.rise(partial.parts().ready());
        Ok(partial)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    pub(crate) fn inflow(&self) -> Arc<Inflow> {
        Arc::clone(&self.inflow)
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that are there already.
    pub(crate) fn have(&self) -> u64 {
        self.parts().have.iter().sum()
    }

    /// The next part to work on, in order, and where its first missing byte is.
    pub(crate) fn take(&self) -> Option<Part> {
        let mut parts = self.parts();
        while parts.next < parts.have.len() {
            let number = parts.next;
            parts.next += 1;
            let part = parts.part(number);
            if parts.have[number] < part.end - part.start {
                return Some(part);
            }
        }
        None
    }

    /// Writes bytes that follow the ones the part has. Blocks.
    pub(crate) fn write(&self, part: Part, bytes: &[u8]) -> io::Result<()> {
        let have = self.parts().have[part.number];
        self.file.write_all_at(bytes, part.start + have)?;
        let mut parts = self.parts();
        parts.have[part.number] += bytes.len() as u64;
        let complete = parts.have[part.number] == part.end - part.start;
        parts.close();
        self.inflow.rise(parts.ready());
        if complete {
            self.write_notes(&parts)?;
        }
        Ok(())
    }

    /// Writes bytes of an object that comes as one stream. Blocks.
    pub(crate) fn append(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at)?;
        self.inflow.rise(at + bytes.len() as u64);
        Ok(())
    }

    fn write_notes(&self, parts: &Parts) -> io::Result<()> {
        let Some(identity) = self.identity.clone() else {
            return Ok(());
        };
        let done = parts.have.iter().zip(0_u64..).filter_map(|(have, number)| {
            let part = parts.part(usize::try_from(number).ok()?);
            (*have == part.end - part.start).then_some(number)
        });
        let notes = Notes {
            identity,
            boot: boot_id(),
            size: parts.size,
            part_size: parts.part_size,
            done: done.collect(),
        };
        let draft = self.folder.join("download.json.new");
        fs::write(&draft, serde_json::to_vec(&notes)?)?;
        fs::rename(&draft, self.folder.join(NOTES))
    }
}

impl Parts {
    fn part(&self, number: usize) -> Part {
        let start = number as u64 * self.part_size;
        Part {
            number,
            start,
            end: (start + self.part_size).min(self.size),
        }
    }

    fn close(&mut self) {
        while self.open < self.have.len() {
            let part = self.part(self.open);
            if self.have[self.open] < part.end - part.start {
                break;
            }
            self.open += 1;
        }
    }

    /// Length of the gapless beginning.
    fn ready(&self) -> u64 {
        match self.have.get(self.open) {
            Some(have) => self.part(self.open).start + have,
            None => self.size,
        }
    }
}

/// Names the version of the object, when equal names promise equal bytes.
fn identity(object: &Object, address: &str) -> Option<String> {
    let label = object.version.label()?;
    (object.ranges && object.is_settled()).then(|| format!("{address} {label}"))
}

fn forget_notes(folder: &Path) -> Result<(), Failure> {
    let path = folder.join(NOTES);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).context(format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn read_notes(folder: &Path) -> Option<Notes> {
    serde_json::from_slice(&fs::read(folder.join(NOTES)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use pilotfish_storage::Version;

    use super::*;

    const PART: u64 = 4;

    fn open(folder: &Path) -> Partial {
        let object = Object {
            key: "dump.sql".to_owned(),
            size: Some(10),
            version: Version {
                etag: Some("\"v1\"".to_owned()),
                ..Version::default()
            },
            modified: None,
            checksums: Vec::new(),
            ranges: true,
            endless: false,
        };
        Partial::open(folder, &object, "s3://dumps/dump.sql", PART).unwrap()
    }

    fn complete(partial: &Partial) {
        while let Some(part) = partial.take() {
            let length = usize::try_from(part.end - part.start).unwrap();
            partial.write(part, &vec![b'x'; length]).unwrap();
        }
    }

    #[test]
    fn the_next_run_has_the_complete_parts() {
        let world = pilotfish_harness::World::new();
        let folder = world.join("");
        let first = open(&folder);
        let part = first.take().unwrap();
        first.write(part, b"abcd").unwrap();
        let part = first.take().unwrap();
        first.write(part, b"e").unwrap();
        assert_eq!(open(&folder).have(), PART);
    }

    #[test]
    fn notes_never_vouch_for_another_file() {
        let world = pilotfish_harness::World::new();
        let folder = world.join("");
        complete(&open(&folder));
        assert_eq!(open(&folder).have(), 10);
        // Named for the release, which is swept with the staging folder after a kill.
        fs::remove_file(folder.join(FILE)).unwrap();
        assert_eq!(open(&folder).have(), 0);
        // Killed again before its first part was complete.
        assert_eq!(open(&folder).have(), 0);
        complete(&open(&folder));
        let file = OpenOptions::new().write(true).open(folder.join(FILE));
        file.unwrap().set_len(9).unwrap();
        assert_eq!(open(&folder).have(), 0, "a file that is too short");
    }
}
