//! What a first load loosens of the whole server, and puts back before anything is live.
//!
//! A server that crashes meanwhile has lost nothing but the load: there was nothing else in it. MySQL does not start
//! again without its redo log; it wants a new data directory then (refman, "Disabling Redo Logging").
//!
//! One load at a time has the server like this, under a lock of its own, which is gone with its session: what is noted
//! without that lock is what a killed load left.

use mysql_async::Conn;
use pilotfish_sql::Flavour;

use super::names::{LEDGER, literal};
use super::target::MysqlTarget;
use crate::Error;
use crate::load::{Loosened, SwapMode};
use crate::mysql_family::ask::Ask as _;

/// Commits wait for the disk by it; 0 has them not.
const FLUSH: &str = "innodb_flush_log_at_trx_commit";
/// Not a variable; since MySQL 8.0.21.
const REDO_LOG: &str = "redo log";
const SINCE: u32 = 8_00_21;

/// What a person does about it.
const CURE: &str = "as an administrator: ALTER INSTANCE ENABLE INNODB REDO_LOG (MySQL); SET GLOBAL \
    innodb_flush_log_at_trx_commit=1; DROP TABLE pilotfish.loosened";

const LOCK: &str = "pilotfish.loosened";
/// Seconds for the session of a load that has just ended to be gone.
const LOCK_WAIT: u8 = 2;

/// Loosens an empty server; what it had is noted first.
pub(super) async fn loosen(target: &mut MysqlTarget) -> Result<Loosened, Error> {
    if target.access.options.swap == SwapMode::None {
        let why = "--swap none writes where readers are";
        return Ok(Loosened::No(why.to_owned()));
    }
    let flavour = target.access.flavour;
    let conn = &mut target.conn;
    if !take_lock(conn).await? {
        let why = "another load has the server like that";
        return Ok(Loosened::No(why.to_owned()));
    }
    let loosened = match refusal(conn, flavour).await {
        Ok(None) => set(conn, flavour).await.map(|()| Loosened::Yes),
        Ok(Some(why)) => Ok(Loosened::No(why)),
        Err(error) => Err(error),
    };
    let loosened = match loosened {
        Err(Error::Denied(why)) => {
            let needs = match flavour.mariadb {
                true => "SUPER, PROCESS and REPLICATION MASTER ADMIN",
                false => {
                    "SYSTEM_VARIABLES_ADMIN, INNODB_REDO_LOG_ENABLE, PROCESS and REPLICATION SLAVE"
                }
            };
            Loosened::No(format!("the account may not: {why}; grant {needs}"))
        }
        loosened => loosened?,
    };
    if loosened != Loosened::Yes {
        tighten(conn).await?;
    }
    Ok(loosened)
}

/// Why the server is not one to be loosened.
async fn refusal(conn: &mut Conn, flavour: Flavour) -> Result<Option<String>, Error> {
    // The schema of tables shows those that the account has rights on.
    let tables = match flavour.mariadb {
        true => "innodb_sys_tables",
        false => "innodb_tables",
    };
    let names: Vec<String> = conn
        .query(format!(
            "SELECT name FROM information_schema.{tables} WHERE name LIKE '%/%' AND name NOT LIKE 'mysql/%' AND name NOT LIKE \
             'sys/%' ORDER BY name LIKE '{LEDGER}/%' LIMIT 2"
        ))
        .await?;
    let is_ledger = |name: &&String| name.starts_with(&format!("{LEDGER}/"));
    if let Some(other) = names.iter().find(|name| !is_ledger(name)) {
        return Ok(Some(format!("{} is there", other.replace('/', "."))));
    }
    if names.is_empty() {
        // MariaDB shows nothing where it refuses to.
        return Err(Error::Denied("see whether the server is empty".to_owned()));
    }
    let replicas = match flavour.mariadb {
        true => "SHOW SLAVE HOSTS",
        false => "SHOW REPLICAS",
    };
    let replicas: Vec<mysql_async::Row> = conn.query(replicas).await?;
    // They may have what a crash takes from their primary.
    Ok((!replicas.is_empty()).then(|| "it has replicas".to_owned()))
}

async fn set(conn: &mut Conn, flavour: Flavour) -> Result<(), Error> {
    conn.query_drop(format!(
        "CREATE TABLE IF NOT EXISTS {LEDGER}.loosened (name VARCHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY, value \
         BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB"
    ))
    .await?;
    let flush: Option<u64> = conn.query_first(format!("SELECT @@global.{FLUSH}")).await?;
    note(conn, FLUSH, flush.unwrap_or(1)).await?;
    conn.query_drop(format!("SET GLOBAL {FLUSH}=0")).await?;
    if !flavour.mariadb && flavour.version >= SINCE {
        note(conn, REDO_LOG, 1).await?;
        conn.query_drop("ALTER INSTANCE DISABLE INNODB REDO_LOG")
            .await?;
    }
    Ok(())
}

async fn note(conn: &mut Conn, name: &str, value: u64) -> Result<(), Error> {
    let name = literal(name);
    Ok(conn
        .query_drop(format!(
            "REPLACE INTO {LEDGER}.loosened (name, value) VALUES ({name}, {value})"
        ))
        .await?)
}

/// Puts back what this load loosened, if anything, and lets others have the server.
pub(super) async fn tighten(conn: &mut Conn) -> Result<(), Error> {
    if is_noted(conn).await? {
        put_back(conn).await?;
    }
    release_lock(conn).await
}

/// Puts back what a killed load loosened; says so, where there was anything.
///
/// # Errors
/// `Locked` while another load has the server loosened, `Denied` where this account may not put it back: nothing may
/// become live on a server that does not wait for its disk.
pub(super) async fn recover(conn: &mut Conn) -> Result<Option<String>, Error> {
    if !is_noted(conn).await? {
        return Ok(None);
    }
    if !take_lock(conn).await? {
        return Err(Error::Locked(
            "the first load of this server is under way, and until it is done nothing waits for the disk: load afterwards"
                .to_owned(),
        ));
    }
    let restored = put_back(conn).await;
    release_lock(conn).await?;
    match restored {
        Ok(names) => Ok(Some(format!(
            "put back what a first load loosened: {names}"
        ))),
        Err(Error::Denied(why)) => Err(Error::Denied(format!(
            "put back what a killed first load loosened: {why}; load once with the account that began it, or {CURE}"
        ))),
        Err(error) => Err(error),
    }
}

/// Warns of a server that a killed load left loosened; those who only look put nothing back.
pub(super) async fn warn(conn: &mut Conn) -> Result<(), Error> {
    if is_noted(conn).await? {
        tracing::warn!(
            cure = CURE,
            "a first load is under way or was killed: nothing waits for the disk until the next load puts it back"
        );
    }
    Ok(())
}

async fn is_noted(conn: &mut Conn) -> Result<bool, Error> {
    let there: Option<u8> = conn
        .query_first(format!(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = {} AND table_name = 'loosened'",
            literal(LEDGER)
        ))
        .await?;
    Ok(there.is_some())
}

async fn put_back(conn: &mut Conn) -> Result<String, Error> {
    let noted: Vec<(String, u64)> = conn
        .query(format!(
            "SELECT name, value FROM {LEDGER}.loosened ORDER BY name"
        ))
        .await?;
    for (name, value) in &noted {
        let (is, sql) = match name.as_str() {
            FLUSH => (
                format!("SELECT @@global.{FLUSH} = {value}"),
                format!("SET GLOBAL {FLUSH}={value}"),
            ),
            // It ends once everything is on the disk.
            _ => (
                "SELECT variable_value = 'ON' FROM performance_schema.global_status \
                 WHERE variable_name = 'Innodb_redo_log_enabled'"
                    .to_owned(),
                "ALTER INSTANCE ENABLE INNODB REDO_LOG".to_owned(),
            ),
        };
        // It was never changed, or a restart has put it back; and not every account may.
        let is_back: Option<bool> = conn.query_first(is).await?;
        if is_back != Some(true) {
            conn.query_drop(sql).await?;
        }
    }
    conn.query_drop(format!("DROP TABLE IF EXISTS {LEDGER}.loosened"))
        .await?;
    let names: Vec<&str> = noted.iter().map(|(name, _)| name.as_str()).collect();
    Ok(names.join(", "))
}

async fn take_lock(conn: &mut Conn) -> Result<bool, Error> {
    let taken: Option<Option<bool>> = conn
        .query_first(format!("SELECT GET_LOCK('{LOCK}', {LOCK_WAIT})"))
        .await?;
    Ok(taken.flatten() == Some(true))
}

/// However often this session took it.
async fn release_lock(conn: &mut Conn) -> Result<(), Error> {
    let release = format!("RELEASE_LOCK('{LOCK}')");
    Ok(conn.query_drop(format!("DO {release}, {release}")).await?)
}
