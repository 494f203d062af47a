//! The way back: the previous release is swapped in again, and the live one rejected.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ledger;
use super::names::Marker;
use super::names_taken::{drop_aside, step_aside, views_in_the_way};
use super::swap::{follow, moves};
use super::target::MysqlTarget;
use super::{rejected, swap, unproven};
use crate::Error;
use crate::load::{Release, TableRecord};

/// Swaps the previous release back; returns (undone, live again).
pub(super) async fn back(
    target: &mut MysqlTarget,
    overwrite_modified: bool,
) -> Result<(Release, Release), Error> {
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
    let reversed: Vec<(String, String)> = renames
        .iter()
        .rev()
        .map(|(from, to)| (to.clone(), from.clone()))
        .collect();
    let back = swap::rename_statement(&reversed);
    unproven::note(target, (!overwrite_modified).then_some(&back)).await?;
    book(target, &now.release, true).await?;
    if let Err(error) = swap::switch(target, &now, &leaving, &renames, PATIENCE).await {
        book(target, &now.release, false).await?;
        return Err(error);
    }
    let turned_back = unproven::decide(target).await?;
    if now.release.unlogged {
        target.log_statements(false).await?;
    }
    if let Some(table) = turned_back {
        book(target, &now.release, false).await?;
        return Err(Error::Locked(format!(
            "somebody wrote to {table} while the rollback waited for it, so that it was undone"
        )));
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

/// Notes that the release is rejected, or not: also on replicas that never had it.
async fn book(target: &mut MysqlTarget, release: &Release, reject: bool) -> Result<(), Error> {
    if release.unlogged {
        target.log_statements(true).await?;
    }
    let live = target.access.names.live.clone();
    if reject {
        rejected::add(&mut target.conn, &live, release).await?;
    } else {
        rejected::forgive(&mut target.conn, &live, &release.digest).await?;
    }
    if release.unlogged {
        target.log_statements(false).await?;
    }
    Ok(())
}

/// How long a rollback looks for a moment without readers in the way.
const PATIENCE: Duration = Duration::from_secs(60);
