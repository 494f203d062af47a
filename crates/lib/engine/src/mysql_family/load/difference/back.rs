//! A difference undone: the same way, with what was kept of it.

use super::undo::{Undo, UndoTable};
use super::{Shape, begin, run_for, settle_in};
use crate::Error;
use crate::load::Release;
use crate::mysql_family::ask::Ask as _;
use crate::mysql_family::load::ledger::{self, Content};
use crate::mysql_family::load::names::{Marker, qualified};
use crate::mysql_family::load::rejected;
use crate::mysql_family::load::target::MysqlTarget;

/// Brings the previous release back and rejects the live one; returns (undone, live again).
///
/// # Errors
/// `Locked` when somebody changed rows of the difference: nothing was changed then.
pub(in crate::mysql_family::load) async fn back(
    target: &mut MysqlTarget,
    undo: &Undo,
    now: Content,
    then: Content,
) -> Result<(Release, Release), Error> {
    if now.release.unlogged {
        target.log_statements(false).await?;
    }
    rejected::book(target, &now.release, true).await?;
    settle_in(&mut target.conn).await?;
    if let Err(error) = undone(target, undo, &then).await {
        target.conn.query_drop("ROLLBACK").await?;
        target.settle().await?;
        rejected::book(target, &now.release, false).await?;
        return Err(error);
    }
    target.settle().await?;
    let names = target.access.names.clone();
    ledger::drop(&mut target.conn, &names, Marker::Previous).await?;
    target.drop_schema(&names.undo).await?;
    Ok((now.release, then.release))
}

async fn undone(target: &mut MysqlTarget, undo: &Undo, then: &Content) -> Result<(), Error> {
    let names = target.access.names.clone();
    begin(&mut target.conn).await?;
    for (name, table) in &undo.tables {
        exchange(target, name, table).await?;
    }
    let mut then = then.clone();
    then.release.since = ledger::now();
    ledger::overwrite(&mut target.conn, &names, Marker::Live, &then).await?;
    let marker = names.marker(Marker::Previous);
    target
        .conn
        .query_drop(format!("DELETE FROM {marker}"))
        .await?;
    Ok(target.conn.query_drop("COMMIT").await?)
}

async fn exchange(target: &mut MysqlTarget, name: &str, table: &UndoTable) -> Result<(), Error> {
    let names = target.access.names.clone();
    let live = qualified(&names.live, name);
    let (rows, keys) = (
        qualified(&names.undo, &table.rows),
        qualified(&names.undo, &table.keys),
    );
    let conn = &mut target.conn;
    let shape = Shape::of(conn, &names.live, name).await?;
    let columns = shape.columns();
    let delete = format!(
        "DELETE l FROM {keys} AS g STRAIGHT_JOIN {live} AS l ON {}",
        shape.joins("l", "g")
    );
    run_for(conn, &delete, table.came, name).await?;
    let insert = format!("INSERT INTO {live} ({columns}) SELECT {columns} FROM {rows}");
    run_for(conn, &insert, table.went, name).await
}
