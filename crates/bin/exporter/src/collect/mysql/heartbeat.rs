//! The table that pt-heartbeat writes: when it was written on the source, and what time it is here.

use std::borrow::Cow;

use pilotfish_sql::mysql::quote;

use super::table::{Column, Table, gauge};
use super::{Collector, Own, Plan, Setting};

const VALUES: &[Column] = &[
    gauge(
        "now",
        "mysql_heartbeat_now_timestamp_seconds",
        "What time it is on this server.",
    ),
    gauge(
        "written",
        "mysql_heartbeat_stored_timestamp_seconds",
        "When the row was written, by the clock of the server that wrote it.",
    ),
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "heartbeat",
    by_default: false,
    help: "the table of pt-heartbeat",
    settings: &[
        Setting {
            name: "database",
            default: "heartbeat",
            help: "database of the table",
        },
        Setting {
            name: "table",
            default: "heartbeat",
            help: "name of the table",
        },
        Setting {
            name: "utc",
            default: "false",
            help: "times in the table are UTC: pt-heartbeat runs with --utc",
        },
    ],
    plan: |_, own| {
        Some(Plan::server(Table {
            sql: Cow::Owned(statement(own)),
            labels: &["server_id"],
            values: VALUES,
        }))
    },
};

fn statement(own: Own<'_>) -> String {
    let now = if own.switch("utc") {
        "UTC_TIMESTAMP(6)"
    } else {
        "NOW(6)"
    };
    format!(
        "SELECT server_id, UNIX_TIMESTAMP(ts) AS written, UNIX_TIMESTAMP({now}) AS now \
         FROM {}.{}",
        quote(own.text("database")),
        quote(own.text("table"))
    )
}
