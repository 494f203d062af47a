//! Assertions on the staged release.

use std::collections::BTreeSet;

use mysql_async::{Conn, Row};

use super::Access;
use super::lock::Lock;
use super::names::qualified;
use crate::Error;
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
    conn.query_drop(format!("USE {}", pilotfish_sql::mysql::quote(schema)))
        .await?;
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

/// Whatever it calls: rows of live tables are within its reach.
async fn read_only(conn: &mut Conn, sql: &str) -> Result<Result<Option<Row>, Error>, Error> {
    conn.query_drop("START TRANSACTION READ ONLY").await?;
    let answer = conn.query_first(sql).await.map_err(Error::from);
    conn.query_drop("ROLLBACK").await?;
    Ok(answer)
}
