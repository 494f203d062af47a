//! Operations on files, by kind of file.

use std::borrow::Cow;

use super::table::{Table, counter};
use super::{Collector, PICOSECONDS, Plan};

const EVENTS: &str = "mysql_perf_schema_file_events_total";
const EVENTS_HELP: &str = "Operations on files.";
const SECONDS: &str = "mysql_perf_schema_file_events_seconds_total";
const SECONDS_HELP: &str = "Time spent on files.";
const BYTES: &str = "mysql_perf_schema_file_events_bytes_total";
const BYTES_HELP: &str = "Bytes read from files and written to them.";

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT event_name, count_read, count_write, count_misc, \
         sum_timer_read, sum_timer_write, sum_timer_misc, \
         sum_number_of_bytes_read, sum_number_of_bytes_write \
         FROM performance_schema.file_summary_by_event_name",
    ),
    labels: &["event_name"],
    values: &[
        counter("count_read", EVENTS, EVENTS_HELP).with("mode", "read"),
        counter("count_write", EVENTS, EVENTS_HELP).with("mode", "write"),
        counter("count_misc", EVENTS, EVENTS_HELP).with("mode", "misc"),
        counter("sum_timer_read", SECONDS, SECONDS_HELP)
            .per(PICOSECONDS)
            .with("mode", "read"),
        counter("sum_timer_write", SECONDS, SECONDS_HELP)
            .per(PICOSECONDS)
            .with("mode", "write"),
        counter("sum_timer_misc", SECONDS, SECONDS_HELP)
            .per(PICOSECONDS)
            .with("mode", "misc"),
        counter("sum_number_of_bytes_read", BYTES, BYTES_HELP).with("mode", "read"),
        counter("sum_number_of_bytes_write", BYTES, BYTES_HELP).with("mode", "write"),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "perf_schema.file_events",
    by_default: false,
    help: "operations on files, by kind of file",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
