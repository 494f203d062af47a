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
use std::time::{Duration, SystemTime};

use pilotfish_failure::{Context, Failure};
use pilotfish_storage::Object;
use serde::{Deserialize, Serialize};

use crate::inflow::Inflow;

const FILE: &str = "download";
const NOTES: &str = "download.json";

/// A time as the version's mark is fine to one second: two versions within it look the same.
const COARSE: Duration = Duration::from_secs(2);

/// What `download.json` says.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Notes {
    /// Address and version of the object.
    identity: String,
    /// Which run of which kernel wrote the parts.
    boot: String,
    size: u64,
    part_size: u64,
    /// Numbers of the complete parts.
    done: Vec<u64>,
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
            .filter(|notes| notes.boot == boot_id() && !notes.boot.is_empty())
            .filter(|notes| notes.part_size > 0 && path.is_file());
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
    let settled = object.modified.is_some_and(|modified| {
        SystemTime::now()
            .duration_since(modified)
            .is_ok_and(|age| age >= COARSE)
    });
    (object.ranges && (object.version.is_strong() || settled)).then(|| format!("{address} {label}"))
}

fn read_notes(folder: &Path) -> Option<Notes> {
    serde_json::from_slice(&fs::read(folder.join(NOTES)).ok()?).ok()
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}
