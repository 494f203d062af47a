//! The columns of a live table, and the statements that move some of its rows.

use mysql_async::Conn;
use pilotfish_sql::mysql::quote;

use super::ahead;
use crate::Error;
use crate::mysql_family::load::columns;

/// The columns of a table, quoted, as statements need them.
pub(super) struct Shape {
    /// Those of its primary key.
    pub(super) key: Vec<String>,
    /// All that take values.
    pub(super) columns: Vec<String>,
    /// Keys beside the primary one refuse duplicates: rows that exchange values must all go before any comes.
    pub(super) other_unique: bool,
}

impl Shape {
    pub(super) async fn of(conn: &mut Conn, schema: &str, table: &str) -> Result<Self, Error> {
        let columns = columns::read(conn, schema, table).await?;
        let columns = columns.into_iter().filter(|column| !column.generated);
        Ok(Self {
            key: ahead::key_of(conn, schema, table).await?,
            columns: columns.map(|column| quote(&column.name)).collect(),
            other_unique: ahead::has_other_unique(conn, schema, table).await?,
        })
    }

    pub(super) fn key(&self) -> String {
        self.key.join(", ")
    }

    pub(super) fn columns(&self) -> String {
        self.columns.join(", ")
    }

    pub(super) fn columns_of(&self, alias: &str) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{alias}.{column}"))
            .collect();
        columns.join(", ")
    }

    /// Two tables have the same key.
    pub(super) fn joins(&self, one: &str, other: &str) -> String {
        let equal = self
            .key
            .iter()
            .map(|column| format!("{one}.{column} = {other}.{column}"));
        equal.collect::<Vec<_>>().join(" AND ")
    }

    /// What an UPDATE of `l` takes from `c`; empty where there is nothing beside the key.
    pub(super) fn takes(&self) -> String {
        let others = self
            .columns
            .iter()
            .filter(|column| !self.key.contains(column));
        let takes = others.map(|column| format!("l.{column} = c.{column}"));
        takes.collect::<Vec<_>>().join(", ")
    }

    /// Copies the rows of `live` whose keys are in `keys`, as they are committed: whoever writes to them is waited for.
    pub(super) fn keep(&self, into: &str, keys: &str, live: &str) -> String {
        format!(
            "INSERT INTO {into} ({}) SELECT {} FROM {} FOR UPDATE",
            self.columns(),
            self.columns_of("l"),
            self.those(keys, live)
        )
    }

    /// Deletes the rows of `live` whose keys are in `keys`.
    pub(super) fn delete(&self, keys: &str, live: &str) -> String {
        format!("DELETE l FROM {}", self.those(keys, live))
    }

    fn those(&self, keys: &str, live: &str) -> String {
        format!(
            "{keys} AS g STRAIGHT_JOIN {live} AS l ON {}",
            self.joins("l", "g")
        )
    }

    /// Whether these columns are the primary key.
    pub(super) fn has_key(&self, key: &[String]) -> bool {
        let same = |(own, other): (&String, &String)| own.eq_ignore_ascii_case(&quote(other));
        self.key.len() == key.len() && self.key.iter().zip(key).all(same)
    }
}
