//! Replication: when each worker of an applier had which transaction. MySQL only.

use std::borrow::Cow;

use pilotfish_engine::EngineName;

use super::table::{Column, Table, gauge};
use super::{Collector, Plan};

const NANOSECONDS: f64 = 1e9;

pub(super) static COLLECTOR: Collector = Collector {
    name: "perf_schema.replication_applier_status_by_worker",
    by_default: false,
    help: "transactions of workers that apply replicated changes",
    settings: &[],
    plan: |identity, _| {
        let table = || Table {
            sql: Cow::Owned(statement()),
            labels: &["channel_name", "member_id"],
            values: VALUES,
        };
        (identity.engine == EngineName::MySql).then(|| Plan::server(table()))
    },
};

const TIMES: [&str; 7] = [
    "last_applied_transaction_original_commit_timestamp",
    "last_applied_transaction_immediate_commit_timestamp",
    "last_applied_transaction_start_apply_timestamp",
    "last_applied_transaction_end_apply_timestamp",
    "applying_transaction_original_commit_timestamp",
    "applying_transaction_immediate_commit_timestamp",
    "applying_transaction_start_apply_timestamp",
];

/// Times have no zone and are taken for UTC, as mysqld_exporter takes them. Of 0000-00-00, which stands for never,
/// there is no difference: NULL.
fn statement() -> String {
    let times = TIMES
        .map(|time| format!(", TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {time}) * 1000 AS {time}"));
    format!(
        "SELECT channel_name, worker_id AS member_id{} \
         FROM performance_schema.replication_applier_status_by_worker",
        times.concat()
    )
}

const VALUES: &[Column] = &[
    time(
        TIMES[0],
        "mysql_perf_schema_last_applied_transaction_original_commit_timestamp_seconds",
        "When the last transaction was committed where it began; 0 is never.",
    ),
    time(
        TIMES[1],
        "mysql_perf_schema_last_applied_transaction_immediate_commit_timestamp_seconds",
        "When the last transaction was committed on the source; 0 is never.",
    ),
    time(
        TIMES[2],
        "mysql_perf_schema_last_applied_transaction_start_apply_timestamp_seconds",
        "When the worker began the last transaction; 0 is never.",
    ),
    time(
        TIMES[3],
        "mysql_perf_schema_last_applied_transaction_end_apply_timestamp_seconds",
        "When the worker ended the last transaction; 0 is never.",
    ),
    time(
        TIMES[4],
        "mysql_perf_schema_applying_transaction_original_commit_timestamp_seconds",
        "When the transaction in work was committed where it began; 0 where none is.",
    ),
    time(
        TIMES[5],
        "mysql_perf_schema_applying_transaction_immediate_commit_timestamp_seconds",
        "When the transaction in work was committed on the source; 0 where none is.",
    ),
    time(
        TIMES[6],
        "mysql_perf_schema_applying_transaction_start_apply_timestamp_seconds",
        "When the worker began the transaction in work; 0 where none is.",
    ),
];

const fn time(column: &'static str, metric: &'static str, help: &'static str) -> Column {
    gauge(column, metric, help).per(NANOSECONDS).or_zero()
}
