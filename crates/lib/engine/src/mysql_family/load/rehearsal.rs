//! Tries the objects that follow the swap on the stage, before anything live is touched: a view that
//! does not parse, a right that is missing or a collation that the server does not know stops the load
//! while the old release is whole.
//!
//! Nothing runs: routines are made, not called, events are made disabled, and everything is dropped again.

use std::collections::BTreeSet;

use pilotfish_sql::mysql::quote;

use super::journal::{self, NOT_YET, named};
use super::likeness::{self, Rehearsed};
use super::names::qualified;
use super::target::MysqlTarget;
use super::{objects, session};
use crate::Error;
use crate::load::{Definer, Object, ObjectKind, SwapPlan};
use crate::mysql_family::ask::Ask as _;

/// Makes and drops every object on the stage; returns how they look there, where that is to be compared.
///
/// # Errors
/// As the server gives them, with the object's name.
pub(super) async fn rehearse(
    target: &mut MysqlTarget,
    plan: &SwapPlan,
) -> Result<Rehearsed, Error> {
    let mut looks = Rehearsed::new();
    if plan.objects.is_empty() {
        return Ok(looks);
    }
    may_create_programs(target, plan).await?;
    let staging = target.access.names.staging.clone();
    target
        .conn
        .query_drop(format!("USE {}", quote(&staging)))
        .await?;
    let staged = target.tables_of(&staging).await?;
    refuse_without_table(plan, |table| staged.contains_key(table))?;
    let windows = open_windows(target, plan, |table| staged.contains_key(table)).await?;
    let mut made = Vec::new();
    let outcome = make_all(target, &plan.objects, &mut made, &mut looks).await;
    for object in made.iter().rev() {
        session::apply(&mut target.conn, &objects::drop_session(object.kind)).await?;
        let drop = objects::drop_statement(object.kind, &object.name);
        target.conn.query_drop(drop).await?;
    }
    target.settle().await?;
    for (kind, window) in windows {
        target
            .conn
            .query_drop(format!("DROP {kind} IF EXISTS {window}"))
            .await?;
    }
    outcome.map(|()| looks)
}

/// Lets the stage see the live tables that stay: as views, and those that have triggers as empty tables, since
/// a view can have none. Returns what was made, kind and name.
async fn open_windows(
    target: &mut MysqlTarget,
    plan: &SwapPlan,
    staged: impl Fn(&str) -> bool,
) -> Result<Vec<(&'static str, String)>, Error> {
    let names = target.access.names.clone();
    let with_triggers: BTreeSet<&str> = plan
        .objects
        .iter()
        .filter_map(|object| object.table.as_deref())
        .collect();
    let mut windows = Vec::new();
    for table in plan.release.tables.keys().filter(|table| !staged(table)) {
        let (window, live) = (
            qualified(&names.staging, table),
            qualified(&names.live, table),
        );
        let (kind, make) = if with_triggers.contains(table.as_str()) {
            ("TABLE", format!("CREATE TABLE {window} LIKE {live}"))
        } else {
            (
                "VIEW",
                format!("CREATE VIEW {window} AS SELECT * FROM {live}"),
            )
        };
        target.conn.query_drop(make).await?;
        windows.push((kind, window));
    }
    Ok(windows)
}

/// A trigger whose table is neither staged nor live could not be made after the swap.
fn refuse_without_table(plan: &SwapPlan, staged: impl Fn(&str) -> bool) -> Result<(), Error> {
    let nowhere = |table: &str| !staged(table) && !plan.release.tables.contains_key(table);
    for object in &plan.objects {
        if let Some(table) = object.table.as_deref().filter(|table| nowhere(table)) {
            return Err(Error::Refused(format!(
                "make {}: the release has no table {table}",
                named_with_place(object)
            )));
        }
    }
    Ok(())
}

/// Makes objects, those that need others after them.
async fn make_all<'a>(
    target: &mut MysqlTarget,
    objects: &'a [Object],
    made: &mut Vec<&'a Object>,
    looks: &mut Rehearsed,
) -> Result<(), Error> {
    let mut waiting: Vec<&Object> = objects.iter().collect();
    let order = |object: &&Object| objects::ORDER.iter().position(|kind| *kind == object.kind);
    waiting.sort_by_key(order);
    loop {
        let (before, mut refused) = (waiting.len(), None);
        for object in std::mem::take(&mut waiting) {
            match make(target, object, looks).await {
                Ok(()) => made.push(object),
                Err(error) if error.number().is_some_and(|code| NOT_YET.contains(&code)) => {
                    refused = Some(error);
                    waiting.push(object);
                }
                Err(error) => return Err(error),
            }
        }
        match refused {
            Some(error) if waiting.len() == before => return Err(error),
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

async fn make(
    target: &mut MysqlTarget,
    object: &Object,
    looks: &mut Rehearsed,
) -> Result<(), Error> {
    let definer = target.access.options.definer;
    run(target, object, definer).await?;
    if target.access.options.overwrite_modified {
        looks.insert(object.key(), likeness::staged(target, object).await?);
    }
    if object.kind == ObjectKind::View && definer == Definer::Keep {
        // Its own definer has no rights on the stage, and a view over it would be refused for that.
        run(target, object, Definer::Current).await?;
    }
    Ok(())
}

async fn run(target: &mut MysqlTarget, object: &Object, definer: Definer) -> Result<(), Error> {
    let access = &target.access;
    let mut entry = objects::entry(
        object,
        access.flavour,
        &access.dump_database(),
        &access.names.staging,
        definer,
    );
    if object.kind == ObjectKind::Event {
        let mode = objects::mode(access.flavour, &object.session);
        entry.sql = objects::disabled(&entry.sql, mode);
    }
    let made = journal::run(target, &entry).await;
    made.map_err(|error| named(&named_with_place(object), error))
}

fn named_with_place(object: &Object) -> String {
    format!("{}, {}", object.key(), object.origin)
}

/// With a binary log, functions and triggers need SUPER or a setting of the server (1419): say so
/// before anything is swapped, not after.
async fn may_create_programs(target: &mut MysqlTarget, plan: &SwapPlan) -> Result<(), Error> {
    let program = plan
        .objects
        .iter()
        .find(|object| matches!(object.kind, ObjectKind::Function | ObjectKind::Trigger));
    let Some(program) = program else {
        return Ok(());
    };
    let trusted: Option<bool> = target
        .conn
        .query_first("SELECT NOT @@global.log_bin OR @@global.log_bin_trust_function_creators")
        .await?;
    if trusted != Some(false) {
        return Ok(());
    }
    let grants: Vec<String> = target.conn.query("SHOW GRANTS").await?;
    let global = |grant: &String| grant.contains(" ON *.* ");
    let may = |grant: &String| grant.contains("SUPER") || grant.contains("ALL PRIVILEGES");
    if grants.iter().any(|grant| global(grant) && may(grant)) {
        return Ok(());
    }
    Err(Error::Denied(format!(
        "the release has the {}, and the server writes a binary log: start it with \
         --log-bin-trust-function-creators=1 or --skip-log-bin, or grant SUPER",
        program.key()
    )))
}
