//! What would stop a swap, told before anything is staged: a person waits hours for a load, not for its refusal.
//!
//! The swap asks all of it again, in its own transaction.

use std::collections::BTreeSet;

use super::edges::{self, Edge};
use super::ledger::{self, Role};
use super::names::{is_ours, is_system};
use super::schemas::parts;
use super::target::PostgresTarget;
use super::{belongings, database, objects, room};
use crate::Error;
use crate::postgres::cell;

/// So many objects are named.
const SHOWN: usize = 10;

/// See [`crate::load::Target::foresee`].
pub(super) async fn foresee(
    target: &PostgresTarget,
    tables: &BTreeSet<String>,
) -> Result<(), Error> {
    let before = ledger::read(&*target.session, Role::Live).await?;
    let before = before.unwrap_or_default();
    if target.access.is_database() {
        return database::refuse_slots(&target.session, &target.access.options.database).await;
    }
    let mut swapped = before.schemas.clone();
    for table in tables {
        swapped.insert(parts(table)?.0);
    }
    let recorded =
        |key: &String| before.objects.contains(key) || before.release.tables.contains_key(key);
    let there = objects::of(&*target.session, &objects::themselves(&swapped)).await?;
    let theirs = there.into_iter().filter(|(key, _)| !recorded(key));
    refuse_owned_by_others(theirs)?;
    let schemas: Vec<String> = swapped.into_iter().collect();
    belongings::refuse_publications(&*target.session, &schemas, &before).await?;
    let all = room::all(&*target.session).await?;
    let ours: Vec<String> = all.into_iter().filter(|name| is_ours(name)).collect();
    refuse_edges(edges::into(&*target.session, &schemas, &ours).await?)
}

/// Whether people made something in the database that no release brought.
pub(super) async fn has_others(target: &PostgresTarget) -> Result<bool, Error> {
    let live = ledger::read(&*target.session, Role::Live).await?;
    let live = live.unwrap_or_default();
    let mut schemas = room::all(&*target.session).await?;
    schemas.retain(|name| !is_ours(name) && !is_system(name));
    let there = objects::of(&*target.session, &objects::themselves(&schemas)).await?;
    Ok(there.keys().any(|key| !live.objects.contains(key)))
}

/// Refuses what lives elsewhere and depends on what is swapped: it would stay with the replaced release, and a database
/// of its own would leave it out. What belongs to the database is made anew by the swap, or asks for another database.
pub(super) fn refuse_edges(edges: Vec<Edge>) -> Result<(), Error> {
    let placed: Vec<Edge> = edges.into_iter().filter(Edge::is_placed).collect();
    if placed.is_empty() {
        return Ok(());
    }
    Err(Error::Config(format!(
        "something of others would stay with the replaced release: {}; bring it in the same dump, or drop it and make \
         it again after the load",
        edges::said(&placed)
    )))
}

/// What stays in a swapped schema is moved there by its owner only.
fn refuse_owned_by_others(
    objects: impl Iterator<Item = (String, objects::Object)>,
) -> Result<(), Error> {
    let strange: Vec<String> = objects
        .filter_map(|(key, object)| Some(format!("{key} (of {})", object.owner?)))
        .take(SHOWN)
        .collect();
    if strange.is_empty() {
        return Ok(());
    }
    Err(Error::Config(format!(
        "what others own in a schema that is swapped cannot be kept there: {}; ALTER .. OWNER TO this account, or move \
         it to a schema of its own",
        strange.join(", ")
    )))
}

/// To which of these roles the account may not give what it makes.
pub(super) async fn strange_owners(
    target: &PostgresTarget,
    owners: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Error> {
    // Since 16 a membership may come without the right to act as that role.
    const STRANGE: &str = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY($1) \
        AND NOT pg_catalog.pg_has_role(current_user, oid, CASE WHEN current_setting('server_version_num')::int4 >= 160000 \
        THEN 'SET' ELSE 'MEMBER' END)";
    let owners: Vec<&String> = owners.iter().collect();
    let rows = target.session.query(STRANGE, &[&owners]).await?;
    rows.iter().map(|row| cell(row, 0)).collect()
}
