//! Who receives the write-ahead log from this server, and how far they are.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::table::{self, Column, gauge, untyped};
use super::{Collect, Collector, Plan};
use crate::metric::Gathered;

/// Receivers of one name, address and state that have no slot are told apart by their process, but for the first.
const SQL: &str = "SELECT r.application_name, r.client_addr, r.state, s.slot_name, \
    CASE WHEN row_number() OVER (PARTITION BY r.application_name, r.client_addr, r.state, s.slot_name \
    ORDER BY r.pid) > 1 THEN r.pid END AS pid, w.lsn - '0/0'::pg_lsn AS current_lsn, w.lsn - r.replay_lsn AS behind, \
    extract(epoch FROM r.write_lag) AS write_lag, extract(epoch FROM r.flush_lag) AS flush_lag, \
    extract(epoch FROM r.replay_lag) AS replay_lag, floor(extract(epoch FROM r.reply_time)) AS reply_time \
    FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid CROSS JOIN (\
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn) w";

const LABELS: &[&str] = &[
    "application_name",
    "client_addr",
    "state",
    "slot_name",
    "pid",
];
const VALUES: &[Column] = &[
    gauge(
        "current_lsn",
        "pg_stat_replication_pg_current_wal_lsn_bytes",
        "Position at which the server writes its log, in bytes.",
    ),
    gauge(
        "behind",
        "pg_stat_replication_pg_wal_lsn_diff",
        "Bytes of the log that the receiver has not applied.",
    ),
    gauge(
        "write_lag",
        "pg_stat_replication_write_lag_seconds",
        "How long the receiver took to write a change; absent where nothing changed of late.",
    ),
    gauge(
        "flush_lag",
        "pg_stat_replication_flush_lag_seconds",
        "How long the receiver took to have a change on disk; absent where nothing changed of late.",
    ),
    gauge(
        "replay_lag",
        "pg_stat_replication_replay_lag_seconds",
        "How long the receiver took to apply a change; absent where nothing changed of late.",
    ),
    untyped(
        "reply_time",
        "pg_stat_replication_reply_time",
        "When the receiver last answered, as seconds since 1970.",
    ),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_replication",
    by_default: true,
    help: "receivers of the write-ahead log",
    settings: &[],
    plan: |_, _| Some(Plan::server(StatReplication)),
};

struct StatReplication;

#[async_trait]
impl Collect for StatReplication {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(SQL).await?;
        table::gather(
            &rows,
            LABELS,
            VALUES,
            |labels| labels.retain(|(name, value)| *name != "pid" || !value.is_empty()),
            into,
        )
    }
}
