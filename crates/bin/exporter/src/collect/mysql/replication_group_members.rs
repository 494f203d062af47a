//! Group replication: members of the group, as this one sees them. MySQL only.

use std::borrow::Cow;

use pilotfish_engine::EngineName;
use pilotfish_engine::query::Identity;

use super::table::{Column, Table, gauge};
use super::{Collector, Plan};

const VALUES: &[Column] = &[gauge(
    "one",
    "mysql_perf_schema_replication_group_member_info",
    "A member of the replication group.",
)];

/// All columns of the table; the last came with MySQL 8.0.27.
const LABELS: [&str; 8] = [
    "channel_name",
    "member_id",
    "member_host",
    "member_port",
    "member_state",
    "member_role",
    "member_version",
    "member_communication_stack",
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "perf_schema.replication_group_members",
    by_default: false,
    help: "members of a replication group",
    settings: &[],
    plan: |identity, _| {
        (identity.engine == EngineName::MySql).then(|| Plan::server(table(identity)))
    },
};

fn table(identity: &Identity) -> Table {
    let known = if identity.version >= [8, 0, 27] { 8 } else { 7 };
    let labels = &LABELS[..known];
    Table {
        sql: Cow::Owned(format!(
            "SELECT {}, 1 AS one FROM performance_schema.replication_group_members",
            labels.join(", ")
        )),
        labels,
        values: VALUES,
    }
}
