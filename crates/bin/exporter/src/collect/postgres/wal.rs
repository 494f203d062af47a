//! The write-ahead log on disk. Its folder is for members of pg_monitor only.

use std::borrow::Cow;

use super::table::{Table, gauge};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT count(*) AS segments, sum(size) AS bytes FROM pg_ls_waldir() \
         WHERE name ~ '^[0-9A-F]{24}$'",
    ),
    labels: &[],
    values: &[
        gauge(
            "segments",
            "pg_wal_segments",
            "Segments of the write-ahead log.",
        ),
        gauge("bytes", "pg_wal_size_bytes", "Bytes of these segments."),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "wal",
    by_default: true,
    help: "the write-ahead log on disk",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
