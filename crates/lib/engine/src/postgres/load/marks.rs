//! The marks of rows: by them the next load finds out which rows a dump changes.
//!
//! `pilotfish.marks` holds them in chunks, `pilotfish.marked` says which of them belong to which content of a table.
//! Content has one name, its digest, so that marks are true or unknown, whatever is live: no swap has to carry them.
//! They are not logged: after a crash of the server they are gone, which costs one load of whole tables.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_postgres::GenericClient;

use super::Access;
use super::ledger::{self, Role, is_absent};
use crate::Error;
use crate::load::{MarkBook, MarkChunk, Release, SwapPlan};
use crate::postgres::cell;
use crate::postgres::connect::Session;

/// What is made with the ledger. Bodies are numbers of no pattern: to compress them takes time and saves nothing.
pub(super) const TABLES: &str = "\
    CREATE UNLOGGED TABLE IF NOT EXISTS pilotfish.marks (id bigint NOT NULL, tbl text NOT NULL, layer smallint NOT NULL, \
        seq integer NOT NULL, body bytea NOT NULL, PRIMARY KEY (id, tbl, layer, seq)); \
    ALTER TABLE pilotfish.marks ALTER body SET STORAGE EXTERNAL; \
    CREATE TABLE IF NOT EXISTS pilotfish.marked (tbl text NOT NULL, digest text NOT NULL, key text[] NOT NULL, \
        layers text NOT NULL, PRIMARY KEY (tbl, digest))";

/// Differences that are kept beside the first marks of a table: with more of them its next change is loaded whole.
const LAYERS: usize = 8;

/// Chunks that are read at once and wait for whoever compares.
const AHEAD: usize = 4;

/// Some marks, and how many chunks they have: fewer would make rows look new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layer {
    id: i64,
    layer: i16,
    chunks: i32,
}

/// The marks of one content of a table.
#[derive(Debug, Clone)]
pub(super) struct Marked {
    /// The columns of its key.
    pub(super) key: Vec<String>,
    pub(super) layers: Vec<Layer>,
}

/// A number that no marks have yet; one loader at a time asks.
pub(super) async fn next_id(client: &impl GenericClient) -> Result<i64, Error> {
    const NEXT: &str = "SELECT coalesce(max(id), 0) + 1 FROM pilotfish.marks";
    cell(&client.query_one(NEXT, &[]).await?, 0)
}

/// Keeps one chunk.
pub(super) async fn keep(
    client: &impl GenericClient,
    id: i64,
    chunk: &MarkChunk,
) -> Result<(), Error> {
    const KEEP: &str =
        "INSERT INTO pilotfish.marks (id, tbl, layer, seq, body) VALUES ($1, $2, $3, $4, $5)";
    let seq = i32::try_from(chunk.seq).map_err(|_| Error::Protocol("too many marks".to_owned()))?;
    let layer = i16::from(chunk.layer);
    client
        .execute(KEEP, &[&id, &chunk.table, &layer, &seq, &&chunk.body[..]])
        .await?;
    Ok(())
}

/// Books the marks of a content: those that it had and those of the number `newest`.
pub(super) async fn book(
    client: &impl GenericClient,
    table: &str,
    digest: &str,
    mut marked: Marked,
    newest: i64,
) -> Result<(), Error> {
    const COUNT: &str = "SELECT layer, count(*)::int4 FROM pilotfish.marks WHERE id = $1 AND tbl = $2 GROUP BY layer \
        ORDER BY layer";
    const BOOK: &str = "INSERT INTO pilotfish.marked (tbl, digest, key, layers) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (tbl, digest) DO UPDATE SET key = excluded.key, layers = excluded.layers";
    for row in client.query(COUNT, &[&newest, &table]).await? {
        marked.layers.push(Layer {
            id: newest,
            layer: cell(&row, 0)?,
            chunks: cell(&row, 1)?,
        });
    }
    let layers = serde_json::to_string(&marked.layers)
        .map_err(|error| Error::Protocol(format!("write the ledger: {error}")))?;
    client
        .execute(BOOK, &[&table, &digest, &marked.key, &layers])
        .await?;
    Ok(())
}

/// Says which staged content the marks of the number `newest` belong to: true whether it comes to the swap or not.
pub(super) async fn book_staged(
    client: &impl GenericClient,
    plan: &SwapPlan,
    newest: i64,
) -> Result<(), Error> {
    for (table, key) in &plan.marked {
        let Some(record) = plan.release.tables.get(table) else {
            continue;
        };
        let marked = Marked {
            key: key.clone(),
            layers: Vec::new(),
        };
        book(client, table, &record.digest, marked, newest).await?;
    }
    Ok(())
}

/// The marks of a release's tables that have some, and may get one more layer.
pub(super) async fn of(
    client: &impl GenericClient,
    release: &Release,
) -> Result<BTreeMap<String, Marked>, Error> {
    let mut booked = booked(client).await?;
    let tables = release.tables.iter();
    let marked = tables.filter_map(|(table, record)| {
        let marked = booked.remove(&(table.clone(), record.digest.clone()))?;
        (marked.layers.len() <= LAYERS).then(|| (table.clone(), marked))
    });
    Ok(marked.collect())
}

/// All contents that have marks, by table and digest.
async fn booked(client: &impl GenericClient) -> Result<BTreeMap<(String, String), Marked>, Error> {
    let rows = client
        .query("SELECT tbl, digest, key, layers FROM pilotfish.marked", &[])
        .await;
    let rows = match rows {
        Err(error) if is_absent(&error) => Vec::new(),
        rows => rows?,
    };
    let mut booked = BTreeMap::new();
    for row in &rows {
        let layers = serde_json::from_str(&cell::<String>(row, 3)?)
            .map_err(|error| Error::Config(format!("the ledger is damaged: marks: {error}")))?;
        let key = cell(row, 2)?;
        booked.insert((cell(row, 0)?, cell(row, 1)?), Marked { key, layers });
    }
    Ok(booked)
}

/// Drops the marks that belong neither to the live release nor to the previous one.
pub(super) async fn sweep(session: &mut Session) -> Result<(), Error> {
    const UNBOOK: &str = "DELETE FROM pilotfish.marked WHERE tbl = $1 AND digest = $2";
    const DROP: &str = "DELETE FROM pilotfish.marks WHERE id = $1 AND tbl = $2";
    let mut contents: BTreeSet<(String, String)> = BTreeSet::new();
    for role in [Role::Live, Role::Previous] {
        let content = ledger::read(&**session, role).await?;
        let tables = content.unwrap_or_default().release.tables.into_iter();
        contents.extend(tables.map(|(table, record)| (table, record.digest)));
    }
    let booked = booked(&**session).await?;
    let transaction = session.transaction().await?;
    for (table, digest) in booked.keys().filter(|content| !contents.contains(*content)) {
        transaction.execute(UNBOOK, &[table, digest]).await?;
    }
    let used: BTreeSet<(&str, i64)> = booked
        .iter()
        .filter(|(content, _)| contents.contains(*content))
        .flat_map(|((table, _), marked)| marked.layers.iter().map(|it| (table.as_str(), it.id)))
        .collect();
    let there = transaction
        .query("SELECT DISTINCT id, tbl FROM pilotfish.marks", &[])
        .await?;
    for row in &there {
        let (id, table): (i64, String) = (cell(row, 0)?, cell(row, 1)?);
        if !used.contains(&(table.as_str(), id)) {
            transaction.execute(DROP, &[&id, &table]).await?;
        }
    }
    Ok(transaction.commit().await?)
}

/// Reads marks for whoever compares, each layer over a connection of its own.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) access: Access,
    pub(super) marked: BTreeMap<String, Marked>,
}

#[async_trait]
impl MarkBook for Book {
    async fn layers(
        &mut self,
        table: &str,
    ) -> Result<Option<Vec<mpsc::Receiver<Option<Bytes>>>>, Error> {
        let Some(marked) = self.marked.get(table) else {
            return Ok(None);
        };
        let mut layers = Vec::with_capacity(marked.layers.len());
        for layer in &marked.layers {
            let (send, chunks) = mpsc::channel(AHEAD);
            let session = self.access.connect().await?;
            tokio::spawn(pass_on(session, *layer, table.to_owned(), send));
            layers.push(chunks);
        }
        Ok(Some(layers))
    }
}

/// Hands out one layer, chunk after chunk; `None` where the server did not give it.
async fn pass_on(
    session: Session,
    Layer { id, layer, chunks }: Layer,
    table: String,
    send: mpsc::Sender<Option<Bytes>>,
) {
    let some = format!(
        "SELECT seq, body FROM pilotfish.marks WHERE id = $1 AND tbl = $2 AND layer = $3 AND seq >= $4 ORDER BY seq \
         LIMIT {AHEAD}"
    );
    let mut next = 0_i32;
    while next < chunks {
        let rows = session
            .query(&some, &[&id, &table, &layer, &next])
            .await
            .map_err(Error::from);
        let rows = rows.and_then(|rows| {
            let chunk = |row| Ok((cell::<i32>(row, 0)?, Bytes::from(cell::<Vec<u8>>(row, 1)?)));
            rows.iter().map(chunk).collect::<Result<Vec<_>, Error>>()
        });
        let rows = rows.unwrap_or_else(|error| {
            tracing::debug!(%error, table, "marks cannot be read");
            Vec::new()
        });
        if rows.is_empty() {
            // Whoever compares is told that they are not whole.
            let _ = send.send(None).await;
            return;
        }
        for (seq, body) in rows {
            // One that is missing would make its rows look new.
            let whole = (seq == next).then_some(body);
            next = seq + 1;
            if send.send(whole).await.is_err() {
                return;
            }
        }
    }
    session.close().await;
}
