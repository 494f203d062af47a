//! InnoDB's tablespaces: what they are, and their size in the file system.

use async_trait::async_trait;
use pilotfish_engine::query::{Identity, Session};
use pilotfish_engine::{EngineName, Error};

use super::table::{self, Column, gauge};
use super::{Collect, Collector, Plan};
use crate::metric::Gathered;

const NUMBER: &[Column] = &[gauge(
    "space",
    "mysql_info_schema_innodb_tablespace_space_info",
    "Number of a tablespace, and what the tablespace is.",
)];

const SIZES: &[Column] = &[
    gauge(
        "file_size",
        "mysql_info_schema_innodb_tablespace_file_size_bytes",
        "Length of a tablespace's file.",
    ),
    gauge(
        "allocated_size",
        "mysql_info_schema_innodb_tablespace_allocated_size_bytes",
        "What a tablespace's file takes on disk.",
    ),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "info_schema.innodb_tablespaces",
    by_default: false,
    help: "sizes of InnoDB tablespaces",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(InnodbTablespaces {
            sql: statement(identity),
        }))
    },
};

struct InnodbTablespaces {
    sql: &'static str,
}

/// No server shows a file format any more, and MariaDB no type; dashboards have the labels still.
fn statement(identity: &Identity) -> &'static str {
    match identity.engine {
        EngineName::MariaDb => {
            "SELECT space, name AS tablespace_name, 'NONE' AS file_format, \
             COALESCE(row_format, 'NONE') AS row_format, '' AS space_type, \
             file_size, allocated_size FROM information_schema.innodb_sys_tablespaces"
        }
        _ => {
            "SELECT space, name AS tablespace_name, 'NONE' AS file_format, \
             COALESCE(row_format, 'NONE') AS row_format, COALESCE(space_type, 'NONE') AS space_type, \
             file_size, allocated_size FROM information_schema.innodb_tablespaces"
        }
    }
}

#[async_trait]
impl Collect for InnodbTablespaces {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(self.sql).await?;
        let what = ["tablespace_name", "file_format", "row_format", "space_type"];
        table::gather(&rows, &what, NUMBER, |_| {}, into)?;
        table::gather(&rows, &what[..1], SIZES, |_| {}, into)
    }
}
