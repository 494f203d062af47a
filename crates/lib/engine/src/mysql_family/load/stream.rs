//! Rows as one LOAD DATA stream, where that stores what INSERT stores.

use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use mysql_async::Conn;
use pilotfish_sql::mysql::quote;

use super::columns::{Column, Family};
use super::convert::{self, Binary};
use super::lock::Lock;
use super::names::qualified;
use super::tables::Table;
use crate::Error;
use crate::load::RowBatch;
use crate::mysql_family::ask::Ask as _;

/// A batch in the words of LOAD DATA.
pub(super) struct Stream {
    statement: String,
    pieces: convert::Pieces,
    rows: u64,
}

impl Stream {
    /// `None` where INSERT must carry the batch; `packet` is the most bytes the server takes at once.
    pub(super) fn of(schema: &str, batch: &RowBatch, table: &Table, packet: usize) -> Option<Self> {
        let plain = batch.verb == "INSERT"
            && batch.tail.is_none()
            && !batch.ordered
            && !batch.no_backslash_escapes
            && !table.insert_only.load(Ordering::Relaxed);
        let charset = batch
            .session
            .0
            .get("character_set_client")?
            .to_ascii_lowercase();
        let known = matches!(charset.as_str(), "utf8mb4" | "utf8mb3" | "utf8" | "latin1");
        // INSERT takes a literal by way of the connection's character set, LOAD DATA does not.
        let collation = batch.session.0.get("collation_connection")?;
        let straight = collation
            .strip_prefix(charset.as_str())
            .is_some_and(|rest| rest.starts_with('_'));
        if !plain || !known || !straight {
            return None;
        }
        let columns = target_columns(batch, table)?;
        let binary = Binary::cheaper(&batch.tuples, &columns);
        let pieces = match convert::rows(&batch.tuples, &columns, &charset, binary) {
            Ok(pieces) => pieces,
            Err(reason) => {
                tracing::debug!(table = batch.table, %reason, "rows go by INSERT");
                return None;
            }
        };
        // Each piece travels in a packet of its own: INSERT says what a longer row needs.
        if pieces.iter().any(|piece| piece.len() > packet) {
            return None;
        }
        Some(Self {
            statement: load_statement(&qualified(schema, &batch.table), &charset, &columns, binary),
            pieces,
            rows: batch.rows,
        })
    }

    /// Sends and commits it; `false` when the server would have changed or skipped a row: then nothing
    /// of it is stored.
    pub(super) async fn send(self, conn: &mut Conn, lock: &Lock) -> Result<bool, Error> {
        lock.held(conn).await?;
        let pieces = self.pieces;
        // The handler cannot fail: the rows are in memory. A handler that fails sends the end marker, and
        // the server would commit what it has (rust-stack, trap 1).
        conn.set_infile_handler(async move {
            Ok(futures_util::stream::iter(pieces.into_iter().map(Ok)).boxed())
        });
        match conn.query_drop(self.statement).await.map_err(Error::from) {
            Ok(()) => {}
            Err(error) if matches!(error, Error::Sql { .. }) => {
                tracing::debug!(%error, "LOAD DATA refused");
                conn.query_drop("ROLLBACK").await?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        let exact = conn.get_warnings() == 0
            && LoadInfo::parse(&conn.info()).is_some_and(|info| info.is_exactly(self.rows));
        lock.held(conn).await?;
        conn.query_drop(if exact { "COMMIT" } else { "ROLLBACK" })
            .await?;
        Ok(exact)
    }
}

/// `Records: 4  Deleted: 0  Skipped: 1  Warnings: 1`, the server's answer to LOAD DATA.
#[derive(Debug, PartialEq, Eq)]
struct LoadInfo {
    records: u64,
    deleted: u64,
    skipped: u64,
    warnings: u64,
}

impl LoadInfo {
    fn parse(info: &str) -> Option<Self> {
        let field = |name: &str| -> Option<u64> {
            let at = info.find(name)? + name.len();
            info[at..]
                .trim_start_matches([':', ' '])
                .split(' ')
                .next()?
                .parse()
                .ok()
        };
        Some(Self {
            records: field("Records")?,
            deleted: field("Deleted")?,
            skipped: field("Skipped")?,
            warnings: field("Warnings")?,
        })
    }

    const fn is_exactly(&self, rows: u64) -> bool {
        self.records == rows && self.deleted == 0 && self.skipped == 0 && self.warnings == 0
    }
}

/// The columns the tuples fill, in their order; `None` where LOAD DATA cannot name them.
fn target_columns<'a>(batch: &RowBatch, table: &'a Table) -> Option<Vec<&'a Column>> {
    let columns: Vec<&Column> = match &batch.columns {
        None => table
            .columns
            .iter()
            .filter(|column| !column.invisible)
            .collect(),
        Some(names) => names
            .iter()
            .map(|name| {
                table
                    .columns
                    .iter()
                    .find(|column| column.name.eq_ignore_ascii_case(name))
            })
            .collect::<Option<_>>()?,
    };
    let left_out = |column: &Column| !columns.iter().any(|taken| taken.name == column.name);
    let missing = table
        .columns
        .iter()
        .any(|column| column.needs_value && left_out(column));
    (!missing && !columns.iter().any(|column| column.generated)).then_some(columns)
}

fn load_statement(table: &str, charset: &str, columns: &[&Column], binary: Binary) -> String {
    let mut fields = Vec::new();
    let mut sets = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let field = format!("@pilotfish_{index}");
        let value = match binary {
            Binary::Hex if column.family == Family::Binary => format!("UNHEX({field})"),
            Binary::Raw if column.family.is_text() => format!("CONVERT({field} USING {charset})"),
            _ => {
                fields.push(quote(&column.name));
                continue;
            }
        };
        sets.push(format!("{} = {value}", quote(&column.name)));
        fields.push(field);
    }
    let charset = match binary {
        Binary::Hex => charset,
        Binary::Raw => "binary",
    };
    let set = if sets.is_empty() {
        String::new()
    } else {
        format!(" SET {}", sets.join(", "))
    };
    format!(
        "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table} CHARACTER SET {charset} FIELDS TERMINATED BY '\\t' \
         ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ({}){set}",
        fields.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_load_data_is_read() {
        let info = LoadInfo::parse("Records: 4  Deleted: 0  Skipped: 1  Warnings: 2").unwrap();
        assert_eq!(
            info,
            LoadInfo {
                records: 4,
                deleted: 0,
                skipped: 1,
                warnings: 2
            }
        );
        assert!(!info.is_exactly(4));
        assert!(
            LoadInfo::parse("Records: 4  Deleted: 0  Skipped: 0  Warnings: 0")
                .unwrap()
                .is_exactly(4)
        );
    }
}
