//! Blocks of indexes: read from disk or found in memory.

use std::borrow::Cow;

use super::table::{Table, counter};
use super::{Collector, Plan};

/// postgres_exporter has no label for the database; indexes of two databases may have one name.
const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT current_database() AS datname, schemaname, relname, indexrelname, idx_blks_read, idx_blks_hit \
         FROM pg_statio_user_indexes",
    ),
    labels: &["datname", "schemaname", "relname", "indexrelname"],
    values: &[
        counter(
            "idx_blks_read",
            "pg_statio_user_indexes_idx_blks_read_total",
            "Blocks of the index read from disk.",
        )
        .or_zero(),
        counter(
            "idx_blks_hit",
            "pg_statio_user_indexes_idx_blks_hit_total",
            "Blocks of the index found in memory.",
        )
        .or_zero(),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "statio_user_indexes",
    by_default: false,
    help: "blocks of indexes, from disk and from memory",
    settings: &[],
    plan: |_, _| Some(Plan::each_database(TABLE)),
};
