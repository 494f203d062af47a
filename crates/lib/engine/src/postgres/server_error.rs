//! What the SQLSTATEs of PostgreSQL mean to pilotfish (its manual, appendix A).

use tokio_postgres::error::DbError;

use crate::{Code, Error, tls};

/// The account is unknown, its password wrong, its rights not enough. Class 28 is about logins.
const DENIED: &[&str] = &["42501", "0LP01", "0P000"];
/// Too many connections, locks, deadlocks, read-only, a statement's time.
const BUSY: &[&str] = &[
    "25006", "40001", "40P01", "53300", "55006", "55P03", "57014", "57P05",
];
/// The server starts or ends, or ended the session. Class 08 is about connections.
const LOST: &[&str] = &["57P01", "57P02", "57P03"];
/// There is no such database.
const ABSENT: &str = "3D000";
/// No room on disk or in memory.
const FULL: &[&str] = &["53000", "53100", "53200"];

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(error) = tls::rustls_error(&error) {
            return tls::meaning(error);
        }
        if let Some(said) = error.as_db_error() {
            return server(said);
        }
        driver(&error)
    }
}

fn server(said: &DbError) -> Error {
    let state = said.code().code();
    let mut message = said.message().to_owned();
    for more in [said.detail(), said.hint()].into_iter().flatten() {
        message = format!("{message}; {more}");
    }
    // COPY says here in which row and column.
    if let Some(place) = said.where_().filter(|place| place.starts_with("COPY")) {
        message = format!("{message} ({place})");
    }
    let code = || Code::state(state);
    match state {
        _ if state.starts_with("28") || DENIED.contains(&state) => {
            Error::Denied(format!("{message} ({state})"))
        }
        _ if BUSY.contains(&state) => Error::Busy {
            code: code(),
            message,
        },
        _ if state.starts_with("08") || LOST.contains(&state) => {
            Error::Unreachable(format!("{message} ({state})"))
        }
        ABSENT => Error::Config(format!("{message} ({state}): make it, or name another one")),
        _ if FULL.contains(&state) => Error::Full {
            code: code(),
            message,
        },
        _ => Error::Sql {
            code: code(),
            message,
        },
    }
}

/// The driver tells its kinds of errors by words only.
fn driver(error: &tokio_postgres::Error) -> Error {
    let words = chain(error);
    let is = |part: &str| words.contains(part);
    match () {
        () if is("server does not support TLS") => Error::Config(
            "the server offers no TLS: switch it on there, or use --tls-mode prefer".to_owned(),
        ),
        () if is("password missing") => {
            Error::Denied("the server asks for a password, and none is given".to_owned())
        }
        () if is("unsupported authentication method") => Error::Config(
            "the account authenticates by a method that is not supported: use scram-sha-256 or a certificate"
                .to_owned(),
        ),
        // What answers is no PostgreSQL.
        () if is("invalid message") || is("unexpected message") || is("protocol") => {
            Error::Protocol(words)
        }
        () => Error::Unreachable(words),
    }
}

/// The error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = inner.source();
    }
    words
}
