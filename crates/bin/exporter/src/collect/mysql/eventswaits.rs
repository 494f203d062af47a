//! What the server's threads waited for, and how long.

use std::borrow::Cow;

use super::table::{Table, counter};
use super::{Collector, PICOSECONDS, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT event_name, count_star, sum_timer_wait \
         FROM performance_schema.events_waits_summary_global_by_event_name",
    ),
    labels: &["event_name"],
    values: &[
        counter(
            "count_star",
            "mysql_perf_schema_events_waits_total",
            "Waits, by what was waited for.",
        ),
        counter(
            "sum_timer_wait",
            "mysql_perf_schema_events_waits_seconds_total",
            "Time spent in waits, by what was waited for.",
        )
        .per(PICOSECONDS),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "perf_schema.eventswaits",
    by_default: false,
    help: "waits of the server's threads",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
