//! What users cost, as the schema sys sums it up.

use std::borrow::Cow;

use super::table::{Table, counter, gauge};
use super::{Collector, PICOSECONDS, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT user, statements, statement_latency, table_scans, file_ios, file_io_latency, \
         current_connections, total_connections, unique_hosts, current_memory, \
         total_memory_allocated \
         FROM sys.x$user_summary",
    ),
    labels: &["user"],
    values: &[
        counter(
            "statements",
            "mysql_sys_statements_total",
            "Statements of a user.",
        ),
        counter(
            "statement_latency",
            "mysql_sys_statement_latency",
            "Time spent on statements of a user, in seconds.",
        )
        .per(PICOSECONDS),
        counter(
            "table_scans",
            "mysql_sys_table_scans_total",
            "Scans of whole tables for a user.",
        ),
        counter(
            "file_ios",
            "mysql_sys_file_ios_total",
            "Operations on files for a user.",
        ),
        counter(
            "file_io_latency",
            "mysql_sys_file_io_seconds_total",
            "Time spent on files for a user.",
        )
        .per(PICOSECONDS),
        gauge(
            "current_connections",
            "mysql_sys_current_connections",
            "Connections that a user has.",
        ),
        counter(
            "total_connections",
            "mysql_sys_connections_total",
            "Connections that a user has had.",
        ),
        counter(
            "unique_hosts",
            "mysql_sys_unique_hosts_total",
            "Hosts from which a user has connected.",
        ),
        gauge(
            "current_memory",
            "mysql_sys_current_memory_bytes",
            "Memory that is allocated for a user.",
        ),
        counter(
            "total_memory_allocated",
            "mysql_sys_memory_allocated_bytes_total",
            "Memory that was ever allocated for a user.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "sys.user_summary",
    by_default: false,
    help: "statements, files, connections and memory, by user",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
