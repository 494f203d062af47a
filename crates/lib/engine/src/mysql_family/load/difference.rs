//! A small change, made in the live tables: the rows that go are deleted, those that come are inserted, and the ledger
//! says so, in one transaction. Nothing else moves: readers see one instant, replicas get the difference alone.
//!
//! The rows that come are on the stage, in tables like the live ones. Those that go wait in `pilotfish_undo_<db>` with
//! the keys of those that came, so that [`back`] can undo it all the same way.

mod ahead;
mod back;
mod orphans;
mod shape;
mod undo;

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use mysql_async::Conn;

use super::ledger::{self, Content, Entry};
use super::marks::Booking;
use super::names::{LEDGER, Marker, Names, qualified};
use super::target::MysqlTarget;
use super::{marks, proof, seen, spared, triggers};
use crate::Error;
use crate::load::{DifferencePlan, TableDifference, TableRecord};
use crate::mysql_family::ask::Ask as _;

pub(super) use ahead::in_the_way;
pub(super) use back::back;
use orphans::Moved;
use shape::Shape;
pub(super) use undo::{Undo, sweep};

/// Bytes of keys in one INSERT.
const KEYS_AT_ONCE: usize = 512 * 1024;

/// What the transaction runs under: rows are inserted as they are, and foreign keys act on nothing.
const SETUP: &str = "SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO', SESSION foreign_key_checks=0, SESSION innodb_lock_wait_timeout=10";

/// One changed table and where its difference lies.
struct Changed<'a> {
    name: &'a str,
    difference: &'a TableDifference,
    shape: Shape,
    live: String,
    /// The rows that come.
    come: String,
    /// The keys of those that go.
    gone: String,
    undo: undo::Place,
}

/// Changes the live tables; readers see all of it at once.
///
/// # Errors
/// `Locked` and `Sql` where it cannot be done so: then nothing was changed.
pub(super) async fn apply(target: &mut MysqlTarget, plan: &DifferencePlan) -> Result<(), Error> {
    let names = target.access.names.clone();
    undo::make_room(target).await?;
    target.create_schema(&names.undo).await?;
    settle_in(&mut target.conn).await?;
    let outcome = lay_out_and_change(target, plan).await;
    if outcome.is_err() {
        target.conn.query_drop("ROLLBACK").await?;
        target.settle().await?;
    } else if let Err(error) = target.settle().await {
        // What is committed is; whoever needs the session next is told.
        tracing::warn!(%error, "the session cannot be settled after a change in place");
    }
    outcome
}

impl Changed<'_> {
    fn moved(&self) -> Moved<'_> {
        Moved {
            live: &self.live,
            came: &self.come,
            went: &self.undo.rows,
            shape: &self.shape,
        }
    }
}

async fn lay_out_and_change(target: &mut MysqlTarget, plan: &DifferencePlan) -> Result<(), Error> {
    let generation = marks::next_id(&mut target.conn, &target.access.names).await?;
    // No table of an earlier difference has it.
    let stamp = UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_micros())
        .to_string();
    let mut changed = Vec::with_capacity(plan.tables.len());
    for (at, (name, difference)) in plan.tables.iter().enumerate() {
        changed.push(lay_out(target, name, difference, &stamp, at).await?);
    }
    change(target, plan, &changed, generation).await
}

/// Makes the tables that a difference needs beside the stage's.
async fn lay_out<'a>(
    target: &mut MysqlTarget,
    name: &'a str,
    difference: &'a TableDifference,
    stamp: &str,
    at: usize,
) -> Result<Changed<'a>, Error> {
    let names = target.access.names.clone();
    let conn = &mut target.conn;
    let live = qualified(&names.live, name);
    let shape = Shape::of(conn, &names.live, name).await?;
    if !shape.has_key(&difference.key) {
        return Err(Error::Refused(format!(
            "the primary key of {name} is not that of the dump"
        )));
    }
    let key = shape.key();
    let gone = qualified(&names.staging, &ahead::keys_name(at));
    conn.query_drop(format!("CREATE TABLE {gone} (PRIMARY KEY ({key})) ENGINE=InnoDB SELECT {key} FROM {live} WHERE FALSE"))
        .await?;
    fill(conn, &gone, difference).await?;
    let undo = undo::Place::of(&names, stamp, at);
    conn.query_drop(format!("CREATE TABLE {} LIKE {live}", undo.rows))
        .await?;
    conn.query_drop(format!("CREATE TABLE {} LIKE {gone}", undo.keys))
        .await?;
    Ok(Changed {
        name,
        difference,
        shape,
        come: qualified(&names.staging, name),
        live,
        gone,
        undo,
    })
}

/// Sends the keys of the rows that go.
async fn fill(conn: &mut Conn, gone: &str, difference: &TableDifference) -> Result<(), Error> {
    let mut text = String::new();
    for key in difference.gone.chunks(difference.key.len().max(1)) {
        let key: Vec<String> = key.iter().map(i64::to_string).collect();
        text.push_str(if text.is_empty() { "(" } else { ",(" });
        text.push_str(&key.join(","));
        text.push(')');
        if text.len() >= KEYS_AT_ONCE {
            conn.query_drop(format!("INSERT INTO {gone} VALUES {text}"))
                .await?;
            text.clear();
        }
    }
    if !text.is_empty() {
        conn.query_drop(format!("INSERT INTO {gone} VALUES {text}"))
            .await?;
    }
    Ok(())
}

/// The transaction.
async fn change(
    target: &mut MysqlTarget,
    plan: &DifferencePlan,
    changed: &[Changed<'_>],
    generation: u64,
) -> Result<(), Error> {
    let before = target.live_content().await?.ok_or_else(no_release)?;
    let spared = spared::read(target).await?;
    begin(&mut target.conn).await?;
    for table in changed {
        exchange(&mut target.conn, table).await?;
    }
    // From here on nobody can make one: these tables are held.
    if triggers::any(target, &plan.tables.keys().cloned().collect()).await? {
        return Err(Error::Locked(
            "somebody made a trigger meanwhile".to_owned(),
        ));
    }
    let moved: Vec<Moved<'_>> = changed.iter().map(Changed::moved).collect();
    orphans::refuse(target, &moved, plan.allow_orphans).await?;
    let mut next = next_content(target, &before, plan);
    let mut came = Vec::with_capacity(changed.len());
    for table in changed {
        let held = before.release.tables.get(table.name);
        let held = held.cloned().unwrap_or_default();
        let proofs = proofs_after(target, table, &held).await?;
        unwritten(target, table, &proofs.live, &held).await?;
        came.push(proofs.came);
        let record = next.release.tables.entry(table.name.to_owned());
        record.or_default().proof = Some(proofs.live);
    }
    keep_marks(
        &mut target.conn,
        &target.access.names,
        [&before, &next],
        changed,
        generation,
    )
    .await?;
    let names = target.access.names.clone();
    next.release.since = ledger::now();
    ledger::overwrite(&mut target.conn, &names, Marker::Live, &next).await?;
    ledger::overwrite(&mut target.conn, &names, Marker::Previous, &before).await?;
    undo::note(&mut target.conn, &names, changed, came).await?;
    spared::write(target, Marker::Live, spared).await?;
    target.conn.query_drop("COMMIT").await?;
    Ok(())
}

fn no_release() -> Error {
    Error::Locked("the ledger has no live release any more".to_owned())
}

/// Keeps the marks of what changed beside those that were there.
async fn keep_marks(
    conn: &mut Conn,
    names: &Names,
    [before, next]: [&Content; 2],
    changed: &[Changed<'_>],
    generation: u64,
) -> Result<(), Error> {
    let mut layers = marks::of(conn, names, &before.release).await?;
    let known = marks::of(conn, names, &next.release).await?;
    let mut bookings = Vec::new();
    // Content that was live before has its marks.
    for table in changed
        .iter()
        .filter(|table| !known.contains_key(table.name))
    {
        let layers = layers.remove(table.name);
        let layers = layers
            .ok_or_else(|| Error::Refused(format!("{} has no marks any more", table.name)))?;
        let patch = &table.difference.patch;
        marks::keep(conn, names, generation, table.name, 0, patch).await?;
        let record = next.release.tables.get(table.name);
        bookings.push(Booking {
            table: table.name,
            digest: record.map_or("", |record| &record.digest),
            layers,
        });
    }
    marks::book(conn, names, bookings, generation).await
}

async fn settle_in(conn: &mut Conn) -> Result<(), Error> {
    // A DELETE looks for the alias of its table in the session's database, and wants one.
    conn.query_drop(format!("USE {LEDGER}")).await?;
    Ok(conn.query_drop(SETUP).await?)
}

async fn begin(conn: &mut Conn) -> Result<(), Error> {
    // Rows that others insert beside those of the difference must not wait for its gaps.
    conn.query_drop("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .await?;
    Ok(conn.query_drop("START TRANSACTION").await?)
}

/// Takes the rows that go out of one live table, and puts in those that come.
async fn exchange(conn: &mut Conn, table: &Changed<'_>) -> Result<(), Error> {
    let Changed {
        name,
        shape,
        live,
        come,
        gone,
        undo,
        ..
    } = table;
    let (going, coming) = (table.difference.going(), table.difference.come);
    let (columns, key) = (shape.columns(), shape.key());
    run_for(conn, &shape.keep(&undo.rows, gone, live), going, name).await?;
    let keep = format!("INSERT INTO {} SELECT {key} FROM {come}", undo.keys);
    run_for(conn, &keep, coming, name).await?;
    let mut both = 0;
    if !shape.other_unique && !shape.takes().is_empty() {
        both = update(conn, table).await?;
    }
    run_for(conn, &shape.delete(gone, live), going - both, name).await?;
    let new = match both {
        0 => come.clone(),
        _ => format!(
            "{come} AS c LEFT JOIN {} AS u ON {} WHERE u.{} IS NULL",
            undo.rows,
            shape.joins("u", "c"),
            shape.key[0]
        ),
    };
    let from = if both == 0 {
        columns.clone()
    } else {
        shape.columns_of("c")
    };
    let insert = format!("INSERT INTO {live} ({columns}) SELECT {from} FROM {new}");
    run_for(conn, &insert, coming - both, name).await
}

/// Changes the rows that go and come under the same key where they are: keys over columns that stay are not touched.
/// Returns how many these are; what goes and does not come again is left.
async fn update(conn: &mut Conn, table: &Changed<'_>) -> Result<u64, Error> {
    let Changed {
        name,
        shape,
        live,
        come,
        gone,
        ..
    } = table;
    conn.query_drop(format!(
        "DELETE g FROM {come} AS c STRAIGHT_JOIN {gone} AS g ON {}",
        shape.joins("g", "c")
    ))
    .await?;
    let both = conn.affected_rows();
    let update = format!(
        "UPDATE {come} AS c STRAIGHT_JOIN {live} AS l ON {} SET {}",
        shape.joins("l", "c"),
        shape.takes()
    );
    conn.query_drop(update).await?;
    let found = matched(&conn.info());
    match found == Some(both) {
        true => Ok(both),
        false => Err(met_others(name, both, found.unwrap_or_default())),
    }
}

/// `Rows matched: 4  Changed: 3  Warnings: 0`, the server's answer to an UPDATE.
fn matched(info: &str) -> Option<u64> {
    let rest = info.split_once("Rows matched: ")?.1;
    rest.split(' ').next()?.parse().ok()
}

/// Runs a statement that changes so many rows, or somebody else did.
async fn run_for(conn: &mut Conn, statement: &str, rows: u64, table: &str) -> Result<(), Error> {
    conn.query_drop(statement).await?;
    match conn.affected_rows() {
        found if found == rows => Ok(()),
        found => Err(met_others(table, rows, found)),
    }
}

fn met_others(table: &str, rows: u64, found: u64) -> Error {
    Error::Locked(format!(
        "{table} is not what was loaded: a change of {rows} rows met {found}"
    ))
}

/// What proves rows after the change.
struct Proofs {
    /// Those of the live table.
    live: String,
    /// Those that came.
    came: String,
}

/// Checksums are sums over rows (`mysql_checksum_table` in both servers).
async fn proofs_after(
    target: &mut MysqlTarget,
    table: &Changed<'_>,
    held: &TableRecord,
) -> Result<Proofs, Error> {
    let names = target.access.names.clone();
    let mariadb = target.access.flavour.mariadb;
    let undone = &table.undo.name;
    let went = proof::of(&mut target.conn, &names.undo, undone, mariadb).await?;
    let came = proof::of(&mut target.conn, &names.staging, table.name, mariadb).await?;
    let live = proof::moved(held.proof.as_deref(), went.as_deref(), came.as_deref());
    let proofs = live.zip(came).map(|(live, came)| Proofs { live, came });
    proofs.ok_or_else(|| Error::Refused(format!("nothing proves the rows of {}", table.name)))
}

/// Nobody wrote to the table since it was looked at.
async fn unwritten(
    target: &mut MysqlTarget,
    table: &Changed<'_>,
    proof: &str,
    held: &TableRecord,
) -> Result<(), Error> {
    let live = target.access.names.live.clone();
    let mariadb = target.access.flavour.mariadb;
    // Our own writes count once they are committed.
    let now = seen::times(&mut target.conn, &live, mariadb).await?;
    if held.seen.is_some() && now.get(table.name) == held.seen.as_ref() {
        return Ok(());
    }
    let found = proof::of(&mut target.conn, &live, table.name, mariadb).await?;
    match proof::holds(proof, found.as_deref()) {
        true => Ok(()),
        false => Err(Error::Locked(format!(
            "somebody wrote to {} meanwhile",
            table.name
        ))),
    }
}

/// The ledger's content after the change.
fn next_content(target: &MysqlTarget, before: &Content, plan: &DifferencePlan) -> Content {
    let mut release = plan.release.clone();
    release.unlogged = target.access.options.no_binlog;
    release.also = Vec::new();
    Content {
        release,
        objects: before.objects.clone(),
        todo: counters(target, &plan.counters),
    }
}

/// What sets the counters of live tables, behind the transaction: DDL would end it.
fn counters(target: &MysqlTarget, counters: &BTreeMap<String, u64>) -> Vec<Entry> {
    let live = &target.access.names.live;
    let entry = |(table, counter): (&String, &u64)| {
        let sql = format!(
            "ALTER TABLE {} AUTO_INCREMENT={counter}",
            qualified(live, table)
        );
        Entry::of_table(&format!("counter {table}"), table, sql)
    };
    counters.iter().map(entry).collect()
}
