//! `DATA_SOURCE_NAME`, as mysqld_exporter and postgres_exporter have it in so many manifests: an address of
//! PostgreSQL, libpq's `key=value` words, or the form of Go's driver for MySQL.
//!
//! Messages never quote it: it holds a password.

use std::path::PathBuf;
use std::time::Duration;

use crate::args::Kind;
use crate::settings::{EngineName, Password, Route, Secret, Settings, Text, Tls, TlsMode};
use crate::url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The server that it names. Parameters of libpq and of the driver that have nothing to do with the way to it or with TLS
/// are passed over.
///
/// # Errors
/// One sentence on what is wrong, without the text.
pub fn parse(text: &str) -> Result<Settings, String> {
    let text = text.trim();
    // A word of libpq's may hold anything behind its `=`.
    let name = text.split('=').next().unwrap_or_default().trim();
    let is_word = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    if text.contains('=') && !name.is_empty() && is_word(name) {
        return words(text);
    }
    match text.contains("://") {
        true => address(text),
        false => go_driver(text),
    }
}

/// Parts that all forms have.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
    tls: Tls,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Parts {
    /// A parameter of libpq.
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "host" | "hostaddr" => self.host = Some(value.to_owned()),
            "port" => {
                let port = value.parse();
                self.port = Some(port.map_err(|_| "has a port that is no number up to 65535")?);
            }
            "user" => self.user = Some(value.to_owned()),
            "password" => self.password = Some(Secret::new(value)),
            "dbname" | "database" => self.database = Some(value.to_owned()),
            "sslmode" => self.tls.mode = Some(tls_mode(value)?),
            "sslrootcert" => self.tls.ca = Some(value.into()),
            "sslcert" => self.certificate = Some(value.into()),
            "sslkey" => self.key = Some(value.into()),
            _ => {}
        }
        Ok(())
    }

    fn into_settings(self, kind: Kind) -> Settings {
        let host = self.host.unwrap_or_else(|| "127.0.0.1".to_owned());
        let port = self.port.unwrap_or(kind.default_port());
        let route = match host.starts_with('/') {
            true if kind == Kind::Postgres => {
                Route::Socket(PathBuf::from(host).join(format!(".s.PGSQL.{port}")))
            }
            true => Route::Socket(host.into()),
            false => Route::Tcp { host, port },
        };
        let default_user = match kind {
            Kind::MySqlFamily => "root",
            Kind::Postgres => "postgres",
        };
        // As their driver has it for PostgreSQL.
        let mode = self
            .tls
            .mode
            .or((kind == Kind::Postgres).then_some(TlsMode::Require));
        // Only modes that verify look at it.
        let verifies = !matches!(
            mode,
            Some(TlsMode::Disable | TlsMode::Prefer | TlsMode::Require)
        );
        Settings {
            engine: kind.only_engine(),
            route,
            user: Text::Value(self.user.unwrap_or_else(|| default_user.to_owned())),
            password: Password::new(self.password.map(Text::Value)),
            database: self.database.map(Text::Value),
            tls: Tls {
                mode,
                ca: self.tls.ca.filter(|_| verifies),
                identity: self.certificate.zip(self.key),
            },
            connect_timeout: CONNECT_TIMEOUT,
        }
    }
}

fn tls_mode(text: &str) -> Result<TlsMode, String> {
    Ok(match text {
        "disable" => TlsMode::Disable,
        "allow" | "prefer" => TlsMode::Prefer,
        "require" => TlsMode::Require,
        "verify-ca" => TlsMode::VerifyCa,
        "verify-full" => TlsMode::VerifyFull,
        _ => return Err("has an sslmode that is none".to_owned()),
    })
}

/// `postgresql://user:password@host:port/database?sslmode=disable`.
fn address(text: &str) -> Result<Settings, String> {
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    let address = url::parse(address)?;
    let kind = address.kind.unwrap_or(Kind::Postgres);
    let mut parts = Parts {
        user: address.user,
        password: address.password,
        database: address.database,
        ..Parts::default()
    };
    match address.route {
        Some(Route::Tcp { host, port }) => (parts.host, parts.port) = (Some(host), Some(port)),
        Some(Route::Socket(path)) => parts.host = Some(path.display().to_string()),
        None => {}
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        parts.set(name, &url::decode(value)?)?;
    }
    Ok(parts.into_settings(kind))
}

/// `user=postgres host='/run/postgresql' sslmode=disable`; `\` protects a letter.
fn words(text: &str) -> Result<Settings, String> {
    let mut parts = Parts::default();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        let mut name = String::new();
        while let Some(letter) = letters.next_if(|letter| *letter != '=') {
            name.push(letter);
        }
        if name.is_empty() {
            return Ok(parts.into_settings(Kind::Postgres));
        }
        if letters.next().is_none() {
            return Err("has a word without =".to_owned());
        }
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        let quoted = letters.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match letters.next() {
                Some('\\') => value.extend(letters.next()),
                Some('\'') if quoted => break,
                Some(letter) if quoted || !letter.is_whitespace() => value.push(letter),
                None if quoted => return Err("has a quote without an end".to_owned()),
                _ => break,
            }
        }
        parts.set(name.trim(), &value)?;
    }
}

/// `user:password@(host:3306)/`, `user:password@tcp(host:3306)/db`, `user:password@unix(/path)/`. A password may hold
/// anything: the last `@` before the last `/` ends it.
fn go_driver(text: &str) -> Result<Settings, String> {
    let (text, query) = match text.rsplit_once('?') {
        Some((before, after)) if !after.contains(['@', ')']) => (before, after),
        _ => (text, ""),
    };
    let (before, database) = text.rsplit_once('/').ok_or("has no /")?;
    let (credentials, way) = before.rsplit_once('@').ok_or("has no @")?;
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(Secret::new(password))),
        None => (credentials, None),
    };
    let mut tls = Tls::default();
    for parameter in query.split('&') {
        if let Some(("tls", value)) = parameter.split_once('=') {
            tls.mode = Some(go_tls(value)?);
        }
    }
    let mut parts = Parts {
        user: Some(user.to_owned()),
        password,
        tls,
        database: (!database.is_empty()).then(|| database.to_owned()),
        ..Parts::default()
    };
    let (protocol, place) = match way.split_once('(') {
        Some((protocol, place)) => {
            let place = place.strip_suffix(')');
            (protocol, place.ok_or("has a ( without a )")?)
        }
        None => ("tcp", way),
    };
    if protocol == "unix" {
        parts.host = Some(place.to_owned());
    } else if !place.is_empty() {
        (parts.host, parts.port) = host_and_port(place)?;
    }
    Ok(parts.into_settings(Kind::MySqlFamily))
}

/// What Go's driver for MySQL calls the ways of TLS.
///
/// # Errors
/// For a name that is none: those that a program registers cannot be known here.
pub fn go_tls(name: &str) -> Result<TlsMode, String> {
    match name {
        "true" => Ok(TlsMode::VerifyFull),
        "skip-verify" => Ok(TlsMode::Require),
        "preferred" => Ok(TlsMode::Prefer),
        "false" => Ok(TlsMode::Disable),
        _ => Err("has a tls that is none of true, skip-verify, preferred and false".to_owned()),
    }
}

/// `host:3306`, `[::1]:3306`, or either without a port.
fn host_and_port(place: &str) -> Result<(Option<String>, Option<u16>), String> {
    match url::route(place, Kind::MySqlFamily.default_port())? {
        Some(Route::Tcp { host, port }) => Ok((Some(host), Some(port))),
        Some(Route::Socket(path)) => Ok((Some(path.display().to_string()), None)),
        None => Ok((None, None)),
    }
}

/// A server of MariaDB or MySQL by `host:port` or `unix:///path`, as mysqld_exporter's `--mysqld.address` and
/// `?target=` have it.
///
/// # Errors
/// One sentence on what is wrong with the place.
pub fn at(
    engine: Option<EngineName>,
    place: &str,
    user: Text,
    password: Password,
    tls: Tls,
) -> Result<Settings, String> {
    let kind = engine.map_or(Kind::MySqlFamily, Kind::of);
    let route = match place.strip_prefix("unix://") {
        Some(path) => Some(Route::Socket(path.into())),
        None => url::route(place, kind.default_port())?,
    };
    Ok(Settings {
        engine: engine.or(kind.only_engine()),
        route: route.ok_or("names no host")?,
        user,
        password,
        database: None,
        tls,
        connect_timeout: CONNECT_TIMEOUT,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let settings = parse(text).unwrap();
        let Text::Value(user) = &settings.user else {
            panic!("a file");
        };
        let database = match &settings.database {
            Some(Text::Value(name)) => name.as_str(),
            _ => "-",
        };
        format!("{user} {settings} {database} {:?}", settings.tls.mode)
    }

    #[test]
    fn the_forms_of_both_exporters_are_read() {
        for (text, expected) in [
            (
                "postgresql://u:p@db:5433/app?sslmode=disable",
                "u db:5433 app Some(Disable)",
            ),
            ("postgresql://u:p@db/app", "u db:5432 app Some(Require)"),
            (
                "user=u password='a b' host=/run/postgresql sslmode=require",
                "u /run/postgresql/.s.PGSQL.5432 - Some(Require)",
            ),
            (
                "user = u password=p@ss host=/run/postgresql sslmode=disable",
                "u /run/postgresql/.s.PGSQL.5432 - Some(Disable)",
            ),
            ("u:p@(db:3307)/", "u db:3307 - None"),
            (
                "u:p@ss@tcp(db:3307)/app?tls=false",
                "u db:3307 app Some(Disable)",
            ),
            ("u:p@tcp(db)/?tls=true", "u db:3306 - Some(VerifyFull)"),
            (
                "u@unix(/run/mysqld/mysqld.sock)/",
                "u /run/mysqld/mysqld.sock - None",
            ),
            ("u:p@(db)/", "u db:3306 - None"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for text in [
            "user",
            "u:hunter2@(db)/?tls=custom",
            "u:hunter2@tcp(db/",
            "host='x",
            "postgres://u:hunter2@h:99999/",
        ] {
            let why = parse(text).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
