//! What users, clients and tables do, which MariaDB and Percona Server count while their variable `userstat` is on.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::absence::Absence;
use super::{Collect, parse};
use crate::metric::{Gathered, Kind, Value, valid_name};

const IS_ON: &str = "SHOW GLOBAL VARIABLES LIKE 'userstat'";

/// Collects only while the server counts.
pub(super) struct WhileOn<C> {
    how: C,
    /// The server cannot count.
    absent: Absence,
}

impl<C> WhileOn<C> {
    pub(super) fn new(how: C) -> Self {
        Self {
            how,
            absent: Absence::default(),
        }
    }
}

#[async_trait]
impl<C: Collect> Collect for WhileOn<C> {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        if self.absent.is_known() {
            return Ok(());
        }
        let is_on = session.rows(IS_ON).await?;
        let Some(variable) = is_on.iter().next() else {
            self.absent.note();
            return Ok(());
        };
        if variable.at(1) == Some("ON") {
            self.how.collect(session, into).await?;
        }
        Ok(())
    }
}

/// A table that begins with whom it is about and goes on with numbers, others in every version.
pub(super) struct ByWhom {
    pub(super) table: &'static str,
    pub(super) label: &'static str,
    pub(super) prefix: &'static str,
    /// Columns that are counters only here.
    pub(super) counted: &'static [&'static str],
}

/// Columns that are counters: their names end in `_total`.
const COUNTED: [&str; 20] = [
    "bytes_received",
    "bytes_sent",
    "binlog_bytes_written",
    "rows_read",
    "rows_sent",
    "rows_deleted",
    "rows_inserted",
    "rows_fetched",
    "rows_updated",
    "table_rows_read",
    "select_commands",
    "update_commands",
    "other_commands",
    "commit_transactions",
    "rollback_transactions",
    "denied_connections",
    "lost_connections",
    "access_denied",
    "empty_queries",
    "total_ssl_connections",
];

impl ByWhom {
    /// The end of a metric's name and its type.
    fn metric(&self, column: &str) -> (String, Kind) {
        let name = match column {
            "concurrent_connections" => return (column.to_owned(), Kind::Gauge),
            "total_connections" => column,
            "connected_time" => "connected_time_seconds_total",
            "busy_time" => "busy_seconds_total",
            "cpu_time" => "cpu_time_seconds_total",
            _ if COUNTED.contains(&column) || self.counted.contains(&column) => {
                return (format!("{column}_total"), Kind::Counter);
            }
            _ => return (column.to_owned(), Kind::Untyped),
        };
        (name.to_owned(), Kind::Counter)
    }
}

#[async_trait]
impl Collect for ByWhom {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let sql = format!("SELECT * FROM information_schema.{}", self.table);
        let rows = session.rows(&sql).await?;
        for (place, column) in rows.columns().iter().enumerate().skip(1) {
            let (ending, kind) = self.metric(&valid_name(column));
            for row in rows.iter() {
                let Some(value) = row.at(place).and_then(parse::number) else {
                    continue;
                };
                let whom = row.at(0).unwrap_or_default();
                into.add(
                    format!("{}{ending}", self.prefix),
                    format!("{column} in information_schema.{}.", self.table),
                    kind,
                    vec![(self.label, whom.to_owned())],
                    Value::Number(value),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_names_that_dashboards_know() {
        let by_client = ByWhom {
            table: "client_statistics",
            label: "client",
            prefix: "",
            counted: &["max_statement_time_exceeded"],
        };
        for (column, name, kind) in [
            ("total_connections", "total_connections", Kind::Counter),
            (
                "concurrent_connections",
                "concurrent_connections",
                Kind::Gauge,
            ),
            ("busy_time", "busy_seconds_total", Kind::Counter),
            ("rows_sent", "rows_sent_total", Kind::Counter),
            (
                "max_statement_time_exceeded",
                "max_statement_time_exceeded_total",
                Kind::Counter,
            ),
            ("key_read_hit", "key_read_hit", Kind::Untyped),
        ] {
            assert_eq!(by_client.metric(column), (name.to_owned(), kind));
        }
    }
}
