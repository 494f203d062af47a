//! The statements that take most time: the extension pg_stat_statements.

use std::collections::HashSet;
use std::fmt::Write as _;

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::{Rows, Session};

use super::extension::Extension;
use super::table::{self, Column, counter};
use super::{Collect, Collector, Own, Plan, Setting, literal};
use crate::metric::Gathered;

/// Since then times of shared blocks have another name, beside those of local ones.
const SHARED_TIMES: (u32, u32) = (1, 11);

const LABELS: &[&str] = &["user", "datname", "queryid"];
const VALUES: &[Column] = &[
    counter(
        "calls",
        "pg_stat_statements_calls_total",
        "How often it was executed.",
    )
    .or_zero(),
    counter(
        "exec_time",
        "pg_stat_statements_seconds_total",
        "Time spent to execute it.",
    )
    .per(1000.0)
    .or_zero(),
    counter(
        "rows",
        "pg_stat_statements_rows_total",
        "Rows that it returned or changed.",
    )
    .or_zero(),
    counter(
        "read_time",
        "pg_stat_statements_block_read_seconds_total",
        "Time that it spent to read blocks, where track_io_timing is on.",
    )
    .per(1000.0)
    .or_zero(),
    counter(
        "write_time",
        "pg_stat_statements_block_write_seconds_total",
        "Time that it spent to write blocks, where track_io_timing is on.",
    )
    .per(1000.0)
    .or_zero(),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "stat_statements",
    by_default: false,
    help: "the statements that take most time (extension pg_stat_statements)",
    settings: &[
        Setting {
            name: "include_query",
            default: "false",
            help: "show texts of statements, by their numbers",
        },
        Setting {
            name: "query_length",
            default: "120",
            help: "characters of a text that are shown",
        },
        Setting {
            name: "limit",
            default: "100",
            help: "statements that are shown",
        },
        Setting {
            name: "exclude_databases",
            default: "",
            help: "databases whose statements are not shown, separated by commas",
        },
        Setting {
            name: "exclude_users",
            default: "",
            help: "users whose statements are not shown, separated by commas",
        },
    ],
    plan: |_, own| Some(Plan::server(StatStatements::new(own))),
};

struct StatStatements {
    /// How much of a text is shown, where it is.
    text: Option<u64>,
    limit: u64,
    /// Further conditions.
    only: String,
}

#[async_trait]
impl Collect for StatStatements {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let Some(extension) = Extension::find(session, "pg_stat_statements").await? else {
            return Ok(());
        };
        let rows = session.rows(&self.statement(&extension)).await?;
        table::gather(&rows, LABELS, VALUES, |_| {}, into)?;
        if self.text.is_some() {
            gather_texts(&rows, into);
        }
        Ok(())
    }
}

impl StatStatements {
    fn new(own: Own<'_>) -> Self {
        let mut only = String::new();
        for (value, names) in [
            ("d.datname::text", own.text("exclude_databases")),
            ("pg_get_userbyid(s.userid)::text", own.text("exclude_users")),
        ] {
            let names = names.split(',').map(str::trim);
            let names: Vec<_> = names.filter(|name| !name.is_empty()).map(literal).collect();
            if !names.is_empty() {
                let _ = write!(only, " AND {value} NOT IN ({})", names.join(", "));
            }
        }
        Self {
            text: own
                .switch("include_query")
                .then(|| own.number("query_length")),
            limit: own.number("limit"),
            only,
        }
    }

    /// One statement counts once more where a function calls it: that makes two rows of one number. Texts are in a
    /// file, which is not read where nobody wants them.
    fn statement(&self, extension: &Extension) -> String {
        let Self { limit, only, .. } = self;
        let schema = &extension.schema;
        let times = if extension.version >= SHARED_TIMES {
            "shared_blk_read_time AS read_time, shared_blk_write_time AS write_time"
        } else {
            "blk_read_time AS read_time, blk_write_time AS write_time"
        };
        let texts = self.text.is_some();
        let text = self.text.map_or_else(String::new, |length| {
            format!(", left(min(s.query), {length}) AS query")
        });
        format!(
            "WITH seen AS MATERIALIZED (SELECT userid, dbid, queryid, query, calls, total_exec_time, rows, {times} \
             FROM {schema}.pg_stat_statements({texts})) \
             SELECT pg_get_userbyid(s.userid) AS user, d.datname, coalesce(s.queryid::text, 'unknown') AS queryid, \
             sum(s.calls) AS calls, sum(s.total_exec_time) AS exec_time, sum(s.rows) AS rows, \
             sum(s.read_time) AS read_time, sum(s.write_time) AS write_time{text} \
             FROM seen s JOIN pg_database d ON d.oid = s.dbid WHERE s.total_exec_time > (\
             SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY total_exec_time) FROM seen){only} \
             GROUP BY s.userid, d.datname, s.queryid ORDER BY exec_time DESC LIMIT {limit}"
        )
    }
}

/// Several users may have executed what has one number, and one text.
fn gather_texts(rows: &Rows, into: &mut Gathered) {
    let mut seen = HashSet::new();
    for row in rows.iter() {
        let id = row.get("queryid").unwrap_or_default();
        if seen.insert(id) {
            let text = row.get("query").unwrap_or("unknown");
            let labels = vec![("queryid", id.to_owned()), ("query", text.to_owned())];
            let help = "Texts of the statements, by their numbers.";
            into.counter("pg_stat_statements_query_id", help, labels, 1.0);
        }
    }
}
