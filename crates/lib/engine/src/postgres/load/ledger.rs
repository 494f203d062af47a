//! The ledger: which release is live, which one was before, which were rolled back.
//!
//! It lives in the database that it speaks of and is written in the swap's own transaction, so that rows and
//! ledger change at one instant.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio_postgres::GenericClient;

use super::difference::Undo;
use super::drift::Moment;
use super::marks;
use super::names::LEDGER;
use super::shared::AtSwap;
use crate::Error;
use crate::load::Release;
use crate::postgres::cell;

/// SQLSTATEs of a ledger that is not there: no such table, no such schema.
const ABSENT: [&str; 2] = ["42P01", "3F000"];

/// What is made before the first load. Whoever may not create is told by the server. IF NOT EXISTS knows nothing of
/// what another session is about to make, so one goes after the other; the lock's number is `pilo`.
const TABLES: &str = "\
    SELECT pg_catalog.pg_advisory_xact_lock(1885957231); \
    CREATE SCHEMA IF NOT EXISTS pilotfish; \
    CREATE TABLE IF NOT EXISTS pilotfish.releases (role text PRIMARY KEY, content text NOT NULL); \
    CREATE TABLE IF NOT EXISTS pilotfish.rejected (digest text PRIMARY KEY, contents text NOT NULL, \
        since timestamptz NOT NULL DEFAULT now()); \
    CREATE TABLE IF NOT EXISTS pilotfish.loads (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
        asker text NOT NULL, id text NOT NULL, body text NOT NULL, UNIQUE (asker, id)); \
    CREATE TABLE IF NOT EXISTS pilotfish.undo (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sql text NOT NULL)";

/// Which release a record speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// What readers see.
    Live,
    /// What a rollback brings back.
    Previous,
    /// What a rollback has replaced, until it is known whether anybody wrote to it in the last moment.
    Undone,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Previous => "previous",
            Self::Undone => "undone",
        }
    }
}

/// A release and where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) release: Release,
    /// The live schemas that it fills.
    pub(super) schemas: BTreeSet<String>,
    /// Everything that stands in them, as `objects.rs` calls it.
    #[serde(default)]
    pub(super) objects: BTreeSet<String>,
    /// What hangs on its tables, as `attached.rs` calls it, with marks.
    #[serde(default)]
    pub(super) attached: Option<BTreeMap<String, String>>,
    /// It got the rights of the release that it replaced, not those of its dump.
    #[serde(default)]
    pub(super) inherits_rights: bool,
    /// What it says of the database, for a way back.
    #[serde(default)]
    pub(super) follows: Vec<AtSwap>,
    /// The newest transaction that wrote to a table of the release before it became live, as the server counts
    /// them over all wraps.
    #[serde(default)]
    pub(super) loaded_by: u64,
    /// The transactions that were at work in that moment.
    #[serde(default)]
    pub(super) beside: Vec<u64>,
    /// The same of the tables that were changed in place since.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) moments: BTreeMap<String, Moment>,
    /// It comes back by undoing what was changed in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) undo: Option<Undo>,
    /// What belongs to its database, kind and name, where it came as one.
    #[serde(default)]
    pub(super) belongings: Option<BTreeSet<(String, String)>>,
    /// It is a database of its own, not schemas of the live one.
    #[serde(default)]
    pub(super) in_database: bool,
    /// What others did to the replaced tables is still to be looked at.
    #[serde(default)]
    pub(super) unproven: bool,
}

impl Content {
    /// Whether a table or another object is the release's.
    pub(super) fn brought(&self, key: &str) -> bool {
        self.objects.contains(key) || self.release.tables.contains_key(key)
    }

    /// What a rollback makes live: what stood there before the first release is nobody's release, so that the next one
    /// may not take it for its own.
    pub(super) fn live_again(&self) -> Self {
        let mut again = Self {
            in_database: false,
            ..self.clone()
        };
        if again.release.digest.is_empty() && !again.release.rewriting {
            again.objects.clear();
            again.attached = None;
            again.belongings = None;
        }
        again
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|since| since.as_secs()).unwrap_or_default()
}

/// Makes the ledger where there is none.
pub(super) async fn prepare(client: &impl GenericClient) -> Result<(), Error> {
    let there = client
        .query_one("SELECT to_regclass('pilotfish.undo') IS NOT NULL", &[])
        .await?;
    if !cell::<bool>(&there, 0)? {
        client.batch_execute(TABLES).await?;
    }
    marks::prepare(client).await
}

/// The record of one role.
pub(super) async fn read(
    client: &impl GenericClient,
    role: Role,
) -> Result<Option<Content>, Error> {
    let sql = format!("SELECT content FROM {LEDGER}.releases WHERE role = $1");
    let rows = match client.query(&sql, &[&role.name()]).await {
        Ok(rows) => rows,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let content: String = cell(row, 0)?;
    serde_json::from_str(&content).map(Some).map_err(|error| {
        Error::Config(format!(
            "the ledger is damaged: read {LEDGER}.releases, role {}: {error}",
            role.name()
        ))
    })
}

/// Writes the record of one role; `None` deletes it.
pub(super) async fn write(
    client: &impl GenericClient,
    role: Role,
    content: Option<&Content>,
) -> Result<(), Error> {
    let Some(content) = content else {
        let sql = format!("DELETE FROM {LEDGER}.releases WHERE role = $1");
        client.execute(&sql, &[&role.name()]).await?;
        return Ok(());
    };
    let text = serde_json::to_string(content)
        .map_err(|error| Error::Protocol(format!("write the ledger: {error}")))?;
    let sql = format!(
        "INSERT INTO {LEDGER}.releases (role, content) VALUES ($1, $2) \
         ON CONFLICT (role) DO UPDATE SET content = excluded.content"
    );
    client.execute(&sql, &[&role.name(), &text]).await?;
    Ok(())
}

/// Both names of every release that was rolled back, the newest first.
pub(super) async fn rejected(client: &impl GenericClient) -> Result<Vec<(String, String)>, Error> {
    let sql = format!("SELECT digest, contents FROM {LEDGER}.rejected ORDER BY since DESC, digest");
    match client.query(&sql, &[]).await {
        Ok(rows) => rows
            .iter()
            .map(|row| Ok((cell(row, 0)?, cell(row, 1)?)))
            .collect(),
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Remembers that a release was rolled back, by all the names that it had.
pub(super) async fn reject(client: &impl GenericClient, release: &Release) -> Result<(), Error> {
    let own = (release.digest.clone(), release.contents.clone());
    let sql = format!(
        "INSERT INTO {LEDGER}.rejected (digest, contents) VALUES ($1, $2) \
         ON CONFLICT (digest) DO UPDATE SET contents = excluded.contents, since = now()"
    );
    for (digest, contents) in release.also.iter().chain([&own]) {
        if !digest.is_empty() {
            client.execute(&sql, &[digest, contents]).await?;
        }
    }
    Ok(())
}

/// Forgives the rejected release that has this name.
pub(super) async fn forgive(client: &impl GenericClient, name: &str) -> Result<(), Error> {
    let sql = format!(
        "DELETE FROM {LEDGER}.rejected WHERE digest = $1 OR contents = $1 AND contents <> ''"
    );
    match client.execute(&sql, &[&name]).await {
        Ok(_) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Remembers how something is unmade that a stage shares with the live release, should it not come to a swap.
pub(super) async fn note_undo(client: &impl GenericClient, sql: &str) -> Result<(), Error> {
    let note = format!("INSERT INTO {LEDGER}.undo (sql) VALUES ($1)");
    client.execute(&note, &[&sql]).await?;
    Ok(())
}

/// Unmakes it, the last first; what others use by now stays.
pub(super) async fn undo(client: &impl GenericClient) -> Result<(), Error> {
    let rows = client
        .query(
            &format!("SELECT sql FROM {LEDGER}.undo ORDER BY seq DESC"),
            &[],
        )
        .await?;
    for row in &rows {
        let sql: String = cell(row, 0)?;
        if let Err(error) = client.batch_execute(&sql).await {
            tracing::warn!(%error, sql, "what a load that did not end has made stays");
        }
    }
    keep_all(client).await
}

/// It came to the swap: what was made stays.
pub(super) async fn keep_all(client: &impl GenericClient) -> Result<(), Error> {
    client
        .execute(&format!("DELETE FROM {LEDGER}.undo"), &[])
        .await?;
    Ok(())
}

/// Whether the server says that there is no ledger.
pub(super) fn is_absent(error: &tokio_postgres::Error) -> bool {
    let code = error.code().map(tokio_postgres::error::SqlState::code);
    code.is_some_and(|code| ABSENT.contains(&code))
}
