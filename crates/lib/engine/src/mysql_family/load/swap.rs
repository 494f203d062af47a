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
use super::target::MysqlTarget;
use super::{objects, rehearsal};
use crate::Error;
use crate::load::{Object, Release, SwapMode, SwapPlan, Target as _};

/// Between two tries for the locks: long enough to let readers through (measured: 0 errors, 0 mixes).
const PAUSE: Duration = Duration::from_millis(2);
/// `ER_LOCK_WAIT_TIMEOUT`; `ER_LOCK_DEADLOCK`, where MySQL chooses the DDL as victim.
const LOCKED: &[u16] = &[1205, 1213];

/// Makes the staged release live.
pub(super) async fn forward(target: &mut MysqlTarget, plan: &SwapPlan) -> Result<(), Error> {
    let names = target.access.names.clone();
    let renames_tables = target.access.options.swap == SwapMode::Rename;
    let mut todo = Vec::new();
    if renames_tables {
        rehearsal::rehearse(target, plan).await?;
        todo.extend(point_sequences(target, &names, plan).await?);
    }
    let before = target.live_content().await?.unwrap_or_default();
    let objects = entries(target, &plan.objects);
    todo.extend(follow(&before, &objects, &plan.swap));
    let release = plan.release.clone();
    let content = Content {
        release,
        objects,
        todo,
    };
    ledger::create(&mut target.conn, &names, Marker::Next).await?;
    ledger::write(&mut target.conn, &names, Marker::Next, &content).await?;

    target.drop_schema(&names.previous).await?;
    ledger::drop(&mut target.conn, &names, Marker::Previous).await?;
    target.create_schema(&names.previous).await?;

    let mut renames = Vec::new();
    let mut moved = BTreeSet::new();
    if renames_tables {
        moved = plan.swap.union(&plan.retire).cloned().collect();
        let outgoing = outgoing(target, &moved).await?;
        renames.extend(moves(&outgoing, &names.live, &names.previous));
        renames.extend(moves(&plan.swap, &names.staging, &names.live));
    }
    if ledger::exists(&mut target.conn, &names, Marker::Live).await? {
        renames.push((names.marker(Marker::Live), names.marker(Marker::Previous)));
    }
    renames.push((names.marker(Marker::Next), names.marker(Marker::Live)));
    let deadline = Instant::now() + plan.patience;
    set_triggers_aside(target, &before, &moved, deadline).await?;
    ledger::stamp(&mut target.conn, &names, Marker::Next, &plan.release.digest).await?;
    if let Err(error) = rename(target, &renames, deadline).await {
        // The old release stays, so its triggers must come back now and not at the next run.
        target.finish().await?;
        return Err(error);
    }
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

/// The live tables that `moved` replaces or retires.
async fn outgoing(
    target: &mut MysqlTarget,
    moved: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Error> {
    let live = target.access.names.live.clone();
    let mut there = target.tables_of(&live).await?;
    there.retain(|table, _| moved.contains(table));
    if let Some((view, _)) = there.iter().find(|(_, kind)| *kind == "VIEW") {
        return Err(Error::Config(format!(
            "the live database has a view {view} where the release brings a table: drop the view"
        )));
    }
    Ok(there.into_keys().collect())
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

    target.drop_schema(&names.staging).await?;
    target.create_schema(&names.staging).await?;
    ledger::set_rejected(&mut target.conn, &names.live, &now.release.digest, true).await?;
    let todo = follow(&now, &then.objects, &kept);
    ledger::write_todo(&mut target.conn, &names, Marker::Previous, &todo).await?;
    ledger::drop(&mut target.conn, &names, Marker::Next).await?;

    let deadline = Instant::now() + ROLLBACK_PATIENCE;
    set_triggers_aside(target, &now, &leaving, deadline).await?;
    let mut renames = moves(&leaving, &names.live, &names.staging);
    renames.extend(moves(&kept, &names.previous, &names.live));
    renames.push((names.marker(Marker::Live), names.marker(Marker::Next)));
    renames.push((names.marker(Marker::Previous), names.marker(Marker::Live)));
    rename(target, &renames, deadline).await?;
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
    let gone = |table: &&String| !kept.contains(*table) && !there.contains_key(*table);
    if let Some(table) = then.tables.keys().find(gone) {
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
                    let same = before.release.objects.get(&entry.key) == Some(&entry.detail.digest);
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

/// Points defaults that draw from a staged sequence at the live one: before the swap where that is
/// there already, else afterwards.
async fn point_sequences(
    target: &mut MysqlTarget,
    names: &Names,
    plan: &SwapPlan,
) -> Result<Vec<Entry>, Error> {
    let staged = target.tables_of(&names.staging).await?;
    if !target.access.flavour.mariadb || !staged.values().any(|kind| kind == "SEQUENCE") {
        return Ok(Vec::new());
    }
    let live = target.tables_of(&names.live).await?;
    let sequences_live = staged
        .iter()
        .filter(|(_, kind)| *kind == "SEQUENCE")
        .all(|(name, _)| live.contains_key(name));
    let mut todo = Vec::new();
    for table in plan
        .swap
        .iter()
        .filter(|table| staged.get(*table).is_some_and(|kind| kind == "BASE TABLE"))
    {
        let definition: Option<(String, String)> = target
            .conn
            .query_first(format!(
                "SHOW CREATE TABLE {}",
                qualified(&names.staging, table)
            ))
            .await?;
        let Some((_, definition)) = definition else {
            continue;
        };
        let clauses = objects::sequence_defaults(&definition, &names.staging, &names.live);
        if clauses.is_empty() {
            continue;
        }
        if sequences_live {
            target
                .conn
                .query_drop(objects::alter_defaults(&names.staging, table, &clauses))
                .await?;
        } else {
            todo.push(Entry {
                key: format!("defaults of {table}"),
                detail: ledger::Detail::default(),
                sql: objects::alter_defaults(&names.live, table, &clauses).into_bytes(),
            });
        }
    }
    Ok(todo)
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

/// Runs DDL that never waits in a lock queue, where new readers would wait behind it: it takes all
/// locks at once or tries again. MySQL cannot wait for less than a second.
async fn patiently(
    target: &mut MysqlTarget,
    statement: &str,
    deadline: Instant,
    doing: &str,
) -> Result<(), Error> {
    let wait = u8::from(!target.access.flavour.mariadb);
    target
        .conn
        .query_drop(format!("SET SESSION lock_wait_timeout={wait}"))
        .await?;
    let mut tries = 0_u32;
    let outcome = loop {
        tries += 1;
        match target.conn.query_drop(statement).await.map_err(Error::from) {
            Err(error) if error.code().is_some_and(|code| LOCKED.contains(&code)) => {
                if Instant::now() >= deadline {
                    break Err(Error::Locked(format!(
                        "{doing}: readers held the tables at each of {tries} tries; end long transactions or \
                         raise --swap-timeout"
                    )));
                }
                tokio::time::sleep(PAUSE).await;
            }
            outcome => break outcome,
        }
    };
    tracing::debug!(doing, tries, "took the locks");
    if outcome.is_ok() {
        target
            .conn
            .query_drop("SET SESSION lock_wait_timeout=60")
            .await?;
    }
    outcome
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
