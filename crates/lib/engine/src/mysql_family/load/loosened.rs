//! What a first load loosens of the whole server, and puts back before anything is live.
//!
//! A server that crashes meanwhile has lost nothing but the load: there was nothing else in it. MySQL does not start
//! again without its redo log; it wants a new data directory then (refman, "Disabling Redo Logging").

use mysql_async::Conn;
use pilotfish_sql::Flavour;

use super::names::{LEDGER, literal};
use super::target::MysqlTarget;
use crate::Error;
use crate::load::Loosened;
use crate::mysql_family::ask::Ask as _;

/// Variables that wait for the disk at each commit, and their values that do not.
const QUICK: [(&str, &str); 2] = [
    ("innodb_flush_log_at_trx_commit", "0"),
    ("sync_binlog", "0"),
];
/// Not a variable; since MySQL 8.0.21.
const REDO_LOG: &str = "redo log";
const SINCE: u32 = 8_00_21;
/// What no user made.
const OWN_SCHEMAS: &str = "'mysql', 'information_schema', 'performance_schema', 'sys'";

/// Loosens an empty server; what it had is noted first.
pub(super) async fn loosen(target: &mut MysqlTarget) -> Result<Loosened, Error> {
    if let Some(table) = inhabitant(target).await? {
        return Ok(Loosened::No(format!("{table} is there")));
    }
    match set(&mut target.conn, target.access.flavour).await {
        Ok(()) => Ok(Loosened::Yes),
        Err(Error::Denied(why)) => {
            // The last note is of what was not changed.
            restore(&mut target.conn).await?;
            let needs = match target.access.flavour.mariadb {
                true => "SUPER and BINLOG ADMIN",
                false => "SYSTEM_VARIABLES_ADMIN and INNODB_REDO_LOG_ENABLE",
            };
            Ok(Loosened::No(format!(
                "the account has no right to: {why}; grant {needs}"
            )))
        }
        Err(error) => Err(error),
    }
}

async fn set(conn: &mut Conn, flavour: Flavour) -> Result<(), Error> {
    conn.query_drop(format!(
        "CREATE TABLE IF NOT EXISTS {LEDGER}.loosened (name VARCHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY, value \
         BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB"
    ))
    .await?;
    for (name, quick) in QUICK {
        let value: Option<u64> = conn.query_first(format!("SELECT @@global.{name}")).await?;
        note(conn, name, value.unwrap_or(1)).await?;
        conn.query_drop(format!("SET GLOBAL {name}={quick}"))
            .await?;
    }
    if !flavour.mariadb && flavour.version >= SINCE {
        note(conn, REDO_LOG, 1).await?;
        conn.query_drop("ALTER INSTANCE DISABLE INNODB REDO_LOG")
            .await?;
    }
    Ok(())
}

/// What a killed load noted is older.
async fn note(conn: &mut Conn, name: &str, value: u64) -> Result<(), Error> {
    let name = literal(name);
    Ok(conn
        .query_drop(format!(
            "INSERT IGNORE INTO {LEDGER}.loosened (name, value) VALUES ({name}, {value})"
        ))
        .await?)
}

/// A table that somebody made, or a release that is live.
async fn inhabitant(target: &mut MysqlTarget) -> Result<Option<String>, Error> {
    let (ledger, staging) = (literal(LEDGER), literal(&target.access.names.staging));
    Ok(target
        .conn
        .query_first(format!(
            "SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables WHERE table_schema NOT IN \
             ({OWN_SCHEMAS}, {ledger}, {staging}) LIMIT 1"
        ))
        .await?)
}

/// Puts back what was loosened; says what, or nothing where nothing was.
pub(super) async fn restore(conn: &mut Conn) -> Result<Option<String>, Error> {
    let there: Option<u8> = conn
        .query_first(format!(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = {} AND table_name = 'loosened'",
            literal(LEDGER)
        ))
        .await?;
    if there.is_none() {
        return Ok(None);
    }
    let noted: Vec<(String, u64)> = conn
        .query(format!(
            "SELECT name, value FROM {LEDGER}.loosened ORDER BY name"
        ))
        .await?;
    for (name, value) in &noted {
        put_back(conn, name, *value).await?;
    }
    conn.query_drop(format!("DROP TABLE {LEDGER}.loosened"))
        .await?;
    let names: Vec<&str> = noted.iter().map(|(name, _)| name.as_str()).collect();
    Ok(Some(format!(
        "put back what a first load loosened: {}",
        names.join(", ")
    )))
}

async fn put_back(conn: &mut Conn, name: &str, value: u64) -> Result<(), Error> {
    let known = QUICK.iter().find(|(known, _)| *known == name);
    let (is, sql) = match known {
        Some((known, _)) => (
            format!("SELECT @@global.{known} = {value}"),
            format!("SET GLOBAL {known}={value}"),
        ),
        // It ends once everything is on the disk.
        None => (
            "SELECT variable_value = 'ON' FROM performance_schema.global_status \
             WHERE variable_name = 'Innodb_redo_log_enabled'"
                .to_owned(),
            "ALTER INSTANCE ENABLE INNODB REDO_LOG".to_owned(),
        ),
    };
    // It was never changed, or a restart has put it back; and not every account may.
    let is_back: Option<bool> = conn.query_first(is).await?;
    match is_back {
        Some(true) => Ok(()),
        _ => Ok(conn.query_drop(sql).await?),
    }
}
