//! What can be wrong with a dump.

use std::io;

use pilotfish_failure::{Classify, Kind};

use crate::postgres::archive::broken;
use crate::{Position, compress};

/// Why a dump cannot be read, with the place and the statement's head where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file or stream cannot be opened or read.
    #[error("read {file}")]
    Read {
        /// Which one.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The directory has nothing to load, or the dump no statement.
    #[error("read {file}: no SQL statement in it; give a dump, or a directory with .sql files")]
    Empty {
        /// Which one.
        file: String,
    },
    /// It is something else than a dump as SQL text.
    #[error("read {file}: {what}")]
    NoSql {
        /// Which one.
        file: String,
        /// What it is, and what to do.
        what: &'static str,
    },
    /// The dump ends too early.
    #[error("read {at}: the dump is cut off, {what}; fetch it again or dump again")]
    Truncated {
        /// Where the piece that is not finished begins.
        at: Position,
        /// What is missing.
        what: String,
    },
    /// The compressed stream is damaged.
    #[error("decompress {file}: the stream is damaged; fetch it again")]
    Corrupt {
        /// Which file.
        file: String,
        /// What the decompressor says.
        source: std::io::Error,
    },
    /// An archive of pg_dump is damaged, cut off or of a kind that is not read.
    #[error("read {file}: {what}")]
    Archive {
        /// Which one.
        file: String,
        /// What is wrong with which of its entries, and what to do.
        what: String,
    },
    /// A statement or a tuple is longer than memory may be used for.
    #[error("read {at}: {what} is longer than {limit} bytes; `{head}`")]
    TooLong {
        /// Where it begins.
        at: Position,
        /// Statement or tuple.
        what: &'static str,
        /// The limit that applies, in bytes.
        limit: usize,
        /// How it begins.
        head: String,
    },
    /// A row is longer than the server takes.
    #[error(
        "read {at}: a row needs more than the {limit} bytes that the server takes in one packet: raise \
         max_allowed_packet; `{head}`"
    )]
    Packet {
        /// Where it begins.
        at: Position,
        /// The server's `max_allowed_packet`.
        limit: usize,
        /// How its INSERT begins.
        head: String,
    },
    /// The text is no SQL that a server could run.
    #[error("read {at}: {what}; `{head}`")]
    Malformed {
        /// The place.
        at: Position,
        /// What is wrong with it.
        what: String,
        /// The text there.
        head: String,
    },
    /// The dump asks for what is refused: programs, other files, unsafe character sets.
    #[error("read {at}: refuse {what}; `{head}`")]
    Refused {
        /// The place.
        at: Position,
        /// What it asks for, and what to do instead.
        what: String,
        /// The text there.
        head: String,
    },
}

impl Error {
    pub(crate) fn cut_off(at: Position, what: &str) -> Self {
        Self::Truncated {
            at,
            what: what.to_owned(),
        }
    }

    /// Says with the file which part of it a place is in.
    pub(crate) fn within(mut self, part: impl FnOnce(u64) -> Option<String>) -> Self {
        if let Self::Truncated { at, .. }
        | Self::TooLong { at, .. }
        | Self::Packet { at, .. }
        | Self::Malformed { at, .. }
        | Self::Refused { at, .. } = &mut self
            && let Some(part) = part(at.byte)
        {
            at.file = format!("{}: {part}", at.file).into();
        }
        self
    }

    /// Reading failed before there was text.
    pub(crate) fn of_stored(file: &str, source: io::Error) -> Self {
        let at = Position {
            file: file.into(),
            line: 1,
            byte: 0,
        };
        Self::of_text(at, source)
    }

    /// Reading failed within the piece that begins at `at`.
    pub(crate) fn of_text(at: Position, source: io::Error) -> Self {
        let file = at.file.to_string();
        if let Some(broken) = broken(&source) {
            let what = broken.to_string();
            return Self::Archive { file, what };
        }
        match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::cut_off(at, "its compressed stream breaks off"),
            _ if compress::is_damage(&source) => Self::Corrupt { file, source },
            _ => Self::Read { file, source },
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Read { source, .. } => Classify::kind(source),
            Self::Packet { .. } => Kind::Config,
            _ => Kind::BadData,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read { source, .. } => Classify::hint(source),
            _ => None,
        }
    }
}

/// Bytes of a statement that an error shows at most.
pub(crate) const EXCERPT: usize = 80;

/// The beginning of a text for an error: one short line, up to the first string, since that may be
/// a password or a person's data.
#[must_use]
pub fn excerpt(text: &[u8]) -> String {
    let head = &text[..text.len().min(EXCERPT)];
    let head = head
        .split(|byte| matches!(byte, b'\'' | b'"' | b'\n' | 0))
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(head).trim_end().to_owned()
}
