//! Asks a server of the family, over one session that stays.

use std::time::Duration;

use async_trait::async_trait;
use mysql_async::prelude::Queryable as Driver;
use mysql_async::{Conn, Row, Value};

use super::ask::Ask;
use super::connect::{SessionSetup, connect};
use super::engine_of;
use crate::query::{Identity, Query, Rows, Session};
use crate::{EngineName, Error, LiveRelease, Settings};

/// Opens sessions that ask.
pub(super) struct Opener {
    pub(super) settings: Settings,
}

/// A session that asks.
struct Asker {
    conn: Conn,
    identity: Identity,
}

#[async_trait]
impl Query for Opener {
    async fn session(&self, database: Option<&str>) -> Result<Box<dyn Session>, Error> {
        let setup = SessionSetup {
            database: database.map(str::to_owned),
            ..SessionSetup::default()
        };
        let mut conn = connect(&self.settings, &setup).await?;
        let version: Option<String> = Ask::query_first(&mut conn, "SELECT VERSION()").await?;
        let words = version.unwrap_or_default();
        Ok(Box::new(Asker {
            conn,
            identity: Identity::new(engine_of(&words), &words),
        }))
    }
}

#[async_trait]
impl Session for Asker {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn guard(&mut self, statement: Duration, lock: Duration) -> Result<(), Error> {
        let lock = lock.as_secs().max(1);
        // MariaDB counts seconds and all statements, MySQL milliseconds and SELECTs.
        let statement = match self.identity.engine {
            EngineName::MariaDb => format!("max_statement_time={:.3}", statement.as_secs_f64()),
            _ => format!("max_execution_time={}", statement.as_millis()),
        };
        let sql = format!("SET SESSION lock_wait_timeout={lock}, {statement}");
        Ok(Ask::query_drop(&mut self.conn, sql).await?)
    }

    async fn rows(&mut self, sql: &str) -> Result<Rows, Error> {
        let mut answer = Driver::query_iter(&mut self.conn, sql).await?;
        let columns = answer.columns_ref().iter();
        let mut rows = Rows::new(
            columns
                .map(|column| column.name_str().into_owned())
                .collect(),
        );
        while let Some(row) = answer.next().await? {
            push(&mut rows, row)?;
        }
        Ok(rows)
    }

    async fn releases(&mut self) -> Result<Vec<LiveRelease>, Error> {
        super::probe::releases(&mut self.conn).await
    }

    async fn close(self: Box<Self>) {
        if let Err(error) = self.conn.disconnect().await {
            tracing::debug!(%error, "the session ended badly");
        }
    }
}

fn push(rows: &mut Rows, row: Row) -> Result<(), Error> {
    for value in row.unwrap() {
        match value {
            Value::NULL => rows.push(None)?,
            Value::Bytes(text) => rows.push(Some(&text))?,
            // Never in an answer of the text protocol.
            other => rows.push(Some(other.as_sql(true).as_bytes()))?,
        }
    }
    Ok(())
}
