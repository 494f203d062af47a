//! The ledger: marker tables that travel inside the RENAME, and the books beside them.
//!
//! A marker holds one release whole: its digest, its tables, its other objects with their text, and
//! what is still to be made. `live_<db>` is what readers see because the RENAME that swapped the
//! tables also moved it there; nothing else decides. Books (`rejected`, `loads`) never do.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use mysql_async::{Conn, params};
use serde::{Deserialize, Serialize};

use super::names::{LEDGER, Marker, Names, literal};
use super::rejected;
use crate::Error;
use crate::load::{Release, SessionState, TableRecord};
use crate::mysql_family::ask::Ask as _;

/// Rows of a marker in one INSERT.
const ROWS_AT_ONCE: usize = 200;

/// `ER_NO_SUCH_TABLE`, `ER_BAD_DB_ERROR`: nothing was ever loaded here.
pub(super) const ABSENT: &[u16] = &[1146, 1049];

/// One object of a release, or one statement still to run, as the marker keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// `view v`, `trigger t`, or words for a person.
    pub(super) key: String,
    pub(super) detail: Detail,
    /// The statement, ready to run in the live database.
    pub(super) sql: Vec<u8>,
}

impl Entry {
    /// As [`Self::plain`], of one table: open as long as that stays.
    pub(super) fn of_table(key: &str, table: &str, sql: String) -> Self {
        let mut entry = Self::plain(key, sql);
        entry.detail.table = Some(table.to_owned());
        entry
    }

    /// A statement that needs nothing of its session.
    pub(super) fn plain(key: &str, sql: String) -> Self {
        Self {
            key: key.to_owned(),
            detail: Detail::default(),
            sql: sql.into_bytes(),
        }
    }
}

/// What an [`Entry`] needs beside its statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Detail {
    /// Digest of the definition, of objects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) digest: String,
    /// The table that it changes, or whose trigger it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) table: Option<String>,
    /// The session it runs under.
    #[serde(default)]
    pub(super) session: SessionState,
    /// Runs first: makes the statement repeatable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<String>,
}

/// A marker's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) release: Release,
    pub(super) objects: Vec<Entry>,
    pub(super) todo: Vec<Entry>,
}

impl Content {
    /// Key to digest of each object.
    pub(super) fn definitions(&self) -> BTreeMap<&str, &str> {
        self.objects
            .iter()
            .map(|entry| (entry.key.as_str(), entry.detail.digest.as_str()))
            .collect()
    }
}

/// What a marker says of its release before all else.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) database: String,
    pub(super) digest: String,
    #[serde(default)]
    pub(super) contents: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    also: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    pub(super) since: u64,
    #[serde(default)]
    unlogged: bool,
    #[serde(default)]
    pub(super) rewriting: bool,
}

impl Head {
    fn of(names: &Names, release: &Release, since: u64) -> Self {
        Self {
            database: names.live.clone(),
            digest: release.digest.clone(),
            contents: release.contents.clone(),
            also: release.also.clone(),
            bytes: release.bytes,
            since,
            unlogged: release.unlogged,
            rewriting: release.rewriting,
        }
    }
}

/// Makes the ledger's schema and its books.
pub(super) async fn prepare(conn: &mut Conn) -> Result<(), Error> {
    let schema: Option<String> = conn
        .query_first(format!(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name = '{LEDGER}'"
        ))
        .await?;
    if schema.is_none() {
        conn.query_drop(format!(
            "CREATE DATABASE IF NOT EXISTS {LEDGER} CHARACTER SET utf8mb4"
        ))
        .await?;
    }
    rejected::prepare(conn).await
}

/// Older versions wrote the database's name as it was given, also where the server takes it in any case.
pub(super) async fn take_over(conn: &mut Conn, names: &Names) -> Result<(), Error> {
    for marker in [Marker::Live, Marker::Previous] {
        if !exists(conn, names, marker).await? {
            continue;
        }
        let table = names.marker(marker);
        let head: Option<String> = conn
            .query_first(format!("SELECT detail FROM {table} WHERE kind = 'release'"))
            .await?;
        let Some(head) = head else { continue };
        let mut head: Head = parse(&head)?;
        if head.database == names.live {
            continue;
        }
        head.database.clone_from(&names.live);
        conn.exec_drop(
            format!("UPDATE {table} SET detail = :detail WHERE kind = 'release'"),
            params! { "detail" => json(&head)? },
        )
        .await?;
    }
    rejected::take_over(conn, &names.live).await
}

/// Whether a marker is there.
pub(super) async fn exists(conn: &mut Conn, names: &Names, marker: Marker) -> Result<bool, Error> {
    let found: Option<u8> = conn
        .query_first(format!(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = '{LEDGER}' AND table_name = {}",
            literal(&names.marker_name(marker))
        ))
        .await?;
    Ok(found.is_some())
}

/// Makes an empty marker; an old one of that name is dropped.
pub(super) async fn create(conn: &mut Conn, names: &Names, marker: Marker) -> Result<(), Error> {
    drop(conn, names, marker).await?;
    let table = names.marker(marker);
    conn.query_drop(format!(
        "CREATE TABLE {table} (kind VARCHAR(16) CHARACTER SET ascii NOT NULL, seq INT UNSIGNED NOT NULL, \
         name VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, detail LONGTEXT CHARACTER \
         SET utf8mb4 NOT NULL, body LONGBLOB NOT NULL, PRIMARY KEY (kind, seq)) ENGINE=InnoDB"
    ))
    .await?;
    Ok(())
}

/// Drops a marker, where there is one.
pub(super) async fn drop(conn: &mut Conn, names: &Names, marker: Marker) -> Result<(), Error> {
    Ok(conn
        .query_drop(format!("DROP TABLE IF EXISTS {}", names.marker(marker)))
        .await?)
}

/// Fills an empty marker, in one transaction.
pub(super) async fn write(
    conn: &mut Conn,
    names: &Names,
    marker: Marker,
    content: &Content,
) -> Result<(), Error> {
    let rows = rows(names, content)?;
    conn.query_drop("START TRANSACTION").await?;
    insert(conn, &names.marker(marker), &rows).await?;
    Ok(conn.query_drop("COMMIT").await?)
}

/// Fills a marker anew, within the caller's transaction.
pub(super) async fn overwrite(
    conn: &mut Conn,
    names: &Names,
    marker: Marker,
    content: &Content,
) -> Result<(), Error> {
    let table = names.marker(marker);
    conn.query_drop(format!("DELETE FROM {table}")).await?;
    insert(conn, &table, &rows(names, content)?).await
}

fn rows(names: &Names, content: &Content) -> Result<Vec<Row>, Error> {
    let head = Head::of(names, &content.release, content.release.since);
    let mut rows = vec![("release", 0, String::new(), json(&head)?, Vec::new())];
    for (seq, (name, record)) in content.release.tables.iter().enumerate() {
        rows.push(("table", seq, name.clone(), json(record)?, Vec::new()));
    }
    for (kind, entries) in [("object", &content.objects), ("todo", &content.todo)] {
        for (seq, entry) in entries.iter().enumerate() {
            rows.push((
                kind,
                seq,
                entry.key.clone(),
                json(&entry.detail)?,
                entry.sql.clone(),
            ));
        }
    }
    Ok(rows)
}

/// Replaces what is said of these tables.
pub(super) async fn write_tables(
    conn: &mut Conn,
    names: &Names,
    marker: Marker,
    tables: &[(String, TableRecord)],
) -> Result<(), Error> {
    let update = format!(
        "UPDATE {} SET detail = ? WHERE kind = 'table' AND name = ?",
        names.marker(marker)
    );
    for (name, record) in tables {
        conn.exec_drop(&update, (json(record)?, name)).await?;
    }
    Ok(())
}

/// Replaces what is still to be done.
pub(super) async fn write_todo(
    conn: &mut Conn,
    names: &Names,
    marker: Marker,
    todo: &[Entry],
) -> Result<(), Error> {
    let table = names.marker(marker);
    let rows: Vec<Row> = todo
        .iter()
        .enumerate()
        .map(|(seq, entry)| {
            Ok((
                "todo",
                seq,
                entry.key.clone(),
                json(&entry.detail)?,
                entry.sql.clone(),
            ))
        })
        .collect::<Result<_, Error>>()?;
    conn.query_drop("START TRANSACTION").await?;
    conn.query_drop(format!("DELETE FROM {table} WHERE kind = 'todo'"))
        .await?;
    insert(conn, &table, &rows).await?;
    Ok(conn.query_drop("COMMIT").await?)
}

type Row = (&'static str, usize, String, String, Vec<u8>);

async fn insert(conn: &mut Conn, table: &str, rows: &[Row]) -> Result<(), Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let places = vec!["(?, ?, ?, ?, ?)"; rows.len()].join(", ");
        let values: Vec<mysql_async::Value> = rows
            .iter()
            .flat_map(|(kind, seq, name, detail, body)| {
                [
                    (*kind).into(),
                    (*seq).into(),
                    name.into(),
                    detail.into(),
                    body.into(),
                ]
            })
            .collect();
        conn.exec_drop(
            format!("INSERT INTO {table} (kind, seq, name, detail, body) VALUES {places}"),
            values,
        )
        .await?;
    }
    Ok(())
}

/// Stamps the moment at which the marker's release goes live.
pub(super) async fn stamp(
    conn: &mut Conn,
    names: &Names,
    marker: Marker,
    release: &Release,
) -> Result<(), Error> {
    let head = Head::of(names, release, now());
    conn.exec_drop(
        format!(
            "UPDATE {} SET detail = :detail WHERE kind = 'release'",
            names.marker(marker)
        ),
        params! { "detail" => json(&head)? },
    )
    .await?;
    Ok(())
}

/// Notes in the live marker that a table is ours, whatever it holds: before a load writes straight into
/// the live database.
pub(super) async fn claim(conn: &mut Conn, names: &Names, table: &str) -> Result<(), Error> {
    let marker = names.marker(Marker::Live);
    let claimed: Option<u8> = conn
        .exec_first(
            format!("SELECT 1 FROM {marker} WHERE kind = 'table' AND name = :table"),
            params! { "table" => table },
        )
        .await?;
    if claimed.is_some() {
        return Ok(());
    }
    let record = json(&TableRecord::default())?;
    conn.exec_drop(
        format!(
            "INSERT INTO {marker} (kind, seq, name, detail, body) SELECT 'table', COALESCE(MAX(seq) + 1, 0), \
             :table, :record, '' FROM {marker} WHERE kind = 'table'"
        ),
        params! { "table" => table, "record" => record },
    )
    .await?;
    Ok(())
}

/// Reads a marker whole; `None` where there is none, or one that was made for a release which did not come.
pub(super) async fn read(
    conn: &mut Conn,
    names: &Names,
    marker: Marker,
) -> Result<Option<Content>, Error> {
    if !exists(conn, names, marker).await? {
        return Ok(None);
    }
    let rows: Vec<(String, String, String, Vec<u8>)> = conn
        .query(format!(
            "SELECT kind, name, detail, body FROM {} ORDER BY kind, seq",
            names.marker(marker)
        ))
        .await?;
    if !rows.iter().any(|(kind, ..)| kind == "release") {
        return Ok(None);
    }
    let mut content = Content::default();
    for (kind, key, detail, sql) in rows {
        match kind.as_str() {
            "release" => {
                let head: Head = parse(&detail)?;
                content.release.digest = head.digest;
                content.release.contents = head.contents;
                content.release.also = head.also;
                content.release.bytes = head.bytes;
                content.release.since = head.since;
                content.release.unlogged = head.unlogged;
                content.release.rewriting = head.rewriting;
            }
            "table" => {
                let record: TableRecord = parse(&detail)?;
                content.release.tables.insert(key, record);
            }
            "object" => {
                let detail: Detail = parse(&detail)?;
                content
                    .release
                    .objects
                    .insert(key.clone(), detail.digest.clone());
                content.objects.push(Entry { key, detail, sql });
            }
            "todo" => content.todo.push(Entry {
                key,
                detail: parse(&detail)?,
                sql,
            }),
            _ => {}
        }
    }
    Ok(Some(content))
}

/// Takes one finished statement off the list.
pub(super) async fn done(conn: &mut Conn, names: &Names, key: &str) -> Result<(), Error> {
    conn.exec_drop(
        format!(
            "DELETE FROM {} WHERE kind = 'todo' AND name = :key",
            names.marker(Marker::Live)
        ),
        params! { "key" => key },
    )
    .await?;
    Ok(())
}

/// Unix seconds.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

pub(super) fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::Protocol(format!("write the ledger: {error}")))
}

pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Protocol(format!("read the ledger: {error}")))
}
