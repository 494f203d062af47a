//! Rows whose parent is not there.
//!
//! Foreign keys are added with checks off: with them on the server copies the whole table. Then it
//! looks at no row (measured on both servers), so the question is asked here, by one anti-join for each
//! foreign key.

use futures_util::stream::{StreamExt as _, TryStreamExt as _};
use mysql_async::prelude::Queryable as _;
use pilotfish_sql::mysql::quote;

use super::Access;
use super::names::{literal, qualified};
use crate::Error;

/// Anti-joins that run beside each other.
const AT_ONCE: usize = 4;

/// No such table: checks off accept a foreign key without its parent.
const NO_PARENT: u16 = 1146;

/// One foreign key as `information_schema.key_column_usage` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ForeignKey {
    name: String,
    child: String,
    /// Qualified and quoted.
    parent: String,
    /// Columns of the child and of the parent.
    columns: Vec<(String, String)>,
}

impl ForeignKey {
    /// Counts the rows that MATCH SIMPLE refuses: no column NULL, no parent.
    fn anti_join(&self, schema: &str) -> String {
        let each = |write: &dyn Fn(&(String, String)) -> String, between: &str| {
            let parts: Vec<String> = self.columns.iter().map(write).collect();
            parts.join(between)
        };
        let (_, any_column) = &self.columns[0];
        format!(
            "SELECT COUNT(*) FROM {} AS c LEFT JOIN {} AS p ON {} WHERE {} AND p.{} IS NULL",
            qualified(schema, &self.child),
            self.parent,
            each(
                &|(child, parent)| format!("c.{} = p.{}", quote(child), quote(parent)),
                " AND "
            ),
            each(
                &|(child, _)| format!("c.{} IS NOT NULL", quote(child)),
                " AND "
            ),
            quote(any_column),
        )
    }
}

/// The first foreign key of `schema` with orphans, in words.
pub(super) async fn find(access: &Access, schema: &str) -> Result<Option<String>, Error> {
    let keys = foreign_keys(access, schema).await?;
    let mut found: Vec<Option<String>> = futures_util::stream::iter(keys)
        .map(|key| async move { look(access, schema, &key).await })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.iter_mut().find_map(Option::take))
}

async fn look(access: &Access, schema: &str, key: &ForeignKey) -> Result<Option<String>, Error> {
    let mut conn = access.connect().await?;
    let answer: Result<Option<u64>, Error> = conn
        .query_first(key.anti_join(schema))
        .await
        .map_err(Error::from);
    let of = format!("{} ({})", key.child, key.name);
    match answer {
        Err(error) if error.code() == Some(NO_PARENT) => Ok(Some(format!(
            "the parent of the foreign key of {of} is not in the dump"
        ))),
        answer => Ok(answer?.filter(|rows| *rows > 0).map(|rows| {
            format!("{rows} rows break the foreign key of {of}: their parent is not there")
        })),
    }
}

async fn foreign_keys(access: &Access, schema: &str) -> Result<Vec<ForeignKey>, Error> {
    let mut conn = access.connect().await?;
    let rows: Vec<(String, String, String, String, String, String)> = conn
        .query(format!(
            "SELECT constraint_name, table_name, column_name, referenced_table_schema, \
             referenced_table_name, referenced_column_name FROM information_schema.key_column_usage WHERE \
             table_schema = {} AND referenced_table_name IS NOT NULL ORDER BY table_name, \
             constraint_name, ordinal_position",
            literal(schema)
        ))
        .await?;
    let mut keys: Vec<ForeignKey> = Vec::new();
    for (name, child, column, parent_schema, parent, parent_column) in rows {
        match keys.last_mut() {
            Some(key) if key.name == name && key.child == child => {
                key.columns.push((column, parent_column));
            }
            _ => keys.push(ForeignKey {
                name,
                child,
                parent: qualified(&parent_schema, &parent),
                columns: vec![(column, parent_column)],
            }),
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_must_be_there_for_a_row_to_be_an_orphan() {
        let key = ForeignKey {
            name: "f".into(),
            child: "c".into(),
            parent: qualified("s", "p"),
            columns: vec![("a".into(), "x".into()), ("b".into(), "y".into())],
        };
        assert_eq!(
            key.anti_join("s"),
            "SELECT COUNT(*) FROM `s`.`c` AS c LEFT JOIN `s`.`p` AS p ON c.`a` = p.`x` AND c.`b` = p.`y` \
             WHERE c.`a` IS NOT NULL AND c.`b` IS NOT NULL AND p.`x` IS NULL"
        );
    }
}
