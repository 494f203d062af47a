//! Locks, by database and mode.

use std::borrow::Cow;

use super::table::{Table, gauge};
use super::{Collector, Plan};

/// Every mode has a series in every database. Locks that belong to no database are not among them.
const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT d.datname, m.mode, coalesce(l.held, 0) AS held FROM pg_database d CROSS JOIN unnest(ARRAY[\
         'accesssharelock', 'rowsharelock', 'rowexclusivelock', 'shareupdateexclusivelock', 'sharelock', \
         'sharerowexclusivelock', 'exclusivelock', 'accessexclusivelock', 'sireadlock']) AS m(mode) \
         LEFT JOIN (SELECT database, lower(mode) AS mode, count(*) AS held FROM pg_locks \
         WHERE database IS NOT NULL GROUP BY 1, 2) l ON l.database = d.oid AND l.mode = m.mode",
    ),
    labels: &["datname", "mode"],
    values: &[gauge(
        "held",
        "pg_locks_count",
        "Locks that are held or waited for.",
    )],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "locks",
    by_default: true,
    help: "locks, by database and mode",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
