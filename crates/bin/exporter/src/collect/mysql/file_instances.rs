//! Operations on files, by file.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::table::{self, Column, counter};
use super::{Collect, Collector, Plan, Setting, quoted};
use crate::metric::Gathered;

const OPERATIONS: &str = "mysql_perf_schema_file_instances_total";
const OPERATIONS_HELP: &str = "Operations on a file.";
const BYTES: &str = "mysql_perf_schema_file_instances_bytes";
const BYTES_HELP: &str = "Bytes read from a file and written to it.";

const VALUES: &[Column] = &[
    counter("count_read", OPERATIONS, OPERATIONS_HELP).with("mode", "read"),
    counter("count_write", OPERATIONS, OPERATIONS_HELP).with("mode", "write"),
    counter("sum_number_of_bytes_read", BYTES, BYTES_HELP).with("mode", "read"),
    counter("sum_number_of_bytes_write", BYTES, BYTES_HELP).with("mode", "write"),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "perf_schema.file_instances",
    by_default: false,
    help: "operations on files, by file",
    settings: &[
        Setting {
            name: "filter",
            default: ".*",
            help: "regular expression, in the server's syntax, that names of files must match",
        },
        Setting {
            name: "remove_prefix",
            default: "/var/lib/mysql/",
            help: "what is left out where names of files begin with it",
        },
    ],
    plan: |_, own| {
        Some(Plan::server(FileInstances {
            sql: statement(own.text("filter")),
            prefix: own.text("remove_prefix").to_owned(),
        }))
    },
};

struct FileInstances {
    sql: String,
    prefix: String,
}

fn statement(filter: &str) -> String {
    format!(
        "SELECT file_name, event_name, count_read, count_write, \
         sum_number_of_bytes_read, sum_number_of_bytes_write \
         FROM performance_schema.file_summary_by_instance WHERE file_name REGEXP {}",
        quoted::literal(filter)
    )
}

#[async_trait]
impl Collect for FileInstances {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(&self.sql).await?;
        let shorten = |labels: &mut _| super::shorten("file_name", &self.prefix, labels);
        table::gather(&rows, &["file_name", "event_name"], VALUES, shorten, into)
    }
}
