//! How much of the write-ahead log is made, and what writing it takes.
//!
//! PostgreSQL 18 counts writes and syncs in pg_stat_io; the names here stay.

use pilotfish_engine::query::Identity;

use super::table::{Column, Table, counter};
use super::{Collector, Plan};

const BEFORE_18: &str = "SELECT wal_records, wal_fpi, wal_bytes, wal_buffers_full, wal_write, wal_sync, \
    wal_write_time, wal_sync_time FROM pg_stat_wal";
/// What a standby receives was never among the writes, nor were new segments.
const SINCE_18: &str = "SELECT w.wal_records, w.wal_fpi, w.wal_bytes, w.wal_buffers_full, i.wal_write, i.wal_sync, \
    i.wal_write_time, i.wal_sync_time FROM pg_stat_wal w CROSS JOIN (\
    SELECT sum(writes) FILTER (WHERE backend_type <> 'walreceiver') AS wal_write, sum(fsyncs) AS wal_sync, \
    sum(write_time) FILTER (WHERE backend_type <> 'walreceiver') AS wal_write_time, sum(fsync_time) AS wal_sync_time \
    FROM pg_stat_io WHERE object = 'wal' AND context = 'normal') i";

const VALUES: &[Column] = &[
    counter(
        "wal_records",
        "pg_stat_wal_records_total",
        "Records that were made.",
    ),
    counter(
        "wal_fpi",
        "pg_stat_wal_fpi_total",
        "Whole pages among the records.",
    ),
    counter(
        "wal_bytes",
        "pg_stat_wal_bytes_total",
        "Bytes of the records.",
    ),
    counter(
        "wal_buffers_full",
        "pg_stat_wal_buffers_full_total",
        "How often records were written because the buffers for them were full.",
    ),
    counter(
        "wal_write",
        "pg_stat_wal_writes_total",
        "Writes of records to disk.",
    ),
    counter("wal_sync", "pg_stat_wal_syncs_total", "Syncs of segments."),
    counter(
        "wal_write_time",
        "pg_stat_wal_write_time_seconds_total",
        "Time spent to write records, where track_wal_io_timing is on.",
    )
    .per(1000.0),
    counter(
        "wal_sync_time",
        "pg_stat_wal_sync_time_seconds_total",
        "Time spent to sync segments, where track_wal_io_timing is on.",
    )
    .per(1000.0),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_wal",
    by_default: true,
    help: "how much of the write-ahead log is made",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(Table {
            sql: statement(identity).into(),
            labels: &[],
            values: VALUES,
        }))
    },
};

fn statement(identity: &Identity) -> &'static str {
    if identity.at_least(18, 0) {
        SINCE_18
    } else {
        BEFORE_18
    }
}
