//! Rows read and changed, by table, while userstat is on.

use std::borrow::Cow;

use super::activity::WhileOn;
use super::table::{Table, counter};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT table_schema AS `schema`, table_name AS `table`, \
         rows_read, rows_changed, rows_changed_x_indexes \
         FROM information_schema.table_statistics",
    ),
    labels: &["schema", "table"],
    values: &[
        counter(
            "rows_read",
            "mysql_info_schema_table_statistics_rows_read_total",
            "Rows of a table that were read.",
        ),
        counter(
            "rows_changed",
            "mysql_info_schema_table_statistics_rows_changed_total",
            "Rows of a table that were changed.",
        ),
        counter(
            "rows_changed_x_indexes",
            "mysql_info_schema_table_statistics_rows_changed_x_indexes_total",
            "Rows of a table that were changed, each as often as it is in an index.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "info_schema.tablestats",
    by_default: false,
    help: "rows read and changed, by table",
    settings: &[],
    plan: |_, _| Some(Plan::server(WhileOn::new(TABLE))),
};
