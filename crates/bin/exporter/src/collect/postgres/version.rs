//! Which server it is.

use pilotfish_engine::query::Identity;

use super::table::{Column, Table, untyped};
use super::{Collector, Plan};

const VALUES: &[Column] = &[untyped("present", "pg_static", "Which version answers.")];

pub(super) static COLLECTOR: Collector = Collector {
    name: "static",
    by_default: true,
    help: "version of the server",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(Table {
            sql: statement(identity).into(),
            labels: &["version", "short_version"],
            values: VALUES,
        }))
    },
};

fn statement(identity: &Identity) -> String {
    let [major, minor, patch] = identity.version;
    format!("SELECT version(), '{major}.{minor}.{patch}' AS short_version, 1 AS present")
}
