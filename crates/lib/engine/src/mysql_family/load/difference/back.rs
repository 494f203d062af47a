//! A difference undone: the same way, with what was kept of it.

use std::collections::BTreeMap;

use super::orphans::{self, Moved};
use super::shape::Shape;
use super::undo::{Undo, UndoTable};
use super::{begin, run_for, settle_in};
use crate::Error;
use crate::load::{Release, Target as _};
use crate::mysql_family::ask::Ask as _;
use crate::mysql_family::load::ledger::{self, Content, Entry};
use crate::mysql_family::load::names::{Marker, qualified};
use crate::mysql_family::load::target::MysqlTarget;
use crate::mysql_family::load::{proof, rejected, triggers};

/// A table on its way back.
struct Undone<'a> {
    name: &'a str,
    kept: &'a UndoTable,
    shape: Shape,
    live: String,
    /// The rows that go again, as they are found, and the table's bare name.
    goes: String,
    goes_name: String,
    /// The rows that come again.
    rows: String,
    keys: String,
}

/// Brings the previous release back and rejects the live one; returns (undone, live again).
///
/// # Errors
/// `Locked` when somebody changed rows of the difference: nothing was changed then.
pub(in crate::mysql_family::load) async fn back(
    target: &mut MysqlTarget,
    undo: &Undo,
    now: Content,
    then: Content,
) -> Result<(Release, Release), Error> {
    let known = now.release.tables.keys().chain(then.release.tables.keys());
    let known = known.cloned().collect();
    // A foreign key of others into these tables, also of those whose rows one may not see.
    target.closure(&undo.tables(), &known, &[]).await?;
    if now.release.unlogged {
        target.log_statements(false).await?;
    }
    rejected::book(target, &now.release, true).await?;
    settle_in(&mut target.conn).await?;
    let outcome = lay_out_and_undo(target, undo, &now, &then).await;
    if let Err(error) = outcome {
        target.conn.query_drop("ROLLBACK").await?;
        target.settle().await?;
        rejected::book(target, &now.release, false).await?;
        return Err(error);
    }
    target.settle().await?;
    let names = target.access.names.clone();
    ledger::drop(&mut target.conn, &names, Marker::Previous).await?;
    target.drop_schema(&names.undo).await?;
    Ok((now.release, then.release))
}

async fn lay_out_and_undo(
    target: &mut MysqlTarget,
    undo: &Undo,
    now: &Content,
    then: &Content,
) -> Result<(), Error> {
    let names = target.access.names.clone();
    let mut undone = Vec::with_capacity(undo.tables.len());
    for (at, (name, kept)) in undo.tables.iter().enumerate() {
        let live = qualified(&names.live, name);
        let goes_name = format!("back_{at}");
        let goes = qualified(&names.undo, &goes_name);
        target
            .conn
            .query_drop(format!("DROP TABLE IF EXISTS {goes}"))
            .await?;
        target
            .conn
            .query_drop(format!("CREATE TABLE {goes} LIKE {live}"))
            .await?;
        undone.push(Undone {
            name,
            kept,
            shape: Shape::of(&mut target.conn, &names.live, name).await?,
            live,
            goes,
            goes_name,
            rows: qualified(&names.undo, &kept.rows),
            keys: qualified(&names.undo, &kept.keys),
        });
    }
    undo_all(target, &undone, now, then).await
}

/// The transaction.
async fn undo_all(
    target: &mut MysqlTarget,
    undone: &[Undone<'_>],
    now: &Content,
    then: &Content,
) -> Result<(), Error> {
    let names = target.access.names.clone();
    begin(&mut target.conn).await?;
    for table in undone {
        exchange(target, table).await?;
    }
    let tables = undone.iter().map(|table| table.name.to_owned()).collect();
    if triggers::any(target, &tables).await? {
        return Err(Error::Config(
            "live tables have triggers that no release brought, and they would fire: drop them, or load the dump of the \
             previous release"
                .to_owned(),
        ));
    }
    let moved: Vec<Moved<'_>> = undone.iter().map(Undone::moved).collect();
    orphans::refuse(target, &moved, target.access.options.overwrite_modified).await?;
    let mut then = then.clone();
    for table in undone {
        prove(target, table, &mut then).await?;
    }
    then.todo = counters(target, now, &then);
    then.release.since = ledger::now();
    ledger::overwrite(&mut target.conn, &names, Marker::Live, &then).await?;
    let marker = names.marker(Marker::Previous);
    target
        .conn
        .query_drop(format!("DELETE FROM {marker}"))
        .await?;
    Ok(target.conn.query_drop("COMMIT").await?)
}

impl Undone<'_> {
    fn moved(&self) -> Moved<'_> {
        Moved {
            live: &self.live,
            came: &self.rows,
            went: &self.goes,
            shape: &self.shape,
        }
    }
}

/// Takes the rows that came out of the live table, and puts those that went in again.
async fn exchange(target: &mut MysqlTarget, table: &Undone<'_>) -> Result<(), Error> {
    let Undone {
        name,
        kept,
        shape,
        live,
        goes,
        goes_name,
        rows,
        keys,
    } = table;
    let names = target.access.names.clone();
    let mariadb = target.access.flavour.mariadb;
    let may_lose = target.access.options.overwrite_modified;
    target.conn.query_drop(shape.keep(goes, keys, live)).await?;
    let found = target.conn.affected_rows();
    let proof = proof::of(&mut target.conn, &names.undo, goes_name, mariadb).await?;
    if !may_lose && (found != kept.came || !proof::holds(&kept.proof, proof.as_deref())) {
        return Err(Error::Locked(format!(
            "somebody wrote to {name} right before the rollback: nothing was changed"
        )));
    }
    run_for(&mut target.conn, &shape.delete(keys, live), found, name).await?;
    let columns = shape.columns();
    if may_lose {
        let replace = format!("REPLACE INTO {live} ({columns}) SELECT {columns} FROM {rows}");
        return Ok(target.conn.query_drop(replace).await?);
    }
    let insert = format!("INSERT INTO {live} ({columns}) SELECT {columns} FROM {rows}");
    run_for(&mut target.conn, &insert, kept.went, name).await
}

/// What is in the table is the previous release, to the last row; where others may lose theirs it need not be, and the next
/// load takes the table anew.
async fn prove(
    target: &mut MysqlTarget,
    table: &Undone<'_>,
    then: &mut Content,
) -> Result<(), Error> {
    let live = target.access.names.live.clone();
    let mariadb = target.access.flavour.mariadb;
    let found = proof::of(&mut target.conn, &live, table.name, mariadb).await?;
    let record = then
        .release
        .tables
        .entry(table.name.to_owned())
        .or_default();
    record.seen = None;
    if record
        .proof
        .as_ref()
        .is_some_and(|proof| proof::holds(proof, found.as_deref()))
    {
        return Ok(());
    }
    if !target.access.options.overwrite_modified {
        return Err(Error::Locked(format!(
            "somebody wrote to {} right before the rollback: nothing was changed",
            table.name
        )));
    }
    tracing::warn!(table = table.name, "rows that others wrote stay in it");
    (record.digest, record.proof) = (String::new(), found);
    Ok(())
}

/// Tables count on from where the release that comes back did.
fn counters(target: &MysqlTarget, now: &Content, then: &Content) -> Vec<Entry> {
    let before: BTreeMap<&String, Option<u64>> = now
        .release
        .tables
        .iter()
        .map(|(name, record)| (name, record.counter))
        .collect();
    let changed = then.release.tables.iter().filter_map(|(name, record)| {
        let counter = record.counter?;
        (before.get(name) != Some(&Some(counter))).then(|| (name.clone(), counter))
    });
    super::counters(target, &changed.collect())
}
