//! What happened in each database.

use pilotfish_engine::query::Identity;

use super::table::{Column, Table, counter, gauge, untyped};
use super::{Collector, Plan};

/// The row without a name is what databases share.
fn table(identity: &Identity) -> Table {
    // PostgreSQL 18 counts them.
    let parallel = match identity.at_least(18, 0) {
        true => "parallel_workers_to_launch, parallel_workers_launched",
        false => "NULL AS parallel_workers_to_launch, NULL AS parallel_workers_launched",
    };
    let sql = format!(
        "SELECT datid, datname, numbackends, xact_commit, xact_rollback, blks_read, blks_hit, tup_returned, \
         tup_fetched, tup_inserted, tup_updated, tup_deleted, conflicts, temp_files, temp_bytes, deadlocks, \
         blk_read_time, blk_write_time, active_time, active_time AS active, session_time, \
         idle_in_transaction_time, sessions, sessions_abandoned, sessions_fatal, sessions_killed, \
         checksum_failures, extract(epoch FROM checksum_last_failure) AS checksum_last_failure, {parallel}, \
         floor(extract(epoch FROM stats_reset)) AS stats_reset FROM pg_stat_database WHERE datname IS NOT NULL"
    );
    Table {
        sql: sql.into(),
        labels: &["datid", "datname"],
        values: VALUES,
    }
}

const VALUES: &[Column] = &[
    gauge(
        "numbackends",
        "pg_stat_database_numbackends",
        "Sessions in the database.",
    ),
    counter(
        "xact_commit",
        "pg_stat_database_xact_commit",
        "Transactions that were committed.",
    ),
    counter(
        "xact_rollback",
        "pg_stat_database_xact_rollback",
        "Transactions that were rolled back.",
    ),
    counter(
        "blks_read",
        "pg_stat_database_blks_read",
        "Blocks that were read from disk.",
    ),
    counter(
        "blks_hit",
        "pg_stat_database_blks_hit",
        "Blocks that were found in memory.",
    ),
    counter(
        "tup_returned",
        "pg_stat_database_tup_returned",
        "Live rows that scans read, and entries of indexes.",
    ),
    counter(
        "tup_fetched",
        "pg_stat_database_tup_fetched",
        "Live rows that were fetched by way of an index.",
    ),
    counter(
        "tup_inserted",
        "pg_stat_database_tup_inserted",
        "Rows that were inserted.",
    ),
    counter(
        "tup_updated",
        "pg_stat_database_tup_updated",
        "Rows that were updated.",
    ),
    counter(
        "tup_deleted",
        "pg_stat_database_tup_deleted",
        "Rows that were deleted.",
    ),
    counter(
        "conflicts",
        "pg_stat_database_conflicts",
        "Statements that replication ended, on a standby.",
    ),
    counter(
        "temp_files",
        "pg_stat_database_temp_files",
        "Temporary files that were made.",
    ),
    counter(
        "temp_bytes",
        "pg_stat_database_temp_bytes",
        "Bytes that were written to temporary files.",
    ),
    counter("deadlocks", "pg_stat_database_deadlocks", "Deadlocks."),
    counter(
        "blk_read_time",
        "pg_stat_database_blk_read_time",
        "Milliseconds spent to read blocks, where track_io_timing is on.",
    ),
    counter(
        "blk_write_time",
        "pg_stat_database_blk_write_time",
        "Milliseconds spent to write blocks, where track_io_timing is on.",
    ),
    counter(
        "stats_reset",
        "pg_stat_database_stats_reset",
        "When these counters began, as seconds since 1970; 0 where they never were reset.",
    )
    .or_zero(),
    counter(
        "active_time",
        "pg_stat_database_active_time_seconds_total",
        "Time that sessions spent in statements.",
    )
    .per(1000.0),
    // As postgres_exporter had them before 0.13, and has no more: milliseconds, and of no type.
    untyped(
        "active",
        "pg_stat_database_active_time",
        "Milliseconds that sessions spent in statements.",
    ),
    untyped(
        "session_time",
        "pg_stat_database_session_time",
        "Milliseconds that sessions lasted.",
    ),
    untyped(
        "idle_in_transaction_time",
        "pg_stat_database_idle_in_transaction_time",
        "Milliseconds that sessions waited for their clients within transactions.",
    ),
    untyped(
        "sessions",
        "pg_stat_database_sessions",
        "Sessions that were begun.",
    ),
    untyped(
        "sessions_abandoned",
        "pg_stat_database_sessions_abandoned",
        "Sessions whose client went away.",
    ),
    untyped(
        "sessions_fatal",
        "pg_stat_database_sessions_fatal",
        "Sessions that an error ended.",
    ),
    untyped(
        "sessions_killed",
        "pg_stat_database_sessions_killed",
        "Sessions that somebody ended.",
    ),
    untyped(
        "checksum_failures",
        "pg_stat_database_checksum_failures",
        "Pages whose checksum was wrong; no number where there are no checksums.",
    )
    .or_nan(),
    untyped(
        "checksum_last_failure",
        "pg_stat_database_checksum_last_failure",
        "When that was last, as seconds since 1970.",
    )
    .or_nan(),
    untyped(
        "parallel_workers_to_launch",
        "pg_stat_database_parallel_workers_to_launch",
        "Workers that parallel statements wanted.",
    ),
    untyped(
        "parallel_workers_launched",
        "pg_stat_database_parallel_workers_launched",
        "Workers that they got.",
    ),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_database",
    by_default: true,
    help: "transactions, rows, blocks and deadlocks, by database",
    settings: &[],
    plan: |identity, _| Some(Plan::server(table(identity))),
};
