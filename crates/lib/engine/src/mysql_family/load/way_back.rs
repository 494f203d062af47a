//! The way back: the previous release is swapped in again, and the live one rejected.

use std::collections::BTreeSet;
use std::time::Duration;

use super::difference::{self, Undo};
use super::follow_up::{Tables, follow};
use super::ledger::{self, Content, Entry};
use super::names::Marker;
use super::names_taken::{Objects, drop_aside, objects_of, step_aside, views_in_the_way};
use super::spared::{self, Spared};
use super::swap::moves;
use super::target::MysqlTarget;
use super::unproven::{Note, TurnBack};
use super::{rejected, rights, swap, unproven, views};
use crate::Error;
use crate::load::{Release, TableRecord, Target as _};

/// Swaps the previous release back; returns (undone, live again).
pub(super) async fn back(target: &mut MysqlTarget) -> Result<(Release, Release), Error> {
    let names = target.access.names.clone();
    let nothing = || {
        Error::Config(format!(
            "{} has no previous release to go back to",
            names.live
        ))
    };
    let now = target.live_content().await?.ok_or_else(nothing)?;
    let then = ledger::read(&mut target.conn, &names, Marker::Previous)
        .await?
        .ok_or_else(nothing)?;
    if let Some(undo) = Undo::read(&mut target.conn, &names).await? {
        return difference::back(target, &undo, now, then).await;
    }
    let kept: BTreeSet<String> = target
        .tables_of(&names.previous)
        .await?
        .into_keys()
        .collect();
    let leaving = leaving(target, &now.release, &then.release, &kept).await?;
    let proven_anew = proven_anew(&now.release, &then.release, &kept);
    let aside = views_in_the_way(target, &now, &kept).await?;

    if now.release.unlogged {
        // Replicas never left the release that comes back.
        target.log_statements(false).await?;
    }
    target.drop_schema(&names.staging).await?;
    target.create_schema(&names.staging).await?;
    let there = objects_of(target).await?;
    let moving = leaving.union(&kept).cloned().collect();
    let schemas = (names.live.as_str(), names.previous.as_str());
    let tables = Tables {
        swapped: &moving,
        reshaped: &views::reshaped(target, &then.objects, &moving, schemas).await?,
        flavour: target.access.flavour,
    };
    let todo = what_follows(&now, &then, tables, &kept, &aside, &there);
    rights::ask(target, &todo, &moving).await?;
    ledger::write_todo(&mut target.conn, &names, Marker::Previous, &todo).await?;
    ledger::drop(&mut target.conn, &names, Marker::Next).await?;

    let mut renames = step_aside(&aside, &names.live);
    renames.extend(moves(&leaving, &names.live, &names.staging));
    renames.extend(moves(&kept, &names.previous, &names.live));
    renames.push((names.marker(Marker::Live), names.marker(Marker::Next)));
    renames.push((names.marker(Marker::Previous), names.marker(Marker::Live)));
    let note = note(target, &now.release, &renames, kept);
    unproven::leave(target, Marker::Previous, Some(&note)).await?;
    ledger::write_tables(&mut target.conn, &names, Marker::Previous, &proven_anew).await?;
    // What waits in the previous release comes back with it.
    let spared = Spared {
        previous: false,
        ..spared::read(target).await?
    };
    spared::write(target, Marker::Previous, spared).await?;
    rejected::book(target, &now.release, true).await?;
    if let Err(error) = swap::switch(target, &now, &leaving, &renames, PATIENCE).await {
        if let Err(second) = rejected::book(target, &now.release, false).await {
            tracing::warn!(%second, "the live release is still booked as rejected; the next run puts that right");
        }
        return Err(error);
    }
    let decision = unproven::decide(target, &note).await?;
    if decision.turned_back {
        return Err(Error::Locked(decision.notes().join("; ")));
    }
    ledger::drop(&mut target.conn, &names, Marker::Next).await?;
    target.drop_schema(&names.previous).await?;
    Ok((now.release, then.release))
}

/// The tables that stay and were loaded again since, with other times: what proves their rows is what is said of them now.
fn proven_anew(
    now: &Release,
    then: &Release,
    kept: &BTreeSet<String>,
) -> Vec<(String, TableRecord)> {
    let stay = then
        .tables
        .iter()
        .filter(|(table, _)| !kept.contains(*table));
    let both = stay.filter_map(|(table, then)| Some((table, now.tables.get(table)?, then)));
    both.filter(|(_, now, then)| now.proof != then.proof)
        .map(|(table, now, then)| {
            let proof = now.proof.clone();
            (
                table.clone(),
                TableRecord {
                    proof,
                    ..then.clone()
                },
            )
        })
        .collect()
}

/// What is decided after the RENAME, also by another process.
fn note(
    target: &MysqlTarget,
    now: &Release,
    renames: &[(String, String)],
    kept: BTreeSet<String>,
) -> Note {
    let reversed = renames.iter().rev();
    let turn_back = TurnBack {
        renames: reversed
            .map(|(from, to)| (to.clone(), from.clone()))
            .collect(),
        leaving: kept,
    };
    Note {
        unlogged: now.unlogged,
        turn_back: (!target.access.options.overwrite_modified).then_some(turn_back),
        repair: false,
    }
}

/// What is made and dropped after the RENAME.
fn what_follows(
    now: &Content,
    then: &Content,
    tables: Tables<'_>,
    kept: &BTreeSet<String>,
    aside: &[(String, String)],
    there: &Objects,
) -> Vec<Entry> {
    let mut todo = follow(now, &then.objects, tables, there);
    // Triggers of others on tables that come back: they exist nowhere else.
    let known: BTreeSet<String> = todo.iter().map(|entry| entry.key.clone()).collect();
    let open = then.todo.iter().filter(|open| {
        let of_kept = open.detail.table.as_ref();
        of_kept.is_some_and(|table| kept.contains(table)) && !known.contains(&open.key)
    });
    todo.extend(open.cloned());
    drop_aside(&mut todo, aside);
    todo
}

/// The live tables that make room for the previous release.
async fn leaving(
    target: &mut MysqlTarget,
    now: &Release,
    then: &Release,
    kept: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Error> {
    let live = target.access.names.live.clone();
    let there = target.tables_of(&live).await?;
    // Only a table that both releases share may stay as it is.
    let lost = |(table, record): &(&String, &TableRecord)| {
        let shared = now
            .tables
            .get(*table)
            .is_some_and(|now| now.digest == record.digest);
        let stays = shared && there.contains_key(*table);
        !(kept.contains(*table) || stays)
    };
    if let Some((table, _)) = then.tables.iter().find(lost) {
        return Err(Error::Config(format!(
            "the previous release cannot come back: its table {table} is gone"
        )));
    }
    let recorded = now.tables.keys().filter(|table| there.contains_key(*table));
    let leaving: BTreeSet<String> = recorded
        .filter(|table| kept.contains(*table) || !then.tables.contains_key(*table))
        .cloned()
        .collect();
    let known = now.tables.keys().chain(then.tables.keys());
    let tied = target
        .closure(&leaving, &known.cloned().collect(), &[])
        .await?;
    match tied.difference(&leaving).next() {
        None => Ok(leaving),
        Some(table) => Err(Error::Config(format!(
            "a foreign key that no release brought ties {table}, which stays, to a table that goes: drop it"
        ))),
    }
}

/// How long a rollback looks for a moment without readers in the way.
const PATIENCE: Duration = Duration::from_secs(60);
