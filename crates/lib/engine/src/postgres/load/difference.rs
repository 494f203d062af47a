//! A small change, made in the live tables: rows that go are deleted, those that come are inserted or take the place of
//! others, and the ledger says so, in one transaction. Readers see one instant, standbys get the difference alone.
//!
//! The rows that come are on the stage, in tables like the live ones. Those that go wait in [`WAY_BACK`] with the keys of
//! those that came, so that [`back`] can undo it all the same way.

mod back;
mod exchange;
mod hindrance;
mod shape;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use pilotfish_sql::postgres::{Mode, quote, tokens};
use serde::{Deserialize, Serialize};
use tokio_postgres::Transaction;

pub(super) use back::{back, damaged};
use exchange::Moved;
pub(super) use hindrance::in_the_way;
use shape::Shape;

use super::drift::{self, Moment};
use super::ledger::{self, Content, Role};
use super::marks;
use super::names::WAY_BACK;
use super::schemas::{Schemas, parts, qualified};
use super::target::PostgresTarget;
use super::text::utf8;
use super::withheld::Withheld;
use crate::Error;
use crate::load::{DifferencePlan, MarkChunk, TableDifference, TableRecord};
use crate::postgres::cell;

/// Who writes to a changed table is waited for so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of keys that travel together.
const KEYS_AT_ONCE: usize = 1 << 20;

/// The way back to the release before, as long as its record has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Undo {
    /// Live tables that differ from it.
    pub(super) tables: BTreeMap<String, UndoTable>,
    /// Where its sequences went on: name, last value, whether that was used.
    sequences: Vec<(String, i64, bool)>,
}

/// What undoes the difference of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UndoTable {
    /// Number of the tables in [`WAY_BACK`].
    at: usize,
    /// Rows that went.
    went: u64,
    /// Rows that came.
    came: u64,
}

impl UndoTable {
    fn rows(&self) -> String {
        qualified(WAY_BACK, &format!("rows_{}", self.at))
    }

    fn keys(&self) -> String {
        qualified(WAY_BACK, &format!("keys_{}", self.at))
    }
}

/// Changes the live tables; readers see all of it at once.
///
/// # Errors
/// Whatever it is, nothing was changed.
pub(super) async fn apply(target: &mut PostgresTarget, plan: &DifferencePlan) -> Result<(), Error> {
    let before = ledger::read(&*target.session, Role::Live).await?;
    let before = before
        .ok_or_else(|| Error::Locked("the ledger has no live release any more".to_owned()))?;
    let generation = marks::next_id(&*target.session).await?;
    let transaction = target.session.transaction().await?;
    seize(&transaction, plan.tables.keys()).await?;
    unwritten(&transaction, &before, plan.tables.keys()).await?;
    transaction
        .batch_execute(&format!(
            "DROP SCHEMA IF EXISTS {WAY_BACK} CASCADE; CREATE SCHEMA {WAY_BACK}"
        ))
        .await?;
    let mut moved = Vec::with_capacity(plan.tables.len());
    let mut undo = Undo::default();
    let mut withheld = Withheld::of(&transaction).await?;
    for (at, (name, difference)) in plan.tables.iter().enumerate() {
        let table = lay_out(&transaction, at, name, difference).await?;
        let kept = UndoTable {
            at,
            went: difference.going(),
            came: difference.come,
        };
        table.keep(&transaction, &kept.rows(), &kept.keys()).await?;
        // Policies guard the rows of the live table only.
        for place in [kept.rows(), kept.keys()] {
            withheld.take(&transaction, &place).await?;
        }
        undo.tables.insert(name.clone(), kept);
        moved.push(table);
    }
    exchange::carry_out(&transaction, &moved).await?;
    for table in &moved {
        let drop = format!("DROP TABLE {}", table.gone);
        transaction.batch_execute(&drop).await?;
    }
    let next = next_content(&transaction, &before, plan).await?;
    keep_marks(&transaction, [&before, &next], plan, generation).await?;
    undo.sequences = sequences(&transaction, &plan.sequence_values).await?;
    ledger::write(&transaction, Role::Live, Some(&next)).await?;
    let previous = Content {
        undo: Some(undo),
        ..before
    };
    ledger::write(&transaction, Role::Previous, Some(&previous)).await?;
    // No transaction takes them back.
    for sql in &plan.sequence_values {
        transaction.batch_execute(&utf8(sql.to_vec())?).await?;
    }
    Ok(transaction.commit().await?)
}

/// Locks tables against whoever else writes, and not against readers; then nobody has made anything on them that would
/// take part.
async fn seize(
    transaction: &Transaction<'_>,
    tables: impl Iterator<Item = &String>,
) -> Result<(), Error> {
    let mut names = Vec::new();
    for table in tables {
        let (schema, name) = parts(table)?;
        names.push(qualified(&schema, &name));
    }
    if names.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SET LOCAL lock_timeout = {}; LOCK TABLE ONLY {} IN SHARE ROW EXCLUSIVE MODE",
        PATIENCE.as_millis(),
        names.join(", ONLY ")
    );
    transaction.batch_execute(&sql).await?;
    match hindrance::of(transaction, &names).await? {
        Some(why) => Err(Error::Locked(format!("{why}, made meanwhile"))),
        None => Ok(()),
    }
}

/// Refuses tables that somebody wrote to since they were loaded; they are locked.
async fn unwritten(
    transaction: &Transaction<'_>,
    live: &Content,
    tables: impl Iterator<Item = &String>,
) -> Result<(), Error> {
    for table in tables {
        let (schema, name) = parts(table)?;
        let loaded = live
            .release
            .tables
            .get(table)
            .map_or(0, |record| record.rows);
        let written = drift::written(transaction, &qualified(&schema, &name), table, live).await?;
        if let Some(how) = written.differs(loaded) {
            return Err(Error::Locked(format!("somebody wrote to {table}: {how}")));
        }
    }
    Ok(())
}

/// One changed table and where its difference lies; the keys of the rows that go are sent.
async fn lay_out(
    transaction: &Transaction<'_>,
    at: usize,
    name: &str,
    difference: &TableDifference,
) -> Result<Moved, Error> {
    let (schema, table) = parts(name)?;
    let live = qualified(&schema, &table);
    let shape = Shape::of(transaction, &live).await?;
    if !shape.has_key(&difference.key) {
        return Err(Error::Refused(format!(
            "the primary key of {name} is not that of the dump, or not of integers"
        )));
    }
    let gone = qualified(WAY_BACK, &format!("gone_{at}"));
    transaction
        .batch_execute(&format!(
            "CREATE TABLE {gone} AS SELECT {} FROM ONLY {live} WITH NO DATA",
            shape.key()
        ))
        .await?;
    send_keys(transaction, &gone, difference).await?;
    let come = Schemas::default().table(name)?;
    // The planner knows nothing of tables that were just filled.
    transaction
        .batch_execute(&format!("ANALYZE {gone}; ANALYZE {come}"))
        .await?;
    Ok(Moved {
        name: name.to_owned(),
        live,
        come,
        gone,
        shape,
        going: difference.going(),
        coming: difference.come,
    })
}

async fn send_keys(
    transaction: &Transaction<'_>,
    gone: &str,
    difference: &TableDifference,
) -> Result<(), Error> {
    let sink = transaction
        .copy_in::<_, Bytes>(&format!("COPY {gone} FROM STDIN"))
        .await?;
    let mut sink = std::pin::pin!(sink);
    let mut text = String::new();
    for key in difference.gone.chunks(difference.key.len().max(1)) {
        let key: Vec<String> = key.iter().map(i64::to_string).collect();
        text.push_str(&key.join("\t"));
        text.push('\n');
        if text.len() >= KEYS_AT_ONCE {
            sink.send(Bytes::from(std::mem::take(&mut text))).await?;
        }
    }
    sink.send(Bytes::from(text)).await?;
    sink.finish().await?;
    Ok(())
}

/// What the ledger will say.
async fn next_content(
    transaction: &Transaction<'_>,
    before: &Content,
    plan: &DifferencePlan,
) -> Result<Content, Error> {
    let mut next = before.clone();
    next.release = plan.release.clone();
    next.release.since = ledger::now();
    next.unproven = false;
    let moment = Moment::of(transaction).await?;
    for name in plan.tables.keys() {
        next.moments.insert(name.clone(), moment.clone());
        let record = next.release.tables.entry(name.clone());
        let held = before.release.tables.get(name);
        record.or_default().proof = held.and_then(|held: &TableRecord| held.proof.clone());
    }
    Ok(next)
}

/// Keeps the marks of what changed beside those that were there.
async fn keep_marks(
    transaction: &Transaction<'_>,
    [before, next]: [&Content; 2],
    plan: &DifferencePlan,
    generation: i64,
) -> Result<(), Error> {
    let mut had = marks::of(transaction, &before.release).await?;
    let known = marks::of(transaction, &next.release).await?;
    // Content that was live before has its marks.
    for (table, difference) in plan.tables.iter().filter(|it| !known.contains_key(it.0)) {
        let marked = had.remove(table);
        let marked =
            marked.ok_or_else(|| Error::Refused(format!("{table} has no marks any more")))?;
        let chunk = MarkChunk {
            table: table.clone(),
            layer: 0,
            seq: 0,
            body: difference.patch.clone(),
        };
        marks::keep(transaction, generation, &chunk).await?;
        let record = next.release.tables.get(table);
        let digest = record.map_or("", |record| &record.digest);
        marks::book(transaction, table, digest, marked, generation).await?;
    }
    Ok(())
}

/// Where the sequences go on now that these statements set.
async fn sequences(
    transaction: &Transaction<'_>,
    values: &[Bytes],
) -> Result<Vec<(String, i64, bool)>, Error> {
    let mut sequences = Vec::with_capacity(values.len());
    for sql in values {
        let named = tokens(sql, Mode::default()).find_map(|token| token.string());
        let Some(named) = named else { continue };
        let named = utf8(named)?;
        let known = transaction
            .query_one("SELECT $1::text::pg_catalog.regclass::text", &[&named])
            .await?;
        let name: String = cell(&known, 0)?;
        let now = format!("SELECT last_value, is_called FROM {name}");
        let row = transaction.query_one(&now, &[]).await?;
        sequences.push((name, cell(&row, 0)?, cell(&row, 1)?));
    }
    Ok(sequences)
}

/// A table like the live one of its name, in the stage's place for it.
pub(super) fn stand_in(live: &str, staged: &str) -> String {
    format!("CREATE UNLOGGED TABLE {staged} (LIKE {live} INCLUDING GENERATED)")
}

/// Drops the way back, where no release has it.
pub(super) async fn drop_way_back(target: &PostgresTarget) -> Result<(), Error> {
    let sql = format!("DROP SCHEMA IF EXISTS {} CASCADE", quote(WAY_BACK));
    Ok(target.session.batch_execute(&sql).await?)
}
