//! Replication slots: what they hold back, and whether somebody uses them.
//!
//! postgres_exporter has had two sets of names for the same, `pg_replication_slot_*` up to 0.19 and
//! `pg_replication_slots_*` since: here are both.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::table::{self, Column, gauge};
use super::{Collect, Collector, Plan};
use crate::metric::Gathered;

/// A standby's own end of the log is what it has received.
const SQL: &str = "SELECT s.slot_name, s.slot_type, s.database, s.active, w.lsn - '0/0'::pg_lsn AS current_lsn, \
    CASE WHEN s.active THEN coalesce(s.confirmed_flush_lsn, '0/0') - '0/0'::pg_lsn END AS confirmed_lsn, \
    w.lsn - s.restart_lsn AS behind, s.safe_wal_size, s.wal_status, \
    CASE WHEN s.wal_status IS NOT NULL THEN 1 END AS has_status FROM pg_replication_slots s CROSS JOIN (\
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn) w";

const CURRENT: &str = "Position at which the server writes its log, in bytes.";
const CONFIRMED: &str = "Position up to which a slot in use has confirmed the log, in bytes.";
const ACTIVE: &str = "1 where somebody uses the slot.";
const SAFE: &str = "Bytes that can be written before the slot may lose what it needs.";
const STATUS: &str = "Whether what the slot needs is still there.";

const BY_DATABASE: &[Column] = &[
    gauge("active", "pg_replication_slots_active", ACTIVE),
    gauge(
        "behind",
        "pg_replication_slots_pg_wal_lsn_diff",
        "Bytes of the log that are kept for the slot.",
    ),
];
const BY_TYPE: &[Column] = &[
    gauge(
        "current_lsn",
        "pg_replication_slot_slot_current_wal_lsn",
        CURRENT,
    )
    .or_zero(),
    gauge(
        "current_lsn",
        "pg_replication_slots_slot_current_wal_lsn",
        CURRENT,
    ),
    gauge(
        "confirmed_lsn",
        "pg_replication_slot_slot_confirmed_flush_lsn",
        CONFIRMED,
    ),
    gauge(
        "confirmed_lsn",
        "pg_replication_slots_slot_confirmed_flush_lsn",
        CONFIRMED,
    ),
    gauge("active", "pg_replication_slot_slot_is_active", ACTIVE),
    gauge("active", "pg_replication_slots_slot_is_active", ACTIVE),
    gauge(
        "safe_wal_size",
        "pg_replication_slot_safe_wal_size_bytes",
        SAFE,
    ),
    gauge(
        "safe_wal_size",
        "pg_replication_slots_safe_wal_size_bytes",
        SAFE,
    ),
];
const BY_STATUS: &[Column] = &[
    gauge("has_status", "pg_replication_slot_wal_status", STATUS),
    gauge("has_status", "pg_replication_slots_wal_status", STATUS),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "replication_slot",
    by_default: true,
    help: "replication slots",
    settings: &[],
    plan: |_, _| Some(Plan::server(ReplicationSlot)),
};

struct ReplicationSlot;

#[async_trait]
impl Collect for ReplicationSlot {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(SQL).await?;
        for (labels, values) in [
            (&["slot_name", "database"][..], BY_DATABASE),
            (&["slot_name", "slot_type"], BY_TYPE),
            (&["slot_name", "slot_type", "wal_status"], BY_STATUS),
        ] {
            table::gather(&rows, labels, values, |_| {}, into)?;
        }
        Ok(())
    }
}
