//! Statements by digest: those seen lately on which most time was spent.

use std::borrow::Cow;

use pilotfish_engine::EngineName;
use pilotfish_engine::query::Identity;

use super::table::{Column, Table, counter, untyped};
use super::{Collector, Own, PICOSECONDS, Plan, Setting};

const LATENCY_HELP: &str =
    "Time within which 95, 99 and 99.9 percent of a digest's statements end.";

pub(super) static COLLECTOR: Collector = Collector {
    name: "perf_schema.eventsstatements",
    by_default: false,
    help: "statements, by digest",
    settings: &[
        Setting {
            name: "limit",
            default: "250",
            help: "at most so many digests: those on which most time was spent",
        },
        Setting {
            name: "timelimit",
            default: "86400",
            help: "leave out digests that were not seen for so many seconds",
        },
        Setting {
            name: "digest_text_limit",
            default: "120",
            help: "cut the text of digests after so many letters",
        },
    ],
    plan: |identity, own| {
        Some(Plan::server(Table {
            sql: Cow::Owned(statement(identity, own)),
            labels: &["schema", "digest", "digest_text"],
            values: VALUES,
        }))
    },
};

/// MariaDB knows no quantiles and no processor time, MySQL no processor time before 8.0.28.
fn statement(identity: &Identity, own: Own<'_>) -> String {
    let is_mysql = identity.engine == EngineName::MySql;
    let cpu_time = match is_mysql && identity.version >= [8, 0, 28] {
        true => "sum_cpu_time",
        false => "NULL AS sum_cpu_time",
    };
    let latency = match is_mysql {
        true => {
            "count_star AS latency_count, sum_timer_wait AS latency_sum, \
                 quantile_95, quantile_99, quantile_999"
        }
        false => {
            "NULL AS latency_count, NULL AS latency_sum, \
                  NULL AS quantile_95, NULL AS quantile_99, NULL AS quantile_999"
        }
    };
    format!(
        "SELECT schema_name AS `schema`, digest, LEFT(digest_text, {letters}) AS digest_text, \
         count_star, sum_timer_wait, sum_lock_time, {cpu_time}, sum_errors, sum_warnings, \
         sum_rows_affected, sum_rows_sent, sum_rows_examined, sum_created_tmp_disk_tables, \
         sum_created_tmp_tables, sum_sort_merge_passes, sum_sort_rows, sum_no_index_used, {latency} \
         FROM performance_schema.events_statements_summary_by_digest \
         WHERE schema_name NOT IN ('mysql', 'information_schema', 'performance_schema') \
         AND last_seen > NOW() - INTERVAL {seconds} SECOND \
         ORDER BY sum_timer_wait DESC LIMIT {digests}",
        letters = own.number("digest_text_limit"),
        seconds = own.number("timelimit"),
        digests = own.number("limit"),
    )
}

const VALUES: &[Column] = &[
    counter(
        "count_star",
        "mysql_perf_schema_events_statements_total",
        "Statements of a digest.",
    ),
    counter(
        "sum_timer_wait",
        "mysql_perf_schema_events_statements_seconds_total",
        "Time spent on statements of a digest.",
    )
    .per(PICOSECONDS),
    counter(
        "sum_lock_time",
        "mysql_perf_schema_events_statements_lock_time_seconds_total",
        "Time in which statements of a digest waited for locks of tables.",
    )
    .per(PICOSECONDS),
    counter(
        "sum_cpu_time",
        "mysql_perf_schema_events_statements_cpu_time_seconds_total",
        "Time of a processor spent on statements of a digest.",
    )
    .per(PICOSECONDS),
    counter(
        "sum_errors",
        "mysql_perf_schema_events_statements_errors_total",
        "Errors of statements of a digest.",
    ),
    counter(
        "sum_warnings",
        "mysql_perf_schema_events_statements_warnings_total",
        "Warnings of statements of a digest.",
    ),
    counter(
        "sum_rows_affected",
        "mysql_perf_schema_events_statements_rows_affected_total",
        "Rows that statements of a digest changed.",
    ),
    counter(
        "sum_rows_sent",
        "mysql_perf_schema_events_statements_rows_sent_total",
        "Rows that statements of a digest returned.",
    ),
    counter(
        "sum_rows_examined",
        "mysql_perf_schema_events_statements_rows_examined_total",
        "Rows that storage engines read for statements of a digest.",
    ),
    counter(
        "sum_created_tmp_tables",
        "mysql_perf_schema_events_statements_tmp_tables_total",
        "Temporary tables of statements of a digest.",
    ),
    counter(
        "sum_created_tmp_disk_tables",
        "mysql_perf_schema_events_statements_tmp_disk_tables_total",
        "Temporary tables on disk of statements of a digest.",
    ),
    counter(
        "sum_sort_merge_passes",
        "mysql_perf_schema_events_statements_sort_merge_passes_total",
        "Passes in which sorts of a digest merged what was sorted before.",
    ),
    counter(
        "sum_sort_rows",
        "mysql_perf_schema_events_statements_sort_rows_total",
        "Rows that statements of a digest sorted.",
    ),
    counter(
        "sum_no_index_used",
        "mysql_perf_schema_events_statements_no_index_used_total",
        "Statements of a digest that scanned a table without an index.",
    ),
    quantile("quantile_95", "95"),
    quantile("quantile_99", "99"),
    quantile("quantile_999", "999"),
    untyped(
        "latency_sum",
        "mysql_perf_schema_events_statements_latency_sum",
        "Time spent on statements of a digest.",
    )
    .per(PICOSECONDS),
    untyped(
        "latency_count",
        "mysql_perf_schema_events_statements_latency_count",
        "Statements of a digest.",
    ),
];

const fn quantile(column: &'static str, share: &'static str) -> Column {
    untyped(
        column,
        "mysql_perf_schema_events_statements_latency",
        LATENCY_HELP,
    )
    .per(PICOSECONDS)
    .with("quantile", share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::Choices;

    #[test]
    fn columns_that_a_server_lacks_are_not_asked_for() {
        let choices = Choices::default();
        for (engine, version, cpu_time, quantiles) in [
            (EngineName::MySql, [9, 7, 0], true, true),
            (EngineName::MySql, [8, 0, 28], true, true),
            (EngineName::MySql, [8, 0, 27], false, true),
            (EngineName::MariaDb, [11, 8, 2], false, false),
        ] {
            let words = String::new();
            let identity = Identity {
                engine,
                version,
                words,
            };
            let sql = statement(&identity, choices.own(engine, &COLLECTOR));
            assert_eq!(sql.contains("NULL AS sum_cpu_time"), !cpu_time, "{sql}");
            assert_eq!(sql.contains("NULL AS quantile_95"), !quantiles, "{sql}");
            assert!(sql.contains("LEFT(digest_text, 120)") && sql.ends_with("LIMIT 250"));
        }
    }
}
