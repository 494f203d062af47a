//! The swap: one RENAME that moves tables and markers.
//!
//! Before it, what the RENAME cannot carry is written into the marker that will be live (`todo`), and
//! the triggers of the tables that move are set aside.

use std::collections::BTreeSet;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;

use super::ledger::{self, Content, Entry};
use super::names::{Marker, Names, qualified};
use super::names_taken::{drop_aside, refuse_foreign_objects, step_aside, views_in_the_way};
use super::patience::{Limit, patiently};
use super::target::MysqlTarget;
use super::unproven::{self, Note};
use super::{journal, objects, rehearsal, sequences, triggers};
use crate::Error;
use crate::load::{Object, Release, SwapMode, SwapPlan};

/// How long each trigger is tried again after a swap that failed.
const RESTORING: Duration = Duration::from_secs(5);

/// Makes the staged release live; whether somebody wrote to what it replaced is still to be proven.
pub(super) async fn forward(target: &mut MysqlTarget, plan: &SwapPlan) -> Result<(), Error> {
    let names = target.access.names.clone();
    let renames_tables = target.access.options.swap == SwapMode::Rename;
    let mut todo = Vec::new();
    if renames_tables {
        rehearsal::rehearse(target, plan).await?;
        todo.extend(sequences::point_at_live(target, &names, plan).await?);
    }
    let before = target.live_content().await?.unwrap_or_default();
    refuse_foreign_objects(target, &before, plan).await?;
    let mut objects = entries(target, &plan.objects);
    if plan.keep_objects {
        objects.extend(kept_objects(&before, &objects, &plan.swap));
    }
    let moved: BTreeSet<String> = plan.swap.union(&plan.retire).cloned().collect();
    todo.extend(follow(&before, &objects, &moved));
    let mut aside = Vec::new();
    if renames_tables {
        aside = views_in_the_way(target, &before, &plan.swap).await?;
        drop_aside(&mut todo, &aside);
    } else {
        todo.extend(plan.retire.iter().map(|table| {
            let drop = format!("DROP TABLE IF EXISTS {}", qualified(&names.live, table));
            Entry::of_table(&format!("drop table {table}"), table, drop)
        }));
    }
    let release = Release {
        unlogged: target.access.options.no_binlog,
        rewriting: false,
        ..plan.release.clone()
    };
    let content = Content {
        release,
        objects,
        todo,
    };
    // The same tables and objects under another digest: the release before stays the previous one.
    let same = renames_tables
        && plan.swap.is_empty()
        && plan.retire.is_empty()
        && content.todo.is_empty()
        && !before.release.digest.is_empty();
    ledger::create(&mut target.conn, &names, Marker::Next).await?;
    ledger::write(&mut target.conn, &names, Marker::Next, &content).await?;

    let mut renames = Vec::new();
    if same {
        ledger::drop(&mut target.conn, &names, Marker::Gone).await?;
    } else {
        renames = make_room(target, &names).await?;
    }
    if renames_tables {
        let outgoing = outgoing(target, &moved).await?;
        refuse_foreign_tables(&outgoing, &before, plan)?;
        adopt(target, &names, &outgoing).await?;
        renames.extend(step_aside(&aside, &names.live));
        renames.extend(moves(&outgoing, &names.live, &names.previous));
        renames.extend(moves(&plan.swap, &names.staging, &names.live));
    }
    if ledger::exists(&mut target.conn, &names, Marker::Live).await? {
        // Without a swap the old tables are gone: there is nothing to go back to.
        let kept = if renames_tables && !same {
            Marker::Previous
        } else {
            Marker::Gone
        };
        renames.push((names.marker(Marker::Live), names.marker(kept)));
    }
    renames.push((names.marker(Marker::Next), names.marker(Marker::Live)));
    ledger::stamp(&mut target.conn, &names, Marker::Next, &content.release).await?;
    let note = Note {
        unlogged: content.release.unlogged,
        turn_back: None,
    };
    let proves = renames_tables && !same;
    unproven::leave(target, Marker::Next, proves.then_some(&note)).await?;
    let moved = if renames_tables {
        moved
    } else {
        BTreeSet::new()
    };
    switch(target, &before, &moved, &renames, plan.patience).await
}

/// Takes the triggers off the tables that move, and moves them; where that fails, the triggers are made
/// again at once.
pub(super) async fn switch(
    target: &mut MysqlTarget,
    live: &Content,
    moved: &BTreeSet<String>,
    renames: &[(String, String)],
    patience: Duration,
) -> Result<(), Error> {
    let limit = Limit::of(patience);
    let mut outcome = triggers::set_aside(target, live, moved, limit).await;
    if outcome.is_ok() {
        outcome = rename(target, renames, limit).await;
    }
    if let Err(error) = &outcome
        && let Err(second) = journal::finish(target, Limit::stubborn, RESTORING).await
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
/// on swapped tables are always made again, other unchanged objects stay untouched, and what an earlier
/// swap left open for tables that stay is still open.
pub(super) fn follow(
    before: &Content,
    objects: &[Entry],
    swapped: &BTreeSet<String>,
) -> Vec<Entry> {
    let keys: BTreeSet<&str> = objects.iter().map(|entry| entry.key.as_str()).collect();
    let open = before.todo.iter();
    let undropped = open.filter_map(|entry| entry.key.strip_prefix("drop "));
    let mut todo: Vec<Entry> = before
        .objects
        .iter()
        .map(|entry| entry.key.as_str())
        .chain(undropped)
        .filter(|key| !keys.contains(key))
        .filter_map(objects::drop_entry)
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
    let known: BTreeSet<String> = todo.iter().map(|entry| entry.key.clone()).collect();
    let open = before.todo.iter().filter(|open| {
        let stays = open.detail.table.as_ref();
        stays.is_some_and(|table| !swapped.contains(table))
            && !known.contains(&open.key)
            && !before.release.objects.contains_key(&open.key)
    });
    todo.extend(open.cloned());
    todo
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
    patiently(target, &Entry::plain("swap the tables", statement), limit).await
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
    fn what_the_swap_before_could_not_drop_is_dropped_unless_it_comes_again() {
        let before = Content {
            todo: [
                objects::drop_entry("view old"),
                objects::drop_entry("view back"),
            ]
            .into_iter()
            .flatten()
            .collect(),
            ..Content::default()
        };
        let new = [entry("view back", "1", None)];
        let todo = follow(&before, &new, &BTreeSet::new());
        let keys: Vec<&str> = todo.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["drop view old", "view back"]);
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
