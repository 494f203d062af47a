//! A small change, made in the live tables: rows that go are deleted, those that come are inserted or take the place of
//! others, and the ledger says so, in one transaction. Readers see one instant, standbys get the difference alone.
//!
//! The rows that come are on the stage, in tables like the live ones. Those that go wait in [`WAY_BACK`] with the keys of
//! those that came, so that [`back`] can undo it all the same way.

mod back;
mod exchange;
mod hindrance;
mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::SinkExt as _;
use pilotfish_sql::postgres::{Mode, quote, tokens};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_postgres::Transaction;
use tokio_util::sync::CancellationToken;

pub(super) use back::{back, damaged};
use exchange::Moved;
pub(super) use hindrance::in_the_way;
use shape::Shape;

use super::drift::{self, Moment};
use super::ledger::{self, Content, Role};
use super::marks;
use super::names::{Part, WAY_BACK};
use super::schemas::{live_table, parts, qualified};
use super::target::PostgresTarget;
use super::text::utf8;
use super::withheld::Withheld;
use crate::Error;
use crate::load::{DifferencePlan, MarkChunk, TableDifference, TableRecord};
use crate::postgres::cell;

/// Who writes to a changed table is waited for so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// One try takes so long at most, and the next one comes so long after it.
const TRY: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(200);

/// Whose transaction has written to one of some tables, for the longest time.
const WRITER: &str = "SELECT format('process %s, %s%s, has written to %s in a transaction', a.pid, a.usename, \
    ', ' || nullif(a.application_name, ''), l.relation::pg_catalog.regclass) FROM pg_catalog.pg_locks l \
    JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'relation' AND l.granted \
    AND l.relation = ANY($1::text[]::pg_catalog.regclass[]) AND l.mode NOT IN ('AccessShareLock', 'RowShareLock') \
    AND l.pid <> pg_backend_pid() ORDER BY a.xact_start LIMIT 1";

/// Whoever reads what undoes a change is waited for so long when that is dropped.
const SWEEPING: Duration = Duration::from_secs(5);

/// Tables of a schema.
const LEFT: &str = "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
    ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1";

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
    /// What its tables in [`WAY_BACK`] are called by.
    name: String,
    /// Rows that went.
    went: u64,
    /// Rows that came.
    came: u64,
}

impl UndoTable {
    fn rows(&self) -> String {
        qualified(WAY_BACK, &format!("rows_{}", self.name))
    }

    fn keys(&self) -> String {
        qualified(WAY_BACK, &format!("keys_{}", self.name))
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
    let generation =
        generation.ok_or_else(|| Error::Refused("rows have no marks any more".to_owned()))?;
    // No table of an earlier change has it.
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    let stamp = since.as_micros();
    let cancel = target.access.options.cancel.clone();
    let transaction = target.session.transaction().await?;
    seize(&transaction, plan.tables.keys(), &cancel).await?;
    unwritten(&transaction, &before, plan.tables.keys()).await?;
    transaction
        .batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {WAY_BACK}"))
        .await?;
    let mut moved = Vec::with_capacity(plan.tables.len());
    let mut undo = Undo::default();
    for (at, (name, difference)) in plan.tables.iter().enumerate() {
        let kept = UndoTable {
            name: format!("{stamp}_{at}"),
            went: difference.going(),
            came: difference.come,
        };
        moved.push(lay_out(&transaction, name, difference, &kept).await?);
        undo.tables.insert(name.clone(), kept);
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
    // No transaction takes them back: nothing that may fail is left.
    transaction
        .batch_execute("SET CONSTRAINTS ALL IMMEDIATE")
        .await?;
    for sql in &plan.sequence_values {
        transaction.batch_execute(&utf8(sql.to_vec())?).await?;
    }
    Ok(transaction.commit().await?)
}

/// Locks tables against whoever else writes, and not against readers, with those whose rows may follow theirs; then nobody
/// has made anything on them that would take part.
///
/// Writers queue behind whoever waits for a lock, so each try is short.
async fn seize(
    transaction: &Transaction<'_>,
    tables: impl Iterator<Item = &String>,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    const FOLLOWERS: &str = "SELECT DISTINCT k.conrelid::pg_catalog.regclass::text FROM pg_catalog.pg_constraint k \
        WHERE k.contype = 'f' AND k.confrelid = ANY($1::text[]::pg_catalog.regclass[]) AND k.confdeltype NOT IN ('a', 'r')";
    let names = tables
        .map(|table| live_table(table))
        .collect::<Result<Vec<_>, Error>>()?;
    if !names.is_empty() {
        let mut locked: Vec<String> = names.iter().map(|name| format!("ONLY {name}")).collect();
        for row in transaction.query(FOLLOWERS, &[&names]).await? {
            locked.push(cell(&row, 0)?);
        }
        let lock = format!(
            "SET LOCAL lock_timeout = {}; LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
            TRY.as_millis(),
            locked.join(", ")
        );
        let until = Instant::now() + PATIENCE;
        transaction.batch_execute("SAVEPOINT tried").await?;
        while let Err(error) = transaction.batch_execute(&lock).await.map_err(Error::from) {
            if !matches!(error, Error::Busy { .. }) {
                return Err(error);
            }
            transaction
                .batch_execute("ROLLBACK TO SAVEPOINT tried")
                .await?;
            if cancel.is_cancelled() {
                return Err(Error::Stopped(
                    "wait for who writes to the tables".to_owned(),
                ));
            }
            if Instant::now() >= until {
                let who = transaction.query_opt(WRITER, &[&names]).await?;
                let who = who.map(|row| cell::<String>(&row, 0)).transpose()?;
                let who =
                    who.unwrap_or_else(|| "somebody writes to the tables that change".to_owned());
                return Err(Error::Locked(format!(
                    "{who}; waited {PATIENCE:?} for it to end"
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
        // Behind a savepoint rows would have another number than their transaction.
        transaction.batch_execute("RELEASE SAVEPOINT tried").await?;
    }
    let patience = format!("SET LOCAL lock_timeout = {}", PATIENCE.as_millis());
    transaction.batch_execute(&patience).await?;
    match hindrance::of(transaction, &names).await? {
        Some(why) => Err(Error::Locked(why)),
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
        if let Some(how) = written(transaction, live, table).await? {
            return Err(Error::Locked(format!("somebody wrote to {table}: {how}")));
        }
    }
    Ok(())
}

/// How a table differs from what was loaded into it.
async fn written(
    transaction: &Transaction<'_>,
    live: &Content,
    table: &str,
) -> Result<Option<String>, Error> {
    let record = live.release.tables.get(table);
    let loaded = record.map_or(0, |record| record.rows);
    let now = drift::written(transaction, &live_table(table)?, table, live).await?;
    Ok(now.differs(loaded))
}

/// One changed table and where its difference lies: the keys of the rows that go are sent, and what undoes it is kept.
async fn lay_out(
    transaction: &Transaction<'_>,
    name: &str,
    difference: &TableDifference,
    kept: &UndoTable,
) -> Result<Moved, Error> {
    let live = live_table(name)?;
    let shape = Shape::of(transaction, &live).await?;
    if !shape.has_key(&difference.key) {
        return Err(Error::Refused(format!(
            "the primary key of {name} is not that of the dump"
        )));
    }
    let gone = qualified(WAY_BACK, &format!("gone_{}", kept.name));
    transaction
        .batch_execute(&format!(
            "CREATE TABLE {gone} AS SELECT {} FROM ONLY {live} WITH NO DATA",
            shape.key()
        ))
        .await?;
    send_keys(transaction, &gone, difference).await?;
    let come = staged(name)?;
    // The planner knows nothing of tables that were just filled.
    transaction
        .batch_execute(&format!("ANALYZE {gone}; ANALYZE {come}"))
        .await?;
    let table = Moved {
        name: name.to_owned(),
        live,
        come,
        gone,
        shape,
        going: difference.going(),
        coming: difference.come,
        may_lose: false,
    };
    table.keep(transaction, &kept.rows(), &kept.keys()).await?;
    // Policies guard the rows of the live table only.
    let mut withheld = Withheld::of(transaction).await?;
    for place in [kept.rows(), kept.keys()] {
        withheld.take(transaction, &place).await?;
    }
    if table.shape.row_security {
        let guard = format!("ALTER TABLE {} ENABLE ROW LEVEL SECURITY", kept.rows());
        transaction.batch_execute(&guard).await?;
    }
    Ok(table)
}

/// Where the rows are that come.
fn staged(name: &str) -> Result<String, Error> {
    let (schema, table) = parts(name)?;
    Ok(qualified(&Part::Next.of(&schema), &table))
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
        let moment = moment.of_table(transaction, name, before).await?;
        next.moments.insert(name.clone(), moment);
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

/// Drops what undoes nothing any more; what others made on it stays, and they are waited for no longer than for a moment.
pub(super) async fn sweep(target: &PostgresTarget, keep: bool) -> Result<(), Error> {
    let client = &*target.session;
    let previous = ledger::read(client, Role::Previous).await?;
    let undo = previous.filter(|_| keep).and_then(|previous| previous.undo);
    let kept: BTreeSet<String> = undo
        .iter()
        .flat_map(|undo| undo.tables.values())
        .flat_map(|kept| [kept.rows(), kept.keys()])
        .collect();
    let mut drops = Vec::new();
    for row in client.query(LEFT, &[&WAY_BACK]).await? {
        let place = qualified(WAY_BACK, &cell::<String>(&row, 0)?);
        if !kept.contains(&place) {
            drops.push(format!("DROP TABLE {place}"));
        }
    }
    if undo.is_none() {
        drops.push(format!("DROP SCHEMA IF EXISTS {}", quote(WAY_BACK)));
    }
    let patience = format!("SET lock_timeout = {}", SWEEPING.as_millis());
    client.batch_execute(&patience).await?;
    for drop in drops {
        if let Err(error) = client.batch_execute(&drop).await.map_err(Error::from) {
            tracing::warn!(%error, what = drop, "stays: somebody is in it, or made something on it");
            break;
        }
    }
    Ok(client.batch_execute("SET lock_timeout = 0").await?)
}
