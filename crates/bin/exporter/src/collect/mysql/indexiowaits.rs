//! Reads and changes of rows, by index.

use std::borrow::Cow;

use super::table::{Table, counter};
use super::{Collector, PICOSECONDS, Plan};

const WAITS: &str = "mysql_perf_schema_index_io_waits_total";
const WAITS_HELP: &str = "Operations on rows through an index, by kind; through none is NONE.";
const SECONDS: &str = "mysql_perf_schema_index_io_waits_seconds_total";
const SECONDS_HELP: &str = "Time spent on rows through an index, by kind of operation.";

/// Inserts go through no index: those of indexes are not counted.
const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT object_schema AS `schema`, object_name AS name, COALESCE(index_name, 'NONE') AS `index`, \
         count_fetch, IF(index_name IS NULL, count_insert, NULL) AS count_insert, \
         count_update, count_delete, \
         sum_timer_fetch, IF(index_name IS NULL, sum_timer_insert, NULL) AS sum_timer_insert, \
         sum_timer_update, sum_timer_delete \
         FROM performance_schema.table_io_waits_summary_by_index_usage \
         WHERE object_schema NOT IN ('mysql', 'performance_schema')",
    ),
    labels: &["schema", "name", "index"],
    values: &[
        counter("count_fetch", WAITS, WAITS_HELP).with("operation", "fetch"),
        counter("count_insert", WAITS, WAITS_HELP).with("operation", "insert"),
        counter("count_update", WAITS, WAITS_HELP).with("operation", "update"),
        counter("count_delete", WAITS, WAITS_HELP).with("operation", "delete"),
        counter("sum_timer_fetch", SECONDS, SECONDS_HELP)
            .per(PICOSECONDS)
            .with("operation", "fetch"),
        counter("sum_timer_insert", SECONDS, SECONDS_HELP)
            .per(PICOSECONDS)
            .with("operation", "insert"),
        counter("sum_timer_update", SECONDS, SECONDS_HELP)
            .per(PICOSECONDS)
            .with("operation", "update"),
        counter("sum_timer_delete", SECONDS, SECONDS_HELP)
            .per(PICOSECONDS)
            .with("operation", "delete"),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "perf_schema.indexiowaits",
    by_default: false,
    help: "reads and changes of rows, by index",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
