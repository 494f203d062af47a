//! Memory of the server, by what it is used for.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::table::{self, Column, counter, gauge};
use super::{Collect, Collector, Plan, Setting};
use crate::metric::Gathered;

const SQL: &str = "SELECT event_name, sum_number_of_bytes_alloc, sum_number_of_bytes_free, \
                   current_number_of_bytes_used \
                   FROM performance_schema.memory_summary_global_by_event_name \
                   WHERE count_alloc > 0";

const VALUES: &[Column] = &[
    counter(
        "sum_number_of_bytes_alloc",
        "mysql_perf_schema_memory_events_alloc_bytes_total",
        "Bytes that were allocated.",
    ),
    counter(
        "sum_number_of_bytes_free",
        "mysql_perf_schema_memory_events_free_bytes_total",
        "Bytes that were freed.",
    ),
    gauge(
        "current_number_of_bytes_used",
        "mysql_perf_schema_memory_events_used_bytes",
        "Bytes that are in use.",
    ),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "perf_schema.memory_events",
    by_default: false,
    help: "memory of the server, by what it is used for",
    settings: &[Setting {
        name: "remove_prefix",
        default: "memory/",
        help: "what is left out where names of events begin with it",
    }],
    plan: |_, own| {
        Some(Plan::server(MemoryEvents {
            prefix: own.text("remove_prefix").to_owned(),
        }))
    },
};

struct MemoryEvents {
    prefix: String,
}

#[async_trait]
impl Collect for MemoryEvents {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(SQL).await?;
        let shorten = |labels: &mut _| super::shorten("event_name", &self.prefix, labels);
        table::gather(&rows, &["event_name"], VALUES, shorten, into)
    }
}
