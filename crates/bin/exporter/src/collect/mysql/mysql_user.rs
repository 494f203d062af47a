//! Limits of accounts and, where it is asked for, their privileges.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::table::{self, Column, gauge};
use super::{Collect, Collector, Plan, Setting};
use crate::metric::{Gathered, Labels};

const LABELS: &[&str] = &["mysql_user", "hostmask"];

const LIMITS: &[Column] = &[
    gauge(
        "max_questions",
        "mysql_mysql_max_questions",
        "Statements that an account may run in an hour; 0 is no limit.",
    ),
    gauge(
        "max_updates",
        "mysql_mysql_max_updates",
        "Statements that change something which an account may run in an hour; 0 is no limit.",
    ),
    gauge(
        "max_connections",
        "mysql_mysql_max_connections",
        "Connections that an account may open in an hour; 0 is no limit.",
    ),
    gauge(
        "max_user_connections",
        "mysql_mysql_max_user_connections",
        "Connections that an account may have at a time; 0 is the server's limit.",
    ),
];

/// Columns for privileges that MariaDB and MySQL both have, without their ending.
const PRIVILEGES: [&str; 29] = [
    "select",
    "insert",
    "update",
    "delete",
    "create",
    "drop",
    "reload",
    "shutdown",
    "process",
    "file",
    "grant",
    "references",
    "index",
    "alter",
    "show_db",
    "super",
    "create_tmp_table",
    "lock_tables",
    "execute",
    "repl_slave",
    "repl_client",
    "create_view",
    "show_view",
    "create_routine",
    "alter_routine",
    "create_user",
    "event",
    "trigger",
    "create_tablespace",
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "mysql.user",
    by_default: false,
    help: "limits of accounts",
    settings: &[Setting {
        name: "privileges",
        default: "false",
        help: "show global privileges of accounts too",
    }],
    plan: |_, own| Some(Plan::server(MysqlUser::new(own.switch("privileges")))),
};

struct MysqlUser {
    sql: String,
    privileges: &'static [&'static str],
}

impl MysqlUser {
    fn new(with_privileges: bool) -> Self {
        let privileges = if with_privileges {
            &PRIVILEGES[..]
        } else {
            &[]
        };
        let columns = privileges.iter().map(|name| format!(", {name}_priv"));
        let columns: String = columns.collect();
        Self {
            sql: format!(
                "SELECT user AS mysql_user, host AS hostmask, \
                 max_questions, max_updates, max_connections, max_user_connections{columns} \
                 FROM mysql.user"
            ),
            privileges,
        }
    }
}

#[async_trait]
impl Collect for MysqlUser {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(&self.sql).await?;
        table::gather(&rows, LABELS, LIMITS, |_| {}, into)?;
        for row in rows.iter() {
            let text = |name| row.get(name).unwrap_or_default().to_owned();
            let labels: Labels = LABELS.iter().map(|name| (*name, text(name))).collect();
            for name in self.privileges {
                let value = match row.get(&format!("{name}_priv")) {
                    Some("Y") => 1.0,
                    Some("N") => 0.0,
                    _ => continue,
                };
                into.gauge(
                    format!("mysql_mysql_{name}_priv"),
                    format!("Whether an account has {name}_priv in mysql.user."),
                    labels.clone(),
                    value,
                );
            }
        }
        Ok(())
    }
}
