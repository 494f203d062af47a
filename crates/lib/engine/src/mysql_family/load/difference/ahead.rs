//! Whether live tables can be changed in place.

use std::collections::BTreeSet;

use mysql_async::Conn;
use pilotfish_sql::mysql::quote;

use crate::Error;
use crate::mysql_family::ask::Ask as _;
use crate::mysql_family::load::names::literal;
use crate::mysql_family::load::target::MysqlTarget;
use crate::mysql_family::load::{spared, triggers, unproven};

/// Why these live tables cannot be changed in place; `None` where they can.
pub(in crate::mysql_family::load) async fn in_the_way(
    target: &mut MysqlTarget,
    tables: &BTreeSet<String>,
) -> Result<Option<String>, Error> {
    let live = target.live_content().await?.unwrap_or_default();
    if live.release.rewriting || !live.todo.is_empty() || unproven::left(target).await?.is_some() {
        return Ok(Some("the last swap is not finished".to_owned()));
    }
    let spared = spared::read(target).await?;
    if spared.previous || spared.kept {
        return Ok(Some("rows of others wait until the next swap".to_owned()));
    }
    // They would fire, also with checks off (measured on both servers).
    if triggers::any(target, tables).await? {
        return Ok(Some("changed tables have triggers".to_owned()));
    }
    if logs_statements(&mut target.conn).await? {
        // Error 1665: such a log takes no statement of READ COMMITTED.
        return Ok(Some("binlog_format=STATEMENT".to_owned()));
    }
    if (0..tables.len()).any(|at| tables.contains(&keys_name(at))) {
        return Ok(Some("a table has a name of ours".to_owned()));
    }
    let database = target.access.names.live.clone();
    let odd: Option<String> = target
        .conn
        .query_first(format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = {} AND table_name IN ({}) AND \
             (engine IS NULL OR engine <> 'InnoDB' OR table_type <> 'BASE TABLE')",
            literal(&database),
            tables.iter().map(|table| literal(table)).collect::<Vec<_>>().join(", ")
        ))
        .await?;
    Ok(odd.map(|table| format!("{table} is no plain table of InnoDB")))
}

async fn logs_statements(conn: &mut Conn) -> Result<bool, Error> {
    let statements: Option<bool> = conn
        .query_first("SELECT @@global.log_bin AND @@session.sql_log_bin AND @@session.binlog_format = 'STATEMENT'")
        .await?;
    Ok(statements == Some(true))
}

/// The table on the stage that has the keys of rows that go, of the table with this number.
pub(super) fn keys_name(at: usize) -> String {
    format!("pilotfish_gone_{at}")
}

/// Whether a key beside the primary one refuses duplicates.
pub(super) async fn has_other_unique(
    conn: &mut Conn,
    schema: &str,
    table: &str,
) -> Result<bool, Error> {
    let found: Option<u8> = conn
        .query_first(format!(
            "SELECT 1 FROM information_schema.statistics WHERE table_schema = {} AND table_name = {} AND \
             non_unique = 0 AND index_name <> 'PRIMARY' LIMIT 1",
            literal(schema),
            literal(table)
        ))
        .await?;
    Ok(found.is_some())
}

/// The columns of a table's primary key, quoted.
pub(super) async fn key_of(
    conn: &mut Conn,
    schema: &str,
    table: &str,
) -> Result<Vec<String>, Error> {
    let columns: Vec<String> = conn
        .query(format!(
            "SELECT column_name FROM information_schema.statistics WHERE table_schema = {} AND table_name = {} AND \
             index_name = 'PRIMARY' ORDER BY seq_in_index",
            literal(schema),
            literal(table)
        ))
        .await?;
    Ok(columns.iter().map(|column| quote(column)).collect())
}
