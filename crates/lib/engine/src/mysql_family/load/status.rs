//! What the ledger says of every database, for people and for those who wait.

use mysql_async::Conn;
use pilotfish_sql::mysql::quote;

use super::ledger::{Head, exists, parse};
use super::names::{LEDGER, Marker, Names, literal, qualified};
use super::rejected;
use crate::Error;
use crate::load::Status;
use crate::mysql_family::ask::Ask as _;

/// `ER_BAD_DB_ERROR`; an account without rights on it gets another one.
const NO_SUCH_DATABASE: u16 = 1049;

impl Status {
    /// Nobody dropped a part of the release, and no load writes straight into it.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        !self.rewriting && self.missing == 0
    }
}

/// Every database of the ledger; empty on a server that never saw a load.
pub(crate) async fn status(conn: &mut Conn) -> Result<Vec<Status>, Error> {
    let markers: Vec<String> = conn
        .query(format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = '{LEDGER}' \
             AND LEFT(table_name, 5) = '{}' ORDER BY table_name",
            Marker::Live.prefix()
        ))
        .await?;
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
        let missing = missing(conn, &head.database, &table).await?;
        let rejected = rejected::list(conn, &head.database).await?;
        let (rejected, rejected_contents) = rejected.into_iter().unzip();
        list.push(Status {
            database: head.database,
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
    if there > 0 || recorded == 0 {
        return Ok(recorded.saturating_sub(there));
    }
    // Gone, or not for the eyes of this account, which may read the ledger only.
    let entered = conn.query_drop(format!("USE {}", quote(database))).await;
    match entered.map_err(Error::from) {
        Err(error) if error.code() != Some(NO_SUCH_DATABASE) => Ok(0),
        _ => Ok(recorded),
    }
}
