//! What would stop a swap, told before anything is staged: a person waits hours for a load, not for its refusal.
//!
//! The swap asks all of it again, in its own transaction.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::GenericClient;

use super::edges::{self, Edge};
use super::ledger::{self, Role};
use super::names::{is_ours, is_part, is_system};
use super::objects::Object;
use super::schemas::parts;
use super::target::PostgresTarget;
use super::{belongings, database, objects, room, swap_database};
use crate::Error;
use crate::load::Coming;
use crate::postgres::cell;

/// So many objects are named.
const SHOWN: usize = 10;

/// See [`crate::load::Target::foresee`].
pub(super) async fn foresee(target: &PostgresTarget, coming: &Coming) -> Result<(), Error> {
    let client = &*target.session;
    let before = ledger::read(client, Role::Live).await?;
    if target.access.is_database() {
        database::refuse_slots(&target.session, &target.access.options.database).await?;
        if !coming.adopt {
            swap_database::replaced(target, &|_| false, before).await?;
        }
        return Ok(());
    }
    let before = before.unwrap_or_default();
    let mut swapped = before.schemas.clone();
    for table in &coming.tables {
        swapped.insert(parts(table)?.0);
    }
    let there = objects::of(client, &objects::themselves(&swapped)).await?;
    let mut theirs = there;
    theirs.retain(|key, _| !before.brought(key));
    refuse_owned_by_others(&theirs)?;
    let schemas: Vec<String> = swapped.into_iter().collect();
    refuse_more_than_fit(client, &schemas).await?;
    belongings::refuse_publications(client, &schemas, &before, coming).await?;
    let all = room::all(client).await?;
    let ours: Vec<String> = all.into_iter().filter(|name| is_part(name)).collect();
    let mut edges = edges::into(client, &schemas, &ours).await?;
    // A session and its temporary tables may be gone until then.
    edges.retain(|edge| !edge.is_temporary());
    // What is replaced by the dump's own does not stay.
    let named = names_of(&coming.objects);
    theirs.retain(|key, _| !coming.tables.contains(key) && !named.contains(key.as_str()));
    let stay: Vec<u32> = theirs.values().map(|object| object.oid).collect();
    if !stay.is_empty() {
        edges.extend(edges::of_objects(client, &schemas, &stay).await?);
    }
    refuse_edges(edges)
}

/// Names in keys such as `materialized view v`; kinds have up to four words.
fn names_of(objects: &BTreeSet<String>) -> BTreeSet<&str> {
    let behind = |key: &'_ str| {
        let spaces = key.match_indices(' ').take(4);
        spaces.map(|(at, _)| at + 1).collect::<Vec<_>>()
    };
    let names = objects
        .iter()
        .flat_map(|key| behind(key).into_iter().map(move |at| &key[at..]));
    names.collect()
}

/// A swap locks every table that leaves, and the server has room for so many locks.
async fn refuse_more_than_fit(
    client: &impl GenericClient,
    schemas: &[String],
) -> Result<(), Error> {
    const LOCKS: &str = "SELECT count(*), current_setting('max_locks_per_transaction')::int8 \
        * (current_setting('max_connections')::int8 + current_setting('max_prepared_transactions')::int8) \
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";
    let row = client.query_one(LOCKS, &[&schemas]).await?;
    let (needed, room): (i64, i64) = (cell(&row, 0)?, cell(&row, 1)?);
    // It lends twice as many, measured on 15, where nobody else asks for memory: the swap finds out.
    if needed <= room * 2 {
        return Ok(());
    }
    Err(Error::Config(format!(
        "the swap would lock {needed} tables and views at once, and the server has room for {room} locks: raise \
         max_locks_per_transaction there and restart it, or load by --swap database"
    )))
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
    if placed.iter().all(Edge::is_temporary) {
        return Err(Error::Locked(format!(
            "a session has something temporary that would stay with the replaced release: {}",
            edges::said(&placed)
        )));
    }
    Err(Error::Config(format!(
        "something of others would stay with the replaced release: {}; bring it in the same dump, or drop it and make \
         it again after the load",
        edges::said(&placed)
    )))
}

/// What stays in a swapped schema is moved there by its owner only.
fn refuse_owned_by_others(objects: &BTreeMap<String, Object>) -> Result<(), Error> {
    let strange: Vec<String> = objects
        .iter()
        .filter_map(|(key, object)| Some(format!("{key} (of {})", object.owner.as_ref()?)))
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
