//! Roles: how many sessions they may have.

use std::borrow::Cow;

use super::table::{Table, gauge};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed("SELECT rolname, rolconnlimit FROM pg_roles"),
    labels: &["rolname"],
    values: &[gauge(
        "rolconnlimit",
        "pg_roles_connection_limit",
        "How many sessions the role may have; -1 for any number.",
    )],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "roles",
    by_default: true,
    help: "connection limits of roles",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
