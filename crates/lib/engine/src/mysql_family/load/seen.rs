//! When a table was last written to, as the server says: what spares a look at every row.
//!
//! `update_time` is in the server's memory only: it is NULL after a restart, and after its table left the dictionary's
//! cache (both servers). It has whole seconds: it is believed once two of them have passed since. On MariaDB it is when the
//! writing transaction began (`trx_t::commit_tables`), on MySQL when it ended: one that began within the very second, and
//! is open still, would write without a trace, so that a time is believed only if it lies before the oldest of them.

use std::collections::BTreeMap;

use mysql_async::Conn;

use super::ledger;
use super::names::{Marker, Names, literal};
use super::target::MysqlTarget;
use crate::Error;
use crate::load::{Release, TableRecord};
use crate::mysql_family::ask::Ask as _;

/// The times of a schema's tables that may be believed. MySQL keeps them for a day unless told not to.
pub(super) async fn times(
    conn: &mut Conn,
    schema: &str,
    mariadb: bool,
) -> Result<BTreeMap<String, String>, Error> {
    if !mariadb {
        conn.query_drop("SET SESSION information_schema_stats_expiry=0")
            .await?;
    }
    let schema = literal(schema);
    let times: Vec<(String, String)> = conn
        .query(format!(
            "SELECT table_name, CAST(update_time AS CHAR) FROM information_schema.tables WHERE table_schema = {schema} \
             AND update_time < NOW() - INTERVAL 2 SECOND"
        ))
        .await?;
    if times.is_empty() {
        return Ok(BTreeMap::new());
    }
    // A change of columns in the dictionary alone leaves the time. One question for all tables: one within the other has
    // MariaDB open all of them for each.
    let columns: Vec<(String, String)> = conn
        .query(format!(
            "SELECT table_name, CAST(SUM(CRC32(CONCAT_WS(',', ordinal_position, column_name, column_type))) AS CHAR) FROM \
             information_schema.columns WHERE table_schema = {schema} GROUP BY table_name"
        ))
        .await?;
    let columns: BTreeMap<String, String> = columns.into_iter().collect();
    let both = times.into_iter().filter_map(|(table, time)| {
        let columns = columns.get(&table)?;
        Some((table, format!("{time} columns {columns}")))
    });
    Ok(both.collect())
}

/// When the oldest transaction of others began, or now; `None` where the account may not see them.
pub(super) async fn horizon(conn: &mut Conn) -> Result<Option<String>, Error> {
    let oldest: Result<Option<String>, Error> = conn
        .query_first(
            // Transactions have the server's own zone, everything else here UTC. An hour less: it may be the one that a clock
            // going back has twice.
            "SELECT CAST(LEAST(NOW(), COALESCE((SELECT MIN(CONVERT_TZ(trx_started, 'SYSTEM', '+00:00')) - INTERVAL 1 HOUR FROM \
             information_schema.innodb_trx WHERE trx_mysql_thread_id <> CONNECTION_ID()), NOW())) AS CHAR)",
        )
        .await
        .map_err(Error::from);
    match oldest {
        Err(Error::Denied(_)) => Ok(None),
        oldest => oldest,
    }
}

/// Notes the times of the live tables in the live marker, each beside what proves the rows: those before `horizon`.
pub(super) async fn note(
    conn: &mut Conn,
    names: &Names,
    release: &Release,
    horizon: &str,
    mariadb: bool,
) -> Result<(), Error> {
    let times = times(conn, &names.live, mariadb).await?;
    let records = release.tables.iter();
    let changed = records.filter_map(|(table, record)| {
        let time = times
            .get(table)
            .filter(|time| record.proof.is_some() && time.as_str() < horizon)?;
        let mut record = record.clone();
        let before = record.seen.replace(time.clone());
        (before != record.seen).then(|| (table.clone(), record))
    });
    let changed: Vec<_> = changed.collect();
    ledger::write_tables(conn, names, Marker::Live, &changed).await
}

/// The same of tables whose rows were looked at just now, `times` before: who wrote since then changed the time.
pub(super) async fn note_looked_at(
    target: &mut MysqlTarget,
    looked_at: &Release,
    times: &BTreeMap<String, String>,
    horizon: Option<&str>,
) -> Result<(), Error> {
    let Some(horizon) = horizon else {
        return Ok(());
    };
    if looked_at.tables.is_empty() {
        return Ok(());
    }
    let names = target.access.names.clone();
    let now = self::times(&mut target.conn, &names.live, target.access.flavour.mariadb).await?;
    let same = looked_at.tables.iter().filter_map(|(table, record)| {
        let time = times.get(table).filter(|time| time.as_str() < horizon)?;
        if now.get(table) != Some(time) {
            return None;
        }
        let seen = Some(time.clone());
        Some((
            table.clone(),
            TableRecord {
                seen,
                ..record.clone()
            },
        ))
    });
    let same: Vec<_> = same.collect();
    ledger::write_tables(&mut target.conn, &names, Marker::Live, &same).await
}
