//! A swap between its RENAME and its proof.
//!
//! Whoever held a table while the RENAME looked for its moment may have written to it. Afterwards nobody
//! can: what was written is seen then. A load leaves those rows with the previous release and says so; a
//! rollback is turned back rather than the rows dropped. Until that is decided the marker that came live
//! carries a note of it: where the loader is killed, or others keep it from the tables, the next one
//! decides.

use std::collections::BTreeSet;
use std::time::Duration;

use mysql_async::params;
use serde::{Deserialize, Serialize};

use super::ledger::{self, Content};
use super::names::{Marker, literal};
use super::patience::Limit;
use super::target::MysqlTarget;
use super::{proof, rejected, swap, ties, triggers};
use crate::Error;
use crate::load::{Release, Target as _};
use crate::mysql_family::ask::Ask as _;

/// How long turning back looks for a moment without readers in the way.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Replicas did not see the swap.
    pub(super) unlogged: bool,
    /// How it is turned back: a rollback. A load stands, whatever was written.
    pub(super) turn_back: Option<TurnBack>,
    /// The live release was loaded once more: what it replaced is no previous release, and waits in `Names::kept`.
    #[serde(default)]
    pub(super) repair: bool,
}

/// What brings the release again that a rollback undid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TurnBack {
    /// In the order of the statement.
    pub(super) renames: Vec<(String, String)>,
    /// Tables that the rollback brought and that go again.
    pub(super) leaving: BTreeSet<String>,
}

/// What was decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// Replaced tables that somebody wrote to in the last moment.
    pub(super) written: BTreeSet<String>,
    /// The rollback was turned back for that.
    pub(super) turned_back: bool,
    /// Tables that somebody wrote to between a rollback and its end: those rows are with the previous release.
    pub(super) written_between: BTreeSet<String>,
    /// Tables of others whose foreign keys went along with a replaced table.
    pub(super) tied: BTreeSet<String>,
    /// Where replaced tables are, in words.
    place: String,
}

impl Decision {
    /// Whether what the load replaced outlives its swap: somebody wrote to it, or has a foreign key into it. What waits in
    /// the previous release stays there for keys anyway.
    pub(super) fn outlives(&self, note: &Note) -> bool {
        let tied = note.repair && !self.tied.is_empty();
        !self.turned_back && (tied || !self.written.is_empty())
    }

    /// For people; empty where nobody was at work.
    pub(super) fn notes(&self) -> Vec<String> {
        let right_before = |table| {
            if self.turned_back {
                return format!(
                    "somebody wrote to {table} before the rollback: it was turned back"
                );
            }
            format!(
                "somebody wrote to {table} before the swap: those rows are in {}",
                self.place
            )
        };
        let between = |table| {
            format!(
                "somebody wrote to {table} between a rollback and its end: those rows are in the previous release"
            )
        };
        let tied = |table| {
            format!(
                "somebody made a foreign key of {table} right before the swap: it points into {}, make it again",
                self.place
            )
        };
        let notes = self.written.iter().map(right_before);
        let notes = notes.chain(self.written_between.iter().map(between));
        notes.chain(self.tied.iter().map(tied)).collect()
    }
}

/// Leaves a note in a marker that is about to go live, in place of an older one.
pub(super) async fn leave(
    target: &mut MysqlTarget,
    marker: Marker,
    note: Option<&Note>,
) -> Result<(), Error> {
    let table = target.access.names.marker(marker);
    target
        .conn
        .query_drop(format!("DELETE FROM {table} WHERE kind = 'unproven'"))
        .await?;
    let Some(note) = note else { return Ok(()) };
    target
        .conn
        .exec_drop(
            format!(
                "INSERT INTO {table} (kind, seq, name, detail, body) VALUES ('unproven', 0, :swap, :note, '')"
            ),
            params! {
                "swap" => if note.turn_back.is_some() { "rollback" } else { "load" },
                "note" => ledger::json(note)?,
            },
        )
        .await?;
    Ok(())
}

/// The live marker's note, where there is one.
pub(super) async fn left(target: &mut MysqlTarget) -> Result<Option<Note>, Error> {
    let names = target.access.names.clone();
    if !ledger::exists(&mut target.conn, &names, Marker::Live).await? {
        return Ok(None);
    }
    let live = names.marker(Marker::Live);
    let note: Option<String> = target
        .conn
        .query_first(format!("SELECT detail FROM {live} WHERE kind = 'unproven'"))
        .await?;
    note.map(|note| ledger::parse(&note)).transpose()
}

/// Decides what the note says; the note stays, so that it is safe to repeat.
///
/// # Errors
/// `Locked` when others keep the tables of a rollback that goes back: everything stays as it is then.
pub(super) async fn decide(target: &mut MysqlTarget, note: &Note) -> Result<Decision, Error> {
    let names = target.access.names.clone();
    let Some(way) = &note.turn_back else {
        let (schema, marker, place) = if note.repair {
            let place = format!("{} until the next swap", names.kept);
            (&names.kept, Marker::Gone, place)
        } else {
            let place = "the previous release".to_owned();
            (&names.previous, Marker::Previous, place)
        };
        let before = release_of(target, marker).await?;
        return Ok(Decision {
            written: written_to(target, schema, &before).await?,
            tied: tied_to(target, schema).await?,
            place,
            ..Decision::default()
        });
    };
    // The marker is gone once the rollback was decided.
    let undone = release_of(target, Marker::Next).await?;
    let written = written_to(target, &names.staging, &undone).await?;
    let Some(table) = written.first().cloned() else {
        return Ok(Decision::default());
    };
    renamed_back(target, way)
        .await
        .map_err(|error| still_open(&table, error))?;
    rejected::book(target, &undone, false).await?;
    target.finish().await?;
    let then = release_of(target, Marker::Previous).await?;
    Ok(Decision {
        written,
        turned_back: true,
        written_between: written_to(target, &names.previous, &then).await?,
        ..Decision::default()
    })
}

async fn release_of(target: &mut MysqlTarget, marker: Marker) -> Result<Release, Error> {
    let names = target.access.names.clone();
    let content = ledger::read(&mut target.conn, &names, marker).await?;
    Ok(content.unwrap_or_default().release)
}

async fn renamed_back(target: &mut MysqlTarget, way: &TurnBack) -> Result<(), Error> {
    let limit = Limit::of(PATIENCE);
    let live: Content = target.live_content().await?.unwrap_or_default();
    triggers::set_aside(target, &live, &way.leaving, limit).await?;
    swap::rename(target, &way.renames, limit).await
}

/// Of the tables that a RENAME took to `schema`, where nobody writes to them: those that are not what the
/// ledger says any more.
async fn written_to(
    target: &mut MysqlTarget,
    schema: &str,
    release: &Release,
) -> Result<BTreeSet<String>, Error> {
    let mariadb = target.access.flavour.mariadb;
    let mut written = BTreeSet::new();
    for table in target.tables_of(schema).await?.into_keys() {
        let Some(loaded) = release.tables.get(&table).and_then(|it| it.proof.as_ref()) else {
            continue;
        };
        let found = proof::of(&mut target.conn, schema, &table, mariadb).await?;
        if !proof::holds(loaded, found.as_deref()) {
            written.insert(table);
        }
    }
    Ok(written)
}

/// Tables elsewhere with a foreign key into `schema`.
async fn tied_to(target: &mut MysqlTarget, schema: &str) -> Result<BTreeSet<String>, Error> {
    let elsewhere = ties::into(target, schema).await?.into_iter();
    let elsewhere = elsewhere.filter(|(theirs, ..)| theirs != schema);
    let elsewhere = elsewhere.map(|(theirs, child, _)| format!("{theirs}.{child}"));
    let mut tied: BTreeSet<String> = elsewhere.collect();
    let schema = literal(schema);
    let tables: Vec<String> = target
        .conn
        .query(format!(
            "SELECT CONCAT(constraint_schema, '.', table_name) FROM \
             information_schema.referential_constraints WHERE \
             CAST(unique_constraint_schema AS BINARY) = CAST({schema} AS BINARY) AND \
             CAST(constraint_schema AS BINARY) <> CAST({schema} AS BINARY)"
        ))
        .await?;
    tied.extend(tables);
    Ok(tied)
}

fn still_open(table: &str, error: Error) -> Error {
    let what =
        format!("somebody wrote to {table} right before a rollback, which must go back for that");
    match error {
        Error::Locked(who) => Error::Locked(format!(
            "{what}; nothing is lost, and the next load or rollback goes on: {who}"
        )),
        error @ Error::Sql { .. } => Error::Config(format!(
            "{what}, and cannot: {error}; mend that, or give the rows up with `load rollback --overwrite-modified`"
        )),
        error => error,
    }
}
