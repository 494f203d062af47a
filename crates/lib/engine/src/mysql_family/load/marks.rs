//! The marks of rows: by them the next load finds out which rows a dump changes.
//!
//! `marks_<db>` holds them in chunks, `marked_<db>` says which of them belong to which content of a table. Content has
//! one name, its digest, so that marks are true or unknown, whatever is live: no swap has to carry them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use bytes::Bytes;
use mysql_async::Conn;
use tokio::sync::mpsc;

use super::Access;
use super::ledger::{self, ABSENT, json, parse};
use super::names::{LEDGER, Marker, Names, literal};
use super::target::MysqlTarget;
use crate::Error;
use crate::load::{MarkBook, Release};
use crate::mysql_family::ask::Ask as _;

/// Number of some marks, and of their chunks: fewer would make rows look new.
pub(super) type Layer = (u64, u32);

/// Differences that are kept beside the first marks of a table: with more of them its next change is loaded whole.
const LAYERS: usize = 8;

/// Chunks that are read at once and wait for whoever compares.
const AHEAD: usize = 4;

/// Contents that one statement books: some 100 bytes each.
const BOOKED_AT_ONCE: usize = 200;

/// Makes the books where they are not there yet.
pub(super) async fn prepare(conn: &mut Conn, names: &Names) -> Result<(), Error> {
    conn.query_drop(format!(
        "CREATE TABLE IF NOT EXISTS {} (id BIGINT UNSIGNED NOT NULL, tbl VARCHAR(64) CHARACTER SET utf8mb4 COLLATE \
         utf8mb4_bin NOT NULL, seq INT UNSIGNED NOT NULL, body MEDIUMBLOB NOT NULL, PRIMARY KEY (id, tbl, seq)) ENGINE=InnoDB",
        names.marks()
    ))
    .await?;
    conn.query_drop(format!(
        "CREATE TABLE IF NOT EXISTS {} (tbl VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, digest CHAR(32) \
         CHARACTER SET ascii NOT NULL, layers TEXT CHARACTER SET ascii NOT NULL, PRIMARY KEY (tbl, digest)) ENGINE=InnoDB",
        names.marked()
    ))
    .await?;
    Ok(())
}

/// A number that no marks have yet; one loader at a time asks.
pub(super) async fn next_id(conn: &mut Conn, names: &Names) -> Result<u64, Error> {
    let last: Option<Option<u64>> = conn
        .query_first(format!("SELECT MAX(id) FROM {}", names.marks()))
        .await?;
    Ok(last.flatten().unwrap_or(0) + 1)
}

/// Keeps one chunk.
pub(super) async fn keep(
    conn: &mut Conn,
    names: &Names,
    id: u64,
    table: &str,
    seq: u32,
    body: &[u8],
) -> Result<(), Error> {
    let insert = format!(
        "INSERT INTO {} (id, tbl, seq, body) VALUES (?, ?, ?, ?)",
        names.marks()
    );
    Ok(conn.exec_drop(insert, (id, table, seq, body)).await?)
}

/// Content whose marks are booked: its table, its digest, the layers that it had.
pub(super) struct Booking<'a> {
    pub(super) table: &'a str,
    pub(super) digest: &'a str,
    pub(super) layers: Vec<Layer>,
}

/// Books marks of contents: the layers that each had, and `newest`, which was kept last.
pub(super) async fn book(
    conn: &mut Conn,
    names: &Names,
    bookings: Vec<Booking<'_>>,
    newest: u64,
) -> Result<(), Error> {
    let count = format!(
        "SELECT tbl, COUNT(*) FROM {} WHERE id = {newest} GROUP BY tbl",
        names.marks()
    );
    let counts: Vec<(String, u32)> = conn.query(count).await?;
    let chunks: BTreeMap<String, u32> = counts.into_iter().collect();
    let mut rows = Vec::with_capacity(bookings.len());
    for mut booking in bookings {
        let of_newest = chunks.get(booking.table).copied().unwrap_or_default();
        booking.layers.push((newest, of_newest));
        let (table, digest) = (literal(booking.table), literal(booking.digest));
        let layers = literal(&json(&booking.layers)?);
        rows.push(format!("({table}, {digest}, {layers})"));
    }
    for some in rows.chunks(BOOKED_AT_ONCE) {
        let replace = format!(
            "REPLACE INTO {} (tbl, digest, layers) VALUES {}",
            names.marked(),
            some.join(", ")
        );
        conn.query_drop(replace).await?;
    }
    Ok(())
}

/// The layers of all contents that have marks: table and digest to numbers.
async fn booked(
    conn: &mut Conn,
    names: &Names,
) -> Result<BTreeMap<(String, String), Vec<Layer>>, Error> {
    let rows: Result<Vec<(String, String, String)>, Error> = conn
        .query(format!(
            "SELECT tbl, digest, layers FROM {}",
            names.marked()
        ))
        .await
        .map_err(Error::from);
    let rows = match rows {
        Err(error) if error.number().is_some_and(|code| ABSENT.contains(&code)) => Vec::new(),
        rows => rows?,
    };
    let layers = rows.into_iter();
    layers
        .map(|(table, digest, layers)| Ok(((table, digest), parse(&layers)?)))
        .collect()
}

/// The layers of a release's tables that have marks and may get one more.
pub(super) async fn of(
    conn: &mut Conn,
    names: &Names,
    release: &Release,
) -> Result<BTreeMap<String, Vec<Layer>>, Error> {
    let mut booked = booked(conn, names).await?;
    let tables = release.tables.iter();
    let marked = tables.filter_map(|(table, record)| {
        let layers = booked.remove(&(table.clone(), record.digest.clone()))?;
        (layers.len() <= LAYERS).then(|| (table.clone(), layers))
    });
    Ok(marked.collect())
}

/// Drops the marks that belong neither to the live release nor to the previous one.
pub(super) async fn sweep(target: &mut MysqlTarget) -> Result<(), Error> {
    let names = target.access.names.clone();
    let booked = booked(&mut target.conn, &names).await?;
    let mut contents: BTreeSet<(String, String)> = BTreeSet::new();
    for marker in [Marker::Live, Marker::Previous] {
        let content = ledger::read(&mut target.conn, &names, marker).await?;
        let tables = content.unwrap_or_default().release.tables.into_iter();
        contents.extend(tables.map(|(table, record)| (table, record.digest)));
    }
    target.conn.query_drop("START TRANSACTION").await?;
    for (table, digest) in booked.keys().filter(|content| !contents.contains(*content)) {
        let delete = format!(
            "DELETE FROM {} WHERE tbl = ? AND digest = ?",
            names.marked()
        );
        target.conn.exec_drop(delete, (table, digest)).await?;
    }
    let used: BTreeSet<(&String, u64)> = booked
        .iter()
        .filter(|(content, _)| contents.contains(*content))
        .flat_map(|((table, _), layers)| layers.iter().map(move |(id, _)| (table, *id)))
        .collect();
    let there: Vec<(u64, String)> = target
        .conn
        .query(format!("SELECT DISTINCT id, tbl FROM {}", names.marks()))
        .await?;
    for (id, table) in there
        .iter()
        .filter(|(id, table)| !used.contains(&(table, *id)))
    {
        let delete = format!("DELETE FROM {} WHERE id = ? AND tbl = ?", names.marks());
        target.conn.exec_drop(delete, (*id, table)).await?;
    }
    Ok(target.conn.query_drop("COMMIT").await?)
}

/// Reads marks for whoever compares, each layer over a connection of its own.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) access: Access,
    pub(super) layers: BTreeMap<String, Vec<Layer>>,
}

#[async_trait]
impl MarkBook for Book {
    async fn layers(
        &mut self,
        table: &str,
    ) -> Result<Option<Vec<mpsc::Receiver<Option<Bytes>>>>, Error> {
        let Some(ids) = self.layers.get(table) else {
            return Ok(None);
        };
        let mut layers = Vec::with_capacity(ids.len());
        for (id, count) in ids {
            let (send, chunks) = mpsc::channel(AHEAD);
            let conn = self.access.connect().await?;
            tokio::spawn(pass_on(
                conn,
                self.access.names.marks(),
                (*id, *count),
                table.to_owned(),
                send,
            ));
            layers.push(chunks);
        }
        Ok(Some(layers))
    }
}

/// Hands out one layer, chunk after chunk; `None` where the server did not give it.
async fn pass_on(
    mut conn: Conn,
    marks: String,
    (id, count): Layer,
    table: String,
    send: mpsc::Sender<Option<Bytes>>,
) {
    let mut next = 0;
    while next < count {
        let chunks: Result<Vec<(u32, Vec<u8>)>, _> = conn
            .query(format!(
                "SELECT seq, body FROM {marks} WHERE id = {id} AND tbl = {} AND seq >= {next} ORDER BY seq LIMIT {AHEAD}",
                literal(&table)
            ))
            .await;
        let chunks = match chunks {
            Ok(chunks) if !chunks.is_empty() => chunks,
            Ok(_) => {
                let _ = send.send(None).await;
                return;
            }
            Err(error) => {
                tracing::debug!(%error, table, "marks cannot be read");
                let _ = send.send(None).await;
                return;
            }
        };
        for (seq, body) in chunks {
            // One that is missing would make its rows look new.
            let whole = (seq == next).then(|| Bytes::from(body));
            next = seq + 1;
            if send.send(whole).await.is_err() {
                return;
            }
        }
    }
}

impl Names {
    /// The table of marks.
    pub(super) fn marks(&self) -> String {
        self.book("marks")
    }

    /// The book of who has which marks.
    pub(super) fn marked(&self) -> String {
        self.book("marked")
    }

    fn book(&self, name: &str) -> String {
        format!(
            "{LEDGER}.{}",
            pilotfish_sql::mysql::quote(&format!("{name}_{}", self.stem()))
        )
    }
}
