//! The text of a plain dump, made of an archive while it is read.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::vec;

use super::contents::{Entry, Head};
use super::large_objects;
use super::statements::Statements;
use super::store::Store;
use super::{damaged, within};

/// Bytes of a large object in one statement, as pg_restore has it.
const OBJECT_PIECE: u64 = 16 * 1024;

/// Bytes at the end of rows that tell whether they are whole.
const TAIL: usize = 8;

/// Reader of the text.
pub(crate) struct Script {
    statements: Statements,
    store: Box<dyn Store>,
    waiting: vec::IntoIter<Entry>,
    /// The entry whose data is read.
    current: Option<Entry>,
    stage: Stage,
    /// Text that was not read yet, from `at`.
    text: Vec<u8>,
    at: usize,
    /// How the rows that were read last end.
    tail: Vec<u8>,
    entries: Entries,
    /// Bytes of text that were read.
    given: u64,
    /// The data stays unread.
    skims: bool,
}

/// Which entries text that was read comes from.
#[derive(Debug, Default, Clone)]
pub(crate) struct Entries(Arc<Mutex<Vec<(u64, String)>>>);

impl Entries {
    /// The entry that the byte at this place belongs to: `TABLE DATA app.t`.
    pub(crate) fn at(&self, byte: u64) -> Option<String> {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let after = begun.partition_point(|(from, _)| *from <= byte);
        begun[..after].last().map(|(_, label)| label.clone())
    }

    fn begin(&self, from: u64, label: String) {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.push((from, label));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Between two entries.
    Next,
    /// In the rows of a table.
    Rows,
    /// Between two large objects.
    Objects,
    /// In one.
    Object,
    Over,
}

impl Script {
    pub(super) fn new(
        head: &Head,
        contents: Vec<Entry>,
        store: Box<dyn Store>,
        entries: Entries,
    ) -> io::Result<Self> {
        let mut text = Vec::new();
        let statements = Statements::new(head, &contents, &mut text)?;
        Ok(Self {
            waiting: statements.in_order(contents).into_iter(),
            statements,
            store,
            current: None,
            stage: Stage::Next,
            text,
            at: 0,
            tail: Vec::with_capacity(2 * TAIL),
            entries,
            given: 0,
            skims: false,
        })
    }

    /// Leaves out rows and large objects: what is defined stands in the table of contents.
    pub(crate) fn only_definitions(&mut self) {
        for entry in self.waiting.as_mut_slice() {
            entry.has_data = false;
        }
        self.skims = true;
    }

    /// Makes more text; `false` at its end.
    fn go_on(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.at = 0;
        match self.stage {
            Stage::Next => match self.waiting.next() {
                Some(entry) => self.begin(entry)?,
                None => {
                    if !self.skims {
                        self.store.finish()?;
                    }
                    self.statements.end(&mut self.text);
                    self.stage = Stage::Over;
                }
            },
            Stage::Objects => match self.store.next_object()? {
                Some(oid) => {
                    large_objects::open(&mut self.text, oid);
                    self.stage = Stage::Object;
                }
                None => {
                    large_objects::end(&mut self.text);
                    self.stage = Stage::Next;
                }
            },
            Stage::Object => {
                let mut piece = Vec::new();
                let data = &mut ObjectData(self.store.as_mut());
                data.take(OBJECT_PIECE).read_to_end(&mut piece)?;
                if piece.is_empty() {
                    large_objects::close(&mut self.text);
                    self.stage = Stage::Objects;
                } else {
                    let plain = self.statements.standard_conforming_strings;
                    large_objects::write(&mut self.text, &piece, plain);
                }
            }
            Stage::Rows => {}
            Stage::Over => return Ok(false),
        }
        Ok(true)
    }

    fn begin(&mut self, entry: Entry) -> io::Result<()> {
        self.entries.begin(self.given, entry.label());
        self.statements.define(&entry, &mut self.text);
        if entry.has_data {
            self.statements.announce(&entry, &mut self.text);
            self.stage = if entry.is("BLOBS") {
                large_objects::begin(&mut self.text);
                Stage::Objects
            } else {
                Stage::Rows
            };
        }
        let entry = self.current.insert(entry);
        if entry.has_data {
            self.store.open(entry)?;
            self.tail.clear();
        }
        Ok(())
    }

    /// Reads on in the rows of a table.
    fn rows(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.store.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.stage = Stage::Next;
            return self.ends_well().map(|()| 0);
        }
        let last = &buffer[read - read.min(TAIL)..read];
        self.tail.extend_from_slice(last);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        Ok(read)
    }

    /// pg_dump closes rows itself; what is stored in a file of its own without compression proves its end by nothing
    /// else.
    fn ends_well(&self) -> io::Result<()> {
        let is_copy = self
            .current
            .as_ref()
            .is_some_and(|entry| !entry.copy.is_empty());
        let tail = self.tail.as_slice();
        let closed = tail.ends_with(b"\n\n");
        let ended = match tail.trim_ascii_end() {
            b"\\." => true,
            rows => rows.ends_with(b"\n\\.") || !is_copy,
        };
        match closed && ended {
            true => Ok(()),
            false => Err(super::cut_off()),
        }
    }

    /// Says which entry an error is of.
    fn named(&self, error: io::Error) -> io::Error {
        let part = self.current.as_ref().map(Entry::label);
        within(part.as_deref().unwrap_or("its beginning"), error)
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let rest = &self.text[self.at..];
            if !rest.is_empty() {
                let read = rest.len().min(buffer.len());
                buffer[..read].copy_from_slice(&rest[..read]);
                self.at += read;
                self.given += read as u64;
                return Ok(read);
            }
            if self.stage == Stage::Rows {
                match self.rows(buffer).map_err(|error| self.named(error))? {
                    0 => {}
                    read => {
                        self.given += read as u64;
                        return Ok(read);
                    }
                }
            }
            if !self.go_on().map_err(|error| self.named(error))? {
                return Ok(0);
            }
        }
    }
}

/// The bytes of the current large object.
struct ObjectData<'a>(&'a mut dyn Store);

impl Read for ObjectData<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// What `SET` lines of the table of contents say between quotes.
pub(super) fn between_quotes(definition: &[u8]) -> io::Result<&[u8]> {
    let mut parts = definition.split(|byte| *byte == b'\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(value), Some(_)) => Ok(value),
        _ => Err(damaged("a setting in its table of contents is none")),
    }
}
