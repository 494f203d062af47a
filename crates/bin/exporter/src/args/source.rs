//! Which server, by flags and variables of ours, else by those of the exporter whose place it takes.

use std::fs;
use std::path::{Path, PathBuf};

use pilotfish_engine::{EngineName, Password, Secret, ServerArgs, Text, Tls, data_source};
use pilotfish_runtime::Environment;

use super::variables::{self, Variables};
use crate::collect::Choices;
use crate::probe::Probes;
use crate::target::{AuthModules, OptionFile, Source};

/// Where mysqld_exporter looks by itself.
const DEFAULT_FILE: &str = ".my.cnf";

/// Flags of mysqld_exporter that name a server.
#[derive(Debug, clap::Args)]
pub(super) struct LegacyArgs {
    /// Option file of MariaDB's and MySQL's clients
    #[arg(long = "config.my-cnf", hide = true, value_name = "FILE")]
    option_file: Option<PathBuf>,
    /// Host and port, or unix:///path
    #[arg(long = "mysqld.address", hide = true, value_name = "ADDRESS")]
    address: Option<String>,
    /// Account
    #[arg(long = "mysqld.username", hide = true, value_name = "NAME")]
    username: Option<String>,
    /// File with accounts for the servers that probes name, of PostgreSQL
    #[arg(long = "config.file", hide = true, value_name = "FILE")]
    auth_modules: Option<PathBuf>,
    /// Leave the oldest part of postgres_exporter out
    #[arg(long = "disable-default-metrics", hide = true, id = "config.oldest")]
    without_oldest: bool,
    /// Leave settings out
    #[arg(long = "disable-settings-metrics", hide = true, id = "config.settings")]
    without_settings: bool,
    /// Has no effect: all databases are visited
    #[arg(long = "auto-discover-databases", hide = true, id = "config.discover")]
    _discover: bool,
    /// Has no effect: statements of sessions that stay are in no slow log for long
    #[arg(long = "exporter.log_slow_filter", hide = true)]
    _log_slow_filter: bool,
    /// Has no effect: see --log-format
    #[arg(long = "log.format", hide = true, value_name = "FORMAT")]
    _log_format: Option<String>,
    /// Queries of one's own, which are not here
    #[arg(long = "extend.query-path", hide = true, value_name = "FILE")]
    queries: Option<String>,
    /// Labels for all series, which are not here
    #[arg(long = "constantLabels", hide = true, value_name = "LABELS")]
    labels: Option<String>,
    /// What names begin with
    #[arg(long = "metric-prefix", hide = true, value_name = "TEXT")]
    prefix: Option<String>,
    /// Verify no certificate
    #[arg(long = "tls.insecure-skip-verify", hide = true)]
    trusting: bool,
}

/// Collectors of postgres_exporter that its flag `--disable-default-metrics` turns off: its oldest part.
const OLDEST: [&str; 5] = [
    "stat_activity",
    "stat_archiver",
    "stat_database_conflicts",
    "stat_replication",
    "static",
];

impl LegacyArgs {
    /// Flags of postgres_exporter that ask for what is not here, as in [`super::variables`].
    pub(super) fn refused(&self) -> Vec<String> {
        let given = [
            ("extend.query-path", "EXTEND_QUERY_PATH", &self.queries),
            ("constantLabels", "CONSTANT_LABELS", &self.labels),
            ("metric-prefix", "METRIC_PREFIX", &self.prefix),
        ];
        let refused = given.into_iter().filter_map(|(flag, name, value)| {
            let why = variables::refused(name, value.as_deref().unwrap_or_default())?;
            Some(format!("--{flag}: {why}; leave it out"))
        });
        refused.collect()
    }

    /// What flags of postgres_exporter turn off beside those of single collectors.
    pub(super) fn turn_off(&self, variables: &Variables, choices: &mut Choices) {
        let without_oldest = self.without_oldest || variables.without_oldest;
        let oldest = OLDEST.iter().filter(|_| without_oldest);
        let without_settings = self.without_settings || variables.without_settings;
        let settings = ["settings"];
        let settings = settings.iter().filter(|_| without_settings);
        for name in oldest.chain(settings) {
            choices.turn(format!("collector.{name}"), false);
        }
    }
}

/// The server, and files with accounts for probes.
pub(super) fn source(
    server: ServerArgs,
    legacy: &LegacyArgs,
    environment: &Environment,
) -> Result<(Source, Probes), Vec<String>> {
    let env = |name: &str| environment.get(name).map(str::to_owned);
    let file = |path: PathBuf| OptionFile {
        path,
        section: "client".to_owned(),
        place: None,
        fallback: legacy.address.clone(),
        user: legacy.username.clone(),
        password: env("MYSQLD_EXPORTER_PASSWORD").map(Secret::new),
        trusting: legacy.trusting,
        tls: Tls::default(),
    };
    let probes = Probes {
        option_file: legacy.option_file.clone().map(&file),
        auth_modules: legacy.auth_modules.clone().map(|path| AuthModules { path }),
    };
    let theirs = match of_data_source(environment)? {
        Some(source) => Some(("DATA_SOURCE_*", source)),
        None => match probes.option_file.clone() {
            Some(file) => Some(("--config.my-cnf", Source::OptionFile(Box::new(file)))),
            None => of_mysqld_flags(legacy, environment)?.map(|source| ("--mysqld.*", source)),
        },
    };
    if let Some((whose, source)) = theirs {
        if server.names_a_server() {
            return Err(vec![format!(
                "{whose} and --url, --host, --port, --socket or --user (or PILOTFISH_...) both say where the server is: keep one"
            )]);
        }
        return Ok((source.with_tls(&server.tls_alone()?), probes));
    }
    match server.into_settings(env) {
        Ok(settings) => Ok((Source::Settings(Box::new(settings)), probes)),
        Err(_) if Path::new(DEFAULT_FILE).exists() => {
            let file = file(DEFAULT_FILE.into());
            let probes = Probes {
                option_file: Some(file.clone()),
                ..probes
            };
            Ok((Source::OptionFile(Box::new(file)), probes))
        }
        Err(mistakes) => Err(mistakes),
    }
}

/// `DATA_SOURCE_NAME`, or `DATA_SOURCE_URI` with its companions.
fn of_data_source(environment: &Environment) -> Result<Option<Source>, Vec<String>> {
    let mut mistakes = Vec::new();
    let mut text = |name: &str| -> Option<Text> {
        let value = environment.get(name);
        let file = environment.get(&format!("{name}_FILE"));
        match (value, file) {
            (Some(_), Some(_)) => {
                mistakes.push(format!("{name} and {name}_FILE are both set: keep one"));
                None
            }
            (Some(value), None) => Some(Text::Value(value.to_owned())),
            (None, Some(path)) => Some(Text::File(path.into())),
            (None, None) => None,
        }
    };
    let [uri, user, password] =
        ["URI", "USER", "PASS"].map(|part| text(&format!("DATA_SOURCE_{part}")));
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    if let Some(name) = environment.get("DATA_SOURCE_NAME") {
        let wrong = |why| vec![format!("DATA_SOURCE_NAME {why}")];
        if name.matches("://").count() > 1 {
            return Err(wrong(
                "names several servers: start an exporter beside each".to_owned(),
            ));
        }
        let settings = data_source::parse(name).map_err(wrong)?;
        return Ok(Some(Source::Settings(Box::new(settings))));
    }
    let Some(uri) = uri else { return Ok(None) };
    let wrong = |why| vec![format!("DATA_SOURCE_URI {why}")];
    let uri = match uri {
        Text::Value(uri) => uri,
        Text::File(path) => fs::read_to_string(&path)
            .map_err(|error| wrong(format!("cannot be read from {}: {error}", path.display())))?,
    };
    let mut settings =
        data_source::parse(&format!("postgresql://{}", uri.trim())).map_err(wrong)?;
    if let Some(user) = user {
        settings.user = user;
    }
    if let Some(password) = password {
        settings.password = Password::new(Some(match password {
            Text::Value(text) => Text::Value(Secret::new(text)),
            Text::File(path) => Text::File(path),
        }));
    }
    Ok(Some(Source::Settings(Box::new(settings))))
}

/// `--mysqld.address`, `--mysqld.username` and the password's variable.
fn of_mysqld_flags(
    legacy: &LegacyArgs,
    environment: &Environment,
) -> Result<Option<Source>, Vec<String>> {
    let password = environment.get("MYSQLD_EXPORTER_PASSWORD");
    let Some(user) = legacy.username.clone() else {
        return Ok(None);
    };
    if password.is_none() {
        let why = "--mysqld.username: its password is in no variable MYSQLD_EXPORTER_PASSWORD";
        return Err(vec![why.to_owned()]);
    }
    let place = legacy
        .address
        .clone()
        .unwrap_or_else(|| "127.0.0.1:3306".to_owned());
    let password = password.map(|text| Text::Value(Secret::new(text)));
    let settings = data_source::at(
        Some(EngineName::MariaDb),
        &place,
        Text::Value(user),
        Password::new(password),
        Default::default(),
    );
    let wrong = |why| vec![format!("--mysqld.address {why}")];
    Ok(Some(Source::Settings(Box::new(settings.map_err(wrong)?))))
}
