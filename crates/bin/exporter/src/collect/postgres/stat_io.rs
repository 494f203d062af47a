//! Reads and writes, by who does them and why: PostgreSQL 16. What was never done has no series.

use pilotfish_engine::query::Identity;

use super::table::{Column, Table, counter};
use super::{Collector, Plan};

const VALUES: &[Column] = &[
    counter("reads", "pg_stat_io_reads_total", "Reads."),
    counter(
        "read_bytes",
        "pg_stat_io_read_bytes_total",
        "Bytes that were read.",
    ),
    counter(
        "read_time",
        "pg_stat_io_read_time_seconds_total",
        "Time spent to read.",
    )
    .per(1000.0),
    counter("writes", "pg_stat_io_writes_total", "Writes."),
    counter(
        "write_bytes",
        "pg_stat_io_write_bytes_total",
        "Bytes that were written.",
    ),
    counter(
        "write_time",
        "pg_stat_io_write_time_seconds_total",
        "Time spent to write.",
    )
    .per(1000.0),
    counter(
        "writebacks",
        "pg_stat_io_writebacks_total",
        "Units that the kernel was asked to write to disk.",
    ),
    counter(
        "writeback_time",
        "pg_stat_io_writeback_time_seconds_total",
        "Time spent to ask the kernel for it.",
    )
    .per(1000.0),
    counter(
        "extends",
        "pg_stat_io_extends_total",
        "How often files were made longer.",
    ),
    counter(
        "extend_bytes",
        "pg_stat_io_extend_bytes_total",
        "By how many bytes files were made longer.",
    ),
    counter(
        "extend_time",
        "pg_stat_io_extend_time_seconds_total",
        "Time spent to make files longer.",
    )
    .per(1000.0),
    counter(
        "hits",
        "pg_stat_io_hits_total",
        "Blocks that were found in memory.",
    ),
    counter(
        "evictions",
        "pg_stat_io_evictions_total",
        "Blocks that made room in memory for others.",
    ),
    counter(
        "reuses",
        "pg_stat_io_reuses_total",
        "Blocks that made room within a ring of few buffers.",
    ),
    counter("fsyncs", "pg_stat_io_fsyncs_total", "Syncs."),
    counter(
        "fsync_time",
        "pg_stat_io_fsync_time_seconds_total",
        "Time spent to sync.",
    )
    .per(1000.0),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_io",
    by_default: true,
    help: "reads and writes, by who does them and why (PostgreSQL 16)",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(Table {
            sql: statement(identity)?.into(),
            labels: &["backend_type", "object", "context"],
            values: VALUES,
        }))
    },
};

fn statement(identity: &Identity) -> Option<String> {
    if !identity.at_least(16, 0) {
        return None;
    }
    let bytes = if identity.at_least(18, 0) {
        "read_bytes, write_bytes, extend_bytes"
    } else {
        "reads * op_bytes AS read_bytes, writes * op_bytes AS write_bytes, \
             extends * op_bytes AS extend_bytes"
    };
    Some(format!(
        "SELECT backend_type, object, context, reads, read_time, writes, write_time, writebacks, writeback_time, \
         extends, extend_time, hits, evictions, reuses, fsyncs, fsync_time, {bytes} FROM pg_stat_io \
         WHERE greatest(reads, writes, writebacks, extends, hits, evictions, reuses, fsyncs) > 0"
    ))
}
