//! Rows that come for rows that go, in several tables at once.
//!
//! What comes is there before what goes leaves, parents before their children and the other way round: so every foreign
//! key holds at the end of each statement. Where no foreign key leads to a table, rows go first, and UNIQUE values are free
//! for those that come. Where such a key minds all the same, the server says so, and nothing was changed.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;

use super::shape::Shape;
use crate::Error;
use crate::postgres::cell;

/// Child and parent of each foreign key among some tables.
const TIES: &str = "SELECT DISTINCT k.conrelid::pg_catalog.regclass::text, k.confrelid::pg_catalog.regclass::text \
    FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.conrelid <> k.confrelid \
    AND k.conrelid = ANY($1::text[]::pg_catalog.regclass[]) AND k.confrelid = ANY($1::text[]::pg_catalog.regclass[])";

const REFERS_TO_ITSELF: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contype = 'f' \
    AND conrelid = confrelid AND conrelid = $1::text::pg_catalog.regclass)";

const LED_TO: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contype = 'f' \
    AND confrelid = $1::text::pg_catalog.regclass)";

/// Rows that may be looked at for foreign keys without an index: some ten seconds of a processor.
const MOST_LOOKED_AT: u64 = 100_000_000;

/// Tables with a foreign key to a table and no index that begins with it, and their rows.
const UNINDEXED: &str = "SELECT k.conrelid::pg_catalog.regclass::text, greatest(c.reltuples, 0)::int8 \
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
    WHERE k.contype = 'f' AND k.confrelid = $1::text::pg_catalog.regclass AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i \
    WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = ANY (k.conkey))";

/// Foreign keys to a table by which rows that are deleted take others along, or change them.
const FOLLOWED: &str = "SELECT k.conrelid::pg_catalog.regclass::text, \
    (SELECT pg_catalog.string_agg('f.' || pg_catalog.quote_ident(a.attname) || ' = u.' || pg_catalog.quote_ident(b.attname), \
        ' AND ') FROM unnest(k.conkey, k.confkey) AS pair(child, parent) \
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = pair.child \
        JOIN pg_catalog.pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = pair.parent) \
    FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = $1::text::pg_catalog.regclass \
    AND k.confdeltype NOT IN ('a', 'r')";

/// One table, by quoted names.
pub(super) struct Moved {
    /// For people.
    pub(super) name: String,
    pub(super) live: String,
    /// The rows that come.
    pub(super) come: String,
    /// The keys of those that go.
    pub(super) gone: String,
    pub(super) shape: Shape,
    pub(super) going: u64,
    pub(super) coming: u64,
    /// Rows of others may be lost, and be missing: the counts need not be so.
    pub(super) may_lose: bool,
}

/// Carries it all out.
///
/// # Errors
/// `Locked` where the live rows are others than those that were loaded, `Refused` where rows would go that the dump
/// has.
pub(super) async fn carry_out(transaction: &Transaction<'_>, moved: &[Moved]) -> Result<(), Error> {
    let order = parents_first(transaction, moved).await?;
    let mut left = BTreeMap::new();
    for at in &order {
        let Some(table) = moved.get(*at) else {
            continue;
        };
        let both = table.both(transaction).await?;
        if table.is_led_to(transaction).await? {
            left.insert(*at, both);
        } else {
            table.let_go(transaction, both).await?;
        }
        table.let_come(transaction, both).await?;
    }
    for (at, both) in order
        .iter()
        .rev()
        .filter_map(|at| Some((at, left.get(at)?)))
    {
        let Some(table) = moved.get(*at) else {
            continue;
        };
        table.let_go(transaction, *both).await?;
    }
    Ok(())
}

/// The places of tables, parents before their children where that can be.
async fn parents_first(
    transaction: &Transaction<'_>,
    moved: &[Moved],
) -> Result<Vec<usize>, Error> {
    let names: Vec<&String> = moved.iter().map(|table| &table.live).collect();
    let mut said = BTreeMap::new();
    for (at, name) in names.iter().enumerate() {
        let row = transaction
            .query_one("SELECT $1::text::pg_catalog.regclass::text", &[name])
            .await?;
        said.insert(cell::<String>(&row, 0)?, at);
    }
    let mut ties = Vec::new();
    for row in transaction.query(TIES, &[&names]).await? {
        let (child, parent): (String, String) = (cell(&row, 0)?, cell(&row, 1)?);
        ties.extend(said.get(&child).copied().zip(said.get(&parent).copied()));
    }
    let mut order = Vec::with_capacity(moved.len());
    let mut left: Vec<usize> = (0..moved.len()).collect();
    while !left.is_empty() {
        let waits = |at: &usize| {
            ties.iter()
                .any(|(child, parent)| child == at && left.contains(parent))
        };
        let (waiting, mut ready): (Vec<usize>, Vec<usize>) = left.iter().partition(|at| waits(at));
        // A circle: the server judges.
        let rest = if ready.is_empty() {
            ready = waiting;
            Vec::new()
        } else {
            waiting
        };
        order.append(&mut ready);
        left = rest;
    }
    Ok(order)
}

impl Moved {
    /// Keeps the rows that go, and the keys of those that come.
    pub(super) async fn keep(
        &self,
        transaction: &Transaction<'_>,
        rows: &str,
        keys: &str,
    ) -> Result<(), Error> {
        let Self {
            live,
            come,
            gone,
            shape,
            ..
        } = self;
        let going = format!(
            "CREATE TABLE {rows} AS SELECT l.* FROM ONLY {live} l JOIN {gone} g ON {}",
            shape.joins("l", "g")
        );
        self.run_for(transaction, &going, self.going).await?;
        let coming = format!("CREATE TABLE {keys} AS SELECT {} FROM {come}", shape.key());
        self.run_for(transaction, &coming, self.coming).await
    }

    /// Rows that go and come under the same key.
    async fn both(&self, transaction: &Transaction<'_>) -> Result<u64, Error> {
        let Self { come, gone, .. } = self;
        let joined = self.shape.joins("c", "g");
        let count = format!("SELECT pg_catalog.count(*) FROM {come} c JOIN {gone} g ON {joined}");
        let both: i64 = cell(&transaction.query_one(&count, &[]).await?, 0)?;
        Ok(both.unsigned_abs())
    }

    /// Whether a foreign key leads to it.
    async fn is_led_to(&self, transaction: &Transaction<'_>) -> Result<bool, Error> {
        cell(&transaction.query_one(LED_TO, &[&self.live]).await?, 0)
    }

    /// Changes the rows that go and come under the same key, so many, where they are, and inserts the others.
    async fn let_come(&self, transaction: &Transaction<'_>, both: u64) -> Result<(), Error> {
        let Self {
            live,
            come,
            gone,
            shape,
            ..
        } = self;
        let (joined, columns, takes) = (shape.joins("c", "g"), shape.columns(), shape.takes());
        let update = format!(
            "UPDATE ONLY {live} l SET {takes} FROM {come} c WHERE {} AND EXISTS (SELECT FROM {gone} g WHERE {joined})",
            shape.joins("l", "c")
        );
        let mut insert = format!(
            "INSERT INTO {live} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {come} c \
             WHERE NOT EXISTS (SELECT FROM {gone} g WHERE {joined})"
        );
        if self.may_lose {
            insert.push_str(&format!(
                " ON CONFLICT ({}) {}",
                shape.key(),
                shape.takes_over()
            ));
        }
        let new = self.coming.saturating_sub(both);
        let changed = if takes.is_empty() { 0 } else { both };
        // Rows may refer to new ones of their own table; where none do, new ones may take unique values of others.
        let mut steps = [(update, changed), (insert, new)];
        if cell(&transaction.query_one(REFERS_TO_ITSELF, &[live]).await?, 0)? {
            steps.reverse();
        }
        for (statement, rows) in steps.iter().filter(|step| step.1 > 0) {
            self.run_for(transaction, statement, *rows).await?;
        }
        Ok(())
    }

    /// Deletes the rows that do not come again.
    async fn let_go(&self, transaction: &Transaction<'_>, both: u64) -> Result<(), Error> {
        let Self {
            live,
            come,
            gone,
            shape,
            ..
        } = self;
        let leaving = self.going.saturating_sub(both);
        if leaving == 0 {
            return Ok(());
        }
        let stay = format!(
            "NOT EXISTS (SELECT FROM {come} c WHERE {})",
            shape.joins("c", "g")
        );
        let costly = transaction.query(UNINDEXED, &[live]).await?;
        for row in &costly {
            let (child, rows): (String, i64) = (cell(row, 0)?, cell(row, 1)?);
            if leaving.saturating_mul(rows.unsigned_abs()) > MOST_LOOKED_AT {
                return Err(Error::Refused(format!(
                    "{child} has no index for its foreign key to {}: all of it would be looked through for each row that goes",
                    self.name
                )));
            }
        }
        for row in transaction.query(FOLLOWED, &[live]).await? {
            let (child, joined): (String, String) = (cell(&row, 0)?, cell(&row, 1)?);
            let follow = format!(
                "SELECT EXISTS (SELECT FROM {gone} g JOIN ONLY {live} u ON {} JOIN {child} f ON {joined} WHERE {stay})",
                shape.joins("u", "g")
            );
            if cell(&transaction.query_one(&follow, &[]).await?, 0)? {
                return Err(Error::Refused(format!(
                    "rows of {child} would follow those that go from {}",
                    self.name
                )));
            }
        }
        let delete = format!(
            "DELETE FROM ONLY {live} l USING {gone} g WHERE {} AND {stay}",
            shape.joins("l", "g")
        );
        self.run_for(transaction, &delete, leaving).await
    }

    /// Runs a statement that changes so many rows, or somebody else did.
    async fn run_for(
        &self,
        transaction: &Transaction<'_>,
        statement: &str,
        rows: u64,
    ) -> Result<(), Error> {
        match transaction.execute(statement, &[]).await? {
            found if found == rows || self.may_lose => Ok(()),
            found => Err(Error::Locked(format!(
                "{} is not what was loaded: a change of {rows} rows met {found}",
                self.name
            ))),
        }
    }
}
