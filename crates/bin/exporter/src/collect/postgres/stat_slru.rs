//! The small caches for what transactions, locks and notifications are made of.

use std::borrow::Cow;

use super::table::{Table, counter};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT name, blks_zeroed, blks_hit, blks_read, blks_written, blks_exists, flushes, truncates \
         FROM pg_stat_slru",
    ),
    labels: &["name"],
    values: &[
        counter(
            "blks_zeroed",
            "pg_stat_slru_blks_zeroed_total",
            "Blocks that were begun anew.",
        ),
        counter(
            "blks_hit",
            "pg_stat_slru_blks_hit_total",
            "Blocks that were found in memory.",
        ),
        counter(
            "blks_read",
            "pg_stat_slru_blks_read_total",
            "Blocks that were read from disk.",
        ),
        counter(
            "blks_written",
            "pg_stat_slru_blks_written_total",
            "Blocks that were written to disk.",
        ),
        counter(
            "blks_exists",
            "pg_stat_slru_blks_exists_total",
            "How often it was asked whether a block exists.",
        ),
        counter(
            "flushes",
            "pg_stat_slru_flushes_total",
            "How often all that had changed was written.",
        ),
        counter(
            "truncates",
            "pg_stat_slru_truncates_total",
            "How often old blocks were dropped.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_slru",
    by_default: true,
    help: "caches for the state of transactions",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
