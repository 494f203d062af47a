//! Rows read and changed, by database, while userstat is on.

use std::borrow::Cow;

use super::activity::WhileOn;
use super::table::{Table, counter};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT table_schema AS `schema`, SUM(rows_read) AS rows_read, \
         SUM(rows_changed) AS rows_changed, SUM(rows_changed_x_indexes) AS rows_changed_x_indexes \
         FROM information_schema.table_statistics GROUP BY table_schema",
    ),
    labels: &["schema"],
    values: &[
        counter(
            "rows_read",
            "mysql_info_schema_schema_statistics_rows_read_total",
            "Rows of a database that were read.",
        ),
        counter(
            "rows_changed",
            "mysql_info_schema_schema_statistics_rows_changed_total",
            "Rows of a database that were changed.",
        ),
        counter(
            "rows_changed_x_indexes",
            "mysql_info_schema_schema_statistics_rows_changed_x_indexes_total",
            "Rows of a database that were changed, each as often as it is in an index.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "info_schema.schemastats",
    by_default: false,
    help: "rows read and changed, by database",
    settings: &[],
    plan: |_, _| Some(Plan::server(WhileOn::new(TABLE))),
};
