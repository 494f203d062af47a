//! Compression of InnoDB's pages, by page size.

use std::borrow::Cow;

use super::table::{Table, counter};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT page_size, compress_ops, compress_ops_ok, compress_time, uncompress_ops, uncompress_time \
         FROM information_schema.innodb_cmp",
    ),
    labels: &["page_size"],
    values: &[
        counter(
            "compress_ops",
            "mysql_info_schema_innodb_cmp_compress_ops_total",
            "Attempts to compress a page of this size.",
        ),
        counter(
            "compress_ops_ok",
            "mysql_info_schema_innodb_cmp_compress_ops_ok_total",
            "Pages of this size that were compressed.",
        ),
        counter(
            "compress_time",
            "mysql_info_schema_innodb_cmp_compress_time_seconds_total",
            "Time spent to compress pages of this size.",
        ),
        counter(
            "uncompress_ops",
            "mysql_info_schema_innodb_cmp_uncompress_ops_total",
            "Pages of this size that were uncompressed.",
        ),
        counter(
            "uncompress_time",
            "mysql_info_schema_innodb_cmp_uncompress_time_seconds_total",
            "Time spent to uncompress pages of this size.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "info_schema.innodb_cmp",
    by_default: true,
    help: "compression of InnoDB pages",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
