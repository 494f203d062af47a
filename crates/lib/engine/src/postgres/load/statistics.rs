//! What the planner knows of rows that were loaded, before anybody asks for them.

use std::collections::BTreeSet;

use pilotfish_sql::postgres::key;
use tokio_postgres::{GenericClient, Statement};

use super::schemas::qualified;
use crate::Error;
use crate::postgres::cell;

/// Cells that ANALYZE reads of one table: as many as those of 20 columns at the server's default. It sorts those of each
/// column, 200 columns for longer than the rows take to load.
const CELLS: i64 = 600_000;
/// Rows that it samples for each unit of the target (analyze.c, `std_typanalyze`).
const ROWS: i64 = 300;
/// As the last but one of vacuumdb's `--analyze-in-stages`.
const LEAST_TARGET: i64 = 10;

/// What [`Staged`] holds, of the table whose qualified name is given.
pub(super) const ABOUT: &str = "SELECT c.relkind = 'f', c.relkind = 'r' AND NOT c.relispartition, \
    ARRAY(SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a \
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
    pg_catalog.current_setting('default_statistics_target')::int8, pg_catalog.current_setting('autovacuum')::bool \
    AND pg_catalog.current_setting('track_counts')::bool AND \
    coalesce((SELECT option_value::bool FROM pg_catalog.pg_options_to_table(c.reloptions) \
    WHERE option_name = 'autovacuum_enabled'), true) \
    FROM pg_catalog.pg_class c WHERE c.oid = $1::text::pg_catalog.regclass";

/// What a staged table is, and what ANALYZE of it would read.
pub(super) struct Staged {
    /// Its rows are on another server.
    pub(super) is_foreign: bool,
    /// It has rows of its own, which no other table's ANALYZE reads.
    pub(super) is_plain: bool,
    columns: Vec<String>,
    target: i64,
    /// The server takes statistics again by itself.
    is_refined: bool,
}

impl Staged {
    /// Looks at a table by its qualified name; `about` is [`ABOUT`], prepared.
    pub(super) async fn of(
        client: &impl GenericClient,
        about: &Statement,
        table: &str,
    ) -> Result<Self, Error> {
        let row = client.query_one(about, &[&table]).await?;
        Ok(Self {
            is_foreign: cell(&row, 0)?,
            is_plain: cell(&row, 1)?,
            columns: cell(&row, 2)?,
            target: cell(&row, 3)?,
            is_refined: cell(&row, 4)?,
        })
    }

    /// Takes the statistics of a table before its keys: a foreign key is checked by a query, which is planned by them.
    ///
    /// Those of a wide table with many rows are of a smaller sample. Its columns are named then: the server keeps counting the table as
    /// one that waits for ANALYZE, and takes the whole sample in the background.
    pub(super) async fn take(
        &self,
        client: &impl GenericClient,
        table: &str,
        rows: Option<u64>,
    ) -> Result<(), Error> {
        let sql = match self.smaller_target(rows) {
            None => format!("ANALYZE {table}"),
            Some(target) => format!(
                "BEGIN; SET LOCAL default_statistics_target = {target}; ANALYZE {table} ({}); COMMIT",
                self.columns.join(", ")
            ),
        };
        Ok(client.batch_execute(&sql).await?)
    }

    fn smaller_target(&self, rows: Option<u64>) -> Option<i64> {
        let columns = i64::try_from(self.columns.len()).ok()?;
        let rows = rows.and_then(|rows| i64::try_from(rows).ok());
        if rows.is_some_and(|rows| rows.saturating_mul(columns) <= CELLS) {
            return None;
        }
        let target = CELLS.checked_div(columns.checked_mul(ROWS)?)?;
        let target = target.max(LEAST_TARGET);
        (self.is_refined && target < self.target).then_some(target)
    }
}

/// Takes statistics of what was loaded into `place`, which stands for `schema`: not again of the tables in `known`,
/// but for those of expressions and the extended ones, which came after their rows. A partitioned table takes those of
/// its partitions.
pub(super) async fn complete(
    client: &impl GenericClient,
    place: &str,
    schema: &str,
    known: &BTreeSet<String>,
) -> Result<(), Error> {
    const FILLED: &str = "SELECT c.relname, c.relkind <> 'r' OR EXISTS (SELECT FROM pg_catalog.pg_index i \
        WHERE i.indrelid = c.oid AND i.indexprs IS NOT NULL) OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext s \
        WHERE s.stxrelid = c.oid) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition ORDER BY c.relpages DESC";
    for row in client.query(FILLED, &[&place]).await? {
        let (name, has_more): (String, bool) = (cell(&row, 0)?, cell(&row, 1)?);
        if has_more || !known.contains(&key(Some(schema), &name)) {
            let sql = format!("ANALYZE {}", qualified(place, &name));
            client.batch_execute(&sql).await?;
        }
    }
    Ok(())
}
