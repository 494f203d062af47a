//! The swap: one RENAME that moves tables and markers.
//!
//! Before it, what the RENAME cannot carry is written into the marker that will be live (`todo`), and
//! the triggers of the tables that move are set aside.

use std::collections::BTreeSet;
use std::time::Duration;

use super::displaced::{Displaced, tables_in};
use super::follow_up::{Tables, entries, follow, kept_objects};
use super::ledger::{self, Content, Entry};
use super::likeness::{self, Rehearsed};
use super::names::{Marker, Names, qualified};
use super::names_taken::{
    Objects, drop_aside, objects_of, refuse_foreign_objects, step_aside, views_in_the_way,
};
use super::patience::{Limit, patiently};
use super::spared;
use super::target::MysqlTarget;
use super::unproven::{self, Note};
use super::{atomic, journal, rehearsal, rights, sequences, triggers, views};
use crate::Error;
use crate::load::{Release, SwapMode, SwapPlan};
use crate::mysql_family::ask::Ask as _;

/// Table exists, no such table, trigger in wrong schema: not so when the swap was planned.
const CHANGED: &[u16] = &[1050, 1146, TRIGGER_IN_WRONG_SCHEMA];

/// MySQL does not show triggers to those who may not change them.
const TRIGGER_IN_WRONG_SCHEMA: u16 = 1435;

/// How long live tables may be without their triggers before these are made again.
const WITHOUT_TRIGGERS: Duration = Duration::from_secs(1);

/// How long each trigger is tried again after a swap that failed.
const RESTORING: Duration = Duration::from_secs(5);

/// Makes the staged release live; whether somebody wrote to what it replaced is still to be proven.
pub(super) async fn forward(target: &mut MysqlTarget, plan: &SwapPlan) -> Result<(), Error> {
    let Err(error) = swap_in(target, plan).await else {
        return Ok(());
    };
    // The server's words for it are as many as its statements are, and none of them is about the dump.
    if matches!(error, Error::Sql { .. }) && matches!(target.is_there().await, Ok(false)) {
        let live = &target.access.names.live;
        return Err(Error::Locked(format!(
            "somebody dropped the database {live} while it was loaded: {error}"
        )));
    }
    Err(error)
}

async fn swap_in(target: &mut MysqlTarget, plan: &SwapPlan) -> Result<(), Error> {
    let straight = target.access.options.swap == SwapMode::None;
    let mut rehearsed = Rehearsed::new();
    if !straight {
        atomic::refuse_halves(target, plan).await?;
        rehearsed = rehearsal::rehearse(target, plan).await?;
    }
    let before = target.live_content().await?.unwrap_or_default();
    refuse_foreign_objects(target, &before, plan).await?;
    // Whoever changed a view or a routine by hand left no trace in the books.
    let there = if target.access.options.overwrite_modified {
        likeness::unchanged(target, &before, plan, &rehearsed).await?
    } else {
        objects_of(target).await?
    };
    let reshaped = reshaped(target, &before, plan).await?;
    let mut next = next_release(target, &before, plan, &reshaped, &there);
    if straight {
        next.todo.extend(drops(target, plan));
        return change_markers(target, &before, &next, plan.patience).await;
    }
    let names = target.access.names.clone();
    let defaults = sequences::point_at_live(target, &names, plan).await?;
    next.todo.splice(0..0, defaults);
    let aside = views_in_the_way(target, &before, &plan.swap).await?;
    drop_aside(&mut next.todo, &aside);
    rights::ask(target, &next.todo, &moved(plan)).await?;
    // The same tables and objects, under another digest or to be made once more: the release before stays
    // the previous one.
    let nothing_moves = plan.swap.is_empty() && plan.retire.is_empty();
    let same = nothing_moves && next.definitions() == before.definitions();
    if same || before.release.is(&next.release) {
        next.release.also = before.release.passed_on(&next.release);
    }
    if same && !before.release.digest.is_empty() {
        return change_markers(target, &before, &next, plan.patience).await;
    }
    change_tables(target, &before, &next, plan, &aside).await
}

/// The tables whose columns are not what views over them were made for.
async fn reshaped(
    target: &mut MysqlTarget,
    before: &Content,
    plan: &SwapPlan,
) -> Result<BTreeSet<String>, Error> {
    let moved = moved(plan);
    if plan.keep_objects {
        // A part of a dump leaves views as they are.
        return Ok(BTreeSet::new());
    }
    let straight = target.access.options.swap == SwapMode::None;
    if straight || before.release.rewriting {
        // Nobody knows any more what they were.
        return Ok(moved);
    }
    let objects = entries(target, &plan.objects);
    let names = target.access.names.clone();
    views::reshaped(target, &objects, &moved, (&names.live, &names.staging)).await
}

/// The release to come, with what must follow its RENAME.
fn next_release(
    target: &MysqlTarget,
    before: &Content,
    plan: &SwapPlan,
    reshaped: &BTreeSet<String>,
    there: &Objects,
) -> Content {
    let mut objects = entries(target, &plan.objects);
    if plan.keep_objects {
        objects.extend(kept_objects(before, &objects, &plan.swap));
    }
    let tables = Tables {
        swapped: &moved(plan),
        reshaped,
        flavour: target.access.flavour,
    };
    let mut todo = follow(before, &objects, tables, there);
    for counter in counters(target, plan) {
        todo.retain(|open| open.key != counter.key);
        todo.push(counter);
    }
    Content {
        release: Release {
            unlogged: target.access.options.no_binlog,
            rewriting: false,
            ..plan.release.clone()
        },
        todo,
        objects,
    }
}

/// Tables that stay count on from where the dump says; the server itself goes no lower than their rows.
fn counters(target: &MysqlTarget, plan: &SwapPlan) -> Vec<Entry> {
    let live = &target.access.names.live;
    let set = |(table, counter): (&String, &u64)| {
        let sql = format!(
            "ALTER TABLE {} AUTO_INCREMENT={counter}",
            qualified(live, table)
        );
        Entry::of_table(&format!("counter {table}"), table, sql)
    };
    plan.counters.iter().map(set).collect()
}

/// Without a stage, tables that the release no longer has go afterwards.
fn drops(target: &MysqlTarget, plan: &SwapPlan) -> Vec<Entry> {
    let live = &target.access.names.live;
    let drop = |table: &String| {
        let sql = format!("DROP TABLE IF EXISTS {}", qualified(live, table));
        Entry::of_table(&format!("drop table {table}"), table, sql)
    };
    plan.retire.iter().map(drop).collect()
}

/// All tables are where they belong: another release is live from now on, and there is none to go back to
/// that was not there before.
async fn change_markers(
    target: &mut MysqlTarget,
    before: &Content,
    next: &Content,
    patience: Duration,
) -> Result<(), Error> {
    let names = target.access.names.clone();
    write_next(target, next).await?;
    ledger::drop(&mut target.conn, &names, Marker::Gone).await?;
    let mut renames = Vec::new();
    if ledger::exists(&mut target.conn, &names, Marker::Live).await? {
        renames.push((names.marker(Marker::Live), names.marker(Marker::Gone)));
    }
    renames.push((names.marker(Marker::Next), names.marker(Marker::Live)));
    ledger::stamp(&mut target.conn, &names, Marker::Next, &next.release).await?;
    let mut spared = spared::read(target).await?;
    if target.access.options.swap == SwapMode::None {
        spared = spared.after_swap();
    }
    spared::write(target, Marker::Next, spared).await?;
    switch(target, before, &BTreeSet::new(), &renames, patience).await
}

/// Staged tables and the marker take the live ones' places, and those the previous ones'.
async fn change_tables(
    target: &mut MysqlTarget,
    before: &Content,
    next: &Content,
    plan: &SwapPlan,
    aside: &[(String, String)],
) -> Result<(), Error> {
    let names = target.access.names.clone();
    let moved = moved(plan);
    write_next(target, next).await?;
    let spared = spared::read(target).await?;
    let displaced = Displaced::by(next, before);
    let mut renames = displaced.make_room(target, spared).await?;
    let outgoing = outgoing(target, &moved).await?;
    refuse_foreign_tables(&outgoing, before, plan)?;
    adopt(target, &names, &outgoing).await?;
    renames.extend(step_aside(aside, &names.live));
    let (schema, marker) = displaced.place(&names);
    renames.extend(moves(&outgoing, &names.live, schema));
    renames.extend(moves(&plan.swap, &names.staging, &names.live));
    if ledger::exists(&mut target.conn, &names, Marker::Live).await? {
        renames.push((names.marker(Marker::Live), names.marker(marker)));
    }
    renames.push((names.marker(Marker::Next), names.marker(Marker::Live)));
    ledger::stamp(&mut target.conn, &names, Marker::Next, &next.release).await?;
    let note = Note {
        unlogged: next.release.unlogged,
        turn_back: None,
        repair: displaced == Displaced::Kept,
    };
    unproven::leave(target, Marker::Next, Some(&note)).await?;
    let after = displaced.remembered(spared);
    spared::write(target, Marker::Next, after).await?;
    switch(target, before, &moved, &renames, plan.patience).await?;
    if after.kept {
        tracing::warn!(
            schema = names.kept,
            "rows that others wrote before the swap before this one wait there until the load after this one"
        );
    }
    Ok(())
}

/// The live tables that are replaced or retired, and those that come.
pub(super) fn moved(plan: &SwapPlan) -> BTreeSet<String> {
    plan.swap.union(&plan.retire).cloned().collect()
}

async fn write_next(target: &mut MysqlTarget, next: &Content) -> Result<(), Error> {
    let names = target.access.names.clone();
    ledger::create(&mut target.conn, &names, Marker::Next).await?;
    ledger::write(&mut target.conn, &names, Marker::Next, next).await
}

/// Takes the triggers off the tables that move, and moves them; where that fails, the triggers are made
/// again at once. They are off for a moment only: it is sought while they are still there.
pub(super) async fn switch(
    target: &mut MysqlTarget,
    live: &Content,
    moved: &BTreeSet<String>,
    renames: &[(String, String)],
    patience: Duration,
) -> Result<(), Error> {
    let limit = Limit::of(patience);
    if !triggers::any(target, moved).await? {
        return rename(target, renames, limit).await;
    }
    loop {
        wait_for_a_moment(target, moved, limit).await?;
        let moment = limit.at_most(WITHOUT_TRIGGERS);
        let mut outcome = triggers::set_aside(target, live, moved, moment).await;
        if outcome.is_ok() {
            outcome = rename(target, renames, moment).await;
        }
        let Err(error) = outcome else { return Ok(()) };
        if let Err(second) = journal::finish(target, Limit::stubborn, RESTORING).await {
            tracing::warn!(%error, %second, "triggers of live tables could not be made again; the next run tries");
            return Err(error);
        }
        if !matches!(error, Error::Locked(_)) || limit.is_over() {
            return Err(error);
        }
    }
}

/// Until nobody holds the tables that move.
async fn wait_for_a_moment(
    target: &mut MysqlTarget,
    moved: &BTreeSet<String>,
    limit: Limit,
) -> Result<(), Error> {
    let names = target.access.names.clone();
    let tables: Vec<String> = outgoing(target, moved)
        .await?
        .iter()
        .map(|table| format!("{} WRITE", qualified(&names.live, table)))
        .collect();
    let lock = format!("LOCK TABLES {}", tables.join(", "));
    let outcome = patiently(target, &Entry::plain("swap the tables", lock), limit).await;
    target.conn.query_drop("UNLOCK TABLES").await?;
    match outcome {
        // A trigger over a table that is gone, a right that is not there: the RENAME will tell.
        Err(error @ Error::Sql { .. }) => {
            tracing::debug!(%error, "cannot look for a moment before the triggers are off");
            Ok(())
        }
        outcome => outcome,
    }
}

/// Tables that are taken over from somebody else can come back too: they are a release without name.
async fn adopt(
    target: &mut MysqlTarget,
    names: &Names,
    outgoing: &BTreeSet<String>,
) -> Result<(), Error> {
    if outgoing.is_empty() || ledger::exists(&mut target.conn, names, Marker::Live).await? {
        return Ok(());
    }
    ledger::create(&mut target.conn, names, Marker::Live).await?;
    ledger::write(&mut target.conn, names, Marker::Live, &Content::default()).await
}

/// Before a load without swap: the ledger no longer claims that the live release is whole.
pub(super) async fn begin_rewriting(target: &mut MysqlTarget) -> Result<(), Error> {
    let names = target.access.names.clone();
    let spared = spared::keep_previous(target).await?;
    // The marker first: the tables it speaks of are about to be no release any more.
    ledger::drop(&mut target.conn, &names, Marker::Previous).await?;
    target.drop_schema(&names.previous).await?;
    let Some(mut content) = target.live_content().await? else {
        ledger::create(&mut target.conn, &names, Marker::Live).await?;
        let mut nothing = Content::default();
        nothing.release.rewriting = true;
        return ledger::write(&mut target.conn, &names, Marker::Live, &nothing).await;
    };
    content.release.rewriting = true;
    (content.release.digest, content.release.contents) = (String::new(), String::new());
    for record in content.release.tables.values_mut() {
        (record.digest, record.proof) = (String::new(), None);
    }
    ledger::create(&mut target.conn, &names, Marker::Next).await?;
    ledger::write(&mut target.conn, &names, Marker::Next, &content).await?;
    spared::write(target, Marker::Next, spared).await?;
    let (live, gone) = (names.marker(Marker::Live), names.marker(Marker::Gone));
    let next = names.marker(Marker::Next);
    ledger::drop(&mut target.conn, &names, Marker::Gone).await?;
    target
        .conn
        .query_drop(format!("RENAME TABLE {live} TO {gone}, {next} TO {live}"))
        .await?;
    ledger::create(&mut target.conn, &names, Marker::Next).await
}

/// The live tables that `moved` replaces or retires.
async fn outgoing(
    target: &mut MysqlTarget,
    moved: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Error> {
    let live = target.access.names.live.clone();
    let there = tables_in(target, &live).await?;
    Ok(&there & moved)
}

/// A table that came since the plan was made is not replaced unasked.
fn refuse_foreign_tables(
    outgoing: &BTreeSet<String>,
    before: &Content,
    plan: &SwapPlan,
) -> Result<(), Error> {
    let foreign = |table: &&String| !before.release.tables.contains_key(*table);
    match outgoing.iter().find(foreign) {
        Some(table) if !plan.adopt => Err(Error::Config(format!(
            "somebody made a table {table}, which the dump brings too, while it was loaded: drop or rename it, \
             or --adopt replaces it"
        ))),
        _ => Ok(()),
    }
}

/// Each table from one schema to another.
pub(super) fn moves(tables: &BTreeSet<String>, from: &str, to: &str) -> Vec<(String, String)> {
    tables
        .iter()
        .map(|table| (qualified(from, table), qualified(to, table)))
        .collect()
}

/// One RENAME of all.
pub(super) async fn rename(
    target: &mut MysqlTarget,
    renames: &[(String, String)],
    limit: Limit,
) -> Result<(), Error> {
    let pairs: Vec<String> = renames
        .iter()
        .map(|(from, to)| format!("{from} TO {to}"))
        .collect();
    let statement = format!("RENAME TABLE {}", pairs.join(", "));
    let swap = Entry::plain("swap the tables", statement);
    patiently(target, &swap, limit).await.map_err(|error| {
        if error.number().is_some_and(|code| CHANGED.contains(&code)) {
            let hidden = if error.number() == Some(TRIGGER_IN_WRONG_SCHEMA) {
                ", or the account may not see their triggers: grant TRIGGER"
            } else {
                ""
            };
            return Error::Locked(format!(
                "somebody changed live tables while the swap waited{hidden}: {error}"
            ));
        }
        error
    })
}
