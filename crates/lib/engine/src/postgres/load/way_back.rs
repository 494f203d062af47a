//! The way back to the release before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::Transaction;

use super::exchange::{self, Exchange, Within};
use super::ledger::{self, Content, Role};
use super::names::Part;
use super::schemas::{parts, qualified};
use super::target::PostgresTarget;
use super::{attached, difference, drift, grants, objects, room, swap, swap_database};
use crate::Error;
use crate::load::Release;

/// Longest search for a moment without readers in the way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Swaps the previous release back; returns (undone, live again).
pub(super) async fn back(target: &mut PostgresTarget) -> Result<(Release, Release), Error> {
    let live = ledger::read(&*target.session, Role::Live).await?;
    let previous = ledger::read(&*target.session, Role::Previous).await?;
    let (Some(live), Some(previous)) = (live, previous) else {
        return Err(Error::Config(
            "there is no previous release to go back to".to_owned(),
        ));
    };
    if let Some(undo) = &previous.undo {
        return difference::back(target, undo, live, &previous).await;
    }
    if previous.in_database {
        return swap_database::back(target, live, previous).await;
    }
    let there = room::all(&*target.session).await?;
    let exchange = exchange(target, &live, &previous, &there).await?;
    let access = target.access.clone();
    let proves = !access.options.overwrite_modified;
    let ledger = Back {
        live: live.clone(),
        previous: previous.clone(),
        proves,
    };
    exchange::carry_out(&mut target.session, &access, &exchange, &ledger, PATIENCE).await?;
    if proves && let Some(table) = written_to(target, &live, Part::Gone).await? {
        let turned = exchange.reversed(exchange.comes.clone());
        let again = Again { live, previous };
        exchange::carry_out(&mut target.session, &access, &turned, &again, PATIENCE).await?;
        return Err(Error::Locked(format!(
            "somebody wrote to {table} in the last moment; the rollback was turned back"
        )));
    }
    ledger::write(&*target.session, Role::Undone, None).await?;
    Ok((live.release, previous.release))
}

async fn exchange(
    target: &PostgresTarget,
    live: &Content,
    previous: &Content,
    there: &BTreeSet<String>,
) -> Result<Exchange, Error> {
    let comes = |schema: &&String| there.contains(&Part::Previous.of(schema));
    if let Some(gone) = previous.schemas.iter().find(|schema| !comes(schema)) {
        return Err(Error::Config(format!(
            "there is no way back: somebody dropped the schema {}",
            Part::Previous.of(gone)
        )));
    }
    let places: Vec<_> = previous
        .schemas
        .iter()
        .map(|live| (Part::Previous.of(live), live.clone()))
        .collect();
    let kept = objects::of(&*target.session, &places).await?;
    // What both releases share was not swapped, and stays; a table that somebody dropped from the one before is no such.
    let table = |content: &Content, key: &String| {
        let record = content.release.tables.get(key);
        record.map(|record| record.digest.clone())
    };
    let shared = |key: &&String| {
        let alike = table(live, key) == table(previous, key);
        alike && previous.objects.contains(*key) && !kept.contains_key(*key)
    };
    let leaves = live.objects.iter().filter(|key| !shared(key)).cloned();
    let leaves = leaves.collect();
    let leaving = live.schemas.iter().chain(&previous.schemas);
    let leaving: BTreeSet<&String> = leaving.filter(|schema| there.contains(*schema)).collect();
    for schema in &leaving {
        swap::refuse_gone(there, &Part::Gone.of(schema))?;
    }
    Ok(Exchange {
        leaving: leaving
            .into_iter()
            .map(|live| (live.clone(), Part::Gone.of(live)))
            .collect(),
        coming: previous
            .schemas
            .iter()
            .map(|live| (Part::Previous.of(live), live.clone()))
            .collect(),
        cleared: Vec::new(),
        leaves,
        comes: kept.into_keys().collect(),
        // They were live: whoever has a snapshot has seen them.
        youngest: None,
    })
}

/// The first table of a release that is no longer live and that somebody wrote to while it was.
pub(super) async fn written_to(
    target: &PostgresTarget,
    content: &Content,
    part: Part,
) -> Result<Option<String>, Error> {
    let proven = content
        .release
        .tables
        .iter()
        .filter(|(_, record)| record.proof.is_some());
    let mut there = BTreeSet::new();
    for schema in &content.schemas {
        there.extend(room::tables(&*target.session, &part.of(schema), schema).await?);
    }
    // What somebody dropped has no rows that could be lost.
    for (table, record) in proven.filter(|(table, _)| there.contains(*table)) {
        let (schema, name) = parts(table)?;
        let place = qualified(&part.of(&schema), &name);
        let written = drift::written(&*target.session, &place, table, content).await?;
        if written.differs(record.rows).is_some() {
            return Ok(Some(table.clone()));
        }
    }
    Ok(None)
}

/// Tables of the release before that lost rows, or are gone, with how that was seen.
pub(super) async fn damaged(
    target: &PostgresTarget,
    previous: &Content,
) -> Result<BTreeMap<String, String>, Error> {
    if let Some(undo) = &previous.undo {
        return difference::damaged(target, undo).await;
    }
    let client = &*target.session;
    let mut there = BTreeSet::new();
    for schema in &previous.schemas {
        there.extend(room::tables(client, &Part::Previous.of(schema), schema).await?);
    }
    let places: Vec<_> = previous
        .schemas
        .iter()
        .map(|schema| (Part::Previous.of(schema), schema.clone()))
        .collect();
    let objects = objects::of(client, &places).await?;
    let mut damaged = attached::taken_off(client, previous, &places, &objects).await?;
    let others = previous.objects.iter();
    let gone = others.filter(|key| !previous.release.tables.contains_key(*key));
    let gone = gone.filter(|key| !objects.contains_key(*key));
    damaged.extend(gone.map(|key| (key.clone(), "gone".to_owned())));
    for (table, record) in &previous.release.tables {
        if !there.contains(table) {
            damaged.insert(table.clone(), "gone".to_owned());
            continue;
        }
        if record.proof.is_none() {
            continue;
        }
        let (schema, name) = parts(table)?;
        let place = qualified(&Part::Previous.of(&schema), &name);
        let written = drift::written(client, &place, table, previous).await?;
        if let Some(how) = written.lost(record.rows) {
            damaged.insert(table.clone(), how);
        }
    }
    Ok(damaged)
}

struct Back {
    live: Content,
    previous: Content,
    /// What somebody wrote or made since is not given up.
    proves: bool,
}

#[async_trait]
impl Within for Back {
    async fn seized(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        match self.proves {
            true => attached::refuse(transaction, &self.live).await,
            false => Ok(()),
        }
    }

    async fn run(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        swap::unfollow(transaction, &self.live.follows).await?;
        swap::follow(transaction, &self.previous.follows).await?;
        if self.live.inherits_rights && !self.previous.release.digest.is_empty() {
            for schema in self.live.schemas.intersection(&self.previous.schemas) {
                grants::carry_on(transaction, &Part::Gone.of(schema), schema).await?;
            }
        }
        ledger::reject(transaction, &self.live.release).await?;
        ledger::write(transaction, Role::Previous, None).await?;
        // Killed before it is looked at, the next run looks.
        let undone = self.proves.then_some(&self.live);
        ledger::write(transaction, Role::Undone, undone).await?;
        ledger::write(transaction, Role::Live, Some(&self.previous.live_again())).await
    }
}

struct Again {
    live: Content,
    previous: Content,
}

#[async_trait]
impl Within for Again {
    async fn run(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        swap::unfollow(transaction, &self.previous.follows).await?;
        swap::follow(transaction, &self.live.follows).await?;
        ledger::write(transaction, Role::Undone, None).await?;
        ledger::forgive(transaction, &self.live.release.digest).await?;
        ledger::write(transaction, Role::Previous, Some(&self.previous)).await?;
        ledger::write(transaction, Role::Live, Some(&self.live)).await
    }
}
