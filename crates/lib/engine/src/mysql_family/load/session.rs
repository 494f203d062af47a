//! The dump's session, carried to every connection that works for it.

use std::sync::Arc;

use mysql_async::Conn;
use pilotfish_sql::Flavour;

use super::names::literal;
use crate::Error;
use crate::load::SessionState;
use crate::mysql_family::ask::Ask as _;

/// The variables that change what a row or a definition means.
const CARRIED: &[&str] = &[
    "character_set_client",
    "collation_connection",
    "sql_mode",
    "time_zone",
];
/// MariaDB 10.11: `mariadb-dump --dump-history` writes row start and end itself.
const MARIADB_HISTORY: &str = "system_versioning_insert_history";

/// Reads the carried variables of a session.
pub(super) async fn snapshot(conn: &mut Conn, flavour: Flavour) -> Result<SessionState, Error> {
    let mut names: Vec<&str> = CARRIED.to_vec();
    if flavour.mariadb && flavour.version >= 10_11_00 {
        names.push(MARIADB_HISTORY);
    }
    let columns: Vec<String> = names
        .iter()
        .map(|name| format!("CAST(@@session.{name} AS CHAR)"))
        .collect();
    let row: Option<mysql_async::Row> = conn
        .query_first(format!("SELECT {}", columns.join(", ")))
        .await?;
    let values = row.map(mysql_async::Row::unwrap_raw).unwrap_or_default();
    let pairs = names
        .iter()
        .zip(values)
        .filter_map(|(name, value)| match value {
            Some(mysql_async::Value::Bytes(bytes)) => Some((
                (*name).to_owned(),
                String::from_utf8_lossy(&bytes).into_owned(),
            )),
            _ => None,
        });
    Ok(SessionState(pairs.collect()))
}

/// Gives a session the carried variables.
pub(super) async fn apply(conn: &mut Conn, state: &SessionState) -> Result<(), Error> {
    apply_with(conn, state, &[]).await
}

/// The same and others, in one question.
async fn apply_with(conn: &mut Conn, state: &SessionState, others: &[&str]) -> Result<(), Error> {
    let mut settings: Vec<String> = others.iter().map(|setting| (*setting).to_owned()).collect();
    for (name, value) in &state.0 {
        match name.as_str() {
            // Setting the charset resets the collation: it comes first in name order.
            "character_set_client" => {
                settings.push(format!("character_set_client={value}"));
                settings.push(format!("character_set_results={value}"));
            }
            "collation_connection" => settings.push(format!("collation_connection={value}")),
            name => settings.push(format!("{name}={}", literal(value))),
        }
    }
    if !settings.is_empty() {
        conn.query_drop(format!("SET SESSION {}", settings.join(", SESSION ")))
            .await?;
    }
    Ok(())
}

/// What the loader's own statements are written for.
pub(super) async fn plain(conn: &mut Conn) -> Result<(), Error> {
    // The driver's handshake names a collation that is not the server's default for utf8mb4.
    Ok(conn
        .query_drop("SET NAMES utf8mb4, SESSION sql_mode=''")
        .await?)
}

/// Remembers what a connection was given last, so that the same state costs nothing; `None` is
/// [`plain`].
#[derive(Debug, Default)]
pub(super) struct Carried(Option<Arc<SessionState>>);

impl Carried {
    /// Applies `state` and `others` unless it is in force.
    pub(super) async fn ensure(
        &mut self,
        conn: &mut Conn,
        state: &Arc<SessionState>,
        others: &[&str],
    ) -> Result<(), Error> {
        if self
            .0
            .as_ref()
            .is_some_and(|held| Arc::ptr_eq(held, state) || held == state)
        {
            return Ok(());
        }
        apply_with(conn, state, others).await?;
        self.0 = Some(Arc::clone(state));
        Ok(())
    }

    /// Brings the connection back to [`plain`].
    pub(super) async fn put_down(&mut self, conn: &mut Conn) -> Result<(), Error> {
        if self.0.is_some() {
            plain(conn).await?;
            self.0 = None;
        }
        Ok(())
    }
}
