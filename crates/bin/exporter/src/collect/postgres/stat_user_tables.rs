//! Tables: how they are read, changed and vacuumed, and how large they are.

use std::borrow::Cow;

use super::table::{Column, Table, counter, gauge};
use super::{Collector, Plan};

/// To ask for a size is to wait for whoever changes the table: while somebody has it or an index of it for himself, or
/// waits to have, it has no size here.
const SQL: &str = "WITH busy AS MATERIALIZED (SELECT coalesce(t.oid, i.indrelid, l.relation) AS relid FROM pg_locks l \
    LEFT JOIN pg_index i ON i.indexrelid = l.relation \
    LEFT JOIN pg_class t ON t.reltoastrelid = coalesce(i.indrelid, l.relation) \
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' \
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())) \
    SELECT current_database() AS datname, schemaname, relname, seq_scan, seq_tup_read, idx_scan, idx_tup_fetch, \
    n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd, n_live_tup, n_dead_tup, n_mod_since_analyze, \
    floor(extract(epoch FROM last_vacuum)) AS last_vacuum, \
    floor(extract(epoch FROM last_autovacuum)) AS last_autovacuum, \
    floor(extract(epoch FROM last_analyze)) AS last_analyze, \
    floor(extract(epoch FROM last_autoanalyze)) AS last_autoanalyze, \
    vacuum_count, autovacuum_count, analyze_count, autoanalyze_count, \
    table_bytes, index_bytes, table_bytes + index_bytes AS bytes FROM (SELECT *, \
    CASE WHEN relid NOT IN (SELECT relid FROM busy) THEN pg_table_size(relid) END AS table_bytes, \
    CASE WHEN relid NOT IN (SELECT relid FROM busy) THEN pg_indexes_size(relid) END AS index_bytes \
    FROM pg_stat_user_tables) u";

const VALUES: &[Column] = &[
    counter(
        "seq_scan",
        "pg_stat_user_tables_seq_scan",
        "Sequential scans that were begun.",
    )
    .or_zero(),
    counter(
        "seq_tup_read",
        "pg_stat_user_tables_seq_tup_read",
        "Live rows that sequential scans read.",
    )
    .or_zero(),
    counter(
        "idx_scan",
        "pg_stat_user_tables_idx_scan",
        "Index scans that were begun.",
    )
    .or_zero(),
    counter(
        "idx_tup_fetch",
        "pg_stat_user_tables_idx_tup_fetch",
        "Live rows that index scans fetched.",
    )
    .or_zero(),
    counter(
        "n_tup_ins",
        "pg_stat_user_tables_n_tup_ins",
        "Rows that were inserted.",
    )
    .or_zero(),
    counter(
        "n_tup_upd",
        "pg_stat_user_tables_n_tup_upd",
        "Rows that were updated.",
    )
    .or_zero(),
    counter(
        "n_tup_del",
        "pg_stat_user_tables_n_tup_del",
        "Rows that were deleted.",
    )
    .or_zero(),
    counter(
        "n_tup_hot_upd",
        "pg_stat_user_tables_n_tup_hot_upd",
        "Rows that were updated without a new entry in any index.",
    )
    .or_zero(),
    gauge(
        "n_live_tup",
        "pg_stat_user_tables_n_live_tup",
        "Live rows, estimated.",
    )
    .or_zero(),
    gauge(
        "n_dead_tup",
        "pg_stat_user_tables_n_dead_tup",
        "Dead rows, estimated.",
    )
    .or_zero(),
    gauge(
        "n_mod_since_analyze",
        "pg_stat_user_tables_n_mod_since_analyze",
        "Rows that were changed since the table was analyzed, estimated.",
    )
    .or_zero(),
    gauge(
        "last_vacuum",
        "pg_stat_user_tables_last_vacuum",
        "When it was last vacuumed by hand, as seconds since 1970; 0 for never.",
    )
    .or_zero(),
    gauge(
        "last_autovacuum",
        "pg_stat_user_tables_last_autovacuum",
        "When the server last vacuumed it, as seconds since 1970; 0 for never.",
    )
    .or_zero(),
    gauge(
        "last_analyze",
        "pg_stat_user_tables_last_analyze",
        "When it was last analyzed by hand, as seconds since 1970; 0 for never.",
    )
    .or_zero(),
    gauge(
        "last_autoanalyze",
        "pg_stat_user_tables_last_autoanalyze",
        "When the server last analyzed it, as seconds since 1970; 0 for never.",
    )
    .or_zero(),
    counter(
        "vacuum_count",
        "pg_stat_user_tables_vacuum_count",
        "How often it was vacuumed by hand.",
    )
    .or_zero(),
    counter(
        "autovacuum_count",
        "pg_stat_user_tables_autovacuum_count",
        "How often the server vacuumed it.",
    )
    .or_zero(),
    counter(
        "analyze_count",
        "pg_stat_user_tables_analyze_count",
        "How often it was analyzed by hand.",
    )
    .or_zero(),
    counter(
        "autoanalyze_count",
        "pg_stat_user_tables_autoanalyze_count",
        "How often the server analyzed it.",
    )
    .or_zero(),
    gauge(
        "bytes",
        "pg_stat_user_tables_size_bytes",
        "Bytes on disk, with indexes and long values.",
    ),
    gauge(
        "table_bytes",
        "pg_stat_user_tables_table_size_bytes",
        "Bytes on disk without indexes, with long values.",
    ),
    gauge(
        "index_bytes",
        "pg_stat_user_tables_index_size_bytes",
        "Bytes of its indexes on disk.",
    ),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_user_tables",
    by_default: true,
    help: "how tables are read, changed and vacuumed, and their sizes",
    settings: &[],
    plan: |_, _| {
        Some(Plan::each_database(Table {
            sql: Cow::Borrowed(SQL),
            labels: &["datname", "schemaname", "relname"],
            values: VALUES,
        }))
    },
};
