//! A difference undone: the same way, with what was kept of it.

use std::collections::BTreeMap;

use super::exchange::{self, Moved};
use super::shape::Shape;
use super::{Undo, seize, unwritten, written};
use crate::Error;
use crate::load::Release;
use crate::postgres::cell;
use crate::postgres::load::drift::Moment;
use crate::postgres::load::ledger::{self, Content, Role};
use crate::postgres::load::schemas::live_table;
use crate::postgres::load::target::PostgresTarget;

/// Brings the previous release back and rejects the live one; returns (undone, live again).
///
/// # Errors
/// `Locked` when somebody wrote to a table of the difference: nothing was changed then.
pub(in crate::postgres::load) async fn back(
    target: &mut PostgresTarget,
    undo: &Undo,
    live: Content,
    previous: &Content,
) -> Result<(Release, Release), Error> {
    let proves = !target.access.options.overwrite_modified;
    let cancel = target.access.options.cancel.clone();
    let transaction = target.session.transaction().await?;
    seize(&transaction, undo.tables.keys(), &cancel).await?;
    let mut foreign = Vec::new();
    if proves {
        unwritten(&transaction, &live, undo.tables.keys()).await?;
    } else {
        for name in undo.tables.keys() {
            if written(&transaction, &live, name).await?.is_some() {
                tracing::warn!(table = name, "rows that others wrote stay in it");
                foreign.push(name.clone());
            }
        }
    }
    let mut moved = Vec::with_capacity(undo.tables.len());
    for (name, kept) in &undo.tables {
        let place = live_table(name)?;
        moved.push(Moved {
            name: name.clone(),
            shape: Shape::of(&transaction, &place).await?,
            live: place,
            come: kept.rows(),
            gone: kept.keys(),
            going: kept.came,
            coming: kept.went,
            may_lose: !proves,
        });
    }
    exchange::carry_out(&transaction, &moved).await?;
    let mut then = Content {
        undo: None,
        ..previous.live_again()
    };
    let moment = Moment::of(&transaction).await?;
    for name in undo.tables.keys() {
        let moment = moment.of_table(&transaction, name, &live).await?;
        then.moments.insert(name.clone(), moment);
    }
    for name in &foreign {
        // It is no release's any more: the next load takes it anew.
        let count = format!("SELECT pg_catalog.count(*) FROM ONLY {}", live_table(name)?);
        let rows: i64 = cell(&transaction.query_one(&count, &[]).await?, 0)?;
        if let Some(record) = then.release.tables.get_mut(name) {
            (record.digest, record.rows) = (String::new(), rows.unsigned_abs());
        }
    }
    ledger::reject(&transaction, &live.release).await?;
    ledger::write(&transaction, Role::Previous, None).await?;
    ledger::write(&transaction, Role::Live, Some(&then)).await?;
    // No transaction takes them back: nothing that may fail is left.
    transaction
        .batch_execute("SET CONSTRAINTS ALL IMMEDIATE")
        .await?;
    for (name, value, called) in &undo.sequences {
        const SET: &str = "SELECT pg_catalog.setval($1::text::pg_catalog.regclass, $2, $3)";
        transaction.query(SET, &[name, value, called]).await?;
    }
    transaction.commit().await?;
    Ok((live.release, then.release))
}

/// Tables whose way back is not whole any more, with how that was seen.
pub(in crate::postgres::load) async fn damaged(
    target: &PostgresTarget,
    undo: &Undo,
) -> Result<BTreeMap<String, String>, Error> {
    let mut damaged = BTreeMap::new();
    for (name, kept) in &undo.tables {
        for (place, rows) in [(kept.rows(), kept.went), (kept.keys(), kept.came)] {
            if let Some(how) = lost(target, &place, rows).await? {
                damaged.insert(name.clone(), how);
            }
        }
    }
    Ok(damaged)
}

async fn lost(target: &PostgresTarget, place: &str, rows: u64) -> Result<Option<String>, Error> {
    let there = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
    if !cell::<bool>(&target.session.query_one(there, &[&place]).await?, 0)? {
        return Ok(Some("gone".to_owned()));
    }
    let count = format!("SELECT pg_catalog.count(*) FROM {place}");
    let left: i64 = cell(&target.session.query_one(&count, &[]).await?, 0)?;
    let left = left.unsigned_abs();
    Ok((left < rows).then(|| format!("{left} of {rows} rows are left of what undoes its change")))
}
