//! `mysql://user:password@host:port/database`, or `postgres://`: the address everybody knows.
//!
//! Messages never quote the address: it may hold a password.

use std::path::PathBuf;

use crate::args::Kind;
use crate::settings::{Route, Secret};

/// The parts of an address; those not given are `None`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) kind: Option<Kind>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) route: Option<Route>,
    pub(crate) database: Option<String>,
}

/// The schemes and whose protocol they mean.
const SCHEMES: &[(&str, Kind)] = &[
    ("mysql", Kind::MySqlFamily),
    ("mariadb", Kind::MySqlFamily),
    ("postgres", Kind::Postgres),
    ("postgresql", Kind::Postgres),
];

/// Takes an address apart and decodes each part. The scheme chooses the protocol, not the engine: everyone writes
/// `mysql://` for MariaDB too.
///
/// # Errors
/// One sentence on what is wrong, without the address.
pub(crate) fn parse(address: &str) -> Result<Address, String> {
    let (scheme, rest) = address
        .split_once("://")
        .ok_or("is no address: write mysql://user:password@host:port/database, specials as %xx")?;
    let Some(&(_, kind)) = SCHEMES.iter().find(|(name, _)| *name == scheme) else {
        return Err("has an unknown scheme: use mysql://, mariadb:// or postgres://".to_owned());
    };
    if rest.contains(['?', '#']) {
        return Err(
            "holds ? or #: TLS and timeouts have flags, and in a password write %3F or %23"
                .to_owned(),
        );
    }
    let (authority, database) = match rest.rsplit_once('@') {
        // The last @ ends the credentials; a slash before it belongs to a password and must be %2F.
        Some((credentials, _)) if credentials.contains('/') => {
            return Err("holds / before the last @: in a password write %2F".to_owned());
        }
        _ => rest.split_once('/').unwrap_or((rest, "")),
    };
    let (credentials, host) = match authority.rsplit_once('@') {
        Some((credentials, host)) => (Some(credentials), host),
        None => (None, authority),
    };
    let mut parts = Address {
        kind: Some(kind),
        route: route(host, kind.default_port())?,
        ..Address::default()
    };
    if let Some(credentials) = credentials {
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        parts.user = non_empty(decode(user)?);
        parts.password = password.map(decode).transpose()?.map(Secret::new);
    }
    parts.database = non_empty(decode(database)?);
    Ok(parts)
}

pub(crate) fn route(host: &str, default_port: u16) -> Result<Option<Route>, String> {
    let (host, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("has a [ without a ]")?;
            (host, after.strip_prefix(':'))
        }
        None => match host.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, None),
        },
    };
    let host = decode(host)?;
    if host.starts_with('/') {
        return Ok(Some(Route::Socket(PathBuf::from(host))));
    }
    let port = match port {
        Some(text) => text
            .parse()
            .map_err(|_| "has a port that is no number up to 65535")?,
        None => default_port,
    };
    Ok(non_empty(host).map(|host| Route::Tcp { host, port }))
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Undoes percent-encoding.
pub(crate) fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let digits = tail
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let value = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(value.ok_or("has a % without two hexadecimal digits: write %25 for a %")?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 after decoding".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_decoded() {
        let parts = parse("mysql://a%40b:p%2F%3A%23%25@db.example.org:3307/sh%20op").unwrap();
        assert_eq!(parts.user.as_deref(), Some("a@b"));
        assert_eq!(parts.password.as_ref().map(Secret::reveal), Some("p/:#%"));
        assert_eq!(
            parts.route,
            Some(Route::Tcp {
                host: "db.example.org".into(),
                port: 3307
            })
        );
        assert_eq!(parts.database.as_deref(), Some("sh op"));
        assert!(
            !format!("{parts:?}").contains("p/"),
            "passwords are not shown"
        );
    }

    #[test]
    fn parts_may_be_missing() {
        let parts = parse("mariadb://db").unwrap();
        assert_eq!(
            parts.route,
            Some(Route::Tcp {
                host: "db".into(),
                port: 3306
            })
        );
        assert_eq!(
            (parts.user, parts.password, parts.database),
            (None, None, None)
        );
        assert_eq!(parse("mysql:///shop").unwrap().route, None);
        let parts = parse("mysql://root@%2Frun%2Fmysqld%2Fmysqld.sock").unwrap();
        assert_eq!(
            parts.route,
            Some(Route::Socket("/run/mysqld/mysqld.sock".into()))
        );
        let parts = parse("postgresql://db").unwrap();
        assert_eq!(
            (parts.kind, parts.route),
            (
                Some(Kind::Postgres),
                Some(Route::Tcp {
                    host: "db".into(),
                    port: 5432
                })
            )
        );
        let parts = parse("mysql://u:@[::1]:3307/").unwrap();
        assert_eq!(
            parts.route,
            Some(Route::Tcp {
                host: "::1".into(),
                port: 3307
            })
        );
        assert_eq!(parts.password.as_ref().map(Secret::reveal), Some(""));
    }

    #[test]
    fn mistakes_are_named_without_the_secret() {
        for address in [
            "db:3306",
            "oracle://u:hunter2@db",
            "mysql://u:hunter2#x@db",
            "mysql://u:hunter2?@db",
            "mysql://u:hunter2/x@db",
            "mysql://u:hunter2@db:port/x",
            "mysql://u:hunter2%zz@db",
            "mysql://u:hunter2@[::1/x",
        ] {
            let message = parse(address).unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
