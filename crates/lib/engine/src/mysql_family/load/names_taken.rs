//! Names that a release takes and that somebody has already.

use std::collections::BTreeSet;

use super::ledger::{Content, Entry};
use super::names::{literal, qualified};
use super::objects;
use super::target::MysqlTarget;
use crate::Error;
use crate::load::{ObjectKind, SwapPlan};
use crate::mysql_family::ask::Ask as _;

/// Objects by the ledger's keys, compared as the server compares names.
#[derive(Debug, Default)]
pub(super) struct Objects {
    keys: BTreeSet<String>,
    /// It keeps all names in lower case.
    lower: bool,
}

impl Objects {
    pub(super) fn of<'a>(keys: impl IntoIterator<Item = &'a str>, lower: bool) -> Self {
        let mut objects = Self {
            keys: BTreeSet::new(),
            lower,
        };
        for key in keys {
            let key = objects.folded(key);
            objects.keys.insert(key);
        }
        objects
    }

    /// Others, on the same server.
    pub(super) fn like<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of(keys, self.lower)
    }

    pub(super) fn have(&self, key: &str) -> bool {
        self.keys.contains(&self.folded(key))
    }

    fn folded(&self, key: &str) -> String {
        if self.lower {
            return key.to_lowercase();
        }
        ObjectKind::folded_key(key)
    }
}

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
    let ours = ours(live, &there);
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
        if there.have(&key) && !ours.have(&key) && !plan.adopt {
            return Err(Error::Config(format!(
                "{database} has a {key} that no release brought: --adopt replaces it for good"
            )));
        }
    }
    Ok(())
}

/// The objects that a release brought: the live one, or one before it whose object is still to be dropped.
fn ours(live: &Content, there: &Objects) -> Objects {
    let brought = live.release.objects.keys().map(String::as_str);
    let open = live.todo.iter();
    there.like(brought.chain(open.filter_map(|open| open.key.strip_prefix("drop "))))
}

/// The live views, routines, events and triggers, by the ledger's keys.
pub(super) async fn objects_of(target: &mut MysqlTarget) -> Result<Objects, Error> {
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
    let lower: Option<bool> = target
        .conn
        .query_first("SELECT @@lower_case_table_names <> 0")
        .await?;
    let keys: Vec<String> = rows
        .into_iter()
        .map(|(kind, name)| format!("{kind} {name}"))
        .collect();
    Ok(Objects::of(
        keys.iter().map(String::as_str),
        lower == Some(true),
    ))
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
    let ours = ours(live, &objects_of(target).await?);
    let in_the_way =
        |(name, kind): &(&String, &String)| *kind == "VIEW" && incoming.contains(*name);
    let mut free = (1..)
        .map(|number| format!("pilotfish_gone_{number}"))
        .filter(|name| !there.contains_key(name));
    let mut aside = Vec::new();
    for (view, _) in there.iter().filter(in_the_way) {
        if !ours.have(&format!("view {view}")) {
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
