//! Asks a server over one session that stays.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use tokio_postgres::SimpleQueryMessage;

use super::connect;
use crate::query::{Identity, Query, Rows, Session};
use crate::{EngineName, Error, LiveRelease, Settings};

/// It reads, and its planner wastes no time: `jit` alone costs more than most of what is asked.
const SETUP: &str = "SET default_transaction_read_only = on; SET jit = off";

/// Opens sessions that ask.
pub(super) struct Opener {
    pub(super) settings: Settings,
}

/// A session that asks.
struct Asker {
    session: connect::Session,
    identity: Identity,
    prepared: Prepared,
}

/// Statements that the server has planned: what is asked again and again takes longer to plan than to answer. Prepared in
/// SQL, since the driver's own have answers that are no text.
#[derive(Default)]
struct Prepared {
    /// By statement: its number, of which its name is made.
    known: HashMap<String, usize>,
    /// Somebody between here and the server hands out its sessions anew for each transaction, and forgets them.
    lost: bool,
}

/// No more than that are prepared; a collector has one or two.
const PREPARED: usize = 256;
/// `invalid_sql_statement_name`.
const NO_SUCH_STATEMENT: &str = "26000";

#[async_trait]
impl Query for Opener {
    async fn session(&self, database: Option<&str>) -> Result<Box<dyn Session>, Error> {
        let session = connect::Session::open(&self.settings, database).await?;
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
            prepared: Prepared::default(),
        }))
    }
}

#[async_trait]
impl Session for Asker {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn guard(&mut self, statement: Duration, lock: Duration) -> Result<(), Error> {
        let (statement, lock) = (statement.as_millis().max(1), lock.as_millis().max(1));
        let sql = format!("SET statement_timeout = {statement}; SET lock_timeout = {lock}");
        Ok(self.session.batch_execute(&sql).await?)
    }

    async fn rows(&mut self, sql: &str) -> Result<Rows, Error> {
        let Some(execute) = self.prepare(sql).await? else {
            return self.ask(sql).await;
        };
        match self.ask(&execute).await {
            Err(Error::Sql { code, .. }) if code.is(NO_SUCH_STATEMENT) => {
                self.prepared.lost = true;
                self.ask(sql).await
            }
            answer => answer,
        }
    }

    async fn releases(&mut self) -> Result<Vec<LiveRelease>, Error> {
        super::load::release(&self.session).await
    }

    async fn close(self: Box<Self>) {
        self.session.close().await;
    }
}

impl Asker {
    /// What runs the prepared statement; `None` for what cannot be prepared.
    async fn prepare(&mut self, sql: &str) -> Result<Option<String>, Error> {
        let begins = sql.trim_start().get(..6).unwrap_or_default();
        if self.prepared.lost || !begins.eq_ignore_ascii_case("select") {
            return Ok(None);
        }
        if let Some(number) = self.prepared.known.get(sql) {
            return Ok(Some(format!("EXECUTE pilotfish_{number}")));
        }
        let number = self.prepared.known.len();
        if number >= PREPARED {
            return Ok(None);
        }
        let prepare = format!("PREPARE pilotfish_{number} AS {sql}");
        self.session.batch_execute(&prepare).await?;
        self.prepared.known.insert(sql.to_owned(), number);
        Ok(Some(format!("EXECUTE pilotfish_{number}")))
    }

    async fn ask(&self, sql: &str) -> Result<Rows, Error> {
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
}
