//! Archiving of the write-ahead log.

use std::borrow::Cow;

use super::table::{Table, counter, gauge};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT archived_count, failed_count, \
         extract(epoch FROM now() - last_archived_time) AS last_archive_age FROM pg_stat_archiver",
    ),
    labels: &[],
    values: &[
        counter(
            "archived_count",
            "pg_stat_archiver_archived_count",
            "Segments that were archived.",
        ),
        counter(
            "failed_count",
            "pg_stat_archiver_failed_count",
            "Attempts to archive a segment that failed.",
        ),
        gauge(
            "last_archive_age",
            "pg_stat_archiver_last_archive_age",
            "Seconds since a segment was archived; no number where none ever was.",
        )
        .or_nan(),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_archiver",
    by_default: true,
    help: "archiving of the write-ahead log",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
