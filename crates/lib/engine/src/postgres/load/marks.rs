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
use super::withheld::Withheld;
use crate::Error;
use crate::load::{MarkBook, MarkChunk, Release, SwapPlan};
use crate::postgres::cell;
use crate::postgres::connect::Session;

/// What is made with the ledger, see there. Bodies are numbers of no pattern: to compress them takes time and saves nothing.
const TABLES: &str = "\
    SELECT pg_catalog.pg_advisory_xact_lock(1885957231); \
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

/// Makes the tables where they are not there and the account may; without them nothing is changed in place.
pub(super) async fn prepare(client: &impl GenericClient) -> Result<(), Error> {
    const THERE: &str = "SELECT to_regclass('pilotfish.marked') IS NOT NULL AND to_regclass('pilotfish.marks') IS NOT NULL";
    if cell(&client.query_one(THERE, &[]).await?, 0)? {
        return Ok(());
    }
    match client.batch_execute(TABLES).await.map_err(Error::from) {
        Err(Error::Denied(why)) => {
            tracing::debug!(why, "rows are not marked");
            return Ok(());
        }
        outcome => outcome?,
    }
    // Keys and hashes tell of rows whoever may not see those.
    let mut withheld = Withheld::of(client).await?;
    withheld.take(client, "pilotfish.marks").await
}

/// A number that no marks have, nor ever had whose contents are booked: a crash of the server takes the marks, and not
/// what is booked. One loader at a time asks. `None` where there are no tables of marks.
pub(super) async fn next_id(client: &impl GenericClient) -> Result<Option<i64>, Error> {
    const NEXT: &str = "SELECT greatest((SELECT max(id) FROM pilotfish.marks), (SELECT max((layer ->> 'id')::bigint) \
        FROM pilotfish.marked, pg_catalog.jsonb_array_elements(layers::jsonb) AS layer), 0) + 1";
    match client.query_one(NEXT, &[]).await {
        Err(error) if is_absent(&error) => Ok(None),
        row => cell(&row?, 0).map(Some),
    }
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
    session: &mut Session,
    plan: &SwapPlan,
    newest: Option<i64>,
) -> Result<(), Error> {
    let Some(newest) = newest.filter(|_| !plan.marked.is_empty()) else {
        return Ok(());
    };
    let transaction = session.transaction().await?;
    for (table, key) in &plan.marked {
        let Some(record) = plan.release.tables.get(table) else {
            continue;
        };
        let marked = Marked {
            key: key.clone(),
            layers: Vec::new(),
        };
        book(&transaction, table, &record.digest, marked, newest).await?;
    }
    Ok(transaction.commit().await?)
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
    if next_id(&**session).await?.is_none() {
        return Ok(());
    }
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

/// Reads marks for whoever compares, each layer that is long over a connection of its own.
pub(super) struct Book {
    access: Access,
    marked: BTreeMap<String, Marked>,
    /// For layers that are read at once.
    session: Session,
}

impl Book {
    pub(super) async fn open(access: &Access, release: &Release) -> Result<Self, Error> {
        let session = access.connect().await?;
        Ok(Self {
            access: access.clone(),
            marked: of(&*session, release).await?,
            session,
        })
    }

    /// All chunks of a small layer.
    async fn at_once(&self, table: &str, layer: Layer) -> mpsc::Receiver<Option<Bytes>> {
        let (send, chunks) = mpsc::channel(AHEAD + 1);
        let mut next = 0;
        pass_some(&self.session, table, layer, &mut next, &send).await;
        chunks
    }
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
            if usize::try_from(layer.chunks).is_ok_and(|chunks| chunks <= AHEAD) {
                layers.push(self.at_once(table, *layer).await);
                continue;
            }
            let (send, chunks) = mpsc::channel(AHEAD);
            let session = self.access.connect().await?;
            tokio::spawn(pass_on(session, *layer, table.to_owned(), send));
            layers.push(chunks);
        }
        Ok(Some(layers))
    }
}

/// Hands out one layer, chunk after chunk.
async fn pass_on(session: Session, layer: Layer, table: String, send: mpsc::Sender<Option<Bytes>>) {
    let mut next = 0;
    while next < layer.chunks {
        if !pass_some(&session, &table, layer, &mut next, &send).await {
            return;
        }
    }
    session.close().await;
}

/// Hands out the next chunks of a layer, `None` where the server did not give them; whether somebody wants more.
async fn pass_some(
    session: &Session,
    table: &str,
    Layer { id, layer, chunks }: Layer,
    next: &mut i32,
    send: &mpsc::Sender<Option<Bytes>>,
) -> bool {
    if *next >= chunks {
        return true;
    }
    let some = format!(
        "SELECT seq, body FROM pilotfish.marks WHERE id = $1 AND tbl = $2 AND layer = $3 AND seq >= $4 ORDER BY seq \
         LIMIT {AHEAD}"
    );
    let rows = session.query(&some, &[&id, &table, &layer, &*next]).await;
    let rows = rows.map_err(Error::from).and_then(|rows| {
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
        return false;
    }
    for (seq, body) in rows {
        // One that is missing would make its rows look new.
        let whole = (seq == *next).then_some(body);
        *next = seq + 1;
        if send.send(whole).await.is_err() {
            return false;
        }
    }
    true
}
