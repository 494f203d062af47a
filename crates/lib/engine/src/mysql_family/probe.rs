//! Looks at a server of the family.

use async_trait::async_trait;
use mysql_async::{Conn, Row};

use super::ask::Ask as _;
use super::connect::{SessionSetup, connect};
use super::truth::is_true;
use super::{Family, engine_of, question};
use crate::load::Status;
use crate::{EngineName, Error, LiveRelease, Probe, ReplicaState, Server};
use pilotfish_sql::mysql::quote;

/// Uptime comes from here and not from a table: `performance_schema` may be off.
const UPTIME: &str = "SHOW GLOBAL STATUS LIKE 'Uptime'";
/// `read_only` is a number, or a word since MariaDB gave it more than two values.
const ABOUT: &str = "SELECT VERSION(), @@GLOBAL.read_only, @@GLOBAL.innodb_read_only, \
                     @@GLOBAL.skip_networking, UNIX_TIMESTAMP()";

/// Columns of the replica status: MariaDB kept the old words, MySQL 8.0.22 renamed them.
const LAG: [&str; 2] = ["Seconds_Behind_Source", "Seconds_Behind_Master"];
const RECEIVING: [&str; 2] = ["Replica_IO_Running", "Slave_IO_Running"];
const APPLYING: [&str; 2] = ["Replica_SQL_Running", "Slave_SQL_Running"];

impl Family {
    pub(super) async fn session(&self, database: Option<String>) -> Result<Conn, Error> {
        connect(
            &self.settings,
            &SessionSetup {
                database,
                ..SessionSetup::default()
            },
        )
        .await
    }

    pub(super) async fn replica(&self, conn: &mut Conn) -> Result<Option<ReplicaState>, Error> {
        let channels: Vec<Row> = conn.query(self.variant.replica_status).await?;
        Ok(channels.iter().map(channel_state).reduce(worse))
    }
}

#[async_trait]
impl Probe for Family {
    async fn server(&self) -> Result<Server, Error> {
        let mut conn = self.session(None).await?;
        let about: Option<(String, String, bool, bool, u64)> = conn.query_first(ABOUT).await?;
        let (version, read_only, innodb_read_only, skip_networking, now) =
            about.ok_or_else(no_answer)?;
        if engine_of(&version) != self.variant.engine {
            return Err(Error::Config(format!(
                "the server at {} is {version}: --engine {} is wrong, leave it out",
                self.settings, self.variant.name
            )));
        }
        let uptime: Option<(String, u64)> = conn.query_first(UPTIME).await?;
        let (_, uptime) = uptime.ok_or_else(no_answer)?;
        let (replica, replica_hidden) = match self.replica(&mut conn).await {
            Ok(replica) => (replica, false),
            Err(Error::Denied(_)) => {
                tracing::debug!(
                    needs = self.variant.replica_right,
                    "replication is not visible"
                );
                (None, true)
            }
            Err(error) => return Err(error),
        };
        conn.disconnect().await?;
        Ok(Server {
            version,
            flavour: self.variant.name,
            read_only: innodb_read_only || !matches!(read_only.as_str(), "0" | "OFF"),
            replica,
            replica_hidden,
            started_at: now.saturating_sub(uptime),
            networking: !skip_networking,
        })
    }

    async fn rows_at_least(
        &self,
        database: Option<&str>,
        table: &str,
        min: u64,
    ) -> Result<bool, Error> {
        let mut name = quote(table);
        let mut default = None;
        match database {
            Some(database) => name = format!("{}.{name}", quote(database)),
            None => default = self.settings.database().await?,
        }
        let mut conn = self.session(default).await?;
        let sql = format!("SELECT COUNT(*) FROM (SELECT 1 FROM {name} LIMIT {min}) counted");
        let count: Option<u64> = conn.query_first(sql).await?;
        conn.disconnect().await?;
        Ok(count.ok_or_else(no_answer)? >= min)
    }

    async fn query_is_true(&self, sql: &str) -> Result<bool, Error> {
        let mut conn = self.session(self.settings.database().await?).await?;
        let first =
            question::ask(&mut conn, sql, self.variant.engine == EngineName::MariaDb).await?;
        conn.disconnect().await?;
        Ok(first
            .as_ref()
            .and_then(|row| row.as_ref(0))
            .is_some_and(is_true))
    }

    async fn live_releases(&self) -> Result<Vec<LiveRelease>, Error> {
        let mut conn = self.session(None).await?;
        let live = releases(&mut conn).await?;
        conn.disconnect().await?;
        Ok(live)
    }
}

/// What is live by the ledger.
pub(super) async fn releases(conn: &mut Conn) -> Result<Vec<LiveRelease>, Error> {
    let ledger = super::load::status(conn).await?;
    let release = |status: Status| LiveRelease {
        database: status.database,
        digest: status.digest,
        since: status.since,
        finishing: status.finishing,
    };
    let is_live = |status: &Status| status.is_whole() && !status.digest.is_empty();
    let whole = ledger.into_iter().filter(is_live);
    Ok(whole.map(release).collect())
}

fn no_answer() -> Error {
    Error::Protocol("a statement that always has a row returned none".to_owned())
}

fn channel_state(row: &Row) -> ReplicaState {
    let text = |names: [&str; 2]| {
        names
            .iter()
            .find_map(|name| row.get_opt::<Option<String>, _>(*name)?.ok()?)
    };
    let yes = |names| text(names).is_some_and(|state| state == "Yes");
    ReplicaState {
        lag_seconds: text(LAG).and_then(|seconds| seconds.parse().ok()),
        running: yes(RECEIVING) && yes(APPLYING),
    }
}

/// A replica of several sources is as late as its latest channel.
fn worse(a: ReplicaState, b: ReplicaState) -> ReplicaState {
    ReplicaState {
        lag_seconds: a.lag_seconds.zip(b.lag_seconds).map(|(a, b)| a.max(b)),
        running: a.running && b.running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_channel_makes_a_late_replica() {
        let state = |lag_seconds, running| ReplicaState {
            lag_seconds,
            running,
        };
        assert_eq!(
            worse(state(Some(1), true), state(Some(7), true)),
            state(Some(7), true)
        );
        assert_eq!(
            worse(state(Some(1), true), state(None, false)),
            state(None, false)
        );
    }
}
