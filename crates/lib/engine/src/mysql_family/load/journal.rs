//! What follows a swap: statements that a RENAME cannot carry, kept in the live marker until they ran.

use std::time::Duration;

use pilotfish_sql::mysql::quote;

use super::ledger::{self, Entry};
use super::patience::{Limit, patiently};
use super::session;
use super::target::MysqlTarget;
use crate::Error;
use crate::mysql_family::ask::Ask as _;

/// How long each object looks for a moment without readers in its way.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// No such table, view over one, function or procedure, or trigger that another one shall follow or precede
/// (MySQL, MariaDB): another object must be made first.
pub(super) const NOT_YET: &[u16] = &[1146, 1356, 1305, 3011, 4031];

/// Runs what is still to do; what ran is taken off the list, so that it is safe to repeat. `limit` makes
/// one for each object.
pub(super) async fn finish(
    target: &mut MysqlTarget,
    limit: fn(Duration) -> Limit,
    patience: Duration,
) -> Result<(), Error> {
    let mut todo = match target.live_content().await? {
        Some(content) => content.todo,
        None => return Ok(()),
    };
    if todo.is_empty() {
        return Ok(());
    }
    let live = format!("USE {}", quote(&target.access.names.live));
    target.conn.query_drop(live).await?;
    while !todo.is_empty() {
        let before = todo.len();
        let (waiting, why) = walk(target, todo, || limit(patience)).await?;
        match why {
            Some(error) if waiting.len() == before => return Err(error),
            _ => todo = waiting,
        }
    }
    Ok(())
}

/// One walk over what is still to do; returns what must wait for another object.
async fn walk(
    target: &mut MysqlTarget,
    todo: Vec<Entry>,
    limit: impl Fn() -> Limit,
) -> Result<(Vec<Entry>, Option<Error>), Error> {
    let names = target.access.names.clone();
    let (mut waiting, mut why) = (Vec::new(), None);
    for entry in todo {
        match patiently(target, &entry, limit()).await {
            Ok(()) => ledger::done(&mut target.conn, &names, &entry.key).await?,
            Err(error) if error.number().is_some_and(|code| NOT_YET.contains(&code)) => {
                why = Some(named(&entry.key, error));
                waiting.push(entry);
            }
            Err(error) => return Err(named(&entry.key, error)),
        }
    }
    Ok((waiting, why))
}

/// Runs one statement under its own session settings.
pub(super) async fn run(target: &mut MysqlTarget, entry: &Entry) -> Result<(), Error> {
    session::apply(&mut target.conn, &entry.detail.session).await?;
    if let Some(before) = &entry.detail.before {
        target.conn.query_drop(before).await?;
    }
    Ok(target.conn.query_drop(entry.sql.as_slice()).await?)
}

/// The server's refusal, with the object's name.
pub(super) fn named(object: &str, error: Error) -> Error {
    match error {
        Error::Denied(message) => Error::Denied(format!("make {object}: {message}")),
        error => error.reworded(|message| format!("make {object}: {message}")),
    }
}
