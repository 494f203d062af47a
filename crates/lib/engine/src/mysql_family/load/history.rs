//! The book of loads that were asked for: `pilotfish.loads`.

use async_trait::async_trait;
use mysql_async::{Conn, params};

use super::ledger::ABSENT;
use super::names::LEDGER;
use crate::Error;
use crate::load::History;
use crate::mysql_family::Family;
use crate::mysql_family::ask::Ask as _;

/// Entries that are kept.
const KEPT: u32 = 1000;

#[async_trait]
impl History for Family {
    async fn put(&self, asker: &str, id: &str, body: &str) -> Result<(), Error> {
        // A row written on a replica stops its replication once the primary writes the same number.
        self.refuse_replica().await?;
        let mut conn = self.session(None).await?;
        let statement = format!(
            "INSERT INTO {LEDGER}.loads (asker, id, body) VALUES (:asker, :id, :body) ON DUPLICATE KEY UPDATE \
             body = :again"
        );
        let values = || params! { "asker" => asker, "id" => id, "body" => body, "again" => body };
        match conn
            .exec_drop(&statement, values())
            .await
            .map_err(Error::from)
        {
            Err(error) if absent(&error) => {
                prepare(&mut conn).await?;
                conn.exec_drop(&statement, values()).await?;
            }
            outcome => outcome?,
        }
        let oldest: Option<u64> = conn
            .query_first(format!(
                "SELECT seq FROM {LEDGER}.loads ORDER BY seq DESC LIMIT 1 OFFSET {KEPT}"
            ))
            .await?;
        if let Some(oldest) = oldest {
            conn.query_drop(format!("DELETE FROM {LEDGER}.loads WHERE seq <= {oldest}"))
                .await?;
        }
        conn.disconnect().await?;
        Ok(())
    }

    async fn get(&self, asker: &str, id: &str) -> Result<Option<String>, Error> {
        let mut conn = self.session(None).await?;
        let found = conn
            .exec_first(
                format!("SELECT body FROM {LEDGER}.loads WHERE asker = :asker AND id = :id"),
                params! { "asker" => asker, "id" => id },
            )
            .await
            .map_err(Error::from);
        let found = match found {
            Err(error) if absent(&error) => None,
            outcome => outcome?,
        };
        conn.disconnect().await?;
        Ok(found)
    }

    async fn recent(&self, asker: &str, limit: u32) -> Result<Vec<String>, Error> {
        let mut conn = self.session(None).await?;
        let found = conn
            .exec(
                format!(
                    "SELECT body FROM {LEDGER}.loads WHERE asker = :asker ORDER BY seq DESC LIMIT {limit}"
                ),
                params! { "asker" => asker },
            )
            .await
            .map_err(Error::from);
        let found = match found {
            Err(error) if absent(&error) => Vec::new(),
            outcome => outcome?,
        };
        conn.disconnect().await?;
        Ok(found)
    }
}

fn absent(error: &Error) -> bool {
    error.number().is_some_and(|code| ABSENT.contains(&code))
}

async fn prepare(conn: &mut Conn) -> Result<(), Error> {
    super::ledger::prepare(conn).await?;
    conn.query_drop(format!(
        "CREATE TABLE IF NOT EXISTS {LEDGER}.loads (seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, \
         asker VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, id VARCHAR(128) CHARACTER SET \
         utf8mb4 COLLATE utf8mb4_bin NOT NULL, body LONGTEXT CHARACTER SET utf8mb4 NOT NULL, PRIMARY KEY \
         (seq), UNIQUE KEY id (asker, id)) ENGINE=InnoDB"
    ))
    .await?;
    Ok(())
}
