//! Tables that autovacuum is at work on.

use std::borrow::Cow;

use super::table::{Table, gauge};
use super::{Collector, Plan};

/// Tables of one name in several schemas or databases are one series: the oldest counts.
const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT split_part(query, '.', 2) AS relname, min(extract(epoch FROM xact_start)) AS began \
         FROM pg_stat_activity WHERE query LIKE 'autovacuum:%' GROUP BY 1",
    ),
    labels: &["relname"],
    values: &[gauge(
        "began",
        "pg_stat_activity_autovacuum_timestamp_seconds",
        "When autovacuum began with the table, as seconds since 1970.",
    )],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_activity_autovacuum",
    by_default: false,
    help: "tables that autovacuum is at work on",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
