//! How hard a server works, how far its standbys are behind, and how much of its log waits for them.

use std::time::Duration;

use async_trait::async_trait;

use crate::Error;
use crate::load::{Gauge, Strain};
use crate::postgres::connect::Session;
use crate::postgres::{Postgres, cell};

/// What a session runs others see with the rights of `pg_monitor` only.
const SEES: &str = "SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')";
const RUNNING: &str = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE state = 'active' \
    AND backend_type = 'client backend'";
/// The lag of a standby that has nothing to replay is NULL (monitoring.sgml, `replay_lag`).
const LAG: &str = "SELECT coalesce(nullif(application_name, ''), client_addr::text, pid::text), \
    (extract(epoch FROM replay_lag) * 1000)::int8 FROM pg_catalog.pg_stat_replication \
    WHERE replay_lag IS NOT NULL ORDER BY replay_lag DESC LIMIT 1";
const WAL: &str = "SELECT slot_name::text, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)::int8 \
    FROM pg_catalog.pg_replication_slots WHERE restart_lsn IS NOT NULL ORDER BY 2 DESC LIMIT 1";

/// See the module.
pub(super) struct PostgresGauge {
    postgres: Postgres,
    /// None after an error: the next look takes another one.
    session: Option<Session>,
    said: bool,
    unsaid: Vec<String>,
}

impl PostgresGauge {
    pub(super) async fn open(postgres: Postgres) -> Result<Self, Error> {
        Ok(Self {
            session: Some(postgres.session(None).await?),
            postgres,
            said: false,
            unsaid: Vec::new(),
        })
    }

    async fn look(&mut self, session: &Session) -> Result<Strain, Error> {
        let mut strain = Strain::default();
        if let Some(row) = session.query_opt(WAL, &[]).await? {
            let (slot, bytes): (String, i64) = (cell(&row, 0)?, cell(&row, 1)?);
            strain.wal = Some((slot, bytes.unsigned_abs()));
        }
        if !cell::<bool>(&session.query_one(SEES, &[]).await?, 0)? {
            if !std::mem::replace(&mut self.said, true) {
                let blind = "neither the lag of standbys nor what sessions run is watched: GRANT pg_monitor";
                self.unsaid.push(blind.to_owned());
            }
            return Ok(strain);
        }
        let running: i64 = cell(&session.query_one(RUNNING, &[]).await?, 0)?;
        strain.running = Some(running.unsigned_abs());
        if let Some(row) = session.query_opt(LAG, &[]).await? {
            let (standby, lag): (String, i64) = (cell(&row, 0)?, cell(&row, 1)?);
            strain.lag = Some((standby, Duration::from_millis(lag.unsigned_abs())));
        }
        Ok(strain)
    }
}

#[async_trait]
impl Gauge for PostgresGauge {
    async fn read(&mut self) -> Result<Strain, Error> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.postgres.session(None).await?,
        };
        let strain = self.look(&session).await?;
        self.session = Some(session);
        Ok(strain)
    }

    fn blind(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unsaid)
    }
}
