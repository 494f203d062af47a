//! One connection that fills the stage: rows by LOAD DATA where that is exact, else by INSERT.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use pilotfish_sql::mysql::{Tuples, quote};

use super::columns::Column;
use super::convert;
use super::keys::Deferred;
use super::lock::Lock;
use super::names::qualified;
use super::proof;
use super::session::Carried;
use crate::Error;
use crate::load::{Completed, Loaded, RowBatch, SessionState, Worker};

/// Longest INSERT that is sent, in bytes, where the server takes that much; the driver holds each
/// statement several times.
const INSERT_BYTES: usize = 256 * 1024;
/// Room in a packet for what is not rows.
const PACKET_MARGIN: usize = 16 * 1024;

/// What is known of one staged table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) deferred: Mutex<Deferred>,
    /// Rows must go by INSERT: no transactions to undo a stream with, or history of its own.
    pub(super) insert_only: AtomicBool,
    /// MariaDB keeps old versions of its rows in the table itself.
    pub(super) versioned: bool,
}

impl Table {
    /// Takes the keys that wait; the second caller gets none.
    pub(super) fn take_keys(&self) -> Vec<String> {
        let mut deferred = self.deferred();
        let adds = deferred.adds();
        deferred.keys.clear();
        deferred.fulltext.clear();
        adds
    }

    pub(super) fn deferred(&self) -> MutexGuard<'_, Deferred> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the foreign keys that wait.
    pub(super) fn take_foreign_keys(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.deferred().foreign)
    }

    /// Gives foreign keys back to wait on.
    pub(super) fn give_foreign_keys(&self, foreign: Vec<(String, String)>) {
        self.deferred().foreign = foreign;
    }
}

/// All staged tables, shared by the stage and its workers.
#[derive(Debug, Default)]
pub(super) struct Tables(Mutex<HashMap<String, Arc<Table>>>);

impl Tables {
    pub(super) fn get(&self, name: &str) -> Option<Arc<Table>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    pub(super) fn set(&self, name: &str, table: Table) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), Arc::new(table));
    }

    /// Names and tables, in name order.
    pub(super) fn all(&self) -> Vec<(String, Arc<Table>)> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = map
            .iter()
            .map(|(name, table)| (name.clone(), Arc::clone(table)))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct MysqlWorker {
    pub(super) conn: Conn,
    pub(super) lock: Lock,
    pub(super) schema: String,
    pub(super) tables: Arc<Tables>,
    pub(super) mariadb: bool,
    /// `@@local_infile` of the server.
    pub(super) local_infile: bool,
    /// `@@max_allowed_packet` of the session, bytes.
    pub(super) packet: usize,
    pub(super) carried: Carried,
}

#[async_trait]
impl Worker for MysqlWorker {
    async fn load(&mut self, batch: &RowBatch) -> Result<Loaded, Error> {
        let table = self.table(&batch.table)?;
        self.enter(&batch.session).await?;
        if let Some(pieces) = self.as_stream(batch, &table) {
            if self.stream(batch, &table, pieces).await? {
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
        insert(&mut self.conn, &self.lock, &self.schema, batch, self.packet).await
    }

    async fn restore_keys(&mut self, table: &str) -> Result<(), Error> {
        self.lock.held(&mut self.conn).await?;
        let adds = self.table(table)?.take_keys();
        for clauses in adds {
            let table = qualified(&self.schema, table);
            self.conn
                .query_drop(format!("ALTER TABLE {table} {clauses}"))
                .await?;
        }
        Ok(())
    }

    async fn complete(&mut self, table: &str) -> Result<Completed, Error> {
        self.restore_keys(table).await?;
        let name = qualified(&self.schema, table);
        let all = if self.table(table)?.versioned {
            " FOR SYSTEM_TIME ALL"
        } else {
            ""
        };
        let started = Instant::now();
        let rows: Option<u64> = self
            .conn
            .query_first(format!("SELECT COUNT(*) FROM {name}{all}"))
            .await?;
        let proof = proof::of(&mut self.conn, &self.schema, table, self.mariadb).await?;
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
    fn table(&self, name: &str) -> Result<Arc<Table>, Error> {
        self.tables.get(name).ok_or_else(|| Error::Sql {
            code: 1146,
            state: "42S02".to_owned(),
            message: format!("the dump has rows for {name} but does not create it"),
        })
    }

    async fn enter(&mut self, session: &Arc<SessionState>) -> Result<(), Error> {
        if self.carried.ensure(&mut self.conn, session).await? {
            // unique_checks=0 would start InnoDB's bulk mode on MariaDB: it locks the whole table, and an
            // error in it undoes rows of earlier batches (load-rules 1).
            self.conn
                .query_drop("SET SESSION foreign_key_checks=0, SESSION unique_checks=1, SESSION autocommit=0")
                .await?;
        }
        Ok(())
    }

    /// The batch as LOAD DATA text; `None` where INSERT must carry it.
    fn as_stream(&self, batch: &RowBatch, table: &Table) -> Option<convert::Pieces> {
        let plain = self.local_infile
            && batch.verb == "INSERT"
            && batch.tail.is_none()
            && !batch.ordered
            && !batch.no_backslash_escapes
            && !table.insert_only.load(Ordering::Relaxed);
        let charset = batch
            .session
            .0
            .get("character_set_client")?
            .to_ascii_lowercase();
        let known = matches!(charset.as_str(), "utf8mb4" | "utf8mb3" | "utf8" | "latin1");
        // INSERT takes a literal by way of the connection's character set, LOAD DATA does not.
        let collation = batch.session.0.get("collation_connection")?;
        let straight = collation
            .strip_prefix(charset.as_str())
            .is_some_and(|rest| rest.starts_with('_'));
        if !plain || !known || !straight {
            return None;
        }
        let columns = target_columns(batch, table)?;
        match convert::rows(&batch.tuples, &columns, &charset) {
            // Each piece travels in a packet of its own: INSERT says what a longer row needs.
            Ok(pieces) if pieces.iter().any(|piece| piece.len() > self.packet) => None,
            Ok(pieces) => Some(pieces),
            Err(reason) => {
                tracing::debug!(table = batch.table, %reason, "rows go by INSERT");
                None
            }
        }
    }

    /// Sends one LOAD DATA stream; `false` when the server would have changed or skipped a row: the
    /// batch is undone and nothing of it is stored.
    async fn stream(
        &mut self,
        batch: &RowBatch,
        table: &Table,
        pieces: convert::Pieces,
    ) -> Result<bool, Error> {
        let columns = target_columns(batch, table).unwrap_or_default();
        let charset = batch
            .session
            .0
            .get("character_set_client")
            .map_or("utf8mb4", String::as_str);
        let statement = load_statement(&qualified(&self.schema, &batch.table), charset, &columns);
        // The handler cannot fail: the rows are in memory. A handler that fails sends the end marker, and
        // the server would commit what it has (rust-stack, trap 1).
        self.conn.set_infile_handler(async move {
            Ok(futures_util::stream::iter(pieces.into_iter().map(Ok)).boxed())
        });
        match self.conn.query_drop(statement).await.map_err(Error::from) {
            Ok(()) => {}
            Err(error) if matches!(error, Error::Sql { .. }) => {
                tracing::debug!(table = batch.table, %error, "LOAD DATA refused");
                self.conn.query_drop("ROLLBACK").await?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        let exact = self.conn.get_warnings() == 0
            && LoadInfo::parse(&self.conn.info()).is_some_and(|info| info.is_exactly(batch.rows));
        self.lock.held(&mut self.conn).await?;
        self.conn
            .query_drop(if exact { "COMMIT" } else { "ROLLBACK" })
            .await?;
        Ok(exact)
    }
}

/// `Records: 4  Deleted: 0  Skipped: 1  Warnings: 1`, the server's answer to LOAD DATA.
#[derive(Debug, PartialEq, Eq)]
struct LoadInfo {
    records: u64,
    deleted: u64,
    skipped: u64,
    warnings: u64,
}

impl LoadInfo {
    fn parse(info: &str) -> Option<Self> {
        let field = |name: &str| -> Option<u64> {
            let at = info.find(name)? + name.len();
            info[at..]
                .trim_start_matches([':', ' '])
                .split(' ')
                .next()?
                .parse()
                .ok()
        };
        Some(Self {
            records: field("Records")?,
            deleted: field("Deleted")?,
            skipped: field("Skipped")?,
            warnings: field("Warnings")?,
        })
    }

    const fn is_exactly(&self, rows: u64) -> bool {
        self.records == rows && self.deleted == 0 && self.skipped == 0 && self.warnings == 0
    }
}

/// The columns the tuples fill, in their order; `None` where LOAD DATA cannot name them.
fn target_columns<'a>(batch: &RowBatch, table: &'a Table) -> Option<Vec<&'a Column>> {
    let columns: Vec<&Column> = match &batch.columns {
        None => table
            .columns
            .iter()
            .filter(|column| !column.invisible)
            .collect(),
        Some(names) => names
            .iter()
            .map(|name| {
                table
                    .columns
                    .iter()
                    .find(|column| column.name.eq_ignore_ascii_case(name))
            })
            .collect::<Option<_>>()?,
    };
    let left_out = |column: &Column| !columns.iter().any(|taken| taken.name == column.name);
    let missing = table
        .columns
        .iter()
        .any(|column| column.needs_value && left_out(column));
    (!missing && !columns.iter().any(|column| column.generated)).then_some(columns)
}

fn load_statement(table: &str, charset: &str, columns: &[&Column]) -> String {
    use super::columns::Family;
    let mut fields = Vec::new();
    let mut sets = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        if column.family == Family::Binary {
            fields.push(format!("@pilotfish_{index}"));
            sets.push(format!(
                "{} = UNHEX(@pilotfish_{index})",
                quote(&column.name)
            ));
        } else {
            fields.push(quote(&column.name));
        }
    }
    let set = if sets.is_empty() {
        String::new()
    } else {
        format!(" SET {}", sets.join(", "))
    };
    format!(
        "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table} CHARACTER SET {charset} FIELDS TERMINATED BY '\\t' \
         ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ({}){set}",
        fields.join(", ")
    )
}

/// Sends a batch as INSERT statements that fit the server's packets, in one transaction.
pub(super) async fn insert(
    conn: &mut Conn,
    lock: &Lock,
    schema: &str,
    batch: &RowBatch,
    packet: usize,
) -> Result<Loaded, Error> {
    let mut outcome = insert_all(conn, schema, batch, packet).await;
    if outcome.is_ok()
        && let Err(error) = lock.held(conn).await
    {
        outcome = Err(error);
    }
    conn.query_drop(if outcome.is_ok() {
        "COMMIT"
    } else {
        "ROLLBACK"
    })
    .await?;
    let affected = outcome?;
    let stored = match (batch.verb, &batch.tail) {
        ("INSERT", None) => Some(batch.rows),
        ("INSERT IGNORE", None) => Some(affected),
        _ => None,
    };
    Ok(Loaded { stored })
}

async fn insert_all(
    conn: &mut Conn,
    schema: &str,
    batch: &RowBatch,
    packet: usize,
) -> Result<u64, Error> {
    let head = insert_head(schema, batch);
    let tail = batch.tail.as_deref().unwrap_or_default();
    let room = INSERT_BYTES
        .min(packet.saturating_sub(PACKET_MARGIN))
        .saturating_sub(head.len() + tail.len());
    let limit = packet.saturating_sub(head.len() + tail.len() + 2);
    let (mut affected, mut before) = (0, 0);
    for (rows, count) in pack(batch, room)? {
        if rows.len() > limit {
            return Err(Error::Config(format!(
                "a row of {} needs {} bytes in one packet and the server takes {packet}: raise max_allowed_packet",
                batch.table,
                rows.len()
            )));
        }
        let statement = [head.as_bytes(), b" ", rows, b" ", tail].concat();
        let sent = conn.query_drop(statement).await.map_err(Error::from);
        sent.map_err(|error| behind(before, error))?;
        affected += conn.affected_rows();
        before += count;
        if batch.lone && conn.get_warnings() > 0 {
            refuse_null(conn).await?;
        }
    }
    Ok(affected)
}

/// The server counts rows from the beginning of its statement, a person from where the batch begins.
fn behind(before: u64, error: Error) -> Error {
    match error {
        Error::Sql {
            code,
            state,
            message,
        } if before > 0 => Error::Sql {
            code,
            state,
            message: format!("{message}, after the first {before} rows"),
        },
        error => error,
    }
}

/// Rows of several INSERTs travel in one, where a NULL in a NOT NULL column is a mere warning outside the
/// strict modes. Alone it is an error.
async fn refuse_null(conn: &mut Conn) -> Result<(), Error> {
    const BAD_NULL: u16 = 1048;
    let affected: Vec<(String, u16, String)> = conn.query("SHOW WARNINGS").await?;
    match affected.into_iter().find(|(_, code, _)| *code == BAD_NULL) {
        None => Ok(()),
        Some((_, code, message)) => Err(Error::Sql {
            code,
            state: "23000".to_owned(),
            message,
        }),
    }
}

fn insert_head(schema: &str, batch: &RowBatch) -> String {
    let columns = batch.columns.as_ref().map_or_else(String::new, |names| {
        let names: Vec<String> = names.iter().map(|name| quote(name)).collect();
        format!(" ({})", names.join(", "))
    });
    format!(
        "{} INTO {}{columns} VALUES",
        batch.verb,
        qualified(schema, &batch.table)
    )
}

/// Cuts a batch between tuples, each part at most `room` bytes where tuples allow, with its rows.
fn pack(batch: &RowBatch, room: usize) -> Result<Vec<(&[u8], u64)>, Error> {
    let all: &[u8] = &batch.tuples;
    if all.len() <= room {
        return Ok(vec![(all, batch.rows)]);
    }
    let base = all.as_ptr() as usize;
    let mut parts = Vec::new();
    let (mut start, mut end, mut count) = (0, 0, 0);
    let walked = Tuples::new(batch.no_backslash_escapes).for_each(all, |_, raw| {
        let from = raw.as_ptr() as usize - base;
        let to = from + raw.len();
        if end > start && to - start > room {
            parts.push((start, end, count));
            (start, count) = (from, 0);
        }
        end = to;
        count += 1;
        Ok::<(), std::convert::Infallible>(())
    });
    if let Err(error) = walked {
        return Err(Error::Sql {
            code: 1064,
            state: "42000".to_owned(),
            message: error.to_string(),
        });
    }
    parts.push((start, end, count));
    Ok(parts
        .into_iter()
        .map(|(start, end, count)| (&all[start..end], count))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_load_data_is_read() {
        let info = LoadInfo::parse("Records: 4  Deleted: 0  Skipped: 1  Warnings: 2").unwrap();
        assert_eq!(
            info,
            LoadInfo {
                records: 4,
                deleted: 0,
                skipped: 1,
                warnings: 2
            }
        );
        assert!(!info.is_exactly(4));
        assert!(
            LoadInfo::parse("Records: 4  Deleted: 0  Skipped: 0  Warnings: 0")
                .unwrap()
                .is_exactly(4)
        );
    }

    #[test]
    fn batches_are_cut_between_tuples() {
        let batch = RowBatch {
            lone: false,
            table: "t".to_owned(),
            columns: None,
            verb: "INSERT",
            tuples: bytes::Bytes::from_static(b"(1,'a'),(2,'),('),(3,'c')"),
            tail: None,
            rows: 3,
            ordered: false,
            no_backslash_escapes: false,
            session: Arc::default(),
        };
        assert_eq!(
            pack(&batch, 8).unwrap(),
            [(&b"(1,'a')"[..], 1), (b"(2,'),(')", 1), (b"(3,'c')", 1)]
        );
        assert_eq!(
            pack(&batch, 18).unwrap(),
            [(&b"(1,'a'),(2,'),(')"[..], 2), (b"(3,'c')", 1)]
        );
    }
}
