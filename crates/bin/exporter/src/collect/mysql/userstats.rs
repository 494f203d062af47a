//! What users do, while userstat is on.

use super::activity::{ByWhom, WhileOn};
use super::{Collector, Plan};

pub(super) static COLLECTOR: Collector = Collector {
    name: "info_schema.userstats",
    by_default: false,
    help: "statements, rows and connections, by user",
    settings: &[],
    plan: |_, _| {
        Some(Plan::server(WhileOn::new(ByWhom {
            table: "user_statistics",
            label: "user",
            prefix: "mysql_info_schema_user_statistics_",
            counted: &[],
        })))
    },
};
