//! Names that a release takes and that somebody has already.

use std::collections::BTreeSet;

use super::ledger::{Content, Entry};
use super::names::{literal, qualified};
use super::objects;
use super::target::MysqlTarget;
use crate::Error;
use crate::load::{ObjectKind, SwapPlan};
use crate::mysql_family::ask::Ask as _;

/// Refuses to replace views, routines, events and triggers that no release brought, and to make a view
/// where a table stays.
pub(super) async fn refuse_foreign_objects(
    target: &mut MysqlTarget,
    live: &Content,
    plan: &SwapPlan,
) -> Result<(), Error> {
    let database = target.access.names.live.clone();
    let tables = target.tables_of(&database).await?;
    let there = objects_of(target).await?;
    for object in &plan.objects {
        let key = object.key();
        let stays = tables
            .get(&object.name)
            .is_some_and(|kind| kind != "VIEW" && !plan.retire.contains(&object.name));
        if object.kind == ObjectKind::View && stays {
            return Err(Error::Config(format!(
                "{database} has a table {}, which no release brought, where the {key} comes: drop or rename it",
                object.name
            )));
        }
        if there.contains(&key) && !is_ours(live, &key) && !plan.adopt {
            return Err(Error::Config(format!(
                "{database} has a {key} that no release brought: --adopt replaces it for good"
            )));
        }
    }
    Ok(())
}

/// Whether a release brought an object: the live one, or one before it whose object is still to be dropped.
fn is_ours(live: &Content, key: &str) -> bool {
    let dropping = format!("drop {key}");
    live.release.objects.contains_key(key) || live.todo.iter().any(|open| open.key == dropping)
}

/// The live views, routines, events and triggers, by the ledger's keys.
pub(super) async fn objects_of(target: &mut MysqlTarget) -> Result<BTreeSet<String>, Error> {
    let live = literal(&target.access.names.live);
    let rows: Vec<(String, String)> = target
        .conn
        .query(format!(
            "SELECT 'view', table_name FROM information_schema.views WHERE table_schema = {live} UNION ALL \
             SELECT LOWER(routine_type), routine_name FROM information_schema.routines WHERE \
             routine_schema = {live} UNION ALL SELECT 'event', event_name FROM information_schema.events \
             WHERE event_schema = {live} UNION ALL SELECT 'trigger', trigger_name FROM \
             information_schema.triggers WHERE trigger_schema = {live}"
        ))
        .await?;
    Ok(rows
        .into_iter()
        .map(|(kind, name)| format!("{kind} {name}"))
        .collect())
}

/// The live views whose names `incoming` tables take, with the names that they get until they are
/// dropped. No RENAME takes a view to another schema (1450), but one within its own goes along.
pub(super) async fn views_in_the_way(
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
        if !is_ours(live, &format!("view {view}")) {
            return Err(Error::Config(format!(
                "{database} has a view {view}, which no release brought, where a table comes: drop the view"
            )));
        }
        aside.extend(free.next().map(|name| (view.clone(), name)));
    }
    Ok(aside)
}

/// Each view to its new name.
pub(super) fn step_aside(aside: &[(String, String)], live: &str) -> Vec<(String, String)> {
    let both = |(view, name): &(String, String)| (qualified(live, view), qualified(live, name));
    aside.iter().map(both).collect()
}

/// Afterwards a table has the view's name: what is dropped is the view under its new one.
pub(super) fn drop_aside(todo: &mut Vec<Entry>, aside: &[(String, String)]) {
    for (view, name) in aside {
        todo.retain(|entry| entry.key != format!("drop view {view}"));
        todo.extend(objects::drop_entry(&format!("view {name}")));
    }
}
