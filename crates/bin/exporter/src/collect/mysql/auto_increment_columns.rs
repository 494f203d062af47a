//! How far AUTO_INCREMENT columns are, and how far they can get.

use std::borrow::Cow;

use super::table::{Table, gauge};
use super::{Collector, Plan};

/// Names are compared byte by byte: to MariaDB, `Users` and `users` are the same here though they are two tables.
/// DISTINCT leaves nothing out: it makes the server write both sides down and look names up, where it would otherwise
/// compare each table with each column.
const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT place AS `schema`, name AS `table`, `column`, next, last FROM \
         (SELECT DISTINCT CAST(table_schema AS BINARY) AS place, CAST(table_name AS BINARY) AS name, \
         column_name AS `column`, \
         ELT(NULLIF(FIELD(data_type, 'tinyint', 'smallint', 'mediumint', 'int', 'bigint'), 0) \
         + IF(column_type LIKE '% unsigned', 5, 0), \
         127, 32767, 8388607, 2147483647, 9223372036854775807, \
         255, 65535, 16777215, 4294967295, 18446744073709551615) AS last \
         FROM information_schema.columns WHERE extra = 'auto_increment') AS columns_of \
         JOIN (SELECT DISTINCT CAST(table_schema AS BINARY) AS place, \
         CAST(table_name AS BINARY) AS name, auto_increment AS next \
         FROM information_schema.tables WHERE auto_increment IS NOT NULL) AS tables_of \
         USING (place, name)",
    ),
    labels: &["schema", "table", "column"],
    values: &[
        gauge(
            "next",
            "mysql_info_schema_auto_increment_column",
            "The next value of an AUTO_INCREMENT column.",
        ),
        gauge(
            "last",
            "mysql_info_schema_auto_increment_column_max",
            "The highest value that an AUTO_INCREMENT column can have.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "auto_increment.columns",
    by_default: false,
    help: "values of AUTO_INCREMENT columns, and their limits",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
