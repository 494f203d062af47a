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

/// Rows of a child from which on its question is asked in slices, side by side: one of TPC-H's takes as long as all the
/// others, on one core (measured).
const MANY: u64 = 500_000;

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
    /// The first column of that index.
    leading: Option<String>,
}

impl ForeignKey {
    /// Counts the rows that MATCH SIMPLE refuses: no column NULL, no parent; `slice` says which are looked at, with the
    /// AND before it.
    fn anti_join(&self, schema: &str, slice: &str) -> String {
        let each = |write: &dyn Fn(&(String, String)) -> String, between: &str| {
            let parts: Vec<String> = self.columns.iter().map(write).collect();
            parts.join(between)
        };
        let (_, any_column) = &self.columns[0];
        let order = self.order.as_ref();
        let order = order.map(|index| format!(" FORCE INDEX ({})", quote(index)));
        format!(
            "SELECT COUNT(*) FROM {} AS c{} LEFT JOIN {} AS p ON {} WHERE {}{slice} AND p.{} IS NULL",
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
    let (mut owners, mut questions) = (Vec::new(), Vec::new());
    let mut conn = access.connect().await?;
    for (at, key) in keys.iter().enumerate() {
        for slice in slices(&mut conn, schema, key).await? {
            owners.push(at);
            questions.push(key.anti_join(schema, &slice));
        }
    }
    let orphans: Vec<Option<u64>> = futures_util::stream::iter(questions)
        .map(|question| async move { count(access, &question).await })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let found = keys.iter().enumerate().find_map(|(at, key)| {
        let answers = owners
            .iter()
            .zip(&orphans)
            .filter(|(owner, _)| **owner == at);
        // No answer: there is no parent to ask.
        let rows = answers.map(|(_, rows)| *rows).sum::<Option<u64>>();
        let of = format!("{} ({})", key.child, key.name);
        match rows {
            None => Some(format!(
                "the parent of the foreign key of {of} is not in the dump"
            )),
            Some(0) => None,
            Some(rows) => Some(format!(
                "{rows} rows break the foreign key of {of}: their parent is not there"
            )),
        }
    });
    Ok(found)
}

/// How many rows a question counts; `None` where there is no parent.
async fn count(access: &Access, question: &str) -> Result<Option<u64>, Error> {
    let mut conn = access.connect().await?;
    let answer: Result<Option<u64>, Error> = conn.query_first(question).await.map_err(Error::from);
    match answer {
        Err(error) if error.number() == Some(NO_PARENT) => Ok(None),
        answer => Ok(Some(answer?.unwrap_or(0))),
    }
}

/// The slices of a foreign key's question: one, or several of a large child whose rows stand in the order of a number.
async fn slices(conn: &mut Conn, schema: &str, key: &ForeignKey) -> Result<Vec<String>, Error> {
    let whole = vec![String::new()];
    let (Some(index), Some(column)) = (&key.order, &key.leading) else {
        return Ok(whole);
    };
    let (schema_name, child, name) = (literal(schema), literal(&key.child), literal(column));
    let large: Option<u8> = conn
        .query_first(format!(
            "SELECT 1 FROM information_schema.tables AS t JOIN information_schema.columns AS c USING (table_schema, table_name) \
             WHERE table_schema = {schema_name} AND table_name = {child} AND column_name = {name} AND table_rows > {MANY} \
             AND data_type IN ('smallint', 'mediumint', 'int', 'bigint')"
        ))
        .await?;
    if large.is_none() {
        return Ok(whole);
    }
    let column = format!("c.{}", quote(column));
    // Both come from the ends of the index.
    let ends: Option<(Option<i64>, Option<i64>)> = conn
        .query_first(format!(
            "SELECT CAST(MIN({column}) AS SIGNED), CAST(MAX({column}) AS SIGNED) FROM {} AS c FORCE INDEX ({})",
            qualified(schema, &key.child),
            quote(index)
        ))
        .await?;
    Ok(match ends {
        Some((Some(least), Some(most))) if least < most => cut(&column, least, most),
        _ => whole,
    })
}

/// Conditions that take every number once, and those between the ends in parts alike.
fn cut(column: &str, least: i64, most: i64) -> Vec<String> {
    let parts = AT_ONCE as i128;
    let span = i128::from(most) - i128::from(least);
    let bound = |part: i128| i128::from(least) + span * part / parts;
    let condition = |part: i128| {
        let from = (part > 0).then(|| format!(" AND {column} >= {}", bound(part)));
        let to = (part < parts - 1).then(|| format!(" AND {column} < {}", bound(part + 1)));
        from.into_iter().chain(to).collect()
    };
    (0..parts).map(condition).collect()
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
                leading: None,
            }),
        }
    }
    for key in &mut keys {
        let columns: Vec<&str> = key.columns.iter().map(|(child, _)| &**child).collect();
        let indexes = indexes.get(&key.child);
        key.order = in_order(&columns, indexes.into_iter().flatten()).map(str::to_owned);
        let index = indexes.zip(key.order.as_ref());
        let index = index.and_then(|(indexes, order)| indexes.get(order));
        key.leading = index.and_then(|columns| columns.first().cloned());
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
            leading: Some("a".into()),
        };
        assert_eq!(
            key.anti_join("s", ""),
            "SELECT COUNT(*) FROM `s`.`c` AS c FORCE INDEX (`k`) LEFT JOIN `s`.`p` AS p ON c.`a` = p.`x` AND c.`b` = p.`y` \
             WHERE c.`a` IS NOT NULL AND c.`b` IS NOT NULL AND p.`x` IS NULL"
        );
    }

    #[test]
    fn slices_leave_no_number_out() {
        assert_eq!(
            cut("c", -10, 30),
            [
                " AND c < 0",
                " AND c >= 0 AND c < 10",
                " AND c >= 10 AND c < 20",
                " AND c >= 20"
            ]
        );
        assert_eq!(cut("c", i64::MIN, i64::MAX).len(), AT_ONCE);
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
