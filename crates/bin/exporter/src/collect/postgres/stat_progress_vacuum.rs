//! How far each vacuum is.

use pilotfish_engine::query::Identity;

use super::table::{Column, Table, gauge};
use super::{Collector, Plan};

const VALUES: &[Column] = &[
    phase("initializing", "initializing"),
    phase("scanning_heap", "scanning heap"),
    phase("vacuuming_indexes", "vacuuming indexes"),
    phase("vacuuming_heap", "vacuuming heap"),
    phase("cleaning_up_indexes", "cleaning up indexes"),
    phase("truncating_heap", "truncating heap"),
    phase("final_cleanup", "performing final cleanup"),
    gauge(
        "heap_blks",
        "pg_stat_progress_vacuum_heap_blks",
        "Blocks of the table.",
    )
    .or_zero(),
    gauge(
        "heap_blks_scanned",
        "pg_stat_progress_vacuum_heap_blks_scanned",
        "Blocks that were scanned.",
    )
    .or_zero(),
    gauge(
        "heap_blks_vacuumed",
        "pg_stat_progress_vacuum_heap_blks_vacuumed",
        "Blocks that were vacuumed.",
    )
    .or_zero(),
    gauge(
        "index_vacuums",
        "pg_stat_progress_vacuum_index_vacuums",
        "How often all indexes were vacuumed.",
    )
    .or_zero(),
    gauge(
        "max_dead",
        "pg_stat_progress_vacuum_max_dead_tuples",
        "Dead rows that fit in memory; since PostgreSQL 17 the bytes for them.",
    )
    .or_zero(),
    gauge(
        "dead",
        "pg_stat_progress_vacuum_num_dead_tuples",
        "Dead rows that were found since indexes were vacuumed; since PostgreSQL 17 their bytes.",
    )
    .or_zero(),
    gauge(
        "max_dead_bytes",
        "pg_stat_progress_vacuum_max_dead_tuple_bytes",
        "Bytes of memory for dead rows (PostgreSQL 17).",
    ),
    gauge(
        "dead_bytes",
        "pg_stat_progress_vacuum_dead_tuple_bytes",
        "Bytes of memory that dead rows take (PostgreSQL 17).",
    ),
];

const fn phase(column: &'static str, name: &'static str) -> Column {
    gauge(
        column,
        "pg_stat_progress_vacuum_phase",
        "1 for what the vacuum does now.",
    )
    .with("phase", name)
    .or_zero()
}

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_progress_vacuum",
    by_default: true,
    help: "how far vacuums are",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(Table {
            sql: statement(identity).into(),
            labels: &["datname", "relname"],
            values: VALUES,
        }))
    },
};

/// A table of another database has no name here, only its number.
fn statement(identity: &Identity) -> String {
    let bytes = if identity.at_least(17, 0) {
        "v.param6 AS max_dead_bytes, v.param7 AS dead_bytes"
    } else {
        "NULL AS max_dead_bytes, NULL AS dead_bytes"
    };
    format!(
        "SELECT coalesce(d.datname, 'unknown') AS datname, coalesce(CASE WHEN d.datname = current_database() \
         THEN v.relid::regclass::text END, v.relid::text, 'unknown') AS relname, v.param1 = 0 AS initializing, \
         v.param1 = 1 AS scanning_heap, v.param1 = 2 AS vacuuming_indexes, v.param1 = 3 AS vacuuming_heap, \
         v.param1 = 4 AS cleaning_up_indexes, v.param1 = 5 AS truncating_heap, v.param1 = 6 AS final_cleanup, \
         v.param2 AS heap_blks, v.param3 AS heap_blks_scanned, v.param4 AS heap_blks_vacuumed, \
         v.param5 AS index_vacuums, v.param6 AS max_dead, v.param7 AS dead, {bytes} \
         FROM pg_stat_get_progress_info('VACUUM') v LEFT JOIN pg_database d ON d.oid = v.datid"
    )
}
