//! What can be wrong with a dump.

use pilotfish_failure::{Classify, Kind};

use crate::Position;

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
