//! The part of a dump's text that is in memory: it grows while a piece is not whole, and slides on.

use std::io::{self, Read};
use std::sync::Arc;

use memchr::memchr_iter;

use crate::error::{EXCERPT, excerpt};
use crate::{Error, Position};

/// Bytes the window has room for when nothing needs more.
const ROOM: usize = 1024 * 1024;

/// Below this, one read decides again; above, the text doubles first, so that pieces which are
/// scanned again from their start after each read cost twice their length at most.
const EAGER: usize = 64 * 1024;

/// A sliding window over decompressed text.
pub(crate) struct Window {
    text: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    file: Arc<str>,
    line: u64,
    byte: u64,
}

impl Window {
    pub(crate) fn new(text: Box<dyn Read + Send>, file: Arc<str>) -> Self {
        Self {
            text,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            ended: false,
            file,
            line: 1,
            byte: 0,
        }
    }

    /// The text that is not consumed yet.
    pub(crate) fn data(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether nothing comes after [`Self::data`].
    pub(crate) const fn ended(&self) -> bool {
        self.ended
    }

    /// The place of the byte at `offset` in [`Self::data`].
    pub(crate) fn position(&self, offset: usize) -> Position {
        let lines = memchr_iter(b'\n', &self.data()[..offset]).count() as u64;
        Position {
            file: Arc::clone(&self.file),
            line: self.line + lines,
            byte: self.byte + offset as u64,
        }
    }

    /// Lets go of the first `length` bytes.
    pub(crate) fn consume(&mut self, length: usize) {
        let gone = &self.buffer[self.start..self.start + length];
        self.line += memchr_iter(b'\n', gone).count() as u64;
        self.byte += length as u64;
        self.start += length;
    }

    /// Reads on, at least one byte unless the text ends.
    pub(crate) fn fill(&mut self) -> io::Result<()> {
        let held = self.end - self.start;
        let wanted = if held < EAGER { held + 1 } else { held * 2 };
        self.make_room(wanted);
        while self.end < wanted && !self.ended {
            match self.text.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The text at `at` for an error, with enough of it in memory that it is always the same.
    pub(crate) fn excerpt_at(&mut self, at: usize) -> String {
        while self.data().len() < at + EXCERPT && !self.ended() {
            // The error on its way is the one to report.
            if self.fill().is_err() {
                break;
            }
        }
        excerpt(&self.data()[at..])
    }

    /// Holds a piece that begins here against a limit, however much of it was read at once.
    pub(crate) fn bounded(
        &mut self,
        length: usize,
        what: &'static str,
        limit: usize,
    ) -> Result<(), Error> {
        if length <= limit {
            return Ok(());
        }
        let head = self.excerpt_at(0);
        Err(Error::TooLong {
            at: self.position(0),
            what,
            limit,
            head,
        })
    }

    pub(crate) fn refused(&mut self, at: usize, what: &str) -> Error {
        let head = self.excerpt_at(at);
        Error::Refused {
            at: self.position(at),
            what: what.to_owned(),
            head,
        }
    }

    pub(crate) fn malformed(&mut self, at: usize, what: &str) -> Error {
        let head = self.excerpt_at(at);
        Error::Malformed {
            at: self.position(at),
            what: what.to_owned(),
            head,
        }
    }

    /// Moves the held text to the front, with room for `wanted` bytes and a decent read.
    fn make_room(&mut self, wanted: usize) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = ROOM.max(wanted + wanted / 4);
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        } else if self.buffer.len() > 4 * room {
            self.buffer.truncate(room);
            self.buffer.shrink_to_fit();
        }
    }
}
