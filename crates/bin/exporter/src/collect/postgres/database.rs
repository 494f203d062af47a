//! Databases: how large they are and how many sessions they take.

use std::borrow::Cow;

use super::table::{Table, gauge};
use super::{Collector, Plan};

/// A size that the account may not read is left out, not an error: others may be read.
const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT datname, datconnlimit, \
         CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE') \
         THEN pg_database_size(oid) END AS bytes FROM pg_database",
    ),
    labels: &["datname"],
    values: &[
        gauge(
            "bytes",
            "pg_database_size_bytes",
            "Bytes of the database on disk.",
        ),
        gauge(
            "datconnlimit",
            "pg_database_connection_limit",
            "How many sessions the database takes; -1 for any number.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "database",
    by_default: true,
    help: "sizes of databases",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
