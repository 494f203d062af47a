//! Logical replication into this server, by subscription.

use pilotfish_engine::query::Identity;

use super::table::{Column, Table, counter, gauge};
use super::{Collector, Plan};

const VALUES: &[Column] = &[
    gauge(
        "enabled",
        "pg_stat_subscription_enabled",
        "1 where the subscription is meant to run.",
    ),
    gauge(
        "applying",
        "pg_stat_subscription_apply_workers",
        "1 where changes are received and applied.",
    ),
    gauge(
        "syncing",
        "pg_stat_subscription_sync_workers",
        "Tables that are being copied.",
    ),
    gauge(
        "parallel",
        "pg_stat_subscription_parallel_apply_workers",
        "Workers that help to apply large transactions (PostgreSQL 16).",
    ),
    gauge(
        "received_lsn",
        "pg_stat_subscription_received_lsn",
        "Position in the publisher's log up to which it was received, in bytes.",
    ),
    gauge(
        "latest_end_lsn",
        "pg_stat_subscription_latest_end_lsn",
        "Position that the publisher was last told, in bytes.",
    ),
    gauge(
        "last_msg_send_time",
        "pg_stat_subscription_last_msg_send_time",
        "When the publisher sent the last message, by its clock, as seconds since 1970.",
    ),
    gauge(
        "last_msg_receipt_time",
        "pg_stat_subscription_last_msg_receipt_time",
        "When the last message was received, as seconds since 1970.",
    ),
    gauge(
        "latest_end_time",
        "pg_stat_subscription_latest_end_time",
        "When the publisher was last told a position, as seconds since 1970.",
    ),
    counter(
        "apply_error_count",
        "pg_stat_subscription_apply_errors_total",
        "How often a change could not be applied (PostgreSQL 15).",
    ),
    counter(
        "sync_error_count",
        "pg_stat_subscription_sync_errors_total",
        "How often a table could not be copied (PostgreSQL 15).",
    ),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_subscription",
    by_default: true,
    help: "logical replication into the server, by subscription",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(Table {
            sql: statement(identity).into(),
            labels: &["datname", "subname"],
            values: VALUES,
        }))
    },
};

/// Names of subscriptions are a database's own. The worker that copies a table is not the one that applies changes,
/// nor are those that help it.
fn statement(identity: &Identity) -> String {
    let (applies, parallel) = if identity.at_least(16, 0) {
        ("relid IS NULL AND leader_pid IS NULL", "count(leader_pid)")
    } else {
        ("relid IS NULL", "NULL")
    };
    let (errors, of_errors) = if identity.at_least(15, 0) {
        (
            "e.apply_error_count, e.sync_error_count",
            "LEFT JOIN LATERAL pg_stat_get_subscription_stats(s.oid) e ON true",
        )
    } else {
        ("NULL AS apply_error_count, NULL AS sync_error_count", "")
    };
    format!(
        "SELECT d.datname, s.subname, s.subenabled AS enabled, w.applying, w.syncing, w.parallel, \
         w.received_lsn - '0/0'::pg_lsn AS received_lsn, w.latest_end_lsn - '0/0'::pg_lsn AS latest_end_lsn, \
         extract(epoch FROM w.last_msg_send_time) AS last_msg_send_time, \
         extract(epoch FROM w.last_msg_receipt_time) AS last_msg_receipt_time, \
         extract(epoch FROM w.latest_end_time) AS latest_end_time, {errors} \
         FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid CROSS JOIN LATERAL (\
         SELECT count(*) FILTER (WHERE {applies}) AS applying, count(relid) AS syncing, {parallel} AS parallel, \
         max(received_lsn) FILTER (WHERE {applies}) AS received_lsn, \
         max(latest_end_lsn) FILTER (WHERE {applies}) AS latest_end_lsn, \
         max(last_msg_send_time) FILTER (WHERE {applies}) AS last_msg_send_time, \
         max(last_msg_receipt_time) FILTER (WHERE {applies}) AS last_msg_receipt_time, \
         max(latest_end_time) FILTER (WHERE {applies}) AS latest_end_time \
         FROM pg_stat_get_subscription(s.oid)) w {of_errors}"
    )
}
