//! Asks a server over one session that stays.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio_postgres::SimpleQueryMessage;

use super::connect;
use crate::query::{Identity, Query, Rows, Session};
use crate::{EngineName, Error, LiveRelease, Settings};

/// A text that is no UTF-8.
const NO_UTF8: &str = "\u{fffd}";

/// Where nobody says how long a statement may take.
const DEFAULT: Duration = Duration::from_secs(5);

/// Opens sessions that ask.
pub(super) struct Opener {
    pub(super) settings: Settings,
}

/// A session that asks.
struct Asker {
    session: connect::Session,
    identity: Identity,
    /// What begins each transaction.
    begin: String,
    /// Statements that the server has planned, by their names: what is asked again and again takes longer to plan than to
    /// answer. Prepared in SQL, since the driver's own have answers that are no text.
    prepared: HashSet<String>,
}

/// No more than that are prepared; a collector has one or two.
const PREPARED: usize = 256;
/// `invalid_sql_statement_name`: a pooler gave another session of the server's, which has prepared nothing.
const NOT_PREPARED: &str = "26000";
/// `duplicate_prepared_statement`: it gave one that has.
const IS_PREPARED: &str = "42P05";

/// Everything is said for one transaction only: with a pooler in between, the server's session belongs to somebody else
/// afterwards. Compiling costs more than most of what is asked.
fn begin(statement: Duration, lock: Duration) -> String {
    let (statement, lock) = (statement.as_millis(), lock.as_millis());
    format!(
        "BEGIN READ ONLY; SET LOCAL jit = off; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; ",
        statement.clamp(1, MOST),
        lock.clamp(1, MOST)
    )
}

/// The server counts milliseconds in 31 bits.
const MOST: u128 = i32::MAX as u128;

/// A name that says which statement it is, whoever prepared it.
fn name_of(sql: &str) -> String {
    let digest = Sha256::digest(sql.as_bytes());
    format!("pilotfish_{}", hex::encode(&digest[..8]))
}

#[async_trait]
impl Query for Opener {
    async fn session(&self, database: Option<&str>) -> Result<Box<dyn Session>, Error> {
        let session = connect::Session::open(&self.settings, database).await?;
        let words = session
            .simple_query("SHOW server_version")
            .await?
            .into_iter()
            .find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.try_get(0).ok()?.map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default();
        Ok(Box::new(Asker {
            session,
            identity: Identity::new(EngineName::Postgres, &words),
            begin: begin(DEFAULT, DEFAULT),
            prepared: HashSet::new(),
        }))
    }
}

#[async_trait]
impl Session for Asker {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn guard(&mut self, statement: Duration, lock: Duration) -> Result<(), Error> {
        self.begin = begin(statement, lock);
        Ok(())
    }

    async fn rows(&mut self, sql: &str) -> Result<Rows, Error> {
        let plain = sql.trim_start().get(..6).unwrap_or_default();
        let may_prepare = plain.eq_ignore_ascii_case("select") && self.prepared.len() < PREPARED;
        let name = name_of(sql);
        if !may_prepare && !self.prepared.contains(&name) {
            return self.ask(sql).await;
        }
        let execute = format!("EXECUTE {name}");
        let prepare = format!("PREPARE {name} AS {sql}; {execute}");
        let answer = match self.prepared.contains(&name) {
            true => self.ask(&execute).await,
            false => self.ask(&prepare).await,
        };
        let is = |error: &Error, state| matches!(error, Error::Sql { code, .. } if code.is(state));
        let answer = match answer {
            Err(error) if is(&error, NOT_PREPARED) => self.ask(&prepare).await,
            Err(error) if is(&error, IS_PREPARED) => self.ask(&execute).await,
            answer => answer,
        };
        if answer.is_ok() {
            self.prepared.insert(name);
        }
        answer
    }

    async fn releases(&mut self) -> Result<Vec<LiveRelease>, Error> {
        let has_ledger = self.rows(super::load::status::HAS_LEDGER).await?;
        if has_ledger.iter().all(|row| row.at(0) != Some("t")) {
            return Ok(Vec::new());
        }
        // One transaction as well: with the limits of every other question, and in one session of a pooler's.
        self.session.batch_execute(&self.begin).await?;
        let releases = super::load::release(&self.session).await;
        let ended = self.session.batch_execute("ROLLBACK").await;
        let releases = releases?;
        ended?;
        Ok(releases)
    }

    fn certificate_end(&self) -> Option<u64> {
        self.session.certificate_end()
    }

    async fn close(self: Box<Self>) {
        self.session.close().await;
    }
}

impl Asker {
    /// One transaction, in one message; what comes before the question has no rows.
    async fn ask(&self, sql: &str) -> Result<Rows, Error> {
        let all = format!("{}{sql}; COMMIT", self.begin);
        let answer = self.read(&all).await;
        if answer.is_err() {
            // Where the session is gone, whoever asks next is told.
            let _ = self.session.batch_execute("ROLLBACK").await;
        }
        answer
    }

    async fn read(&self, sql: &str) -> Result<Rows, Error> {
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
                        // Names of databases and roles are in the bytes of wherever they were made, and the driver shows none.
                        let cell = row.try_get(column).unwrap_or(Some(NO_UTF8));
                        rows.push(cell.map(str::as_bytes))?;
                    }
                }
                _ => {}
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fit_into_what_the_server_takes() {
        let begin = begin(Duration::MAX, Duration::ZERO);
        assert!(begin.contains("statement_timeout = 2147483647;"), "{begin}");
        assert!(begin.contains("lock_timeout = 1;"), "{begin}");
    }

    #[test]
    fn a_name_is_of_one_statement() {
        assert_eq!(name_of("SELECT 1"), name_of("SELECT 1"));
        assert_ne!(name_of("SELECT 1"), name_of("SELECT 2"));
    }
}
