//! What can go wrong on a volume.

use std::io;
use std::path::{Path, PathBuf};

use pilotfish_failure::{Classify, Kind};

/// A failure on a volume, by meaning.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// Verb of the operation: `rename`, `sync`.
        doing: &'static str,
        /// The path it was done to.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another publisher holds the volume's lease.
    #[error("publish on {}: {holder} holds the lease; one publisher per volume", root.display())]
    Busy {
        /// The volume.
        root: PathBuf,
        /// Who holds it, in the holder's own words.
        holder: String,
    },
    /// The lease was taken over while this publisher was silent.
    #[error("publish on {}: the lease was lost to another publisher", root.display())]
    LeaseLost {
        /// The volume.
        root: PathBuf,
    },
    /// `release.json` is no manifest.
    #[error("read {}: {source}", path.display())]
    Manifest {
        /// The manifest's path.
        path: PathBuf,
        /// Where the JSON is wrong.
        source: serde_json::Error,
    },
    /// `..data` leads out of the volume or to nothing that could be a release.
    #[error("read {}: it names {target:?}, which is no folder of this volume", path.display())]
    Foreign {
        /// The `..data` path.
        path: PathBuf,
        /// What it names.
        target: String,
    },
    /// A name of the release is taken by something this crate did not make.
    #[error(
        "link {}: something else has this name; move it away or fetch onto an empty folder",
        path.display()
    )]
    Occupied {
        /// The taken path.
        path: PathBuf,
    },
    /// The staged folder does not hold what its manifest says.
    #[error("publish {}: {problem}", path.display())]
    Staged {
        /// The offending path in the staged folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    /// A closure for `map_err` that keeps the verb and the path.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { doing, source, .. } => match Classify::kind(source) {
                // A volume has no server: what is left is a disk that does not take the bytes.
                Kind::Unreachable => Kind::CannotWrite,
                Kind::Denied if !matches!(*doing, "open" | "read" | "list") => Kind::CannotWrite,
                kind => kind,
            },
            Self::Busy { .. } | Self::LeaseLost { .. } => Kind::Busy,
            Self::Manifest { .. } | Self::Foreign { .. } => Kind::BadData,
            Self::Occupied { .. } => Kind::Config,
            Self::Staged { .. } => Kind::Bug,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { source, .. } => Classify::hint(source),
            _ => None,
        }
    }
}
