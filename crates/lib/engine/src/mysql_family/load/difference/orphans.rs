//! Rows whose parent is not there any more, or not yet: of those alone that the difference concerns.

use pilotfish_sql::mysql::quote;

use super::shape::Shape;
use crate::Error;
use crate::mysql_family::ask::Ask as _;
use crate::mysql_family::load::names::{literal, qualified};
use crate::mysql_family::load::target::MysqlTarget;

/// Rows that moved in one live table; names qualified and quoted.
pub(super) struct Moved<'a> {
    pub(super) live: &'a str,
    pub(super) came: &'a str,
    pub(super) went: &'a str,
    pub(super) shape: &'a Shape,
}

/// A foreign key, names qualified and quoted.
struct Tie {
    child: String,
    parent: String,
    /// The child is a table of another database.
    foreign: bool,
    columns: Vec<(String, String)>,
}

/// Refuses a change that leaves rows without parents; where the user allows them in the release, still none of others.
pub(super) async fn refuse(
    target: &mut MysqlTarget,
    moved: &[Moved<'_>],
    allowed: bool,
) -> Result<(), Error> {
    let ties = ties(target).await?;
    let access = target.access.clone();
    for tie in ties.iter().filter(|tie| tie.foreign || !allowed) {
        for table in moved {
            if access.is_same(table.live, &tie.child) {
                refuse_rows(target, tie, &tie.without_parent(table)).await?;
            }
            if access.is_same(table.live, &tie.parent) {
                refuse_rows(target, tie, &tie.deserted(table.went)).await?;
            }
        }
    }
    Ok(())
}

async fn refuse_rows(target: &mut MysqlTarget, tie: &Tie, question: &str) -> Result<(), Error> {
    let found: Option<u8> = target.conn.query_first(question).await?;
    match found {
        None => Ok(()),
        Some(_) => Err(Error::Refused(format!(
            "rows of {} would have no parent in {}",
            tie.child, tie.parent
        ))),
    }
}

impl Tie {
    fn each(&self, write: impl Fn(&str, &str) -> String) -> String {
        let parts: Vec<String> = self
            .columns
            .iter()
            .map(|(child, parent)| write(child, parent))
            .collect();
        parts.join(" AND ")
    }

    /// Finds a row that comes to the child with another parent than the row before it had, and which is not there.
    fn without_parent(&self, table: &Moved<'_>) -> String {
        format!(
            "SELECT 1 FROM {} AS c LEFT JOIN {} AS u ON {} AND {} LEFT JOIN {} AS p ON {} WHERE u.{} IS NULL AND {} AND \
             p.{} IS NULL LIMIT 1",
            table.came,
            table.went,
            table.shape.joins("u", "c"),
            self.each(|child, _| format!("u.{child} <=> c.{child}")),
            self.parent,
            self.each(|child, parent| format!("c.{child} = p.{parent}")),
            table.shape.key[0],
            self.each(|child, _| format!("c.{child} IS NOT NULL")),
            self.columns[0].1
        )
    }

    /// Finds a row of the child whose parent went, and did not come again.
    fn deserted(&self, undone: &str) -> String {
        format!(
            "SELECT STRAIGHT_JOIN 1 FROM {undone} AS u LEFT JOIN {} AS p ON {} JOIN {} AS c ON {} WHERE p.{} IS NULL LIMIT 1",
            self.parent,
            self.each(|_, parent| format!("u.{parent} = p.{parent}")),
            self.child,
            self.each(|child, parent| format!("c.{child} = u.{parent}")),
            self.columns[0].1
        )
    }
}

/// The foreign keys that begin or end in the live database.
async fn ties(target: &mut MysqlTarget) -> Result<Vec<Tie>, Error> {
    let live = target.access.names.live.clone();
    type Row = (String, String, String, String, String, String, String);
    let rows: Vec<Row> = target
        .conn
        .query(format!(
            "SELECT constraint_name, table_schema, table_name, column_name, referenced_table_schema, \
             referenced_table_name, referenced_column_name FROM information_schema.key_column_usage WHERE \
             referenced_table_name IS NOT NULL AND (table_schema = {0} OR referenced_table_schema = {0}) \
             ORDER BY table_schema, table_name, constraint_name, ordinal_position",
            literal(&live)
        ))
        .await?;
    let mut ties: Vec<(String, Tie)> = Vec::new();
    for (name, schema, table, column, parent_schema, parent, parent_column) in rows {
        let child = qualified(&schema, &table);
        let columns = (quote(&column), quote(&parent_column));
        match ties.last_mut() {
            Some((last, tie)) if *last == name && tie.child == child => tie.columns.push(columns),
            _ => ties.push((
                name,
                Tie {
                    child,
                    parent: qualified(&parent_schema, &parent),
                    foreign: schema != live,
                    columns: vec![columns],
                },
            )),
        }
    }
    Ok(ties.into_iter().map(|(_, tie)| tie).collect())
}
