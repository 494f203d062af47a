//! Tables: rows, sizes and what they are made of. Rows are estimated.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::table::{self, Column, gauge};
use super::{Collect, Collector, Plan, Setting, quoted};
use crate::metric::Gathered;

const ALL: &str = "*";
const SIZE: &str = "mysql_info_schema_table_size";
const SIZE_HELP: &str = "Bytes of a table, by what they are used for.";

const VERSION: &[Column] = &[gauge(
    "version",
    "mysql_info_schema_table_version",
    "Version of a table's definition, and what the table is.",
)
.or_zero()];

const SIZES: &[Column] = &[
    gauge(
        "table_rows",
        "mysql_info_schema_table_rows",
        "Rows of a table, as the server estimates them.",
    )
    .or_zero(),
    gauge("data_length", SIZE, SIZE_HELP)
        .with("component", "data_length")
        .or_zero(),
    gauge("index_length", SIZE, SIZE_HELP)
        .with("component", "index_length")
        .or_zero(),
    gauge("data_free", SIZE, SIZE_HELP)
        .with("component", "data_free")
        .or_zero(),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "info_schema.tables",
    by_default: false,
    help: "rows and sizes of tables",
    settings: &[Setting {
        name: "databases",
        default: ALL,
        help: "databases, with commas between them; * is all but the server's own",
    }],
    plan: |_, own| {
        Some(Plan::server(Tables {
            sql: statement(own.text("databases")),
        }))
    },
};

struct Tables {
    sql: String,
}

fn statement(databases: &str) -> String {
    let which = if databases == ALL {
        "NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')".to_owned()
    } else {
        let databases: Vec<String> = databases.split(',').map(quoted::literal).collect();
        format!("IN ({})", databases.join(", "))
    };
    format!(
        "SELECT table_schema AS `schema`, table_name AS `table`, table_type AS `type`, \
         COALESCE(engine, 'NONE') AS engine, COALESCE(row_format, 'NONE') AS row_format, \
         COALESCE(create_options, 'NONE') AS create_options, \
         version, table_rows, data_length, index_length, data_free \
         FROM information_schema.tables WHERE table_schema {which}"
    )
}

#[async_trait]
impl Collect for Tables {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(&self.sql).await?;
        let what = [
            "schema",
            "table",
            "type",
            "engine",
            "row_format",
            "create_options",
        ];
        table::gather(&rows, &what, VERSION, |_| {}, into)?;
        table::gather(&rows, &what[..2], SIZES, |_| {}, into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_databases_stay_names() {
        let sql = statement("app,it's");
        assert!(
            sql.ends_with("WHERE table_schema IN ('app', 'it''s')"),
            "{sql}"
        );
        assert!(statement("*").contains("NOT IN ('mysql'"));
    }
}
