//! What the ledger says of every database, for people and for those who wait.

use std::collections::BTreeSet;

use mysql_async::Conn;
use pilotfish_sql::mysql::quote;

use super::ledger::{ABSENT, Head, exists, parse};
use super::names::{LEDGER, Marker, Names, literal, qualified};
use super::names_taken::Objects;
use super::{LOWER_CASE, case_of_names, rejected};
use crate::Error;
use crate::load::{ObjectKind, Status};
use crate::mysql_family::ask::Ask as _;

/// `ER_BAD_DB_ERROR`; an account without rights on it gets another one.
const NO_SUCH_DATABASE: u16 = 1049;

/// Where objects are listed by the ledger's keys, each list with the right on a database that shows all of it. No events:
/// one that has run its time drops itself.
const LISTS: [(&[ObjectKind], &str, &str); 3] = [
    (
        &[ObjectKind::View],
        "SELECT",
        "SELECT CONCAT('view ', table_name) FROM information_schema.tables WHERE table_type = 'VIEW' AND table_schema",
    ),
    (
        &[
            ObjectKind::Function,
            ObjectKind::Procedure,
            ObjectKind::Package,
            ObjectKind::PackageBody,
        ],
        "EXECUTE",
        "SELECT CONCAT(LOWER(routine_type), ' ', routine_name) FROM information_schema.routines WHERE routine_schema",
    ),
    (
        &[ObjectKind::Trigger],
        "TRIGGER",
        "SELECT CONCAT('trigger ', trigger_name) FROM information_schema.triggers WHERE trigger_schema",
    ),
];

/// Every database of the ledger; empty on a server that never saw a load.
pub(crate) async fn status(conn: &mut Conn) -> Result<Vec<Status>, Error> {
    let markers: Vec<String> = conn
        .query(format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = '{LEDGER}' \
             AND LEFT(table_name, 5) = '{}' ORDER BY table_name",
            Marker::Live.prefix()
        ))
        .await?;
    let lower = case_of_names(conn).await? == LOWER_CASE;
    let mut list = Vec::new();
    for marker in markers {
        let table = qualified(LEDGER, &marker);
        let head: Option<String> = conn
            .query_first(format!("SELECT detail FROM {table} WHERE kind = 'release'"))
            .await?;
        let Some(head) = head else { continue };
        let head: Head = parse(&head)?;
        let counts: Option<(u64, u64)> = conn
            .query_first(format!("SELECT COALESCE(SUM(kind = 'table'), 0), COALESCE(SUM(kind = 'todo' OR (kind = 'unproven' AND name = 'rollback')), 0) FROM {table}"))
            .await?;
        let (tables, todo) = counts.unwrap_or_default();
        let names = Names::of(&head.database);
        let previous = previous_digest(conn, &names).await?;
        let mut missing = missing(conn, &head.database, &table).await?;
        // What a swap still makes is not lost.
        if todo == 0 {
            missing += lost(conn, &head.database, &table).await?;
        }
        let rejected = rejected::list(conn, &head.database).await?;
        let (rejected, rejected_contents) = rejected.into_iter().unzip();
        list.push(Status {
            // A ledger that nobody took over yet has the name as it was given once.
            database: if lower {
                head.database.to_lowercase()
            } else {
                head.database
            },
            digest: head.digest,
            contents: head.contents,
            since: head.since,
            rewriting: head.rewriting,
            finishing: todo > 0,
            previous,
            rejected,
            rejected_contents,
            tables,
            missing,
        });
    }
    Ok(list)
}

async fn previous_digest(conn: &mut Conn, names: &Names) -> Result<Option<String>, Error> {
    if !exists(conn, names, Marker::Previous).await? {
        return Ok(None);
    }
    let head: Option<String> = conn
        .query_first(format!(
            "SELECT detail FROM {} WHERE kind = 'release'",
            names.marker(Marker::Previous)
        ))
        .await?;
    head.map(|head| parse::<Head>(&head).map(|head| head.digest))
        .transpose()
}

/// How many tables of the release in this marker are gone. One statement looks at both: no swap comes in between.
async fn missing(conn: &mut Conn, database: &str, marker: &str) -> Result<u64, Error> {
    let counts: Option<(u64, u64)> = conn
        .query_first(format!(
            "SELECT (SELECT COUNT(*) FROM {marker} WHERE kind = 'table'), (SELECT COUNT(*) FROM information_schema.tables \
             WHERE table_schema = {} AND CAST(table_name AS BINARY) IN (SELECT CAST(name AS BINARY) FROM {marker} WHERE kind = 'table'))",
            literal(database)
        ))
        .await?;
    let (recorded, there) = counts.unwrap_or_default();
    if there >= recorded {
        return Ok(0);
    }
    if there > 0 {
        return gone(conn, database, marker).await;
    }
    // Gone, or not for the eyes of this account, which may read the ledger only.
    let entered = conn.query_drop(format!("USE {}", quote(database))).await;
    match entered.map_err(Error::from) {
        Err(error) if error.number() != Some(NO_SUCH_DATABASE) => Ok(0),
        _ => Ok(recorded),
    }
}

/// Of the tables that the server does not show, those that are gone; others are not for the eyes of this account, which
/// is told so whether they are there or not.
async fn gone(conn: &mut Conn, database: &str, marker: &str) -> Result<u64, Error> {
    let unseen: Vec<String> = conn
        .query(format!(
            "SELECT name FROM {marker} WHERE kind = 'table' AND CAST(name AS BINARY) NOT IN (SELECT \
             CAST(table_name AS BINARY) FROM information_schema.tables WHERE table_schema = {})",
            literal(database)
        ))
        .await?;
    let mut gone = 0;
    for table in unseen {
        let look = format!("SELECT 1 FROM {} LIMIT 0", qualified(database, &table));
        let refused = conn.query_drop(look).await.map_err(Error::from).err();
        let code = refused.and_then(|error| error.number());
        gone += u64::from(code.is_some_and(|code| ABSENT.contains(&code)));
    }
    Ok(gone)
}

/// How many views, routines and triggers of the release in this marker are gone, as far as the account would see them.
async fn lost(conn: &mut Conn, database: &str, marker: &str) -> Result<u64, Error> {
    if absent(conn, database, marker).await? == 0 {
        return Ok(0);
    }
    // A swap may have come between the two questions: what it makes or takes off for a moment is in its journal then.
    absent(conn, database, marker).await
}

async fn absent(conn: &mut Conn, database: &str, marker: &str) -> Result<u64, Error> {
    let rows: Vec<(String, String)> = conn
        .query(format!(
            "SELECT kind, name FROM {marker} WHERE kind IN ('object', 'todo')"
        ))
        .await?;
    if rows.is_empty() || rows.iter().any(|(kind, _)| kind == "todo") {
        return Ok(0);
    }
    let (rights, mut absent) = (rights(conn, database).await?, 0);
    for (kinds, right, list) in LISTS {
        let listed =
            |key: &&String| ObjectKind::of_key(key).is_some_and(|(kind, _)| kinds.contains(&kind));
        let recorded: Vec<&String> = rows.iter().map(|(_, key)| key).filter(listed).collect();
        if recorded.is_empty() || !rights.contains(right) {
            continue;
        }
        let list = format!("{list} = {}", literal(database));
        let there: Vec<String> = conn.query(list).await?;
        let lower: Option<bool> = conn
            .query_first("SELECT @@lower_case_table_names <> 0")
            .await?;
        let there = Objects::of(there.iter().map(String::as_str), lower == Some(true));
        absent += recorded.iter().filter(|key| !there.have(key)).count() as u64;
    }
    Ok(absent)
}

/// The rights of this account on the whole database. Those that come by a role are not seen.
async fn rights(conn: &mut Conn, database: &str) -> Result<BTreeSet<String>, Error> {
    let account: Option<String> = conn.query_first("SELECT CURRENT_USER()").await?;
    let account = account.unwrap_or_default();
    let (user, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
    let (grantee, database) = (literal(&format!("'{user}'@'{host}'")), literal(database));
    let rights: Vec<String> = conn
        .query(format!(
            "SELECT privilege_type FROM information_schema.schema_privileges WHERE grantee = {grantee} AND \
             {database} LIKE table_schema UNION SELECT privilege_type FROM information_schema.user_privileges \
             WHERE grantee = {grantee}"
        ))
        .await?;
    Ok(rights.into_iter().collect())
}
