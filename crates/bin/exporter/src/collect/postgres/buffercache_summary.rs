//! What shared buffers hold: the extension pg_buffercache of PostgreSQL 16.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::extension::Extension;
use super::table::{self, Column, gauge};
use super::{Collect, Collector, Plan};
use crate::metric::Gathered;

/// The first version that has the summary.
const SUMMARY: (u32, u32) = (1, 4);

const VALUES: &[Column] = &[
    gauge(
        "buffers_used",
        "pg_buffercache_summary_buffers_used",
        "Buffers that are in use.",
    )
    .or_zero(),
    gauge(
        "buffers_unused",
        "pg_buffercache_summary_buffers_unused",
        "Buffers that hold nothing.",
    )
    .or_zero(),
    gauge(
        "buffers_dirty",
        "pg_buffercache_summary_buffers_dirty",
        "Buffers that are not on disk yet.",
    )
    .or_zero(),
    gauge(
        "buffers_pinned",
        "pg_buffercache_summary_buffers_pinned",
        "Buffers that somebody holds now.",
    )
    .or_zero(),
    gauge(
        "usagecount_avg",
        "pg_buffercache_summary_usagecount_avg",
        "How popular the buffers in use are, on average.",
    )
    .or_zero(),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "buffercache_summary",
    by_default: false,
    help: "what shared buffers hold (PostgreSQL 16, extension pg_buffercache)",
    settings: &[],
    plan: |identity, _| {
        let has_summary = identity.at_least(16, 0);
        has_summary.then(|| Plan::server(BuffercacheSummary))
    },
};

struct BuffercacheSummary;

#[async_trait]
impl Collect for BuffercacheSummary {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let extension = Extension::find(session, "pg_buffercache").await?;
        let Some(extension) = extension.filter(|extension| extension.version >= SUMMARY) else {
            return Ok(());
        };
        let sql = format!(
            "SELECT * FROM {}.pg_buffercache_summary()",
            extension.schema
        );
        table::gather(&session.rows(&sql).await?, &[], VALUES, |_| {}, into)
    }
}
