//! Transactions that are open now; the one that asks is among them.

use std::borrow::Cow;

use super::table::{Table, gauge};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT count(*) AS transactions, max(extract(epoch FROM clock_timestamp() - xact_start)) AS oldest \
         FROM pg_stat_activity WHERE xact_start IS NOT NULL AND state IS DISTINCT FROM 'idle' \
         AND query NOT LIKE 'autovacuum:%'",
    ),
    labels: &[],
    values: &[
        gauge(
            "transactions",
            "pg_long_running_transactions",
            "Transactions that are open, without those of autovacuum.",
        ),
        gauge(
            "oldest",
            "pg_long_running_transactions_oldest_timestamp_seconds",
            "How long the oldest of them has been open.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "long_running_transactions",
    by_default: false,
    help: "open transactions and the age of the oldest",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
