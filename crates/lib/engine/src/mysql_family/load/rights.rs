//! Asks, before anything is swapped, for the rights on the live database that what follows the swap
//! needs: the rehearsal proves those on the stage, and without them rows would be live whose views,
//! routines and events are not.
//!
//! Each question names what is not there: the server looks at rights first, and nothing comes of it.

use std::collections::{BTreeMap, BTreeSet};

use pilotfish_sql::mysql::quote;

use super::ledger::Entry;
use super::names::{literal, qualified};
use super::target::MysqlTarget;
use super::triggers;
use crate::Error;
use crate::load::ObjectKind;
use crate::mysql_family::ask::Ask as _;

/// Whoever has grants on the live database, but not this one. Rights that come by a role are not seen.
const LACKS_CREATE_ROUTINE: &str = "WITH account AS (SELECT CONCAT('''', \
     LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1), \
     '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''') AS grantee), \
     here AS (SELECT s.privilege_type AS may FROM information_schema.schema_privileges s JOIN account a \
     ON s.grantee = a.grantee WHERE {live} LIKE s.table_schema), \
     everywhere AS (SELECT u.privilege_type AS may FROM information_schema.user_privileges u JOIN account a \
     ON u.grantee = a.grantee) \
     SELECT COALESCE(CURRENT_ROLE(), 'NONE') = 'NONE' AND EXISTS (SELECT 1 FROM here) \
     AND NOT EXISTS (SELECT 1 FROM here WHERE may = 'CREATE ROUTINE') \
     AND NOT EXISTS (SELECT 1 FROM everywhere WHERE may = 'CREATE ROUTINE')";

/// Refuses a swap whose `todo` could not be done, or whose `moved` tables have triggers that cannot be
/// taken off and put back.
pub(super) async fn ask(
    target: &mut MysqlTarget,
    todo: &[Entry],
    moved: &BTreeSet<String>,
) -> Result<(), Error> {
    let live = target.access.names.live.clone();
    let (none, nowhere) = (
        qualified(&live, "pilotfish_none"),
        qualified(&live, "pilotfish_nowhere"),
    );
    let (mut kinds, mut made) = (BTreeSet::new(), BTreeSet::new());
    for entry in todo {
        match ObjectKind::of_key(entry.key.strip_prefix("drop ").unwrap_or(&entry.key)) {
            Some((kind, _)) if entry.key.starts_with("drop ") => kinds.insert(kind.name()),
            Some((kind, _)) => kinds.insert(kind.name()) | made.insert(kind.name()),
            None => false,
        };
    }
    let set_aside = triggers::any(target, moved).await?;
    let routines = ["function", "procedure", "package", "package body"];
    let is_routine = |kind: &&str| routines.contains(kind);
    let questions = [
        (
            made.contains(ObjectKind::View.name()),
            "CREATE VIEW",
            format!("CREATE VIEW {none} AS SELECT * FROM {nowhere}"),
        ),
        (
            set_aside || kinds.contains(ObjectKind::Trigger.name()),
            "TRIGGER",
            format!(
                "CREATE TRIGGER {none} BEFORE INSERT ON {nowhere} FOR EACH ROW SET @pilotfish = 1"
            ),
        ),
        (
            set_aside,
            "LOCK TABLES",
            format!("LOCK TABLES {nowhere} WRITE"),
        ),
        (
            kinds.contains(ObjectKind::Event.name()),
            "EVENT",
            format!("DROP EVENT {none}"),
        ),
        (
            kinds.iter().any(is_routine),
            "ALTER ROUTINE",
            format!("DROP PROCEDURE {none}"),
        ),
    ];
    for (needed, right, question) in questions {
        if needed && let Err(error) = target.conn.query_drop(question).await {
            denied(error.into(), right, &live)?;
        }
    }
    if set_aside {
        ask_for_definers(target, moved).await?;
    }
    if made.iter().any(is_routine) {
        let question = LACKS_CREATE_ROUTINE.replace("{live}", &literal(&live));
        if target.conn.query_first(question).await? == Some(true) {
            let error = Error::Denied("the account may not make routines".to_owned());
            denied(error, "CREATE ROUTINE", &live)?;
        }
    }
    Ok(())
}

/// Triggers that are taken off are put back in the name of those who made them, which not everybody may: on
/// MySQL that of an account with SYSTEM_USER, such as root, asks for the same right. Asked on a table of our own.
async fn ask_for_definers(target: &mut MysqlTarget, moved: &BTreeSet<String>) -> Result<(), Error> {
    let names = target.access.names.clone();
    let conn = &mut target.conn;
    let own: Option<String> = conn.query_first("SELECT CURRENT_USER()").await?;
    let rows: Vec<(String, String)> = conn
        .query(format!(
            "SELECT definer, event_object_table FROM information_schema.triggers WHERE trigger_schema = {}",
            literal(&names.live)
        ))
        .await?;
    let others: BTreeMap<String, String> = rows
        .into_iter()
        .filter(|(definer, table)| moved.contains(table) && own.as_ref() != Some(definer))
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    let probe = qualified(&names.staging, "pilotfish_none");
    conn.query_drop(format!("CREATE TABLE {probe} (id INT)"))
        .await?;
    let mut outcome = Ok(());
    for (definer, table) in others {
        let (user, host) = definer.rsplit_once('@').unwrap_or((&definer, "%"));
        let account = format!("{}@{}", quote(user), quote(host));
        let make = format!(
            "CREATE DEFINER={account} TRIGGER {probe} BEFORE INSERT ON {probe} FOR EACH ROW SET @pilotfish = 1"
        );
        match conn.query_drop(make).await.map_err(Error::from) {
            Err(Error::Denied(message)) => {
                outcome = Err(Error::Denied(format!(
                    "{message}: a swap takes the triggers of {table} off and puts them back, which the account \
                     may not in the name of {account}: drop or make them as another account"
                )));
                break;
            }
            made => made?,
        }
        conn.query_drop(format!("DROP TRIGGER {probe}")).await?;
    }
    conn.query_drop(format!("DROP TABLE {probe}")).await?;
    outcome
}

/// The server's refusal, with the right by its name: some of its messages leave that out.
fn denied(error: Error, right: &str, live: &str) -> Result<(), Error> {
    match error {
        Error::Denied(message) => Err(Error::Denied(format!(
            "{message}: what follows the swap needs {right} on {}.*",
            quote(live)
        ))),
        Error::Sql { .. } => Ok(()),
        error => Err(error),
    }
}
