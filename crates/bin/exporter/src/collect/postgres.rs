//! PostgreSQL.

mod buffercache_summary;
mod database;
mod database_wraparound;
mod extension;
mod locks;
mod long_running_transactions;
mod postmaster;
mod process_idle;
mod replication;
mod replication_slot;
mod roles;
mod settings;
mod stat_activity;
mod stat_activity_autovacuum;
mod stat_archiver;
mod stat_bgwriter;
mod stat_checkpointer;
mod stat_database;
mod stat_database_conflicts;
mod stat_io;
mod stat_progress_vacuum;
mod stat_replication;
mod stat_slru;
mod stat_statements;
mod stat_subscription;
mod stat_user_tables;
mod stat_wal;
mod stat_wal_receiver;
mod statio_user_indexes;
mod statio_user_tables;
mod version;
mod wal;

use super::{Collect, Collector, Own, Plan, Setting, certificate, releases, table};

/// In the order in which they are shown; each in a file of its name.
pub(super) const COLLECTORS: &[&Collector] = &[
    &database::COLLECTOR,
    &locks::COLLECTOR,
    &replication::COLLECTOR,
    &replication_slot::COLLECTOR,
    &roles::COLLECTOR,
    &settings::COLLECTOR,
    &stat_activity::COLLECTOR,
    &stat_archiver::COLLECTOR,
    &stat_bgwriter::COLLECTOR,
    &stat_checkpointer::COLLECTOR,
    &stat_database::COLLECTOR,
    &stat_database_conflicts::COLLECTOR,
    &stat_io::COLLECTOR,
    &stat_progress_vacuum::COLLECTOR,
    &stat_replication::COLLECTOR,
    &stat_slru::COLLECTOR,
    &stat_subscription::COLLECTOR,
    &stat_user_tables::COLLECTOR,
    &stat_wal::COLLECTOR,
    &version::COLLECTOR,
    &statio_user_tables::COLLECTOR,
    &wal::COLLECTOR,
    &buffercache_summary::COLLECTOR,
    &database_wraparound::COLLECTOR,
    &long_running_transactions::COLLECTOR,
    &postmaster::COLLECTOR,
    &process_idle::COLLECTOR,
    &stat_activity_autovacuum::COLLECTOR,
    &stat_statements::COLLECTOR,
    &stat_wal_receiver::COLLECTOR,
    &statio_user_indexes::COLLECTOR,
    &certificate::OF_SESSION,
    &releases::OF_DATABASES,
];

/// Text as a literal, whatever `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_end_where_they_should() {
        assert_eq!(literal(r"a'b\c"), r"E'a''b\\c'");
    }
}
