//! One connection that fills the stage: rows by LOAD DATA where that is exact, else by INSERT.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mysql_async::Conn;
use pilotfish_sql::Flavour;

use super::lock::Lock;
use super::names::{Names, qualified};
use super::session::Carried;
use super::stream::Stream;
use super::tables::{Table, Tables};
use super::{definitions, insert, marks, objects, proof, reach};
use crate::load::{Completed, Loaded, MarkChunk, RowBatch, SessionState, Worker};
use crate::mysql_family::ask::Ask as _;
use crate::{Code, Error};

/// See the module.
#[derive(Debug)]
pub(super) struct MysqlWorker {
    pub(super) conn: Conn,
    pub(super) lock: Lock,
    pub(super) schema: String,
    pub(super) tables: Arc<Tables>,
    pub(super) flavour: Flavour,
    /// `@@local_infile` of the server.
    pub(super) local_infile: bool,
    /// `@@max_allowed_packet` of the session, bytes.
    pub(super) packet: usize,
    pub(super) carried: Carried,
    pub(super) converting: Duration,
    pub(super) names: Names,
    /// What the marks of its rows are kept under.
    pub(super) marks: u64,
}

#[async_trait]
impl Worker for MysqlWorker {
    fn converting(&mut self) -> Duration {
        std::mem::take(&mut self.converting)
    }

    async fn load(&mut self, batch: &RowBatch) -> Result<Loaded, Error> {
        let table = self.table(&batch.table).await?;
        self.refuse_foreign(batch).await?;
        self.enter(&batch.session).await?;
        let begun = Instant::now();
        let stream = match self.local_infile {
            true => Stream::of(&self.schema, batch, &table, self.packet),
            false => None,
        };
        self.converting += begun.elapsed();
        if let Some(stream) = stream {
            if stream.send(&mut self.conn, &self.lock).await? {
                return Ok(Loaded {
                    stored: Some(batch.rows),
                });
            }
            tracing::info!(
                table = batch.table,
                "the server would change these rows in LOAD DATA: this table goes by INSERT"
            );
            table.insert_only.store(true, Ordering::Relaxed);
        }
        insert::send(&mut self.conn, &self.lock, &self.schema, batch, self.packet).await
    }

    async fn keep_marks(&mut self, marks: &[MarkChunk]) -> Result<(), Error> {
        self.lock.held(&mut self.conn).await?;
        self.carried.put_down(&mut self.conn).await?;
        let (conn, names) = (&mut self.conn, &self.names);
        for MarkChunk {
            table, seq, body, ..
        } in marks
        {
            marks::keep(conn, names, self.marks, table, *seq, body).await?;
        }
        Ok(self.conn.query_drop("COMMIT").await?)
    }

    async fn restore_keys(&mut self, table: &str) -> Result<(), Error> {
        let known = self.table(table).await?;
        self.carried.put_down(&mut self.conn).await?;
        definitions::restore_keys(&mut self.conn, &self.lock, &self.schema, table, &known).await
    }

    async fn complete(&mut self, table: &str) -> Result<Completed, Error> {
        // Its session is plain from here on.
        self.restore_keys(table).await?;
        let name = qualified(&self.schema, table);
        let known = self.table(table).await?;
        let all = if known.versioned {
            " FOR SYSTEM_TIME ALL"
        } else {
            ""
        };
        let started = Instant::now();
        let rows: Option<u64> = self
            .conn
            .query_first(format!("SELECT COUNT(*) FROM {name}{all}"))
            .await?;
        let proof = proof::of_known(&mut self.conn, &self.schema, table, &known.manner()).await?;
        // An open read would hold the table against the RENAME.
        self.conn.query_drop("COMMIT").await?;
        Ok(Completed {
            rows: rows.unwrap_or(0),
            proof,
            proved_in: started.elapsed(),
        })
    }
}

impl MysqlWorker {
    async fn table(&self, name: &str) -> Result<Arc<Table>, Error> {
        self.tables.get(name).await?.ok_or_else(|| Error::Sql {
            code: Code::numbered(1146, "42S02"),
            message: format!(
                "the dump has rows for {name} but does not create it, or not in the same character set; a load follows \
                 CREATE TABLE with columns, not CREATE TABLE .. LIKE, .. AS SELECT, a RENAME, a TEMPORARY table or \
                 rows into a view: dump the table itself"
            ),
        })
    }

    /// The rows are literals; what follows them need not be.
    async fn refuse_foreign(&mut self, batch: &RowBatch) -> Result<(), Error> {
        let Some(tail) = batch.tail.as_ref().filter(|tail| tail.contains(&b'.')) else {
            return Ok(());
        };
        self.carried.put_down(&mut self.conn).await?;
        let mode = objects::mode(self.flavour, &batch.session);
        reach::refuse_foreign(&mut self.conn, &self.schema, tail, mode).await
    }

    async fn enter(&mut self, session: &Arc<SessionState>) -> Result<(), Error> {
        // unique_checks=0 would start InnoDB's bulk mode on MariaDB: it locks the whole table, and an error in it undoes
        // rows of earlier batches (load-rules 1).
        const OWN: [&str; 3] = ["foreign_key_checks=0", "unique_checks=1", "autocommit=0"];
        self.carried.ensure(&mut self.conn, session, &OWN).await
    }
}
