//! What clients do, while userstat is on.

use super::activity::{ByWhom, WhileOn};
use super::{Collector, Plan};

pub(super) static COLLECTOR: Collector = Collector {
    name: "info_schema.clientstats",
    by_default: false,
    help: "statements, rows and connections, by host of the client",
    settings: &[],
    plan: |_, _| {
        Some(Plan::server(WhileOn::new(ByWhom {
            table: "client_statistics",
            label: "client",
            prefix: "mysql_info_schema_client_statistics_",
            counted: &["max_statement_time_exceeded"],
        })))
    },
};
