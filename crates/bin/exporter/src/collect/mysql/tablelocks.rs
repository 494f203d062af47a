//! Locks of tables, by table: those of the server and those of its storage engines.

use std::borrow::Cow;

use super::table::{Table, counter};
use super::{Collector, PICOSECONDS, Plan};

const SQL: &str = "mysql_perf_schema_sql_lock_waits_total";
const SQL_HELP: &str = "Locks of a table that the server took, by kind.";
const SQL_TIME: &str = "mysql_perf_schema_sql_lock_waits_seconds_total";
const SQL_TIME_HELP: &str = "Time spent to take the server's locks of a table, by kind.";
const EXTERNAL: &str = "mysql_perf_schema_external_lock_waits_total";
const EXTERNAL_HELP: &str = "Locks of a table that its storage engine took, by kind.";
const EXTERNAL_TIME: &str = "mysql_perf_schema_external_lock_waits_seconds_total";
const EXTERNAL_TIME_HELP: &str =
    "Time spent to take the storage engine's locks of a table, by kind.";

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT object_schema AS `schema`, object_name AS name, \
         count_read_normal, count_read_with_shared_locks, count_read_high_priority, \
         count_read_no_insert, count_write_normal, count_write_allow_write, \
         count_write_concurrent_insert, count_write_low_priority, count_read_external, \
         count_write_external, sum_timer_read_normal, sum_timer_read_with_shared_locks, \
         sum_timer_read_high_priority, sum_timer_read_no_insert, sum_timer_write_normal, \
         sum_timer_write_allow_write, sum_timer_write_concurrent_insert, \
         sum_timer_write_low_priority, sum_timer_read_external, sum_timer_write_external \
         FROM performance_schema.table_lock_waits_summary_by_table \
         WHERE object_schema NOT IN ('mysql', 'performance_schema', 'information_schema')",
    ),
    labels: &["schema", "name"],
    values: &[
        counter("count_read_normal", SQL, SQL_HELP).with("operation", "read_normal"),
        counter("count_read_with_shared_locks", SQL, SQL_HELP)
            .with("operation", "read_with_shared_locks"),
        counter("count_read_high_priority", SQL, SQL_HELP).with("operation", "read_high_priority"),
        counter("count_read_no_insert", SQL, SQL_HELP).with("operation", "read_no_insert"),
        counter("count_write_normal", SQL, SQL_HELP).with("operation", "write_normal"),
        counter("count_write_allow_write", SQL, SQL_HELP).with("operation", "write_allow_write"),
        counter("count_write_concurrent_insert", SQL, SQL_HELP)
            .with("operation", "write_concurrent_insert"),
        counter("count_write_low_priority", SQL, SQL_HELP).with("operation", "write_low_priority"),
        counter("count_read_external", EXTERNAL, EXTERNAL_HELP).with("operation", "read"),
        counter("count_write_external", EXTERNAL, EXTERNAL_HELP).with("operation", "write"),
        counter("sum_timer_read_normal", SQL_TIME, SQL_TIME_HELP)
            .per(PICOSECONDS)
            .with("operation", "read_normal"),
        counter("sum_timer_read_with_shared_locks", SQL_TIME, SQL_TIME_HELP)
            .per(PICOSECONDS)
            .with("operation", "read_with_shared_locks"),
        counter("sum_timer_read_high_priority", SQL_TIME, SQL_TIME_HELP)
            .per(PICOSECONDS)
            .with("operation", "read_high_priority"),
        counter("sum_timer_read_no_insert", SQL_TIME, SQL_TIME_HELP)
            .per(PICOSECONDS)
            .with("operation", "read_no_insert"),
        counter("sum_timer_write_normal", SQL_TIME, SQL_TIME_HELP)
            .per(PICOSECONDS)
            .with("operation", "write_normal"),
        counter("sum_timer_write_allow_write", SQL_TIME, SQL_TIME_HELP)
            .per(PICOSECONDS)
            .with("operation", "write_allow_write"),
        counter("sum_timer_write_concurrent_insert", SQL_TIME, SQL_TIME_HELP)
            .per(PICOSECONDS)
            .with("operation", "write_concurrent_insert"),
        counter("sum_timer_write_low_priority", SQL_TIME, SQL_TIME_HELP)
            .per(PICOSECONDS)
            .with("operation", "write_low_priority"),
        counter("sum_timer_read_external", EXTERNAL_TIME, EXTERNAL_TIME_HELP)
            .per(PICOSECONDS)
            .with("operation", "read"),
        counter(
            "sum_timer_write_external",
            EXTERNAL_TIME,
            EXTERNAL_TIME_HELP,
        )
        .per(PICOSECONDS)
        .with("operation", "write"),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "perf_schema.tablelocks",
    by_default: false,
    help: "locks of tables",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
