//! A rollback between its RENAME and its proof.
//!
//! Whoever held a table while the RENAME looked for its moment may have written to it. Afterwards nobody
//! can: what was written is seen then, and the rollback turned back rather than the rows dropped. Until
//! that is decided the marker that came live carries the RENAME that turns it back: where the loader is
//! killed, or others keep it from the tables, the next one decides.

use std::time::Duration;

use mysql_async::params;
use mysql_async::prelude::Queryable as _;

use super::ledger::{self, Entry};
use super::names::Marker;
use super::patience::{Limit, patiently};
use super::swap;
use super::target::MysqlTarget;
use crate::Error;
use crate::load::{Release, Target as _};

/// How long turning back looks for a moment without readers in the way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Notes in the marker of the previous release how its rollback is turned back; `None` where nobody minds
/// what is written meanwhile.
pub(super) async fn note(target: &mut MysqlTarget, back: Option<&str>) -> Result<(), Error> {
    let marker = target.access.names.marker(Marker::Previous);
    target
        .conn
        .query_drop(format!("DELETE FROM {marker} WHERE kind = 'turn back'"))
        .await?;
    let Some(back) = back else { return Ok(()) };
    target
        .conn
        .exec_drop(
            format!(
                "INSERT INTO {marker} (kind, seq, name, detail, body) VALUES ('turn back', 0, '', '', :back)"
            ),
            params! { "back" => back },
        )
        .await?;
    Ok(())
}

/// Decides a rollback that is not proven, where there is one; returns the table that somebody wrote to,
/// when it was turned back.
///
/// # Errors
/// `Locked` when others keep the tables; everything stays as it is then.
pub(super) async fn decide(target: &mut MysqlTarget) -> Result<Option<String>, Error> {
    let Some(back) = noted(target).await? else {
        return Ok(None);
    };
    let names = target.access.names.clone();
    let undone = ledger::read(&mut target.conn, &names, Marker::Next).await?;
    let undone = undone.unwrap_or_default().release;
    if !undone.unlogged {
        return prove(target, back, &undone).await;
    }
    // Replicas never had it.
    target.log_statements(false).await?;
    let outcome = prove(target, back, &undone).await;
    target.log_statements(true).await?;
    outcome
}

async fn noted(target: &mut MysqlTarget) -> Result<Option<Vec<u8>>, Error> {
    let names = target.access.names.clone();
    if !ledger::exists(&mut target.conn, &names, Marker::Live).await? {
        return Ok(None);
    }
    let live = names.marker(Marker::Live);
    let noted = format!("SELECT body FROM {live} WHERE kind = 'turn back'");
    Ok(target.conn.query_first(noted).await?)
}

async fn prove(
    target: &mut MysqlTarget,
    back: Vec<u8>,
    undone: &Release,
) -> Result<Option<String>, Error> {
    let names = target.access.names.clone();
    let left = target.tables_of(&names.staging).await?;
    let left = left.into_keys().collect();
    let written = swap::written_to(target, &names.staging, undone, &left).await?;
    let Some(table) = written.into_iter().next() else {
        let live = names.marker(Marker::Live);
        target
            .conn
            .query_drop(format!("DELETE FROM {live} WHERE kind = 'turn back'"))
            .await?;
        return Ok(None);
    };
    let entry = Entry {
        sql: back,
        ..Entry::plain("turn the rollback back", String::new())
    };
    patiently(target, &entry, Limit::stubborn(PATIENCE))
        .await
        .map_err(|error| still_open(&table, error))?;
    target.finish().await?;
    Ok(Some(table))
}

fn still_open(table: &str, error: Error) -> Error {
    match error {
        Error::Locked(who) => Error::Locked(format!(
            "somebody wrote to {table} while a rollback waited for it; nothing is lost, and the next load or \
             rollback goes on: {who}"
        )),
        error => error,
    }
}
