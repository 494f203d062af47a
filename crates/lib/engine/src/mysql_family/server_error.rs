//! What the error numbers of MariaDB and MySQL mean to pilotfish.
//!
//! Numbers below 2000 and above 3000 are the server's (both families agree up to 1899), 1900-1999 and
//! 4000-4999 are MariaDB's own.

use mysql_async::{DriverError, IoError, ServerError};

use crate::{Code, Error, tls};

/// Account, host or right is missing; password expired or account locked.
const DENIED: &[u16] = &[
    1044, 1045, 1129, 1130, 1142, 1143, 1227, 1370, 1410, 1419, 1698, 1820, 1862, 1873, 3118, 3879,
    3955, 4151, 4152,
];
/// Too many connections, lock wait timeout, deadlock, read-only or offline mode.
const BUSY: &[u16] = &[1040, 1203, 1205, 1213, 1226, 1836, 3032];
/// The server or the connection is going away.
const LOST: &[u16] = &[
    1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2006, 2013,
];
/// Disk or table full, error writing a file.
const FULL: &[u16] = &[1878, 3, 1021, 1026, 1114];
/// `ER_OPTION_PREVENTS_STATEMENT`: `--read-only`, but also `--secure-file-priv` and others.
const OPTION_PREVENTS: u16 = 1290;
/// `ER_SECURE_TRANSPORT_REQUIRED`.
const TLS_REQUIRED: u16 = 3159;
/// A statement ran into `max_execution_time` (MySQL) or `max_statement_time` (MariaDB).
const STATEMENT_TIME: &[u16] = &[1969, 3024];

impl From<mysql_async::Error> for Error {
    fn from(error: mysql_async::Error) -> Self {
        if let Some(error) = tls::rustls_error(&error) {
            return tls::meaning(error);
        }
        match error {
            mysql_async::Error::Server(error) => server(error),
            mysql_async::Error::Io(IoError::Io(error)) => Self::Unreachable(error.to_string()),
            mysql_async::Error::Io(IoError::Tls(error)) => {
                Self::Config(format!("use TLS: {error}"))
            }
            mysql_async::Error::Driver(error) => driver(error),
            mysql_async::Error::Url(error) => Self::Config(error.to_string()),
            mysql_async::Error::Other(error) => Self::Protocol(error.to_string()),
        }
    }
}

fn server(error: ServerError) -> Error {
    let ServerError {
        code,
        message,
        state,
    } = error;
    let named = Code::numbered(code, state);
    match code {
        _ if DENIED.contains(&code) => Error::Denied(format!("{message} ({code})")),
        _ if BUSY.contains(&code) => Error::Busy {
            code: named,
            message,
        },
        OPTION_PREVENTS if message.contains("read-only") || message.contains("read_only") => {
            Error::Busy {
                code: named,
                message,
            }
        }
        _ if LOST.contains(&code) => Error::Unreachable(format!("{message} ({code})")),
        _ if FULL.contains(&code) => Error::Full {
            code: named,
            message,
        },
        // "Got error 28 from storage engine": ENOSPC under another number.
        1030 if message.contains("28") => Error::Full {
            code: named,
            message,
        },
        _ if STATEMENT_TIME.contains(&code) => Error::Busy {
            code: named,
            message,
        },
        TLS_REQUIRED => Error::Config(format!("{message}: give --tls-mode require or stricter")),
        _ => Error::Sql {
            code: named,
            message,
        },
    }
}

fn driver(error: DriverError) -> Error {
    match error {
        DriverError::ConnectionClosed => Error::Unreachable("the connection was closed".to_owned()),
        DriverError::NoClientSslFlagFromServer => Error::Config(
            "the server offers no TLS: switch it on there, or use --tls-mode prefer".to_owned(),
        ),
        DriverError::UnknownAuthPlugin { name } => Error::Config(format!(
            "the account authenticates by {name}, which is not supported: use caching_sha2_password, ed25519, parsec or mysql_native_password"
        )),
        DriverError::CleartextPluginDisabled | DriverError::MysqlOldPasswordDisabled => {
            Error::Config(format!("authenticate: {error}"))
        }
        // These hold values of the user's rows: say what, not which.
        DriverError::FromRow { .. } => Error::Protocol("a row has an unexpected shape".to_owned()),
        DriverError::FromValue { .. } => {
            Error::Protocol("a value has an unexpected type".to_owned())
        }
        DriverError::LocalInfile(error) => Error::Protocol(format!("stream rows: {error}")),
        error => Error::Protocol(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotfish_failure::{Classify as _, Kind};

    fn kind(code: u16, message: &str) -> Kind {
        let error = ServerError {
            code,
            message: message.into(),
            state: "HY000".into(),
        };
        Error::from(mysql_async::Error::Server(error)).kind()
    }

    #[test]
    fn numbers_have_meanings() {
        assert_eq!(
            kind(1045, "Access denied for user 'x'@'localhost'"),
            Kind::Denied
        );
        assert_eq!(kind(1146, "Table 'a.b' doesn't exist"), Kind::BadData);
        assert_eq!(kind(1213, "Deadlock found"), Kind::Busy);
        assert_eq!(
            kind(1290, "running with the --read-only option"),
            Kind::Busy
        );
        assert_eq!(
            kind(1290, "running with the --secure-file-priv option"),
            Kind::BadData
        );
        assert_eq!(kind(1053, "Server shutdown in progress"), Kind::Unreachable);
        assert_eq!(kind(1114, "The table 't' is full"), Kind::CannotWrite);
        assert_eq!(
            kind(3159, "Connections using insecure transport are prohibited"),
            Kind::Config
        );
    }
}
