//! Sessions, by what they do and wait for.

use std::borrow::Cow;

use super::table::{Table, gauge};
use super::{Collector, Plan};

/// Every state has a series in every database, though nobody is in it.
const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT d.datname, s.state, a.usename, a.application_name, a.backend_type, a.wait_event_type, \
         a.wait_event, coalesce(a.sessions, 0) AS sessions, coalesce(a.longest, 0) AS longest \
         FROM pg_database d CROSS JOIN unnest(ARRAY['active', 'idle', 'idle in transaction', \
         'idle in transaction (aborted)', 'fastpath function call', 'disabled']) AS s(state) \
         LEFT JOIN (SELECT datid, state, usename, application_name, backend_type, wait_event_type, wait_event, \
         count(*) AS sessions, max(extract(epoch FROM now() - xact_start)) AS longest FROM pg_stat_activity \
         GROUP BY datid, state, usename, application_name, backend_type, wait_event_type, wait_event) a \
         ON a.datid = d.oid AND a.state = s.state",
    ),
    labels: &[
        "datname",
        "state",
        "usename",
        "application_name",
        "backend_type",
        "wait_event_type",
        "wait_event",
    ],
    values: &[
        gauge(
            "sessions",
            "pg_stat_activity_count",
            "Sessions of this kind.",
        ),
        gauge(
            "longest",
            "pg_stat_activity_max_tx_duration",
            "Seconds since the oldest transaction of these sessions began.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_activity",
    by_default: true,
    help: "sessions, by state, user, application and wait",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
