//! One look at one server: which conditions do not hold yet.

use std::fmt;
use std::time::Duration;

use pilotfish_engine::{Engine, Error, LiveRelease, Probe, ReplicaState, Server, Settings};
use pilotfish_failure::{Classify, Kind};

use crate::conditions::{Conditions, Digest, Table};

/// One condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Stays the same from round to round as long as nothing changes.
    pub(crate) what: String,
    /// A measured value, which changes.
    pub(crate) now: Option<String>,
    /// Why, for `--fail-fast` and the log level.
    pub(crate) kind: Kind,
    /// What to do about it, where that is more than waiting.
    pub(crate) hint: Option<&'static str>,
}

impl Missing {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            now: None,
            kind: Kind::TimedOut,
            hint: None,
        }
    }

    fn error(what: Option<String>, error: &Error) -> Self {
        let what = match what {
            Some(what) => format!("{what}: {error}"),
            None => error.to_string(),
        };
        let kind = match error {
            error if error.is_mistake() => Kind::Config,
            error => error.kind(),
        };
        Self {
            what,
            now: None,
            kind,
            hint: hint(error),
        }
    }

    /// Whether waiting will not help as far as anyone can tell.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.kind, Kind::Denied | Kind::Config)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.now {
            Some(now) => write!(f, " ({now})"),
            None => Ok(()),
        }
    }
}

/// What a person can do about an error.
fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::Unreachable(_) => {
            Some("see whether the server runs and listens at this address, or raise --timeout")
        }
        Error::Denied(_) | Error::LoginRefused(_) => Some(
            "correct the account's name, password or rights: --user, --password-file, or the image's variables",
        ),
        Error::Unreadable { .. } => {
            Some("mount the file, or let the user of this container read it")
        }
        error if error.is_mistake() => Some("correct the SQL of --query"),
        Error::Sql { .. } => Some(
            "see whether the data is there yet, correct the names in --table and --query, or raise --timeout",
        ),
        Error::Config(_) => Some("correct the settings of the server"),
        _ => None,
    }
}

/// One server to wait for.
pub(crate) struct Target {
    settings: Settings,
    /// Kept between rounds, so that the kind of server is asked for once.
    engine: Option<Box<dyn Engine>>,
}

impl Target {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            engine: None,
        }
    }

    /// Looks once, for `limit` at most: a server that stalls after the login would be waited for for
    /// ever. An empty list means ready.
    pub(crate) async fn missing_within(
        &mut self,
        limit: Duration,
        conditions: &Conditions,
    ) -> Vec<Missing> {
        tokio::time::timeout(limit, self.missing(conditions))
            .await
            .unwrap_or_else(|_| vec![Missing::new(format!("did not answer within {limit:?}"))])
    }

    async fn missing(&mut self, conditions: &Conditions) -> Vec<Missing> {
        let engine = match self.engine.take() {
            Some(engine) => engine,
            None => match pilotfish_engine::open(&self.settings).await {
                Ok(engine) => engine,
                Err(error) => return vec![Missing::error(None, &error)],
            },
        };
        let server = match engine.probe().server().await {
            Ok(server) => server,
            Err(error) => return vec![Missing::error(None, &error)],
        };
        let mut missing = state(&server, conditions);
        let database = match self.settings.database().await {
            Ok(database) => database,
            Err(error) => return vec![Missing::error(None, &error)],
        };
        missing.extend(content(engine.probe(), conditions, database.as_deref()).await);
        self.engine = Some(engine);
        missing
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

/// What the server says about itself.
fn state(server: &Server, conditions: &Conditions) -> Vec<Missing> {
    let mut missing = Vec::new();
    if !server.networking {
        missing.push(Missing::new(
            "listens only on its socket: the image is initialising, or skip_networking is on",
        ));
    }
    if conditions.writable && server.read_only {
        missing.push(Missing::new("is read-only"));
    }
    if let Some(limit) = conditions.max_lag {
        missing.extend(lag(server, limit));
    }
    missing
}

/// A writable server without a channel is a primary and has no lag; a read-only one is a replica
/// that nobody has joined to its primary yet.
fn lag(server: &Server, limit: Duration) -> Option<Missing> {
    match &server.replica {
        None if server.replica_hidden => Some(Missing {
            kind: Kind::Denied,
            ..Missing::new(
                "the account may not see replication: grant REPLICA MONITOR (MariaDB) or REPLICATION CLIENT (MySQL)",
            )
        }),
        None if server.read_only => Some(Missing::new("is read-only but replicates from nobody")),
        None => None,
        Some(ReplicaState { running: false, .. }) => Some(Missing::new("replication does not run")),
        Some(ReplicaState {
            lag_seconds: None, ..
        }) => Some(Missing::new("replication does not know its lag")),
        Some(ReplicaState {
            lag_seconds: Some(seconds),
            ..
        }) => (Duration::from_secs(*seconds) > limit).then(|| Missing {
            now: Some(format!("{seconds} s now")),
            ..Missing::new(format!("lags more than {limit:?}"))
        }),
    }
}

/// What the server holds.
async fn content(
    probe: &dyn Probe,
    conditions: &Conditions,
    database: Option<&str>,
) -> Vec<Missing> {
    let mut missing = Vec::new();
    for table in &conditions.tables {
        missing.extend(rows(probe, table).await);
    }
    for sql in &conditions.queries {
        match probe.query_is_true(sql).await {
            Ok(true) => {}
            Ok(false) => missing.push(Missing::new(format!("the query is not true: {sql}"))),
            Err(error) => missing.push(Missing::error(Some(format!("run {sql}")), &error)),
        }
    }
    if let Some(wanted) = &conditions.release {
        match probe.live_releases().await {
            Ok(live) => missing.extend(release(&live, wanted, database)),
            Err(error) => missing.push(Missing::error(Some("read the ledger".to_owned()), &error)),
        }
    }
    missing
}

/// In the named database, else in any.
fn release(live: &[LiveRelease], wanted: &Digest, database: Option<&str>) -> Option<Missing> {
    let found = live.iter().filter(|one| wanted.means(&one.digest));
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        found.partition(|one| database.is_none_or(|name| name == one.database));
    if here.iter().any(|one| !one.finishing) {
        return None;
    }
    if !here.is_empty() {
        return Some(Missing::new(format!("release {wanted} is being finished")));
    }
    let what = match (elsewhere.first(), database) {
        (Some(other), Some(name)) => {
            format!(
                "release {wanted} is live in {}, not in {name}",
                other.database
            )
        }
        _ => format!("release {wanted} is not live"),
    };
    Some(Missing {
        hint: Some(
            "see `pilotfish-load status`: a load with --only or --skip has a digest of its own",
        ),
        ..Missing::new(what)
    })
}

async fn rows(probe: &dyn Probe, table: &Table) -> Option<Missing> {
    let min = table.min_rows;
    match probe
        .rows_at_least(table.database.as_deref(), &table.name, min)
        .await
    {
        Ok(true) => None,
        Ok(false) => Some(Missing::new(format!(
            "table {table} has fewer rows than {min}"
        ))),
        Err(error) => Some(Missing::error(
            Some(format!("count rows of {table}")),
            &error,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(read_only: bool, replica: Option<ReplicaState>) -> Server {
        Server {
            version: "11.8.2-MariaDB".into(),
            flavour: "mariadb",
            read_only,
            replica,
            replica_hidden: false,
            started_at: 0,
            networking: true,
        }
    }

    #[test]
    fn lag_of_replicas_and_primaries() {
        let limit = Duration::from_secs(5);
        let replica = |lag_seconds, running| {
            Some(ReplicaState {
                lag_seconds,
                running,
            })
        };
        assert_eq!(lag(&server(false, None), limit), None);
        assert_eq!(lag(&server(true, replica(Some(5), true)), limit), None);
        for late in [
            server(true, None),
            server(true, replica(Some(6), true)),
            server(true, replica(None, true)),
            server(true, replica(Some(0), false)),
            Server {
                replica_hidden: true,
                ..server(false, None)
            },
        ] {
            assert!(lag(&late, limit).is_some(), "{late:?}");
        }
    }

    #[test]
    fn a_release_counts_in_the_database_that_is_meant() {
        let digest = "0123456789abcdef".repeat(4);
        let wanted: Digest = digest[..12].parse().unwrap();
        let live = |database: &str, finishing| LiveRelease {
            database: database.to_owned(),
            digest: digest.clone(),
            since: 1,
            finishing,
        };
        let why = |live: &[LiveRelease], database| {
            release(live, &wanted, database).map(|missing| missing.what)
        };
        let other = [live("other", false)];
        assert_eq!(why(&other, None), None);
        assert_eq!(why(&other, Some("other")), None);
        let elsewhere = why(&other, Some("app")).unwrap();
        assert!(
            elsewhere.ends_with("is live in other, not in app"),
            "{elsewhere}"
        );
        let both = [live("app", true), live("other", false)];
        assert_eq!(why(&both, None), None);
        assert!(why(&both, Some("app")).unwrap().ends_with("being finished"));
        assert!(why(&[], None).unwrap().ends_with("is not live"));
    }

    #[test]
    fn a_changing_number_is_no_new_reason() {
        let limit = Duration::from_secs(5);
        let lag_of = |seconds| {
            let replica = Some(ReplicaState {
                lag_seconds: Some(seconds),
                running: true,
            });
            lag(&server(true, replica), limit).unwrap()
        };
        assert_eq!(lag_of(60).what, lag_of(61).what);
        assert!(lag_of(60).to_string().contains("60 s now"));
    }
}
