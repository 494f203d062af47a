//! Who writes buffers to disk: the background writer, checkpoints, and sessions themselves.
//!
//! PostgreSQL 17 moved most of it to pg_stat_checkpointer and pg_stat_io. The old names go on here, with what they
//! always meant: a restartpoint counts as a checkpoint, and a file that a session makes longer as a write.

use std::borrow::Cow;

use pilotfish_engine::query::Identity;

use super::table::{Column, Table, counter};
use super::{Collector, Plan};

const BEFORE_17: &str = "SELECT checkpoints_timed, checkpoints_req, checkpoint_write_time, checkpoint_sync_time, \
    buffers_checkpoint, buffers_clean, maxwritten_clean, buffers_backend, buffers_backend_fsync, buffers_alloc, \
    floor(extract(epoch FROM stats_reset)) AS stats_reset FROM pg_stat_bgwriter";

const VALUES: &[Column] = &[
    counter(
        "checkpoints_timed",
        "pg_stat_bgwriter_checkpoints_timed_total",
        "Checkpoints that were due.",
    )
    .or_zero(),
    counter(
        "checkpoints_req",
        "pg_stat_bgwriter_checkpoints_req_total",
        "Checkpoints that were asked for.",
    )
    .or_zero(),
    counter(
        "checkpoint_write_time",
        "pg_stat_bgwriter_checkpoint_write_time_total",
        "Milliseconds that checkpoints spent to write files.",
    )
    .or_zero(),
    counter(
        "checkpoint_sync_time",
        "pg_stat_bgwriter_checkpoint_sync_time_total",
        "Milliseconds that checkpoints spent to sync files.",
    )
    .or_zero(),
    counter(
        "buffers_checkpoint",
        "pg_stat_bgwriter_buffers_checkpoint_total",
        "Buffers that checkpoints wrote.",
    )
    .or_zero(),
    counter(
        "buffers_clean",
        "pg_stat_bgwriter_buffers_clean_total",
        "Buffers that the background writer wrote.",
    )
    .or_zero(),
    counter(
        "maxwritten_clean",
        "pg_stat_bgwriter_maxwritten_clean_total",
        "How often the background writer stopped because it had written enough.",
    )
    .or_zero(),
    counter(
        "buffers_backend",
        "pg_stat_bgwriter_buffers_backend_total",
        "Buffers that sessions wrote themselves.",
    )
    .or_zero(),
    counter(
        "buffers_backend_fsync",
        "pg_stat_bgwriter_buffers_backend_fsync_total",
        "How often sessions had to sync a file themselves.",
    )
    .or_zero(),
    counter(
        "buffers_alloc",
        "pg_stat_bgwriter_buffers_alloc_total",
        "Buffers that were allocated.",
    )
    .or_zero(),
    counter(
        "stats_reset",
        "pg_stat_bgwriter_stats_reset_total",
        "When these counters began, as seconds since 1970.",
    )
    .or_zero(),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_bgwriter",
    by_default: true,
    help: "buffers written by the background writer, checkpoints and sessions",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(Table {
            sql: statement(identity),
            labels: &[],
            values: VALUES,
        }))
    },
};

fn statement(identity: &Identity) -> Cow<'static, str> {
    if !identity.at_least(17, 0) {
        return BEFORE_17.into();
    }
    // Since 18 one write may be of many blocks, and bytes are counted too.
    let written = if identity.at_least(18, 0) {
        "(coalesce(write_bytes, 0) + coalesce(extend_bytes, 0)) / current_setting('block_size')::int"
    } else {
        "coalesce(writes, 0) + coalesce(extends, 0)"
    };
    format!(
        "SELECT c.num_timed + c.restartpoints_timed AS checkpoints_timed, \
         c.num_requested + c.restartpoints_req AS checkpoints_req, c.write_time AS checkpoint_write_time, \
         c.sync_time AS checkpoint_sync_time, c.buffers_written AS buffers_checkpoint, b.buffers_clean, \
         b.maxwritten_clean, i.buffers_backend, i.buffers_backend_fsync, b.buffers_alloc, \
         floor(extract(epoch FROM b.stats_reset)) AS stats_reset \
         FROM pg_stat_bgwriter b CROSS JOIN pg_stat_checkpointer c CROSS JOIN (\
         SELECT sum({written}) AS buffers_backend, sum(fsyncs) AS buffers_backend_fsync FROM pg_stat_io \
         WHERE object = 'relation' AND backend_type NOT IN ('background writer', 'checkpointer')) i"
    )
    .into()
}
