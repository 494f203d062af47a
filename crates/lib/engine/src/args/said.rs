//! What the environment says of the server beside our own variables: the stock images' variables, and those of
//! PostgreSQL's clients. Whatever is given to pilotfish itself comes first.

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use crate::PassFile;
use crate::settings::{EngineName, Route, Secret, Text, Tls, TlsMode};

/// Engines that share a protocol, a port and their images' variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    MySqlFamily,
    Postgres,
}

impl Kind {
    pub(crate) const fn of(engine: EngineName) -> Self {
        match engine {
            EngineName::MariaDb | EngineName::MySql => Self::MySqlFamily,
            EngineName::Postgres => Self::Postgres,
        }
    }

    pub(super) const fn of_port(port: u16) -> Option<Self> {
        match port {
            3306 => Some(Self::MySqlFamily),
            5432 => Some(Self::Postgres),
            _ => None,
        }
    }

    /// PostgreSQL's sockets are called `.s.PGSQL.5432`, and their folder after it.
    pub(super) fn of_socket(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy();
        let known = name.starts_with(".s.PGSQL.") || name == "postgresql";
        known.then_some(Self::Postgres)
    }

    /// PostgreSQL where only its variables are set.
    pub(super) fn of_variables(env: &impl Fn(&str) -> Option<String>) -> Self {
        let any = |names: &[&str]| names.iter().any(|name| set(env, name).is_some());
        let roots = ["ROOT_PASSWORD", "ROOT_PASSWORD_FILE", "USER", "USER_FILE"];
        let family = IMAGES
            .iter()
            .flat_map(|image| roots.map(|name| format!("{image}_{name}")))
            .any(|name| set(env, &name).is_some());
        if any(&POSTGRES) && !family && !any(&EMPTY_ROOT) {
            Self::Postgres
        } else {
            Self::MySqlFamily
        }
    }

    /// The engine, where the protocol has only one.
    pub(crate) const fn only_engine(self) -> Option<EngineName> {
        match self {
            Self::MySqlFamily => None,
            Self::Postgres => Some(EngineName::Postgres),
        }
    }

    pub(crate) const fn default_port(self) -> u16 {
        match self {
            Self::MySqlFamily => 3306,
            Self::Postgres => 5432,
        }
    }

    pub(super) fn default_route(self) -> Route {
        Route::Tcp {
            host: "127.0.0.1".to_owned(),
            port: self.default_port(),
        }
    }

    pub(super) const fn no_account(self) -> &'static str {
        match self {
            Self::MySqlFamily => {
                "no account: give --user and --password-file, --url, or the image's variables such as \
                 MARIADB_ROOT_PASSWORD"
            }
            Self::Postgres => {
                "no account: give --user and --password-file, --url, or variables such as POSTGRES_PASSWORD or \
                 PGUSER"
            }
        }
    }
}

/// Image variables come in two spellings; MariaDB's image knows both and prefers its own.
const IMAGES: [&str; 2] = ["MARIADB", "MYSQL"];
/// Variables that make an image leave root without a password.
const EMPTY_ROOT: [&str; 3] = [
    "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD",
    "MYSQL_ALLOW_EMPTY_PASSWORD",
    "MARIADB_ALLOW_EMPTY_PASSWORD",
];
/// Variables by which PostgreSQL is known.
const POSTGRES: [&str; 8] = [
    "POSTGRES_PASSWORD",
    "POSTGRES_PASSWORD_FILE",
    "POSTGRES_USER",
    "POSTGRES_HOST_AUTH_METHOD",
    "PGHOST",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
];

/// The parts that it says.
#[derive(Default)]
pub(super) struct Said {
    pub(super) route: Option<Route>,
    pub(super) account: Option<(Text, Option<Text<Secret>>)>,
    pub(super) database: Option<Text>,
    pub(super) tls: Tls,
    pub(super) pass_file: Option<PathBuf>,
}

impl Said {
    pub(super) fn read(
        kind: Kind,
        env: &impl Fn(&str) -> Option<String>,
        mistakes: &mut Vec<String>,
    ) -> Self {
        match kind {
            Kind::MySqlFamily => mysql_family(env, mistakes),
            Kind::Postgres => postgres(env, mistakes),
        }
    }
}

fn mysql_family(env: &impl Fn(&str) -> Option<String>, mistakes: &mut Vec<String>) -> Said {
    let mut variable = |name: &str| -> Option<Text> {
        let mut found = None;
        for image in IMAGES {
            let here = or_file(env, &format!("{image}_{name}"), mistakes);
            found = found.or(here);
        }
        found
    };
    let root_password = variable("ROOT_PASSWORD");
    let user = variable("USER");
    let password = variable("PASSWORD");
    let database = variable("DATABASE");
    let root = || Text::Value("root".to_owned());
    let empty_root = EMPTY_ROOT.iter().any(|name| set(env, name).is_some());
    let account = match (root_password, user, password) {
        (Some(password), _, _) => Some((root(), Some(hidden(password)))),
        (None, _, _) if empty_root => Some((root(), None)),
        (None, Some(user), password) => Some((user, password.map(hidden))),
        (None, None, _) => None,
    };
    Said {
        account,
        database,
        ..Said::default()
    }
}

/// The clients' variables before the image's: who sets them in a sidecar means this connection.
fn postgres(env: &impl Fn(&str) -> Option<String>, mistakes: &mut Vec<String>) -> Said {
    let text = |name: &str| set(env, name).map(Text::Value);
    let user = text("PGUSER").or_else(|| or_file(env, "POSTGRES_USER", mistakes));
    let password = text("PGPASSWORD").or_else(|| or_file(env, "POSTGRES_PASSWORD", mistakes));
    let trusted = set(env, "POSTGRES_HOST_AUTH_METHOD").is_some_and(|method| method == "trust");
    let known = user.is_some() || password.is_some() || trusted;
    let user = user.unwrap_or_else(|| Text::Value("postgres".to_owned()));
    let database = text("PGDATABASE").or_else(|| or_file(env, "POSTGRES_DB", mistakes));
    Said {
        route: postgres_route(env, mistakes),
        // As the image names the database that it makes.
        database: database.or_else(|| known.then(|| user.clone())),
        account: known.then(|| (user, password.map(hidden))),
        tls: postgres_tls(env, mistakes),
        pass_file: set(env, "PGPASSFILE")
            .map(PathBuf::from)
            .or_else(|| set(env, "HOME").map(|home| Path::new(&home).join(".pgpass"))),
    }
}

/// Where libpq would look the account's password up. An account that only a file names is none of libpq's.
pub(super) fn pass_file(
    path: PathBuf,
    route: &Route,
    user: &Text,
    database: Option<&Text>,
) -> Option<PassFile> {
    let Text::Value(user) = user else {
        return None;
    };
    let database = match database {
        Some(Text::Value(name)) => name.clone(),
        Some(Text::File(_)) => return None,
        None => user.clone(),
    };
    let (host, port) = match route {
        Route::Tcp { host, port } => (host.clone(), *port),
        Route::Socket(path) => {
            let port = path
                .extension()
                .and_then(|port| port.to_str()?.parse().ok());
            ("localhost".to_owned(), port.unwrap_or(5432))
        }
    };
    Some(PassFile {
        path,
        host,
        port,
        database,
        user: user.clone(),
    })
}

fn postgres_route(
    env: &impl Fn(&str) -> Option<String>,
    mistakes: &mut Vec<String>,
) -> Option<Route> {
    let host = set(env, "PGHOST");
    let port = set(env, "PGPORT").map(|text| text.parse::<u16>());
    let port = port.transpose().unwrap_or_else(|_| {
        mistakes.push("PGPORT: a port is a number up to 65535".to_owned());
        None
    });
    if host.is_none() && port.is_none() {
        return None;
    }
    let port = port.unwrap_or(Kind::Postgres.default_port());
    let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
    Some(if host.starts_with('/') {
        Route::Socket(Path::new(&host).join(format!(".s.PGSQL.{port}")))
    } else {
        Route::Tcp { host, port }
    })
}

fn postgres_tls(env: &impl Fn(&str) -> Option<String>, mistakes: &mut Vec<String>) -> Tls {
    let mode = set(env, "PGSSLMODE").and_then(|name| match name.as_str() {
        // Plain text first, TLS where the server insists: TLS where it is offered serves both.
        "allow" => Some(TlsMode::Prefer),
        name => TlsMode::from_str(name, false)
            .map_err(|_| mistakes.push(format!("PGSSLMODE: there is no mode {name}")))
            .ok(),
    });
    let path = |name: &str| set(env, name).map(PathBuf::from);
    Tls {
        mode,
        ca: path("PGSSLROOTCERT"),
        identity: path("PGSSLCERT").zip(path("PGSSLKEY")),
    }
}

/// A variable, or the file that `<name>_FILE` names.
fn or_file(
    env: &impl Fn(&str) -> Option<String>,
    name: &str,
    mistakes: &mut Vec<String>,
) -> Option<Text> {
    let value = set(env, name);
    let file = set(env, &format!("{name}_FILE"));
    if value.is_some() && file.is_some() {
        mistakes.push(format!("{name} and {name}_FILE are both set: keep one"));
    }
    value
        .map(Text::Value)
        .or_else(|| file.map(|path| Text::File(path.into())))
}

/// A variable that is set and not empty.
fn set(env: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    env(name).filter(|value| !value.is_empty())
}

fn hidden(text: Text) -> Text<Secret> {
    match text {
        Text::Value(value) => Text::Value(Secret::new(value)),
        Text::File(path) => Text::File(path),
    }
}
