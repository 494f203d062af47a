//! Transactions that are open: an old one keeps every version of every row that has changed since.

use std::borrow::Cow;

use super::table::{Table, gauge};
use super::{Collector, Plan};

const TABLE: Table = Table {
    sql: Cow::Borrowed(
        "SELECT COUNT(*) AS open, COALESCE(MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW())), 0) AS oldest, \
         COALESCE(SUM(trx_state = 'LOCK WAIT'), 0) AS waiting FROM information_schema.innodb_trx",
    ),
    labels: &[],
    values: &[
        gauge(
            "open",
            "pilotfish_innodb_transactions",
            "Transactions that are open.",
        ),
        gauge(
            "waiting",
            "pilotfish_innodb_transactions_waiting",
            "Transactions that wait for a lock.",
        ),
        gauge(
            "oldest",
            "pilotfish_innodb_oldest_transaction_seconds",
            "Since the oldest of them began.",
        ),
    ],
};

pub(super) static COLLECTOR: Collector = Collector {
    name: "innodb_trx",
    // It looks at all transactions while none may begin or end.
    by_default: false,
    help: "open transactions of InnoDB, and the oldest",
    settings: &[],
    plan: |_, _| Some(Plan::server(TABLE)),
};
