//! Statements: sums over all digests. Nothing where there are none.

use std::borrow::Cow;

use super::table::{Table, counter};
use super::{Collector, PICOSECONDS, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT SUM(count_star) AS total, \
         SUM(sum_created_tmp_disk_tables) AS created_tmp_disk_tables, \
         SUM(sum_created_tmp_tables) AS created_tmp_tables, \
         SUM(sum_errors) AS errors, \
         SUM(sum_lock_time) AS lock_time, \
         SUM(sum_no_good_index_used) AS no_good_index_used, \
         SUM(sum_no_index_used) AS no_index_used, \
         SUM(sum_rows_affected) AS rows_affected, \
         SUM(sum_rows_examined) AS rows_examined, \
         SUM(sum_rows_sent) AS rows_sent, \
         SUM(sum_select_full_join) AS select_full_join, \
         SUM(sum_select_full_range_join) AS select_full_range_join, \
         SUM(sum_select_range) AS select_range, \
         SUM(sum_select_range_check) AS select_range_check, \
         SUM(sum_select_scan) AS select_scan, \
         SUM(sum_sort_merge_passes) AS sort_merge_passes, \
         SUM(sum_sort_range) AS sort_range, \
         SUM(sum_sort_rows) AS sort_rows, \
         SUM(sum_sort_scan) AS sort_scan, \
         SUM(sum_timer_wait) AS timer_wait, \
         SUM(sum_warnings) AS warnings \
         FROM performance_schema.events_statements_summary_by_digest",
    ),
    labels: &[],
    values: &[
        counter(
            "total",
            "mysql_perf_schema_events_statements_sum_total",
            "Statements.",
        ),
        counter(
            "created_tmp_disk_tables",
            "mysql_perf_schema_events_statements_sum_created_tmp_disk_tables",
            "Temporary tables that were created on disk.",
        ),
        counter(
            "created_tmp_tables",
            "mysql_perf_schema_events_statements_sum_created_tmp_tables",
            "Temporary tables that were created.",
        ),
        counter(
            "errors",
            "mysql_perf_schema_events_statements_sum_errors",
            "Errors of statements.",
        ),
        counter(
            "lock_time",
            "mysql_perf_schema_events_statements_sum_lock_time",
            "Time spent to take locks, in picoseconds.",
        ),
        counter(
            "no_good_index_used",
            "mysql_perf_schema_events_statements_sum_no_good_index_used",
            "Statements for which there was no good index.",
        ),
        counter(
            "no_index_used",
            "mysql_perf_schema_events_statements_sum_no_index_used",
            "Statements that scanned a table without an index.",
        ),
        counter(
            "rows_affected",
            "mysql_perf_schema_events_statements_sum_rows_affected",
            "Rows that statements changed.",
        ),
        counter(
            "rows_examined",
            "mysql_perf_schema_events_statements_sum_rows_examined",
            "Rows that storage engines read for statements.",
        ),
        counter(
            "rows_sent",
            "mysql_perf_schema_events_statements_sum_rows_sent",
            "Rows that statements returned.",
        ),
        counter(
            "select_full_join",
            "mysql_perf_schema_events_statements_sum_select_full_join",
            "Joins that scanned a table for each row of another.",
        ),
        counter(
            "select_full_range_join",
            "mysql_perf_schema_events_statements_sum_select_full_range_join",
            "Joins that searched a range of a table for each row of another.",
        ),
        counter(
            "select_range",
            "mysql_perf_schema_events_statements_sum_select_range",
            "Joins that searched a range of the first table.",
        ),
        counter(
            "select_range_check",
            "mysql_perf_schema_events_statements_sum_select_range_check",
            "Joins that looked for a usable index for each row.",
        ),
        counter(
            "select_scan",
            "mysql_perf_schema_events_statements_sum_select_scan",
            "Joins that scanned the first table.",
        ),
        counter(
            "sort_merge_passes",
            "mysql_perf_schema_events_statements_sum_sort_merge_passes",
            "Passes in which sorts merged what was sorted before.",
        ),
        counter(
            "sort_range",
            "mysql_perf_schema_events_statements_sum_sort_range",
            "Sorts of a range.",
        ),
        counter(
            "sort_rows",
            "mysql_perf_schema_events_statements_sum_sort_rows",
            "Rows that were sorted.",
        ),
        counter(
            "sort_scan",
            "mysql_perf_schema_events_statements_sum_sort_scan",
            "Sorts of a whole table.",
        ),
        counter(
            "timer_wait",
            "mysql_perf_schema_events_statements_sum_timer_wait",
            "Time spent on statements, in seconds.",
        )
        .per(PICOSECONDS),
        counter(
            "warnings",
            "mysql_perf_schema_events_statements_sum_warnings",
            "Warnings of statements.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "perf_schema.eventsstatementssum",
    by_default: false,
    help: "statements, all together",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
