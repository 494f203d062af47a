//! What others did to live tables since they were loaded.
//!
//! A row names the transaction that made it (`xmin`, kept when it is frozen since 9.4). A table that nobody wrote to
//! has the rows that were loaded and none of a later transaction than the one that made it live: no checksum can say
//! that better, and counting is cheaper.

use std::collections::BTreeSet;

use pilotfish_sql::postgres::key;
use serde::{Deserialize, Serialize};
use tokio_postgres::{GenericClient, Transaction};

use super::ledger::Content;
use super::schemas::{live_table, parts, qualified, refuse_foreign};
use super::{attached, objects};
use crate::Error;
use crate::load::{Drift, Release};
use crate::postgres::cell;

/// Transactions that the server can tell apart by a row: half of the circle of 32 bits.
const COMPARABLE: u64 = 1 << 31;
/// Numbers of transactions in a row have 32 bits.
const WRAP: u64 = 1 << 32;

/// When a table's rows became live.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    /// The transaction that made them so, as the server counts them over all wraps.
    pub(super) by: u64,
    /// Those that were at work: whoever was may write under an older number.
    pub(super) beside: Vec<u64>,
    /// Of tables that are changed in place: the transaction that made the oldest of their rows live.
    #[serde(default)]
    pub(super) oldest: u64,
    /// Where somebody was at work: all that have rows in the table and are no older than he. What he writes behind a
    /// savepoint has a number of its own.
    #[serde(default)]
    pub(super) known: Vec<u64>,
}

impl Moment {
    /// That of this transaction.
    pub(super) async fn of(transaction: &Transaction<'_>) -> Result<Self, Error> {
        const NUMBERS: &str = "SELECT pg_catalog.pg_current_xact_id()::text, ARRAY(SELECT xip::text \
            FROM pg_catalog.pg_snapshot_xip(pg_catalog.pg_current_snapshot()) AS xip)";
        let row = transaction.query_one(NUMBERS, &[]).await?;
        let beside: Vec<String> = cell(&row, 1)?;
        Ok(Self {
            by: cell::<String>(&row, 0)?.parse().unwrap_or_default(),
            beside: beside.iter().filter_map(|xid| xid.parse().ok()).collect(),
            ..Self::default()
        })
    }

    /// The same for a table that this transaction has changed in place, by its key.
    pub(super) async fn of_table(
        &self,
        transaction: &Transaction<'_>,
        table: &str,
        before: &Content,
    ) -> Result<Self, Error> {
        let oldest = before.moments.get(table).map(|moment| moment.oldest);
        let mut moment = Self {
            oldest: oldest.unwrap_or(before.loaded_by),
            ..self.clone()
        };
        if let Some(first) = self.beside.iter().min() {
            let known = format!(
                "SELECT DISTINCT xmin::text FROM ONLY {} WHERE pg_catalog.age(xmin) <= pg_catalog.age('{}'::xid)",
                live_table(table)?,
                first % WRAP
            );
            for row in transaction.query(&known, &[]).await? {
                moment
                    .known
                    .extend(cell::<String>(&row, 0)?.parse::<u64>().ok());
            }
        }
        Ok(moment)
    }
}

/// Looks at these tables.
pub(super) async fn look(
    client: &impl GenericClient,
    live: Option<&Content>,
    tables: &BTreeSet<String>,
) -> Result<Drift, Error> {
    let mut schemas = BTreeSet::new();
    for table in tables {
        // What is no name is no table either.
        if let Ok((schema, _)) = parts(table) {
            refuse_foreign(&schema)?;
            schemas.insert(schema);
        }
    }
    let there = objects::of(client, &objects::themselves(&schemas)).await?;
    let mut drift = Drift::default();
    if let Some(live) = live {
        attached::look(client, live, &mut drift).await?;
    }
    let nothing = Content::default();
    let live = live.unwrap_or(&nothing);
    for table in tables {
        let is_there = there.contains_key(table);
        let Some(record) = live.release.tables.get(table) else {
            if is_there && !live.objects.contains(table) {
                drift.unrecorded.insert(table.clone());
            }
            continue;
        };
        if !is_there {
            drift.missing.insert(table.clone());
            continue;
        }
        // A foreign table, or a load without swap that broke off: nobody knows what it should hold.
        if record.proof.is_none() {
            continue;
        }
        let (schema, name) = parts(table)?;
        let now = written(client, &qualified(&schema, &name), table, live).await?;
        if let Some(how) = now.differs(record.rows) {
            drift.modified.insert(table.clone(), how);
        }
    }
    Ok(drift)
}

/// The live tables that have no storage any more, where rows were loaded: TRUNCATE, which leaves nothing to compare.
pub(super) async fn emptied(
    client: &impl GenericClient,
    live: &Release,
    schemas: &BTreeSet<String>,
) -> Result<Vec<String>, Error> {
    const EMPTY: &str = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = ANY($1) AND c.relkind = 'r' AND pg_catalog.pg_relation_size(c.oid) = 0";
    let schemas: Vec<&String> = schemas.iter().collect();
    let mut emptied = Vec::new();
    for row in client.query(EMPTY, &[&schemas]).await? {
        let table = key(Some(&cell::<String>(&row, 0)?), &cell::<String>(&row, 1)?);
        let had = live.tables.get(&table).map_or(0, |record| record.rows);
        if had > 0 {
            emptied.push(table);
        }
    }
    Ok(emptied)
}

/// Rows of a table, and how many of them are younger than a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    rows: u64,
    /// `None`: so many transactions have passed that nobody can tell.
    younger: Option<u64>,
}

impl Written {
    /// How many of the rows that were loaded are gone, in words; rows that came later are no loss.
    pub(super) fn lost(self, loaded: u64) -> Option<String> {
        let left = self.rows.saturating_sub(self.younger.unwrap_or_default());
        (self.rows < loaded).then(|| format!("{left} of {loaded} rows are left"))
    }

    /// How the table differs from what was loaded into it.
    pub(super) fn differs(self, loaded: u64) -> Option<String> {
        match self.younger {
            None => Some(
                "so many transactions have passed since it was loaded that nobody can tell"
                    .to_owned(),
            ),
            Some(0) if self.rows == loaded => None,
            Some(0) => Some(format!("{} of {loaded} rows are left", self.rows)),
            Some(younger) => Some(format!("{younger} rows were written since")),
        }
    }
}

/// Looks at a table of a release, at a place by its quoted name.
pub(super) async fn written(
    client: &impl GenericClient,
    place: &str,
    table: &str,
    live: &Content,
) -> Result<Written, Error> {
    let whole = Moment {
        by: live.loaded_by,
        beside: live.beside.clone(),
        oldest: live.loaded_by,
        known: Vec::new(),
    };
    let moment = live.moments.get(table).unwrap_or(&whole);
    let (by, beside) = (moment.by, &moment.beside);
    let savepoints = match moment.known.is_empty() {
        true => String::new(),
        false => format!(
            " OR pg_catalog.age(xmin) <= pg_catalog.age('{}'::xid) AND xmin::text <> ALL($2)",
            beside.iter().min().unwrap_or(&by) % WRAP
        ),
    };
    // Row by row the server compares 32 bits, as ages from now.
    let sql = format!(
        "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE pg_catalog.age(xmin) < pg_catalog.age('{}'::xid) \
         OR xmin::text = ANY($1){savepoints}), \
         pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text FROM ONLY {place}",
        by % WRAP
    );
    // Whoever was at work at the moment of the swap may write to its tables under an older number.
    let beside: Vec<String> = beside.iter().map(|xid| (xid % WRAP).to_string()).collect();
    let known: Vec<String> = moment.known.iter().map(u64::to_string).collect();
    let row = match savepoints.is_empty() {
        true => client.query_one(&sql, &[&beside]).await?,
        false => client.query_one(&sql, &[&beside, &known]).await?,
    };
    let (rows, younger, now): (i64, i64, String) = (cell(&row, 0)?, cell(&row, 1)?, cell(&row, 2)?);
    let now: u64 = now.parse().unwrap_or_default();
    // On another server, to which the ledger was copied, the count is another one.
    let told = now
        .checked_sub(moment.oldest)
        .is_some_and(|passed| passed < COMPARABLE);
    Ok(Written {
        rows: u64::try_from(rows).unwrap_or_default(),
        younger: told.then(|| u64::try_from(younger).unwrap_or_default()),
    })
}
