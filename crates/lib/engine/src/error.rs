//! What can go wrong between a tool and a database server, by meaning.

use std::time::Duration;

use pilotfish_failure::{Classify, Kind};

/// Every failure of this crate. Messages are one line and never hold a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing answers, or the connection broke: waiting and connecting again may help.
    #[error("reach the server: {0}")]
    Unreachable(String),
    /// The account, its password or its rights are not enough; also a password file that is missing.
    #[error("server denied access: {0}")]
    Denied(String),
    /// The server refused one statement.
    #[error("server error {code} ({state}): {message}")]
    Sql {
        /// The server's own error number, such as 1146.
        code: u16,
        /// SQLSTATE, such as `42S02`.
        state: String,
        /// The server's words.
        message: String,
    },
    /// The server is in a state that passes: read-only, too many connections, a lock.
    #[error("server is busy ({code}): {message}")]
    Busy {
        /// The server's own error number.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// Somebody else is at work on it, or the server has a role in which loading would do harm.
    #[error("{0}")]
    Locked(String),
    /// The server has no room left.
    #[error("server cannot write ({code}): {message}")]
    Full {
        /// The server's own error number.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// What is asked for would break something in the server; a person must decide.
    #[error("{0}")]
    Refused(String),
    /// The settings can never work as they are.
    #[error("{0}")]
    Config(String),
    /// A stated time ran out.
    #[error("{doing}: no answer within {limit:?}")]
    TimedOut {
        /// Verb and object.
        doing: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// Server and driver did not understand each other.
    #[error("talk to the server: {0}")]
    Protocol(String),
}

impl Error {
    /// The server's error number, where the server spoke.
    #[must_use]
    pub const fn code(&self) -> Option<u16> {
        match self {
            Self::Sql { code, .. } | Self::Busy { code, .. } | Self::Full { code, .. } => {
                Some(*code)
            }
            _ => None,
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreachable(_) => Kind::Unreachable,
            Self::Denied(_) => Kind::Denied,
            Self::Sql { .. } | Self::Refused(_) => Kind::BadData,
            Self::Busy { .. } | Self::Locked(_) => Kind::Busy,
            Self::Full { .. } => Kind::CannotWrite,
            Self::Config(_) => Kind::Config,
            Self::TimedOut { .. } => Kind::TimedOut,
            Self::Protocol(_) => Kind::Bug,
        }
    }
}
