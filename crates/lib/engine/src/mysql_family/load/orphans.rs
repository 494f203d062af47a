//! Rows whose parent is not there.
//!
//! Foreign keys are added with checks off: with them on the server copies the whole table. Then it
//! looks at no row (measured on both servers), so the question is asked here, by one anti-join for each
//! foreign key. It reads the child in the order of the foreign key, so that its parents come in order too:
//! MariaDB prefers the smallest index, and then 6 M parents out of order take twice as long (measured).

use std::collections::BTreeMap;

use futures_util::stream::{StreamExt as _, TryStreamExt as _};
use mysql_async::Conn;
use pilotfish_sql::mysql::quote;

use super::Access;
use super::names::{literal, qualified};
use crate::Error;
use crate::mysql_family::ask::Ask as _;

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
    /// The child's index in which its rows stand in the order of the foreign key.
    order: Option<String>,
}

impl ForeignKey {
    /// Counts the rows that MATCH SIMPLE refuses: no column NULL, no parent.
    fn anti_join(&self, schema: &str) -> String {
        let each = |write: &dyn Fn(&(String, String)) -> String, between: &str| {
            let parts: Vec<String> = self.columns.iter().map(write).collect();
            parts.join(between)
        };
        let (_, any_column) = &self.columns[0];
        let order = self.order.as_ref();
        let order = order.map(|index| format!(" FORCE INDEX ({})", quote(index)));
        format!(
            "SELECT COUNT(*) FROM {} AS c{} LEFT JOIN {} AS p ON {} WHERE {} AND p.{} IS NULL",
            qualified(schema, &self.child),
            order.unwrap_or_default(),
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
        Err(error) if error.number() == Some(NO_PARENT) => Ok(Some(format!(
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
    let indexes = indexes(&mut conn, schema).await?;
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
                order: None,
            }),
        }
    }
    for key in &mut keys {
        let columns: Vec<&str> = key.columns.iter().map(|(child, _)| &**child).collect();
        let indexes = indexes.get(&key.child).into_iter().flatten();
        key.order = in_order(&columns, indexes).map(str::to_owned);
    }
    Ok(keys)
}

/// Table to index to columns, of indexes over whole columns.
type Indexes = BTreeMap<String, BTreeMap<String, Vec<String>>>;

async fn indexes(conn: &mut Conn, schema: &str) -> Result<Indexes, Error> {
    let rows: Vec<(String, String, Option<String>)> = conn
        .query(format!(
            "SELECT table_name, index_name, IF(sub_part IS NULL AND index_type = 'BTREE', column_name, NULL) \
             FROM information_schema.statistics WHERE table_schema = {} ORDER BY table_name, index_name, \
             seq_in_index",
            literal(schema)
        ))
        .await?;
    let mut indexes = Indexes::new();
    for (table, index, column) in rows {
        let columns = indexes.entry(table).or_default().entry(index).or_default();
        // A part of a column, or an expression: it ends what the order tells.
        columns.push(column.unwrap_or_default());
    }
    Ok(indexes)
}

/// The index that begins with these columns, in any order; a secondary one is smaller than the rows.
fn in_order<'a>(
    columns: &[&str],
    indexes: impl Iterator<Item = (&'a String, &'a Vec<String>)>,
) -> Option<&'a str> {
    let begins = |index: &Vec<String>| {
        let first = index.get(..columns.len());
        first.is_some_and(|first| {
            first
                .iter()
                .all(|column| columns.contains(&column.as_str()))
        })
    };
    indexes
        .filter(|(_, index)| begins(index))
        .map(|(name, _)| name.as_str())
        .min_by_key(|name| *name == "PRIMARY")
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
            order: Some("k".into()),
        };
        assert_eq!(
            key.anti_join("s"),
            "SELECT COUNT(*) FROM `s`.`c` AS c FORCE INDEX (`k`) LEFT JOIN `s`.`p` AS p ON c.`a` = p.`x` AND c.`b` = p.`y` \
             WHERE c.`a` IS NOT NULL AND c.`b` IS NOT NULL AND p.`x` IS NULL"
        );
    }

    #[test]
    fn children_are_read_in_the_order_of_the_foreign_key() {
        let index = |name: &str, columns: &[&str]| {
            let columns = columns.iter().map(|&column| column.to_owned()).collect();
            (name.to_owned(), columns)
        };
        let indexes: BTreeMap<String, Vec<String>> = [
            index("PRIMARY", &["a", "b", "c"]),
            index("both", &["b", "a"]),
            index("other", &["c"]),
            index("part", &["", "a"]),
        ]
        .into();
        assert_eq!(in_order(&["a", "b"], indexes.iter()), Some("both"));
        assert_eq!(in_order(&["a"], indexes.iter()), Some("PRIMARY"));
        assert_eq!(in_order(&["d"], indexes.iter()), None);
    }
}
