//! When the server started.

use std::borrow::Cow;

use super::table::{Table, gauge};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed("SELECT extract(epoch FROM pg_postmaster_start_time()) AS started"),
    labels: &[],
    values: &[gauge(
        "started",
        "pg_postmaster_start_time_seconds",
        "When the server started, as seconds since 1970.",
    )],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "postmaster",
    by_default: false,
    help: "start of the server",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
