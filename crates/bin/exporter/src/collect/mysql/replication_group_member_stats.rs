//! Group replication: transactions of this member. MySQL only.

use std::borrow::Cow;

use pilotfish_engine::EngineName;

use super::table::{Table, counter, gauge};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT count_transactions_in_queue, count_transactions_checked, count_conflicts_detected, \
         count_transactions_rows_validating, count_transactions_remote_in_applier_queue, \
         count_transactions_remote_applied, count_transactions_local_proposed, \
         count_transactions_local_rollback \
         FROM performance_schema.replication_group_member_stats WHERE member_id = @@server_uuid",
    ),
    labels: &[],
    values: &[
        gauge(
            "count_transactions_in_queue",
            "mysql_perf_schema_transactions_in_queue",
            "Transactions that wait to be checked for conflicts.",
        ),
        counter(
            "count_transactions_checked",
            "mysql_perf_schema_transactions_checked_total",
            "Transactions that were checked for conflicts.",
        ),
        counter(
            "count_conflicts_detected",
            "mysql_perf_schema_conflicts_detected_total",
            "Transactions that had conflicts.",
        ),
        counter(
            "count_transactions_rows_validating",
            "mysql_perf_schema_transactions_rows_validating_total",
            "Rows that transactions are checked against.",
        ),
        gauge(
            "count_transactions_remote_in_applier_queue",
            "mysql_perf_schema_transactions_remote_in_applier_queue",
            "Transactions of other members that wait to be applied.",
        ),
        counter(
            "count_transactions_remote_applied",
            "mysql_perf_schema_transactions_remote_applied_total",
            "Transactions of other members that were applied.",
        ),
        counter(
            "count_transactions_local_proposed",
            "mysql_perf_schema_transactions_local_proposed_total",
            "Transactions of this member that were sent to the group.",
        ),
        counter(
            "count_transactions_local_rollback",
            "mysql_perf_schema_transactions_local_rollback_total",
            "Transactions of this member that the group refused.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "perf_schema.replication_group_member_stats",
    by_default: false,
    help: "transactions of this member of a replication group",
    settings: &[],
    plan: |identity, _| (identity.engine == EngineName::MySql).then(|| Plan::server(TABLE)),
};
