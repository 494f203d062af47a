//! Checkpoints and restartpoints: PostgreSQL 17.

use pilotfish_engine::query::Identity;

use super::table::{Column, Table, counter};
use super::{Collector, Plan};

const VALUES: &[Column] = &[
    counter(
        "num_timed",
        "pg_stat_checkpointer_num_timed_total",
        "Checkpoints that were due.",
    )
    .or_zero(),
    counter(
        "num_requested",
        "pg_stat_checkpointer_num_requested_total",
        "Checkpoints that were asked for.",
    )
    .or_zero(),
    counter(
        "num_done",
        "pg_stat_checkpointer_num_done_total",
        "Checkpoints that were done: one that is due on an idle server is not.",
    ),
    counter(
        "restartpoints_timed",
        "pg_stat_checkpointer_restartpoints_timed_total",
        "Restartpoints that were due.",
    )
    .or_zero(),
    counter(
        "restartpoints_req",
        "pg_stat_checkpointer_restartpoints_req_total",
        "Restartpoints that were asked for.",
    )
    .or_zero(),
    counter(
        "restartpoints_done",
        "pg_stat_checkpointer_restartpoints_done_total",
        "Restartpoints that were done.",
    )
    .or_zero(),
    counter(
        "write_time",
        "pg_stat_checkpointer_write_time_total",
        "Milliseconds spent to write files.",
    )
    .or_zero(),
    counter(
        "sync_time",
        "pg_stat_checkpointer_sync_time_total",
        "Milliseconds spent to sync files.",
    )
    .or_zero(),
    counter(
        "buffers_written",
        "pg_stat_checkpointer_buffers_written_total",
        "Buffers that were written.",
    )
    .or_zero(),
    counter(
        "slru_written",
        "pg_stat_checkpointer_slru_written_total",
        "Buffers of the SLRU caches that were written.",
    ),
    counter(
        "stats_reset",
        "pg_stat_checkpointer_stats_reset_total",
        "When these counters began, as seconds since 1970.",
    )
    .or_zero(),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_checkpointer",
    // Not so in postgres_exporter; but without it most of a PostgreSQL 17's checkpoints would be out of sight.
    by_default: true,
    help: "checkpoints and restartpoints (PostgreSQL 17)",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(Table {
            sql: statement(identity)?.into(),
            labels: &[],
            values: VALUES,
        }))
    },
};

fn statement(identity: &Identity) -> Option<String> {
    if !identity.at_least(17, 0) {
        return None;
    }
    let since_18 = if identity.at_least(18, 0) {
        "num_done, slru_written"
    } else {
        "NULL AS num_done, NULL AS slru_written"
    };
    Some(format!(
        "SELECT num_timed, num_requested, restartpoints_timed, restartpoints_req, restartpoints_done, write_time, \
         sync_time, buffers_written, floor(extract(epoch FROM stats_reset)) AS stats_reset, {since_18} \
         FROM pg_stat_checkpointer"
    ))
}
