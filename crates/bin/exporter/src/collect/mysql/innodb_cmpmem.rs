//! Compressed pages in InnoDB's buffer pool, by page size.

use std::borrow::Cow;

use super::table::{Table, counter};
use super::{Collector, Plan};

/// Pages in use and free are counters by type in every dashboard, though they fall too.
const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT page_size, buffer_pool_instance AS buffer_pool, pages_used, pages_free, relocation_ops, relocation_time \
         FROM information_schema.innodb_cmpmem",
    ),
    labels: &["page_size", "buffer_pool"],
    values: &[
        counter(
            "pages_used",
            "mysql_info_schema_innodb_cmpmem_pages_used_total",
            "Blocks of this size that are in use now.",
        ),
        counter(
            "pages_free",
            "mysql_info_schema_innodb_cmpmem_pages_free_total",
            "Blocks of this size that are free now.",
        ),
        counter(
            "relocation_ops",
            "mysql_info_schema_innodb_cmpmem_relocation_ops_total",
            "Blocks of this size that were moved.",
        ),
        counter(
            "relocation_time",
            "mysql_info_schema_innodb_cmpmem_relocation_time_seconds_total",
            "Time spent to move blocks of this size.",
        )
        .per(1000.0),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "info_schema.innodb_cmpmem",
    by_default: true,
    help: "compressed pages in the buffer pool",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
