//! How far databases are from the end of their transaction numbers.

use std::borrow::Cow;

use super::table::{Table, gauge};
use super::{Collector, Plan};

/// The names end in seconds, the values are numbers of transactions: so it always was.
const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT datname, age(datfrozenxid) AS transactions, mxid_age(datminmxid) AS multixacts \
         FROM pg_database WHERE datallowconn",
    ),
    labels: &["datname"],
    values: &[
        gauge(
            "transactions",
            "pg_database_wraparound_age_datfrozenxid_seconds",
            "Transactions since the oldest that is not frozen; a number, not seconds.",
        ),
        gauge(
            "multixacts",
            "pg_database_wraparound_age_datminmxid_seconds",
            "Multixacts since the oldest that is in use; a number, not seconds.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "database_wraparound",
    by_default: false,
    help: "ages of databases in transactions",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
