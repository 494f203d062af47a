//! The columns of a live table, and the statements that move some of its rows.

use pilotfish_sql::postgres::quote;
use tokio_postgres::Transaction;

use crate::Error;
use crate::postgres::cell;

/// Columns that take values.
const COLUMNS: &str = "SELECT a.attname::text FROM pg_catalog.pg_attribute a \
    WHERE a.attrelid = $1::text::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
    ORDER BY a.attnum";

/// Columns of the primary key, and whether each is an integer.
const KEY: &str = "SELECT a.attname::text, a.atttypid IN (20, 21, 23) FROM pg_catalog.pg_index i \
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
    WHERE i.indrelid = $1::text::pg_catalog.regclass AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place";

const SECURITY: &str =
    "SELECT relrowsecurity FROM pg_catalog.pg_class WHERE oid = $1::text::pg_catalog.regclass";

/// See the module.
pub(super) struct Shape {
    /// The columns of the primary key, where all are integers.
    key: Vec<String>,
    columns: Vec<String>,
    /// Policies decide who sees which of its rows.
    pub(super) row_security: bool,
}

impl Shape {
    /// Looks at a table, by its quoted name.
    pub(super) async fn of(transaction: &Transaction<'_>, live: &str) -> Result<Self, Error> {
        let mut shape = Self {
            key: Vec::new(),
            columns: Vec::new(),
            row_security: cell(&transaction.query_one(SECURITY, &[&live]).await?, 0)?,
        };
        for row in transaction.query(COLUMNS, &[&live]).await? {
            shape.columns.push(cell(&row, 0)?);
        }
        let mut integers = true;
        for row in transaction.query(KEY, &[&live]).await? {
            shape.key.push(cell(&row, 0)?);
            integers &= cell::<bool>(&row, 1)?;
        }
        if !integers {
            shape.key.clear();
        }
        Ok(shape)
    }

    pub(super) fn has_key(&self, key: &[String]) -> bool {
        !key.is_empty() && self.key == key
    }

    pub(super) fn key(&self) -> String {
        quoted(&self.key)
    }

    pub(super) fn columns(&self) -> String {
        quoted(&self.columns)
    }

    /// Two tables have the same key.
    pub(super) fn joins(&self, one: &str, other: &str) -> String {
        let equal = self.key.iter().map(|column| {
            let column = quote(column);
            format!("{one}.{column} = {other}.{column}")
        });
        equal.collect::<Vec<_>>().join(" AND ")
    }

    /// What becomes of a row that is there already when one is inserted.
    pub(super) fn takes_over(&self) -> String {
        let takes = self.takes().replace("= c.", "= excluded.");
        match takes.is_empty() {
            true => "DO NOTHING".to_owned(),
            false => format!("DO UPDATE SET {takes}"),
        }
    }

    /// What an UPDATE takes from `c`; empty where there is nothing beside the key.
    pub(super) fn takes(&self) -> String {
        let others = self.columns.iter();
        let others = others.filter(|column| !self.key.contains(column));
        let takes = others.map(|column| {
            let column = quote(column);
            format!("{column} = c.{column}")
        });
        takes.collect::<Vec<_>>().join(", ")
    }
}

fn quoted(columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    columns.join(", ")
}
