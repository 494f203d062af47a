//! What a failure means to whoever must act on it.
//!
//! Every library error says its [`Kind`]; the kind decides the exit code, whether a retry can help,
//! and nothing else. This crate knows no network, no database and no process.

use std::fmt;

/// The meanings a failure can have: one row each of the exit-code table in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The command line is wrong (64).
    Usage,
    /// The input is truncated, corrupt, refused or contradicts its checksum (65).
    BadData,
    /// A server or source did not answer, after retries (69).
    Unreachable,
    /// A promise inside pilotfish does not hold (70).
    Bug,
    /// Nothing can be written: disk full, read-only file system (73).
    CannotWrite,
    /// Someone else holds the lock, or the server is in a state that passes (75).
    Busy,
    /// Credentials or rights are missing (77).
    Denied,
    /// The configuration cannot work (78).
    Config,
    /// The stated time ran out (124).
    TimedOut,
    /// Stopped by a signal or a person (143).
    Cancelled,
}

impl Kind {
    /// Every kind, in the order of the exit-code table.
    pub const ALL: [Self; 10] = [
        Self::Usage,
        Self::BadData,
        Self::Unreachable,
        Self::Bug,
        Self::CannotWrite,
        Self::Busy,
        Self::Denied,
        Self::Config,
        Self::TimedOut,
        Self::Cancelled,
    ];

    /// The process exit code, after sysexits.h, timeout(1) and 128 + SIGTERM.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::BadData => 65,
            Self::Unreachable => 69,
            Self::Bug => 70,
            Self::CannotWrite => 73,
            Self::Busy => 75,
            Self::Denied => 77,
            Self::Config => 78,
            Self::TimedOut => 124,
            Self::Cancelled => 143,
        }
    }

    /// Whether the same command may succeed later without a person changing anything.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::CannotWrite | Self::Busy | Self::TimedOut | Self::Cancelled
        )
    }

    /// The kind in words, as logs and JSON results spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::BadData => "bad data",
            Self::Unreachable => "unreachable",
            Self::Bug => "bug",
            Self::CannotWrite => "cannot write",
            Self::Busy => "busy",
            Self::Denied => "denied",
            Self::Config => "bad configuration",
            Self::TimedOut => "timed out",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An error of a library that knows its meaning.
pub trait Classify: std::error::Error + Send + Sync + 'static {
    /// What this error means to whoever must act.
    fn kind(&self) -> Kind;

    /// What to do about it, where the error alone tells.
    fn hint(&self) -> Option<&'static str> {
        None
    }
}

impl Classify for std::io::Error {
    fn kind(&self) -> Kind {
        use std::io::ErrorKind as Io;
        match Self::kind(self) {
            Io::StorageFull | Io::QuotaExceeded | Io::ReadOnlyFilesystem | Io::FileTooLarge => {
                Kind::CannotWrite
            }
            Io::PermissionDenied => Kind::Denied,
            Io::NotFound | Io::NotADirectory | Io::IsADirectory => Kind::Config,
            Io::UnexpectedEof | Io::InvalidData => Kind::BadData,
            Io::TimedOut => Kind::TimedOut,
            _ => Kind::Unreachable,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        (Self::kind(self) == std::io::ErrorKind::PermissionDenied).then_some(
            "see whether this process may: its user and groups, the modes of the file and of the folders above",
        )
    }
}

/// A failure on its way to the edge of a tool: its meaning, the chain of what was being done, and
/// optionally what to do about it.
///
/// Displays as one line, `outer: inner: root cause`. It is no `std::error::Error`, so that `?` lifts
/// every [`Classify`] error into it.
pub struct Failure {
    kind: Kind,
    chain: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    /// A failure that starts here.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            chain: anyhow::Error::msg(message.into()),
            hint: None,
        }
    }

    /// What the failure means.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do about it, if somebody along the way knew.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The error that it began with, where that is an `E`.
    #[must_use]
    pub fn cause<E: fmt::Display + fmt::Debug + Send + Sync + 'static>(&self) -> Option<&E> {
        self.chain.downcast_ref()
    }

    /// Adds what was being done, as verb and object: `read the manifest`.
    #[must_use]
    pub fn context(self, doing: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self {
            chain: self.chain.context(doing),
            ..self
        }
    }

    /// Adds what to do about it; the innermost hint stays.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }
}

impl<E: Classify> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            kind: Classify::kind(&error),
            hint: Classify::hint(&error).map(str::to_owned),
            chain: anyhow::Error::new(error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.chain)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:#}", self.kind, self.chain)
    }
}

/// `.context("verb object")` on results whose error can become a [`Failure`].
pub trait Context<T> {
    /// Adds what was being done.
    fn context(self, doing: impl fmt::Display + Send + Sync + 'static) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Context<T> for Result<T, E> {
    fn context(self, doing: impl fmt::Display + Send + Sync + 'static) -> Result<T, Failure> {
        self.map_err(|error| error.into().context(doing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_is_one_line_and_keeps_its_kind() {
        let io = std::io::Error::new(std::io::ErrorKind::StorageFull, "no space left on device");
        let failure = Err::<(), _>(io)
            .context("write the release")
            .unwrap_err()
            .with_hint("grow the volume");
        assert_eq!(
            failure.to_string(),
            "write the release: no space left on device"
        );
        assert_eq!(failure.kind().exit_code(), 73);
        assert_eq!(failure.hint(), Some("grow the volume"));
    }

    #[test]
    fn exit_codes_are_distinct() {
        let mut codes: Vec<_> = Kind::ALL.iter().map(|kind| kind.exit_code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Kind::ALL.len());
    }
}
