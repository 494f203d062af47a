//! Statements that replication ended, by reason: a standby has them.

use pilotfish_engine::query::Identity;

use super::table::{Column, Table, counter, untyped};
use super::{Collector, Plan};

const VALUES: &[Column] = &[
    counter(
        "confl_tablespace",
        "pg_stat_database_conflicts_confl_tablespace",
        "Statements ended because their tablespace was dropped.",
    ),
    counter(
        "confl_lock",
        "pg_stat_database_conflicts_confl_lock",
        "Statements ended because a lock took too long.",
    ),
    counter(
        "confl_snapshot",
        "pg_stat_database_conflicts_confl_snapshot",
        "Statements ended because their snapshot was too old.",
    ),
    counter(
        "confl_bufferpin",
        "pg_stat_database_conflicts_confl_bufferpin",
        "Statements ended because they held a buffer.",
    ),
    counter(
        "confl_deadlock",
        "pg_stat_database_conflicts_confl_deadlock",
        "Statements ended by a deadlock with replay.",
    ),
    untyped(
        "confl_active_logicalslot",
        "pg_stat_database_conflicts_confl_active_logicalslot",
        "Uses of logical slots ended because their rows were gone.",
    ),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_database_conflicts",
    by_default: true,
    help: "statements that replication ended, by database and reason",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(Table {
            sql: statement(identity).into(),
            labels: &["datid", "datname"],
            values: VALUES,
        }))
    },
};

fn statement(identity: &Identity) -> String {
    let slots = if identity.at_least(16, 0) {
        "confl_active_logicalslot"
    } else {
        "NULL AS confl_active_logicalslot"
    };
    format!(
        "SELECT datid, datname, confl_tablespace, confl_lock, confl_snapshot, confl_bufferpin, confl_deadlock, \
         {slots} FROM pg_stat_database_conflicts"
    )
}
