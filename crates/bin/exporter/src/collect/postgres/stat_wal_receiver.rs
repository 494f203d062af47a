//! What a standby receives, and from whom.

use std::borrow::Cow;

use super::table::{Column, Table, counter, gauge};
use super::{Collector, Plan};

/// Accounts that may not see more see only that there is a receiver.
const SQL: &str = "SELECT trim(BOTH '''' FROM substring(conninfo FROM 'host=([^ ]*)')) AS upstream_host, slot_name, \
    status, (receive_start_lsn - '0/0'::pg_lsn) % (2 ^ 52)::bigint AS receive_start_lsn, receive_start_tli, \
    (flushed_lsn - '0/0'::pg_lsn) % (2 ^ 52)::bigint AS flushed_lsn, received_tli, \
    extract(epoch FROM last_msg_send_time) AS last_msg_send_time, \
    extract(epoch FROM last_msg_receipt_time) AS last_msg_receipt_time, \
    (latest_end_lsn - '0/0'::pg_lsn) % (2 ^ 52)::bigint AS latest_end_lsn, \
    extract(epoch FROM latest_end_time) AS latest_end_time, \
    substring(slot_name FROM 'repmgr_slot_([0-9]*)') AS upstream_node \
    FROM pg_stat_wal_receiver WHERE status IS NOT NULL";

const VALUES: &[Column] = &[
    counter(
        "receive_start_lsn",
        "pg_stat_wal_receiver_receive_start_lsn",
        "Position from which it received, in bytes.",
    ),
    gauge(
        "receive_start_tli",
        "pg_stat_wal_receiver_receive_start_tli",
        "Timeline from which it received.",
    ),
    counter(
        "flushed_lsn",
        "pg_stat_wal_receiver_flushed_lsn",
        "Position up to which what was received is on disk, in bytes.",
    ),
    gauge(
        "received_tli",
        "pg_stat_wal_receiver_received_tli",
        "Timeline of what was received last.",
    ),
    counter(
        "last_msg_send_time",
        "pg_stat_wal_receiver_last_msg_send_time",
        "When the sender sent its last message, by its clock, as seconds since 1970.",
    ),
    counter(
        "last_msg_receipt_time",
        "pg_stat_wal_receiver_last_msg_receipt_time",
        "When the last message was received, as seconds since 1970.",
    ),
    counter(
        "latest_end_lsn",
        "pg_stat_wal_receiver_latest_end_lsn",
        "Position that the sender was last told, in bytes.",
    ),
    counter(
        "latest_end_time",
        "pg_stat_wal_receiver_latest_end_time",
        "When the sender was last told a position, as seconds since 1970.",
    ),
    gauge(
        "upstream_node",
        "pg_stat_wal_receiver_upstream_node",
        "Node of repmgr that it receives from, by the name of the slot.",
    ),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_wal_receiver",
    by_default: false,
    help: "what a standby receives",
    settings: &[],
    plan: |_, _| {
        Some(Plan::server(Table {
            sql: Cow::Borrowed(SQL),
            labels: &["upstream_host", "slot_name", "status"],
            values: VALUES,
        }))
    },
};
