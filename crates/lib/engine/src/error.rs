//! What can go wrong between a tool and a database server, by meaning.

use std::path::PathBuf;
use std::time::Duration;

use pilotfish_failure::{Classify, Kind};

/// Every failure of this crate. Messages are one line and never hold a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing answers, or the connection broke: waiting and connecting again may help.
    #[error("reach the server: {0}")]
    Unreachable(String),
    /// The account's rights are not enough.
    #[error("server denied access: {0}")]
    Denied(String),
    /// The server turned the account away at login.
    #[error("server denied access: {0}")]
    LoginRefused(String),
    /// A file that holds a setting cannot be read; the server was not asked.
    #[error("read {}, which holds a setting such as the password: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
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
    /// Asked to end before it was done.
    #[error("{0}: stopped")]
    Stopped(String),
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

    /// The error, with the reason where the server refused with this number.
    #[must_use]
    pub(crate) fn because(self, number: u16, why: &str) -> Self {
        match self {
            Self::Sql {
                code,
                state,
                message,
            } if code == number => Self::Sql {
                code,
                state,
                message: format!("{message}: {why}"),
            },
            error => error,
        }
    }

    /// Whether the server refused the statement as such, so that it will refuse it again: a syntax
    /// error, a wrong number of arguments. What is missing may come: tables, columns, databases and
    /// functions.
    #[must_use]
    pub fn is_mistake(&self) -> bool {
        /// `ER_BAD_DB_ERROR`, `ER_SP_DOES_NOT_EXIST` and `ER_FUNC_INEXISTENT_NAME_COLLISION` (of a
        /// function named as a native one), which share 42000, the SQLSTATE of syntax errors.
        const MISSING: [u16; 3] = [1049, 1305, 1630];
        /// It would write, where it may only look.
        const READ_ONLY_TRANSACTION: &str = "25006";
        match self {
            Self::Sql { code, state, .. } => {
                let missing = matches!(state.as_str(), "42S02" | "42S22") || MISSING.contains(code);
                let writes = state == READ_ONLY_TRANSACTION;
                writes || state.starts_with("42") && !missing
            }
            Self::Refused(_) => true,
            _ => false,
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreachable(_) => Kind::Unreachable,
            Self::Denied(_) | Self::LoginRefused(_) => Kind::Denied,
            Self::Sql { .. } | Self::Refused(_) => Kind::BadData,
            Self::Busy { .. } | Self::Locked(_) => Kind::Busy,
            Self::Stopped(_) => Kind::Cancelled,
            Self::Full { .. } => Kind::CannotWrite,
            Self::Config(_) | Self::Unreadable { .. } => Kind::Config,
            Self::TimedOut { .. } => Kind::TimedOut,
            Self::Protocol(_) => Kind::Bug,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::LoginRefused(_) => Some(
                "look at the account: user and password (--user and --password-file, or the image's variables), the hosts it may come from, locks and expiry",
            ),
            _ => None,
        }
    }
}
