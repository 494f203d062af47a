//! Blocks of tables and their indexes: read from disk or found in memory.

use std::borrow::Cow;

use super::table::{Table, counter};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT current_database() AS datname, schemaname, relname, heap_blks_read, heap_blks_hit, idx_blks_read, \
         idx_blks_hit, toast_blks_read, toast_blks_hit, tidx_blks_read, tidx_blks_hit FROM pg_statio_user_tables",
    ),
    labels: &["datname", "schemaname", "relname"],
    values: &[
        counter(
            "heap_blks_read",
            "pg_statio_user_tables_heap_blocks_read",
            "Blocks of the table read from disk.",
        )
        .or_zero(),
        counter(
            "heap_blks_hit",
            "pg_statio_user_tables_heap_blocks_hit",
            "Blocks of the table found in memory.",
        )
        .or_zero(),
        counter(
            "idx_blks_read",
            "pg_statio_user_tables_idx_blocks_read",
            "Blocks of its indexes read from disk.",
        )
        .or_zero(),
        counter(
            "idx_blks_hit",
            "pg_statio_user_tables_idx_blocks_hit",
            "Blocks of its indexes found in memory.",
        )
        .or_zero(),
        counter(
            "toast_blks_read",
            "pg_statio_user_tables_toast_blocks_read",
            "Blocks of its long values read from disk.",
        )
        .or_zero(),
        counter(
            "toast_blks_hit",
            "pg_statio_user_tables_toast_blocks_hit",
            "Blocks of its long values found in memory.",
        )
        .or_zero(),
        counter(
            "tidx_blks_read",
            "pg_statio_user_tables_tidx_blocks_read",
            "Blocks of the index of its long values read from disk.",
        )
        .or_zero(),
        counter(
            "tidx_blks_hit",
            "pg_statio_user_tables_tidx_blocks_hit",
            "Blocks of the index of its long values found in memory.",
        )
        .or_zero(),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "statio_user_tables",
    by_default: true,
    help: "blocks of tables, from disk and from memory",
    settings: &[],
    plan: |_, _| Some(Plan::each_database(TABLE)),
};
