//! The book of loads that were asked for: `pilotfish.loads` of the default database.

use async_trait::async_trait;

use super::ledger::{self, is_absent};
use super::names::LEDGER;
use crate::Error;
use crate::load::History;
use crate::postgres::{Postgres, cell};

/// Entries that are kept.
const KEPT: i64 = 1000;

#[async_trait]
impl History for Postgres {
    async fn put(&self, asker: &str, id: &str, body: &str) -> Result<(), Error> {
        self.refuse_standby().await?;
        let session = self.session(None).await?;
        ledger::prepare(&*session).await?;
        let sql = format!(
            "INSERT INTO {LEDGER}.loads (asker, id, body) VALUES ($1, $2, $3) \
             ON CONFLICT (asker, id) DO UPDATE SET body = excluded.body"
        );
        session.execute(&sql, &[&asker, &id, &body]).await?;
        let sql = format!(
            "DELETE FROM {LEDGER}.loads WHERE seq <= \
             (SELECT seq FROM {LEDGER}.loads ORDER BY seq DESC LIMIT 1 OFFSET {KEPT})"
        );
        session.execute(&sql, &[]).await?;
        session.close().await;
        Ok(())
    }

    async fn get(&self, asker: &str, id: &str) -> Result<Option<String>, Error> {
        let sql = format!("SELECT body FROM {LEDGER}.loads WHERE asker = $1 AND id = $2");
        let found = self.bodies(&sql, &[&asker, &id]).await?;
        Ok(found.into_iter().next())
    }

    async fn recent(&self, asker: &str, limit: u32) -> Result<Vec<String>, Error> {
        let sql =
            format!("SELECT body FROM {LEDGER}.loads WHERE asker = $1 ORDER BY seq DESC LIMIT $2");
        self.bodies(&sql, &[&asker, &i64::from(limit)]).await
    }
}

impl Postgres {
    async fn bodies(
        &self,
        sql: &str,
        values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<String>, Error> {
        let session = self.session(None).await?;
        let rows = match session.query(sql, values).await {
            Err(error) if is_absent(&error) => Vec::new(),
            outcome => outcome?,
        };
        session.close().await;
        rows.iter().map(|row| cell(row, 0)).collect()
    }
}
