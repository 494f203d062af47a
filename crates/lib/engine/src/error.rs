//! What can go wrong between a tool and a database server, by meaning.

use std::fmt;
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
    #[error("server error {code:#}: {message}")]
    Sql {
        /// What the server calls it.
        code: Code,
        /// The server's words.
        message: String,
    },
    /// The server is in a state that passes: read-only, too many connections, a lock.
    #[error("server is busy ({code}): {message}")]
    Busy {
        /// What the server calls it.
        code: Code,
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
        /// What the server calls it.
        code: Code,
        /// The server's words.
        message: String,
    },
    /// What is asked for would break something in the server; a person must decide.
    #[error("{0}")]
    Refused(String),
    /// What is asked for cannot be staged beside what is live in the same database; the reason.
    #[error("it cannot be staged in schemas: {0}")]
    NeedsDatabase(String),
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
    /// The server answered, and not as it was asked, or more than is taken.
    #[error("the answer cannot be used: {0}")]
    Answer(String),
    /// Server and driver did not understand each other.
    #[error("talk to the server: {0}")]
    Protocol(String),
}

/// What a server calls an error: MariaDB and MySQL by number and SQLSTATE, PostgreSQL by SQLSTATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    number: Option<u16>,
    state: String,
}

impl Code {
    /// Of a server that numbers its errors, such as 1146 and `42S02`.
    #[must_use]
    pub fn numbered(number: u16, state: impl Into<String>) -> Self {
        Self {
            number: Some(number),
            state: state.into(),
        }
    }

    /// Of a server that does not, such as `42P01`.
    #[must_use]
    pub fn state(state: impl Into<String>) -> Self {
        Self {
            number: None,
            state: state.into(),
        }
    }

    /// Whether it is this SQLSTATE.
    #[must_use]
    pub fn is(&self, state: &str) -> bool {
        self.state == state
    }
}

/// `1146` or `42P01`; in full (`{:#}`) `1146 (42S02)`.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) if f.alternate() => write!(f, "{number} ({})", self.state),
            Some(number) => number.fmt(f),
            None => f.write_str(&self.state),
        }
    }
}

impl Error {
    /// What the server calls it, where the server spoke.
    #[must_use]
    pub const fn code(&self) -> Option<&Code> {
        match self {
            Self::Sql { code, .. } | Self::Busy { code, .. } | Self::Full { code, .. } => {
                Some(code)
            }
            _ => None,
        }
    }

    /// The server's error number, where it has numbers.
    #[must_use]
    pub(crate) fn number(&self) -> Option<u16> {
        self.code()?.number
    }

    /// The server's refusal of a statement in other words; every other error as it is.
    #[must_use]
    pub(crate) fn reworded(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Sql { code, message } => Self::Sql {
                code,
                message: words(message),
            },
            error => error,
        }
    }

    /// The error, with the reason where the server refused with this number.
    #[must_use]
    pub(crate) fn because(self, number: u16, why: &str) -> Self {
        if self.number() == Some(number) {
            return self.reworded(|message| format!("{message}: {why}"));
        }
        self
    }

    /// Whether the server refused the statement as such, so that it will refuse it again: a syntax
    /// error, a wrong number of arguments. What is missing may come: tables, columns, databases and
    /// functions.
    #[must_use]
    pub fn is_mistake(&self) -> bool {
        /// `ER_BAD_DB_ERROR`, `ER_SP_DOES_NOT_EXIST` and `ER_FUNC_INEXISTENT_NAME_COLLISION` (of a
        /// function named as a native one), which share 42000, the SQLSTATE of syntax errors.
        const MISSING: [u16; 3] = [1049, 1305, 1630];
        /// Tables and columns; then PostgreSQL's tables, columns, functions and other objects.
        const MISSING_STATES: [&str; 6] = ["42S02", "42S22", "42P01", "42703", "42883", "42704"];
        /// It would write, where it may only look.
        const READ_ONLY_TRANSACTION: &str = "25006";
        match self {
            Self::Sql { code, .. } => {
                let state = code.state.as_str();
                let missing = MISSING_STATES.contains(&state)
                    || code.number.is_some_and(|number| MISSING.contains(&number));
                state == READ_ONLY_TRANSACTION || state.starts_with("42") && !missing
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
            Self::Config(_) | Self::NeedsDatabase(_) | Self::Unreadable { .. } => Kind::Config,
            Self::TimedOut { .. } => Kind::TimedOut,
            Self::Answer(_) => Kind::Config,
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
