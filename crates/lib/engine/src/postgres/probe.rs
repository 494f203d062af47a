//! Looks at a server.

use super::connect::Session;
use super::truth::Truth;
use super::{Postgres, cell};
use crate::{Error, LiveRelease, Probe, ReplicaState, Server};
use async_trait::async_trait;
use pilotfish_sql::postgres::quote;

/// The stock image's temporary server, which runs while it initialises, listens on a socket only.
const ABOUT: &str = "SELECT current_setting('server_version'), pg_is_in_recovery(), \
    pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool, \
    extract(epoch FROM pg_postmaster_start_time())::int8, \
    current_setting('listen_addresses') <> ''";

/// A standby with its receiver, whose details take `pg_read_all_stats` to see. `latest_end_lsn` is where the primary
/// was when it last spoke (`walreceiver.c`), so that a standby that has replayed it is not late, however long the
/// primary has had nothing to do; without a receiver nobody knows.
const STANDBY: &str = "SELECT r.pid IS NOT NULL AND r.status IS NULL, \
    coalesce(r.status = 'streaming', false) AND NOT pg_is_wal_replay_paused(), \
    CASE WHEN r.status IS NULL THEN NULL \
         WHEN pg_last_wal_replay_lsn() >= r.latest_end_lsn THEN 0 \
         ELSE greatest(0, ceil(extract(epoch FROM \
              clock_timestamp() - pg_last_xact_replay_timestamp())))::int8 END \
    FROM (SELECT) AS one LEFT JOIN pg_stat_wal_receiver AS r ON true";

#[async_trait]
impl Probe for Postgres {
    async fn server(&self) -> Result<Server, Error> {
        let session = self.session(None).await?;
        let about = session.query_one(ABOUT, &[]).await?;
        let (replica, replica_hidden) = match cell(&about, 1)? {
            true => standby(&session).await?,
            false => (None, false),
        };
        session.close().await;
        Ok(Server {
            version: cell(&about, 0)?,
            flavour: "postgres",
            read_only: cell(&about, 2)?,
            replica,
            replica_hidden,
            started_at: cell::<i64>(&about, 3)?.try_into().unwrap_or_default(),
            networking: cell(&about, 4)?,
        })
    }

    async fn rows_at_least(
        &self,
        space: Option<&str>,
        table: &str,
        min: u64,
    ) -> Result<bool, Error> {
        let name = match space {
            Some(schema) => format!("{}.{}", quote(schema), quote(table)),
            None => quote(table),
        };
        let mut session = self.session(None).await?;
        let sql = format!("SELECT count(*) FROM (SELECT FROM {name} LIMIT {min}) AS counted");
        let look = session.look_only().await?;
        let count: i64 = cell(&look.query_one(&sql, &[]).await?, 0)?;
        look.rollback().await?;
        session.close().await;
        Ok(u64::try_from(count).is_ok_and(|count| count >= min))
    }

    async fn query_is_true(&self, sql: &str) -> Result<bool, Error> {
        let mut session = self.session(None).await?;
        let truth = ask(&mut session, sql).await?;
        session.close().await;
        Ok(truth)
    }

    async fn live_releases(&self) -> Result<Vec<LiveRelease>, Error> {
        self.releases().await
    }
}

/// How a standby is doing, and whether that is hidden from this account.
async fn standby(session: &Session) -> Result<(Option<ReplicaState>, bool), Error> {
    let seen = session.query_one(STANDBY, &[]).await?;
    if cell(&seen, 0)? {
        tracing::debug!(needs = "pg_read_all_stats", "replication is not visible");
        return Ok((None, true));
    }
    let late: Option<i64> = cell(&seen, 2)?;
    let state = ReplicaState {
        lag_seconds: late.and_then(|seconds| seconds.try_into().ok()),
        running: cell(&seen, 1)?,
    };
    Ok((Some(state), false))
}

/// Whether the first value that somebody else's question returns is true. One statement, in a transaction that may
/// only read, and no more than one row of its answer. Two statements in one text are refused by the protocol.
async fn ask(session: &mut Session, sql: &str) -> Result<bool, Error> {
    let statement = session.prepare(sql).await?;
    if statement.columns().is_empty() {
        return Err(Error::Refused(
            "it must look and change nothing: begin it with SELECT".to_owned(),
        ));
    }
    let transaction = session.look_only().await?;
    let portal = transaction.bind(&statement, &[]).await?;
    let rows = transaction.query_portal(&portal, 1).await?;
    transaction.rollback().await?;
    match rows.first() {
        Some(row) => Ok(cell::<Truth>(row, 0)?.is_true),
        None => Ok(false),
    }
}
