//! The swap of two databases, and the way back.

use std::collections::BTreeSet;
use std::time::Duration;

use pilotfish_sql::postgres::quote;

use super::database::{self, Use, exists};
use super::ledger::{self, Content, Role};
use super::names::is_ours;
use super::schemas::{parts, qualified};
use super::shared::Shared;
use super::swap::{Ledger, statements};
use super::target::PostgresTarget;
use super::{belongings, drift, grants, objects, room, swap};
use crate::Error;
use crate::load::{Owner, Release, SwapPlan};
use crate::postgres::cell;
use crate::postgres::connect::Session;

/// Makes the staged database live. The replaced one stays, closed, until it is tidied away.
pub(super) async fn forward(
    target: &mut PostgresTarget,
    shared: &Shared,
    plan: &SwapPlan,
    content: Content,
    before: Option<Content>,
    again: bool,
) -> Result<(), Error> {
    let live = target.access.options.database.clone();
    database::refuse_slots(&target.session, &live).await?;
    let coming = {
        let staged = target.access.connect_to(&Use::Next.of(&live)).await?;
        let schemas = user_schemas(&staged).await?;
        objects::of(&*staged, &objects::themselves(&schemas)).await?
    };
    let adopts = |key: &String| plan.adopt && coming.contains_key(key);
    let previous = replaced(target, &adopts, before.clone()).await?;
    let kept = match previous.is_some() && !again {
        true => Use::Previous,
        false => Use::Gone,
    };
    let mut staged = target.access.connect_to(&Use::Next.of(&live)).await?;
    let ledger = Ledger {
        content: Content {
            schemas: user_schemas(&staged).await?,
            belongings: Some(belongings::of(&*staged).await?),
            ..content
        },
        previous,
        again,
        statements: statements(shared, plan)?,
        ..Ledger::default()
    };
    copy_books(&target.session, &staged).await?;
    if target.access.options.owner == Owner::Drop {
        for schema in &ledger.content.schemas {
            grants::carry_over(&*target.session, &*staged, schema).await?;
        }
    }
    let transaction = staged.transaction().await?;
    ledger.write(&transaction).await?;
    if again {
        let previous = ledger::read(&*target.session, Role::Previous).await?;
        ledger::write(&transaction, Role::Previous, previous.as_ref()).await?;
        swap::give_up_undo(&transaction).await?;
    }
    transaction.commit().await?;
    belongings::take_along(&*target.session, &*staged, before.as_ref()).await?;
    staged.close().await;
    database::make_alike(&target.session, &Use::Next.of(&live), &live).await?;
    refuse_gone(target).await?;
    let mut renames = Vec::new();
    if kept == Use::Previous && exists(&target.session, &Use::Previous.of(&live)).await? {
        renames.push((Use::Previous.of(&live), Use::Gone.of(&live)));
    }
    renames.push((live.clone(), kept.of(&live)));
    renames.push((Use::Next.of(&live), live.clone()));
    exchange(target, &renames, &kept.of(&live), plan.patience).await
}

/// What the live database is to the ledger of the next one; `None` where it is empty.
pub(super) async fn replaced(
    target: &PostgresTarget,
    adopts: &(dyn Fn(&String) -> bool + Sync),
    before: Option<Content>,
) -> Result<Option<Content>, Error> {
    let first = before.is_none();
    let before = before.unwrap_or_default();
    let session = &*target.session;
    let schemas = user_schemas(&target.session).await?;
    let there = objects::of(session, &objects::themselves(&schemas)).await?;
    let others: Vec<String> = there
        .keys()
        .filter(|key| !before.brought(key) && !adopts(key))
        .take(10)
        .cloned()
        .collect();
    if !others.is_empty() {
        return Err(Error::Config(format!(
            "the live database has what no release brought, and would leave with it: {}; --adopt replaces what the dump brings, too",
            others.join(", ")
        )));
    }
    let content = Content {
        in_database: true,
        ..before
    };
    Ok((!first || !there.is_empty()).then_some(content))
}

async fn exchange(
    target: &mut PostgresTarget,
    renames: &[(String, String)],
    closed: &str,
    patience: Duration,
) -> Result<(), Error> {
    // Our own session stands in the way.
    let beside = database::elsewhere(&target.access).await?;
    target.move_to(beside).await?.close().await;
    let renamed = database::rename(&target.access, renames, closed, patience).await;
    let session = target.access.connect().await?;
    target.move_to(session).await?.close().await;
    let outage = renamed?;
    let milliseconds = u64::try_from(outage.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        outage_ms = milliseconds,
        "swapped databases: the outage was {milliseconds} ms, and every session in them was ended"
    );
    Ok(())
}

/// Brings the previous database back.
pub(super) async fn back(
    target: &mut PostgresTarget,
    live: Content,
    previous: Content,
) -> Result<(Release, Release), Error> {
    let name = target.access.options.database.clone();
    let kept = Use::Previous.of(&name);
    if !exists(&target.session, &kept).await? {
        return Err(Error::Config(format!(
            "there is no way back: somebody dropped the database {kept}"
        )));
    }
    database::open(&*target.session, &kept, true).await?;
    let mut session = target.access.connect_to(&kept).await?;
    copy_books(&target.session, &session).await?;
    if live.inherits_rights && !previous.release.digest.is_empty() {
        for schema in &previous.schemas {
            grants::carry_over(&*target.session, &*session, schema).await?;
        }
    }
    let proves = !target.access.options.overwrite_modified;
    let undone = Content {
        in_database: true,
        ..live.clone()
    };
    let transaction = session.transaction().await?;
    ledger::reject(&transaction, &live.release).await?;
    ledger::write(&transaction, Role::Previous, None).await?;
    // Killed before it is looked at, the next run looks.
    let undone = proves.then_some(&undone);
    ledger::write(&transaction, Role::Undone, undone).await?;
    if previous.release.digest.is_empty() {
        ledger::write(&transaction, Role::Live, Some(&previous.live_again())).await?;
    }
    transaction.commit().await?;
    session.close().await;
    refuse_gone(target).await?;
    let renames = [(name.clone(), Use::Gone.of(&name)), (kept, name.clone())];
    exchange(
        target,
        &renames,
        &Use::Gone.of(&name),
        Duration::from_secs(60),
    )
    .await?;
    if proves && let Some(table) = written_to(target, &live, Use::Gone).await? {
        let (kept, gone) = (Use::Previous.of(&name), Use::Gone.of(&name));
        // What was replaced is closed, and would stay so under the live name.
        database::open(&*target.session, &gone, true).await?;
        let turned = [(name.clone(), kept.clone()), (gone, name)];
        exchange(target, &turned, &kept, Duration::from_secs(60)).await?;
        return Err(Error::Locked(format!(
            "somebody wrote to {table} in the last moment; the rollback was turned back"
        )));
    }
    ledger::write(&*target.session, Role::Undone, None).await?;
    Ok((live.release, previous.release))
}

/// See [`super::swap::refuse_gone`].
async fn refuse_gone(target: &PostgresTarget) -> Result<(), Error> {
    let gone = Use::Gone.of(&target.access.options.database);
    if !exists(&target.session, &gone).await? {
        return Ok(());
    }
    Err(Error::Config(format!(
        "the database {gone}, which an earlier swap has replaced, is still there: somebody wrote to it in the last moment, \
         or this account may not drop it; look, DROP DATABASE {gone}, then try again",
        gone = quote(&gone)
    )))
}

/// What people rejected and asked for goes along.
async fn copy_books(from: &Session, to: &Session) -> Result<(), Error> {
    ledger::prepare(&**to).await?;
    // What was forgiven meanwhile is not rejected again.
    to.execute("DELETE FROM pilotfish.rejected", &[]).await?;
    for (digest, contents) in ledger::rejected(&**from).await? {
        to.execute(
            "INSERT INTO pilotfish.rejected (digest, contents) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING",
            &[&digest, &contents],
        )
        .await?;
    }
    let loads = from
        .query(
            "SELECT asker, id, body FROM pilotfish.loads ORDER BY seq",
            &[],
        )
        .await?;
    for row in loads {
        let (asker, id, body): (String, String, String) =
            (cell(&row, 0)?, cell(&row, 1)?, cell(&row, 2)?);
        to.execute(
            "INSERT INTO pilotfish.loads (asker, id, body) VALUES ($1, $2, $3) \
             ON CONFLICT (asker, id) DO UPDATE SET body = excluded.body",
            &[&asker, &id, &body],
        )
        .await?;
    }
    Ok(())
}

/// The schemas of people.
async fn user_schemas(session: &Session) -> Result<BTreeSet<String>, Error> {
    let mut schemas = room::all(&**session).await?;
    schemas.retain(|name| !is_ours(name) && !super::names::is_system(name));
    Ok(schemas)
}

/// The first table of a replaced database that somebody wrote to before its sessions were ended.
pub(super) async fn written_to(
    target: &PostgresTarget,
    replaced: &Content,
    place: Use,
) -> Result<Option<String>, Error> {
    let name = place.of(&target.access.options.database);
    if !exists(&target.session, &name).await? {
        return Ok(None);
    }
    database::open(&*target.session, &name, true).await?;
    let looked = look(target, replaced, &name).await;
    database::open(&*target.session, &name, false).await?;
    looked
}

async fn look(
    target: &PostgresTarget,
    replaced: &Content,
    name: &str,
) -> Result<Option<String>, Error> {
    let session = target.access.connect_to(name).await?;
    let mut there = BTreeSet::new();
    for schema in &replaced.schemas {
        there.extend(room::tables(&*session, schema, schema).await?);
    }
    let tables = replaced.release.tables.iter();
    let proven = tables.filter(|(table, record)| record.proof.is_some() && there.contains(*table));
    for (table, record) in proven {
        let (schema, table_name) = parts(table)?;
        let written =
            drift::written(&*session, &qualified(&schema, &table_name), table, replaced).await?;
        if written.differs(record.rows).is_some() {
            return Ok(Some(table.clone()));
        }
    }
    session.close().await;
    Ok(None)
}
