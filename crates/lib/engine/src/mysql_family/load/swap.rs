//! The swap: one RENAME that moves tables and markers, and the way back.
//!
//! Before it, what the RENAME cannot carry is written into the marker that will be live (`todo`), and
//! triggers, which keep a table from changing its schema (error 1435), are dropped. They are first
//! written into the marker that is live now: killed in between, the next run makes them again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable as _;

use super::ledger::{self, Content, Entry};
use super::names::{Marker, Names, qualified};
use super::patience::patiently;
use super::target::MysqlTarget;
use super::{objects, rehearsal, rejected, sequences};
use crate::Error;
use crate::load::{Object, Release, SwapMode, SwapPlan, TableRecord, Target as _};

/// Makes the staged release live.
pub(super) async fn forward(target: &mut MysqlTarget, plan: &SwapPlan) -> Result<(), Error> {
    let names = target.access.names.clone();
    let renames_tables = target.access.options.swap == SwapMode::Rename;
    let mut todo = Vec::new();
    if renames_tables {
        rehearsal::rehearse(target, plan).await?;
        todo.extend(sequences::point_at_live(target, &names, plan).await?);
    }
    let before = target.live_content().await?.unwrap_or_default();
    let mut objects = entries(target, &plan.objects);
    if plan.keep_objects {
        objects.extend(kept_objects(&before, &objects, &plan.swap));
    }
    todo.extend(follow(&before, &objects, &plan.swap));
    let mut aside = Vec::new();
    if renames_tables {
        aside = views_in_the_way(target, &before, &plan.swap).await?;
        drop_aside(&mut todo, &aside);
    }
    let release = Release {
        unlogged: target.access.options.no_binlog,
        ..plan.release.clone()
    };
    let content = Content {
        release,
        objects,
        todo,
    };
    ledger::create(&mut target.conn, &names, Marker::Next).await?;
    ledger::write(&mut target.conn, &names, Marker::Next, &content).await?;

    let mut renames = make_room(target, &names).await?;
    let mut moved = BTreeSet::new();
    if renames_tables {
        moved = plan.swap.union(&plan.retire).cloned().collect();
        let outgoing = outgoing(target, &moved).await?;
        adopt(target, &names, &outgoing).await?;
        renames.extend(step_aside(&aside, &names.live));
        renames.extend(moves(&outgoing, &names.live, &names.previous));
        renames.extend(moves(&plan.swap, &names.staging, &names.live));
    }
    if ledger::exists(&mut target.conn, &names, Marker::Live).await? {
        // Without a swap the old tables are gone: there is nothing to go back to.
        let kept = if renames_tables {
            Marker::Previous
        } else {
            Marker::Gone
        };
        renames.push((names.marker(Marker::Live), names.marker(kept)));
    }
    renames.push((names.marker(Marker::Next), names.marker(Marker::Live)));
    ledger::stamp(&mut target.conn, &names, Marker::Next, &content.release).await?;
    switch(target, &before, &moved, &renames, plan.patience).await?;
    if !renames_tables {
        for table in &plan.retire {
            let table = qualified(&names.live, table);
            target
                .conn
                .query_drop(format!("DROP TABLE IF EXISTS {table}"))
                .await?;
        }
    }
    Ok(())
}

/// Takes the triggers off the tables that move, and moves them; where that fails, the triggers are made
/// again at once.
async fn switch(
    target: &mut MysqlTarget,
    live: &Content,
    moved: &BTreeSet<String>,
    renames: &[(String, String)],
    patience: Duration,
) -> Result<(), Error> {
    let deadline = Instant::now() + patience;
    let mut outcome = set_triggers_aside(target, live, moved, deadline).await;
    if outcome.is_ok() {
        outcome = rename(target, renames, deadline).await;
    }
    if let Err(error) = &outcome
        && let Err(second) = target.finish().await
    {
        tracing::warn!(%error, %second, "triggers of live tables could not be made again; the next run tries");
    }
    outcome
}

/// The renames that take the release before the last one out of the way, in the swap itself: until
/// then a rollback to it stays possible.
async fn make_room(
    target: &mut MysqlTarget,
    names: &Names,
) -> Result<Vec<(String, String)>, Error> {
    target.drop_schema(&names.gone).await?;
    ledger::drop(&mut target.conn, names, Marker::Gone).await?;
    target.create_schema(&names.gone).await?;
    target.create_schema(&names.previous).await?;
    let old: BTreeSet<String> = target
        .tables_of(&names.previous)
        .await?
        .into_keys()
        .collect();
    let mut renames = moves(&old, &names.previous, &names.gone);
    if ledger::exists(&mut target.conn, names, Marker::Previous).await? {
        renames.push((names.marker(Marker::Previous), names.marker(Marker::Gone)));
    }
    Ok(renames)
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
    // The marker first: the tables it speaks of are about to be no release any more.
    ledger::drop(&mut target.conn, &names, Marker::Previous).await?;
    target.drop_schema(&names.previous).await?;
    let Some(mut content) = target.live_content().await? else {
        ledger::create(&mut target.conn, &names, Marker::Live).await?;
        return ledger::write(&mut target.conn, &names, Marker::Live, &Content::default()).await;
    };
    content.release.digest = String::new();
    for record in content.release.tables.values_mut() {
        (record.digest, record.proof) = (String::new(), None);
    }
    ledger::create(&mut target.conn, &names, Marker::Next).await?;
    ledger::write(&mut target.conn, &names, Marker::Next, &content).await?;
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
    let mut there = target.tables_of(&live).await?;
    there.retain(|table, kind| moved.contains(table) && kind != "VIEW");
    Ok(there.into_keys().collect())
}

/// The live views whose names `incoming` tables take, with the names that they get until they are
/// dropped. No RENAME takes a view to another schema (1450), but one within its own goes along.
async fn views_in_the_way(
    target: &mut MysqlTarget,
    live: &Content,
    incoming: &BTreeSet<String>,
) -> Result<Vec<(String, String)>, Error> {
    let database = target.access.names.live.clone();
    let there = target.tables_of(&database).await?;
    let in_the_way =
        |(name, kind): &(&String, &String)| *kind == "VIEW" && incoming.contains(*name);
    let mut free = (1..)
        .map(|number| format!("pilotfish_gone_{number}"))
        .filter(|name| !there.contains_key(name));
    let mut aside = Vec::new();
    for (view, _) in there.iter().filter(in_the_way) {
        if !live.release.objects.contains_key(&format!("view {view}")) {
            return Err(Error::Config(format!(
                "{database} has a view {view}, which no release brought, where a table comes: drop the view"
            )));
        }
        aside.extend(free.next().map(|name| (view.clone(), name)));
    }
    Ok(aside)
}

fn step_aside(aside: &[(String, String)], live: &str) -> Vec<(String, String)> {
    let both = |(view, name): &(String, String)| (qualified(live, view), qualified(live, name));
    aside.iter().map(both).collect()
}

/// Afterwards a table has the view's name: what is dropped is the view under its new one.
fn drop_aside(todo: &mut Vec<Entry>, aside: &[(String, String)]) {
    for (view, name) in aside {
        todo.retain(|entry| entry.key != format!("drop view {view}"));
        todo.extend(objects::drop_entry(&format!("view {name}")));
    }
}

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
    let kept: BTreeSet<String> = target
        .tables_of(&names.previous)
        .await?
        .into_keys()
        .collect();
    let leaving = leaving(target, &now.release, &then.release, &kept).await?;
    let aside = views_in_the_way(target, &now, &kept).await?;

    rejected::add(&mut target.conn, &names.live, &now.release).await?;
    if now.release.unlogged {
        // Replicas never left the release that comes back.
        target.log_statements(false).await?;
    }
    target.drop_schema(&names.staging).await?;
    target.create_schema(&names.staging).await?;
    let mut todo = follow(&now, &then.objects, &kept);
    drop_aside(&mut todo, &aside);
    ledger::write_todo(&mut target.conn, &names, Marker::Previous, &todo).await?;
    ledger::drop(&mut target.conn, &names, Marker::Next).await?;

    let mut renames = step_aside(&aside, &names.live);
    renames.extend(moves(&leaving, &names.live, &names.staging));
    renames.extend(moves(&kept, &names.previous, &names.live));
    renames.push((names.marker(Marker::Live), names.marker(Marker::Next)));
    renames.push((names.marker(Marker::Previous), names.marker(Marker::Live)));
    if let Err(error) = switch(target, &now, &leaving, &renames, ROLLBACK_PATIENCE).await {
        if now.release.unlogged {
            target.log_statements(true).await?;
        }
        rejected::forgive(&mut target.conn, &names.live, &now.release.digest).await?;
        return Err(error);
    }
    ledger::drop(&mut target.conn, &names, Marker::Next).await?;
    target.drop_schema(&names.previous).await?;
    Ok((now.release, then.release))
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
    Ok(recorded
        .filter(|table| kept.contains(*table) || !then.tables.contains_key(*table))
        .cloned()
        .collect())
}

/// Each table from one schema to another.
fn moves(tables: &BTreeSet<String>, from: &str, to: &str) -> Vec<(String, String)> {
    tables
        .iter()
        .map(|table| (qualified(from, table), qualified(to, table)))
        .collect()
}

/// How long a rollback looks for a moment without readers in the way.
const ROLLBACK_PATIENCE: Duration = Duration::from_secs(60);

fn entries(target: &MysqlTarget, objects: &[Object]) -> Vec<Entry> {
    let access = &target.access;
    objects
        .iter()
        .map(|object| {
            objects::entry(
                object,
                access.flavour,
                &access.dump_database(),
                &access.names.live,
                access.options.definer,
            )
        })
        .collect()
}

/// The live objects that a part of a dump leaves as they are.
fn kept_objects(before: &Content, objects: &[Entry], swapped: &BTreeSet<String>) -> Vec<Entry> {
    let replaced = |entry: &&Entry| {
        let named = objects.iter().any(|new| new.key == entry.key);
        named
            || entry
                .detail
                .table
                .as_ref()
                .is_some_and(|table| swapped.contains(table))
    };
    before
        .objects
        .iter()
        .filter(|entry| !replaced(entry))
        .cloned()
        .collect()
}

/// What must be made and dropped after the swap from `before` to a release with `objects`; triggers
/// on swapped tables are always made again, other unchanged objects stay untouched.
fn follow(before: &Content, objects: &[Entry], swapped: &BTreeSet<String>) -> Vec<Entry> {
    let keys: BTreeSet<&str> = objects.iter().map(|entry| entry.key.as_str()).collect();
    let mut todo: Vec<Entry> = before
        .objects
        .iter()
        .filter(|entry| !keys.contains(entry.key.as_str()))
        .filter_map(|entry| objects::drop_entry(&entry.key))
        .collect();
    let kind_of = |entry: &Entry| objects::split_key(&entry.key).map(|(kind, _)| kind);
    for kind in objects::ORDER {
        todo.extend(
            objects
                .iter()
                .filter(|entry| kind_of(entry) == Some(*kind))
                .filter_map(|entry| {
                    let made = !before.todo.iter().any(|open| open.key == entry.key);
                    let same = made
                        && before.release.objects.get(&entry.key) == Some(&entry.detail.digest);
                    let on_swapped = entry
                        .detail
                        .table
                        .as_ref()
                        .is_some_and(|table| swapped.contains(table));
                    (!same || on_swapped).then(|| entry.clone())
                }),
        );
    }
    todo
}

/// Drops the triggers of tables that are about to move.
async fn set_triggers_aside(
    target: &mut MysqlTarget,
    live: &Content,
    moved: &BTreeSet<String>,
    deadline: Instant,
) -> Result<(), Error> {
    let triggers: Vec<String> = target
        .live_triggers()
        .await?
        .into_iter()
        .filter(|(_, table)| moved.contains(table))
        .map(|(trigger, _)| trigger)
        .collect();
    if triggers.is_empty() {
        return Ok(());
    }
    let names = target.access.names.clone();
    let aside: Vec<Entry> = live
        .objects
        .iter()
        .filter(|entry| {
            triggers
                .iter()
                .any(|trigger| entry.key == format!("trigger {trigger}"))
        })
        .cloned()
        .collect();
    if ledger::exists(&mut target.conn, &names, Marker::Live).await? {
        ledger::write_todo(&mut target.conn, &names, Marker::Live, &aside).await?;
    }
    for trigger in triggers {
        let statement = format!(
            "DROP TRIGGER IF EXISTS {}",
            qualified(&names.live, &trigger)
        );
        patiently(
            target,
            &statement,
            deadline,
            &format!("drop the trigger {trigger}"),
        )
        .await?;
    }
    Ok(())
}

async fn rename(
    target: &mut MysqlTarget,
    renames: &[(String, String)],
    deadline: Instant,
) -> Result<(), Error> {
    let pairs: Vec<String> = renames
        .iter()
        .map(|(from, to)| format!("{from} TO {to}"))
        .collect();
    patiently(
        target,
        &format!("RENAME TABLE {}", pairs.join(", ")),
        deadline,
        "swap the tables",
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{ObjectKind, SessionState};

    fn entry(key: &str, digest: &str, table: Option<&str>) -> Entry {
        Entry {
            key: key.to_owned(),
            detail: ledger::Detail {
                digest: digest.to_owned(),
                table: table.map(str::to_owned),
                session: SessionState::default(),
                before: None,
            },
            sql: key.as_bytes().to_vec(),
        }
    }

    #[test]
    fn unchanged_objects_stay_but_triggers_of_swapped_tables_are_made_again() {
        let old = vec![
            entry("view v", "1", None),
            entry("view gone", "1", None),
            entry("trigger a", "1", Some("moved")),
            entry("trigger b", "1", Some("stays")),
        ];
        let mut before = Content {
            objects: old.clone(),
            ..Content::default()
        };
        before.release.objects = old
            .iter()
            .map(|entry| (entry.key.clone(), entry.detail.digest.clone()))
            .collect();
        let new = vec![
            old[0].clone(),
            old[2].clone(),
            old[3].clone(),
            entry("function f", "1", None),
        ];
        let todo = follow(&before, &new, &BTreeSet::from(["moved".to_owned()]));
        let keys: Vec<&str> = todo.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["drop view gone", "function f", "trigger a"]);
        assert_eq!(objects::split_key("view v"), Some((ObjectKind::View, "v")));
    }
}
