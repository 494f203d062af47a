//! Assertions on the staged release.

use std::collections::BTreeSet;

use mysql_async::{Conn, Row};
use pilotfish_sql::mysql::{self, Mode, quote};

use super::lock::Lock;
use super::names::qualified;
use super::{Access, objects};
use crate::Error;
use crate::load::{ObjectKind, SessionState};
use crate::mysql_family::ask::Ask as _;
use crate::mysql_family::truth::{is_true, shown};

/// Asks `sql` in `schema`, where `seen_through` are live tables; what came back, when it is not true.
pub(super) async fn ask(
    access: &Access,
    lock: &Lock,
    schema: &str,
    sql: &str,
    seen_through: BTreeSet<&String>,
) -> Result<Option<String>, Error> {
    let mut conn = access.connect().await?;
    conn.query_drop(format!("USE {}", quote(schema))).await?;
    for table in &seen_through {
        lock.held(&mut conn).await?;
        let (view, live) = (
            qualified(schema, table),
            qualified(&access.names.live, table),
        );
        conn.query_drop(format!(
            "CREATE OR REPLACE VIEW {view} AS SELECT * FROM {live}"
        ))
        .await?;
    }
    let answer = read_only(&mut conn, sql).await?;
    for table in seen_through {
        lock.held(&mut conn).await?;
        conn.query_drop(format!("DROP VIEW IF EXISTS {}", qualified(schema, table)))
            .await?;
    }
    let answer = answer?;
    let Some(value) = answer.as_ref().and_then(|row| row.as_ref(0)) else {
        return Ok(Some("no row".to_owned()));
    };
    Ok((!is_true(value)).then(|| shown(value)))
}

/// An assertion as the stage takes it: tables of the live database by its name would answer for the release of
/// before.
pub(super) fn on_the_stage(access: &Access, sql: &str, schema: &str) -> String {
    let is_live = |name: &str| access.is_live(name);
    let moved = mysql::move_question(sql.as_bytes(), mode(access), is_live, schema);
    String::from_utf8_lossy(&moved).into_owned()
}

/// Refuses what would not ask the release to come: `coming` are the keys of its views and functions, which follow
/// the swap. A stored function of any database asks the tables that its text names, which are live.
pub(super) fn refuse_detours(
    access: &Access,
    sql: &str,
    coming: &BTreeSet<String>,
) -> Result<(), Error> {
    let asked = mysql::asked(sql.as_bytes(), mode(access));
    let is_view = |name: &str| {
        let key = format!("view {name}");
        coming.iter().any(|known| access.is_same(known, &key))
    };
    let is_function = |name: &str| {
        let key = ObjectKind::folded_key(&format!("function {name}"));
        coming
            .iter()
            .any(|known| ObjectKind::folded_key(known) == key)
    };
    for (database, name) in asked.functions {
        if let Some(database) = database {
            return Err(function(&format!("{database}.{name}")));
        }
        if is_function(&name) {
            return Err(function(&name));
        }
    }
    if let Some(name) = asked.tables.iter().find(|name| is_view(name)) {
        return Err(Error::Config(format!(
            "it asks the view {name}, which follows the swap: ask the tables that it is made of"
        )));
    }
    Ok(())
}

fn function(name: &str) -> Error {
    Error::Config(format!(
        "it calls the stored function {name}, which asks the release that is live: ask the tables themselves"
    ))
}

/// How the session of an assertion reads it.
pub(super) fn mode(access: &Access) -> Mode {
    objects::mode(access.flavour, &SessionState::default())
}

/// Whatever it calls: rows of live tables are within its reach.
async fn read_only(conn: &mut Conn, sql: &str) -> Result<Result<Option<Row>, Error>, Error> {
    conn.query_drop("START TRANSACTION READ ONLY").await?;
    let answer = conn.query_first(sql).await.map_err(Error::from);
    conn.query_drop("ROLLBACK").await?;
    Ok(answer)
}
