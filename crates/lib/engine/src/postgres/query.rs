//! Asks a server over one session that stays.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use tokio_postgres::SimpleQueryMessage;

use super::{Postgres, connect};
use crate::query::{Identity, Query, Rows, Session};
use crate::{EngineName, Error, LiveRelease};

/// It reads, and its planner wastes no time: `jit` alone costs more than most of what is asked.
const SETUP: &str = "SET default_transaction_read_only = on; SET jit = off";

/// A session that asks.
struct Asker {
    session: connect::Session,
    identity: Identity,
}

#[async_trait]
impl Query for Postgres {
    async fn session(&self, database: Option<&str>) -> Result<Box<dyn Session>, Error> {
        let session = Self::session(self, database).await?;
        session.batch_execute(SETUP).await?;
        let words = session
            .simple_query("SHOW server_version")
            .await?
            .into_iter()
            .find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default();
        Ok(Box::new(Asker {
            session,
            identity: Identity::new(EngineName::Postgres, &words),
        }))
    }
}

#[async_trait]
impl Session for Asker {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn ping(&mut self) -> Result<(), Error> {
        Ok(self.session.batch_execute("").await?)
    }

    async fn guard(&mut self, statement: Duration, lock: Duration) -> Result<(), Error> {
        let (statement, lock) = (statement.as_millis().max(1), lock.as_millis().max(1));
        let sql = format!("SET statement_timeout = {statement}; SET lock_timeout = {lock}");
        Ok(self.session.batch_execute(&sql).await?)
    }

    async fn rows(&mut self, sql: &str) -> Result<Rows, Error> {
        let mut answer = std::pin::pin!(self.session.simple_query_raw(sql).await?);
        let mut rows = Rows::default();
        while let Some(message) = answer.try_next().await? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    let names = columns.iter().map(|column| column.name().to_owned());
                    rows = Rows::new(names.collect());
                }
                SimpleQueryMessage::Row(row) => {
                    for column in 0..row.len() {
                        rows.push(row.get(column).map(str::as_bytes))?;
                    }
                }
                _ => {}
            }
        }
        Ok(rows)
    }

    async fn releases(&mut self) -> Result<Vec<LiveRelease>, Error> {
        super::load::release(&self.session).await
    }

    async fn close(self: Box<Self>) {
        self.session.close().await;
    }
}
