//! A connection that fills staged tables and builds their keys.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use pilotfish_sql::postgres::quote;
use tokio_postgres::Statement;

use super::schemas::{parts, qualified};
use super::shared::Shared;
use super::statement::{self, Step};
use super::statistics::{self, Staged};
use super::{SETUP, marks, session};
use crate::Error;
use crate::load::{Completed, Loaded, MarkChunk, RowBatch, SessionState, Worker};
use crate::postgres::cell;
use crate::postgres::connect::Session;

/// The verb of rows that travel as a stream.
pub(super) const COPY: &str = "COPY";
/// Bytes of rows from which on they are frozen. It takes four more questions and, since the server flushes its log
/// where a file goes, a write to the disk: 1 ms a table, for fewer pages than are written then.
const FROZEN: usize = 64 << 10;

/// See the module.
pub(super) struct PostgresWorker {
    shared: Arc<Shared>,
    session: Session,
    /// [`statistics::ABOUT`].
    about: Statement,
    /// The settings that the session has now.
    applied: Option<Arc<SessionState>>,
}

impl PostgresWorker {
    pub(super) async fn open(shared: Arc<Shared>) -> Result<Self, Error> {
        let session = shared.access.connect_to_stage().await?;
        Ok(Self {
            shared,
            about: session.prepare(statistics::ABOUT).await?,
            session,
            applied: None,
        })
    }

    async fn enter(&mut self, settings: &Arc<SessionState>) -> Result<(), Error> {
        self.shared.lock.held(&*self.session).await?;
        let same = self
            .applied
            .as_ref()
            .is_some_and(|applied| applied == settings);
        if !same {
            session::apply(&*self.session, settings).await?;
            self.applied = Some(Arc::clone(settings));
        }
        Ok(())
    }
}

#[async_trait]
impl Worker for PostgresWorker {
    async fn load(&mut self, batch: &RowBatch) -> Result<Loaded, Error> {
        let settings = Arc::clone(&batch.session);
        self.enter(&settings).await?;
        store(&self.shared, &self.session, batch).await
    }

    async fn keep_marks(&mut self, marks: &[MarkChunk]) -> Result<(), Error> {
        self.shared.lock.held(&*self.session).await?;
        let Some(number) = self.shared.marks else {
            return Ok(());
        };
        let transaction = self.session.transaction().await?;
        for chunk in marks {
            marks::keep(&transaction, number, chunk).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn restore_keys(&mut self, _: &str) -> Result<(), Error> {
        // They are made once the rows are in, where the dump has them.
        self.shared.lock.held(&*self.session).await
    }

    async fn carry(&mut self, table: &str) -> Result<Loaded, Error> {
        self.shared.lock.held(&*self.session).await?;
        let (schema, name) = parts(table)?;
        // Rows as text mean the same on both sides.
        self.session.batch_execute(SETUP).await?;
        self.applied = None;
        let (live, staged) = (
            qualified(&schema, &name),
            self.shared.schemas().table(table)?,
        );
        let columns = self.columns(&staged).await?;
        let rows = match columns.kind {
            Rows::Elsewhere => 0,
            Rows::Here if !self.shared.access.is_database() => {
                self.copy_inside(&live, &staged, &columns).await?
            }
            Rows::Here | Rows::Translated => self.copy_through(&live, &staged, &columns).await?,
        };
        self.shared.stored(table, Some(rows));
        Ok(Loaded { stored: Some(rows) })
    }

    async fn build(&mut self, sql: &[u8], settings: &Arc<SessionState>) -> Result<(), Error> {
        self.enter(settings).await?;
        let sql = &*self.shared.at_home(sql);
        if !self.shared.access.keeps_names() {
            match statement::step(sql, self.shared.mode(), &self.shared.schemas())? {
                Step::Run | Step::Create(_) => {}
                Step::Leave(_) => return Ok(()),
                _ => return Err(Error::Refused("it is not about keys".to_owned())),
            }
        }
        let text = self.shared.rewritten(sql)?;
        Ok(self.session.batch_execute(&text).await?)
    }

    async fn complete(&mut self, table: &str) -> Result<Completed, Error> {
        self.shared.lock.held(&*self.session).await?;
        let staged = self.shared.schemas().table(table)?;
        let about = Staged::of(&*self.session, &self.about, &staged).await?;
        if about.is_foreign {
            // Its rows are elsewhere, and nobody's here to count.
            return Ok(Completed::default());
        }
        if about.is_plain {
            let rows = self.shared.counted(table);
            about.take(&*self.session, &staged, rows).await?;
            self.shared.analyzed(table);
        }
        let rows = match self.shared.counted(table) {
            Some(rows) => rows,
            None => self.count(table).await?,
        };
        Ok(Completed {
            rows,
            proof: Some(self.shared.proof(table)),
            ..Completed::default()
        })
    }
}

impl PostgresWorker {
    /// Within the server.
    async fn copy_inside(&self, live: &str, staged: &str, columns: &Columns) -> Result<u64, Error> {
        let list = columns.names.join(", ");
        let sql = if list.is_empty() {
            format!("INSERT INTO {staged} SELECT FROM ONLY {live}")
        } else {
            format!(
                "INSERT INTO {staged} ({list}) OVERRIDING SYSTEM VALUE SELECT {list} FROM ONLY {live}"
            )
        };
        Ok(self.session.execute(&sql, &[]).await?)
    }

    /// As text, from session to session: between databases, and where types of the dump are others than the live ones.
    async fn copy_through(
        &self,
        live: &str,
        staged: &str,
        columns: &Columns,
    ) -> Result<u64, Error> {
        let names = columns.names.join(", ");
        let list = if names.is_empty() {
            String::new()
        } else {
            format!(" ({names})")
        };
        let source = self.shared.access.connect().await?;
        let rows = source
            .copy_out(&format!("COPY (SELECT {names} FROM ONLY {live}) TO STDOUT"))
            .await?;
        let sink = self
            .session
            .copy_in::<_, Bytes>(&format!("COPY {staged}{list} FROM STDIN"))
            .await?;
        let (mut rows, mut sink) = (std::pin::pin!(rows), std::pin::pin!(sink));
        while let Some(chunk) = rows.next().await {
            sink.send(chunk?).await?;
        }
        let stored = sink.finish().await?;
        source.close().await;
        Ok(stored)
    }

    async fn columns(&self, table: &str) -> Result<Columns, Error> {
        const COLUMNS: &str = "SELECT pg_catalog.quote_ident(a.attname), a.attgenerated = '', a.atttypid >= 16384, \
            c.relkind = 'f' FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_attribute a \
            ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
            WHERE c.oid = $1::text::pg_catalog.regclass ORDER BY a.attnum";
        let mut columns = Columns {
            names: Vec::new(),
            kind: Rows::Here,
        };
        for row in self.session.query(COLUMNS, &[&table]).await? {
            let (name, stored): (Option<String>, Option<bool>) = (cell(&row, 0)?, cell(&row, 1)?);
            if cell::<Option<bool>>(&row, 2)? == Some(true) {
                columns.kind = Rows::Translated;
            }
            if cell(&row, 3)? {
                columns.kind = Rows::Elsewhere;
                break;
            }
            columns.names.extend(name.filter(|_| stored == Some(true)));
        }
        Ok(columns)
    }

    /// Rows of the table itself: those of its partitions and children are theirs.
    async fn count(&self, table: &str) -> Result<u64, Error> {
        let staged = self.shared.schemas().table(table)?;
        let sql = format!("SELECT pg_catalog.count(*) FROM ONLY {staged}");
        let rows: i64 = cell(&self.session.query_one(&sql, &[]).await?, 0)?;
        Ok(u64::try_from(rows).unwrap_or_default())
    }
}

/// The columns of a table that rows bring, quoted: not those that the server computes.
struct Columns {
    names: Vec<String>,
    kind: Rows,
}

/// Where the rows of a table come from, and how.
enum Rows {
    Here,
    /// Some are of types that are the dump's own.
    Translated,
    /// It is a foreign table.
    Elsewhere,
}

/// Stores a batch whole or not at all.
pub(super) async fn store(
    shared: &Shared,
    session: &Session,
    batch: &RowBatch,
) -> Result<Loaded, Error> {
    let (schema, name) = parts(&batch.table)?;
    if shared.is_foreign(&batch.table) && !shared.access.is_straight() {
        return Err(Error::Refused(format!(
            "{} is a foreign table: its rows would go to the other server before the swap",
            batch.table
        )));
    }
    if shared.schemas().extensions.brought(&schema, &name) && !shared.access.keeps_names() {
        return Err(Error::NeedsDatabase(format!(
            "{} belongs to an extension, which the live release shares",
            batch.table
        )));
    }
    if shared.is_stand_in(&batch.table) {
        refuse_parts_of_rows(shared, session, batch).await?;
    }
    let stored = if batch.verb == COPY {
        copy(shared, session, batch).await?
    } else {
        insert(shared, session, batch).await?
    };
    shared.stored(&batch.table, stored);
    Ok(Loaded {
        // What a row of ON CONFLICT became no answer tells, and partitions take those of their parent.
        stored: stored.filter(|_| batch.tail.is_none() && !shared.is_parent(&batch.table)),
    })
}

/// A column that the dump leaves to its default would have none when rows are moved to the live table.
async fn refuse_parts_of_rows(
    shared: &Shared,
    session: &Session,
    batch: &RowBatch,
) -> Result<(), Error> {
    const LEFT_OUT: &str = "SELECT a.attname::text FROM pg_catalog.pg_attribute a \
        WHERE a.attrelid = $1::text::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped \
        AND a.attgenerated = '' AND NOT a.attname = ANY($2) LIMIT 1";
    let Some(columns) = &batch.columns else {
        return Ok(());
    };
    let table = shared.schemas().table(&batch.table)?;
    match session.query_opt(LEFT_OUT, &[&table, columns]).await? {
        None => Ok(()),
        Some(row) => Err(Error::Refused(format!(
            "rows of {} come without the column {}",
            batch.table,
            cell::<String>(&row, 0)?
        ))),
    }
}

async fn copy(shared: &Shared, session: &Session, batch: &RowBatch) -> Result<Option<u64>, Error> {
    let table = shared.schemas().table(&batch.table)?;
    let sql = format!("COPY {table}{} FROM STDIN", columns(batch));
    let is_alone = batch.whole && !shared.access.is_straight() && !shared.is_parent(&batch.table);
    let stored = if is_alone && batch.tuples.len() >= FROZEN {
        freeze(session, &table, &sql, batch).await
    } else {
        stream(session, &sql, batch).await
    };
    stored.map(Some).map_err(|error| by_line(error, batch.line))
}

/// Rows that every snapshot sees, also those that are older: the server wants the table emptied in the same
/// transaction for it, so it must be empty before.
async fn freeze(
    session: &Session,
    table: &str,
    copy: &str,
    batch: &RowBatch,
) -> Result<u64, Error> {
    // Rows may have come by other ways: by INSERT .. SELECT, by the partitioned table that it is a part of.
    session
        .batch_execute(&format!(
            "BEGIN; LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE"
        ))
        .await?;
    let filled = format!("SELECT EXISTS (SELECT FROM ONLY {table})");
    if cell(&session.query_one(&filled, &[]).await?, 0)? {
        session.batch_execute("ROLLBACK").await?;
        return stream(session, copy, batch).await;
    }
    let empty = format!("TRUNCATE ONLY {table}");
    if let Err(error) = session.batch_execute(&empty).await.map_err(Error::from) {
        session.batch_execute("ROLLBACK").await?;
        return match error.code() {
            // `feature_not_supported`: a foreign key leads to it already.
            Some(code) if code.is("0A000") => stream(session, copy, batch).await,
            _ => Err(error),
        };
    }
    let stored = stream(session, &format!("{copy} (FREEZE)"), batch).await;
    let end = if stored.is_ok() { "COMMIT" } else { "ROLLBACK" };
    session.batch_execute(end).await?;
    stored
}

async fn stream(session: &Session, copy: &str, batch: &RowBatch) -> Result<u64, Error> {
    let sink = session.copy_in::<_, Bytes>(copy).await?;
    let mut sink = std::pin::pin!(sink);
    sink.send(batch.tuples.clone()).await?;
    Ok(sink.finish().await?)
}

/// The server counts the lines of a stream; people look for them in the dump.
fn by_line(error: Error, first: u64) -> Error {
    error.reworded(|words| {
        let counted = words.rfind(", line ").and_then(|at| {
            let number = &words[at + ", line ".len()..];
            let end = number.find(|digit: char| !digit.is_ascii_digit())?;
            let line: u64 = number[..end].parse().ok()?;
            let dump = first.checked_add(line)?.checked_sub(1)?;
            Some(format!(
                "{}, line {dump} of the dump{}",
                &words[..at],
                &number[end..]
            ))
        });
        match counted {
            Some(words_of_the_dump) if first > 0 => words_of_the_dump,
            _ => words,
        }
    })
}

async fn insert(
    shared: &Shared,
    session: &Session,
    batch: &RowBatch,
) -> Result<Option<u64>, Error> {
    let table = shared.schemas().table(&batch.table)?;
    let mut sql = format!("INSERT INTO {table}{} ", columns(batch)).into_bytes();
    // Numbers of GENERATED ALWAYS columns are the dump's to say, as in its own text.
    sql.extend_from_slice(b"OVERRIDING SYSTEM VALUE VALUES ");
    sql.extend_from_slice(&batch.tuples);
    if let Some(tail) = &batch.tail {
        sql.push(b' ');
        sql.extend_from_slice(tail);
    }
    for rows in [Some(&batch.tuples), batch.tail.as_ref()]
        .into_iter()
        .flatten()
    {
        shared.refuse_strangers(rows)?;
    }
    let text = shared.rewritten(&sql)?;
    let rows = session.execute(text.as_str(), &[]).await?;
    Ok(batch.tail.is_none().then_some(rows))
}

fn columns(batch: &RowBatch) -> String {
    let Some(columns) = &batch.columns else {
        return String::new();
    };
    let quoted: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    format!(" ({})", quoted.join(", "))
}
