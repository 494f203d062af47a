//! Triggers keep a table from changing its schema (error 1435): they are dropped before a swap, after
//! they were written into the live marker, so that a swap that fails, or is killed, makes them again.

use std::collections::BTreeSet;

use mysql_async::Row;

use super::ledger::{self, Content, Detail, Entry};
use super::names::{Marker, qualified};
use super::objects;
use super::patience::{Limit, patiently};
use super::target::MysqlTarget;
use crate::Error;
use crate::load::{ObjectKind, SessionState};
use crate::mysql_family::ask::Ask as _;

/// Whether tables that are about to move have triggers.
pub(super) async fn any(target: &mut MysqlTarget, moved: &BTreeSet<String>) -> Result<bool, Error> {
    let triggers = target.live_triggers().await?;
    Ok(triggers.iter().any(|(_, table)| moved.contains(table)))
}

/// Drops the triggers of tables that are about to move.
pub(super) async fn set_aside(
    target: &mut MysqlTarget,
    live: &Content,
    moved: &BTreeSet<String>,
    limit: Limit,
) -> Result<(), Error> {
    let triggers: Vec<(String, String)> = target
        .live_triggers()
        .await?
        .into_iter()
        .filter(|(_, table)| moved.contains(table))
        .collect();
    if triggers.is_empty() {
        return Ok(());
    }
    let names = target.access.names.clone();
    if ledger::exists(&mut target.conn, &names, Marker::Live).await? {
        let mut todo = Vec::with_capacity(triggers.len() + live.todo.len());
        for (trigger, table) in &triggers {
            let key = format!("trigger {trigger}");
            let ours = live.objects.iter().find(|entry| entry.key == key);
            todo.push(match ours {
                Some(entry) => entry.clone(),
                None => definition(target, trigger, table).await?,
            });
        }
        // What the last swap left open stays open.
        let open = |entry: &&Entry| todo.iter().all(|trigger| trigger.key != entry.key);
        let open: Vec<Entry> = live.todo.iter().filter(open).cloned().collect();
        todo.extend(open);
        ledger::write_todo(&mut target.conn, &names, Marker::Live, &todo).await?;
    }
    for (trigger, _) in &triggers {
        let drop = format!("DROP TRIGGER IF EXISTS {}", qualified(&names.live, trigger));
        let entry = Entry::plain(&format!("drop the trigger {trigger}"), drop);
        patiently(target, &entry, limit).await?;
    }
    Ok(())
}

/// A trigger that no release brought, as the server has it.
async fn definition(target: &mut MysqlTarget, trigger: &str, table: &str) -> Result<Entry, Error> {
    let name = qualified(&target.access.names.live, trigger);
    let row: Option<Row> = target
        .conn
        .query_first(format!("SHOW CREATE TRIGGER {name}"))
        .await?;
    let column = |at: usize| -> Option<String> { row.as_ref()?.get_opt(at)?.ok() };
    let (Some(sql_mode), Some(statement)) = (column(1), column(2)) else {
        return Err(Error::Denied(format!(
            "read the trigger {trigger}: grant TRIGGER on its table"
        )));
    };
    let mut session = vec![("sql_mode".to_owned(), sql_mode)];
    for (at, name) in [(3, "character_set_client"), (4, "collation_connection")] {
        session.extend(column(at).map(|value| (name.to_owned(), value)));
    }
    Ok(Entry {
        key: format!("trigger {trigger}"),
        detail: Detail {
            table: Some(table.to_owned()),
            session: SessionState(session.into_iter().collect()),
            before: Some(objects::drop_statement(ObjectKind::Trigger, trigger)),
            ..Detail::default()
        },
        sql: statement.into_bytes(),
    })
}
