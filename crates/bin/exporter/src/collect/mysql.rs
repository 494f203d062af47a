//! MariaDB and MySQL.

mod absence;
mod activity;
mod auto_increment_columns;
mod binlog_size;
mod clientstats;
mod engine_innodb_status;
mod eventsstatements;
mod eventsstatementssum;
mod eventswaits;
mod file_events;
mod file_instances;
mod global_status;
mod global_variables;
mod heartbeat;
mod indexiowaits;
mod innodb_cmp;
mod innodb_cmpmem;
mod innodb_metrics;
mod innodb_tablespaces;
mod innodb_trx;
mod memory_events;
mod mysql_user;
mod processlist;
mod query_response_time;
mod quoted;
mod replication_applier_status_by_worker;
mod replication_group_member_stats;
mod replication_group_members;
mod schemastats;
mod slave_hosts;
mod slave_status;
mod sys_user_summary;
mod tableiowaits;
mod tablelocks;
mod tables;
mod tablestats;
mod userstats;

use super::{Collect, Collector, Own, Plan, Setting, certificate, parse, releases, table};
use crate::metric::Pair;

/// In a second; performance_schema counts in them.
const PICOSECONDS: f64 = 1e12;

/// In the order in which they are shown; each in a file of its name.
pub(super) const COLLECTORS: &[&Collector] = &[
    &global_status::COLLECTOR,
    &global_variables::COLLECTOR,
    &slave_status::COLLECTOR,
    &innodb_cmp::COLLECTOR,
    &innodb_cmpmem::COLLECTOR,
    &query_response_time::COLLECTOR,
    &innodb_trx::COLLECTOR,
    &processlist::COLLECTOR,
    &mysql_user::COLLECTOR,
    &tables::COLLECTOR,
    &innodb_tablespaces::COLLECTOR,
    &innodb_metrics::COLLECTOR,
    &auto_increment_columns::COLLECTOR,
    &binlog_size::COLLECTOR,
    &tableiowaits::COLLECTOR,
    &indexiowaits::COLLECTOR,
    &tablelocks::COLLECTOR,
    &eventsstatements::COLLECTOR,
    &eventsstatementssum::COLLECTOR,
    &eventswaits::COLLECTOR,
    &file_events::COLLECTOR,
    &file_instances::COLLECTOR,
    &memory_events::COLLECTOR,
    &replication_group_members::COLLECTOR,
    &replication_group_member_stats::COLLECTOR,
    &replication_applier_status_by_worker::COLLECTOR,
    &sys_user_summary::COLLECTOR,
    &userstats::COLLECTOR,
    &clientstats::COLLECTOR,
    &tablestats::COLLECTOR,
    &schemastats::COLLECTOR,
    &engine_innodb_status::COLLECTOR,
    &heartbeat::COLLECTOR,
    &slave_hosts::COLLECTOR,
    &releases::OF_SERVER,
];

/// Leaves out what the values of a label begin with.
fn shorten(label: &str, prefix: &str, labels: &mut Vec<Pair>) {
    for (_, text) in labels.iter_mut().filter(|(name, _)| *name == label) {
        if let Some(rest) = text.strip_prefix(prefix) {
            *text = rest.to_owned();
        }
    }
}
