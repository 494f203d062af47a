//! Replication, by channel: the statement that shows it, under the names that dashboards know.
//!
//! MySQL renamed its columns in 8.0.22 and dropped the old statement in 8.4; mysqld_exporter's names changed with them.
//! Here a column has both names, whatever the server calls it. What is stopped or broken keeps its series: a lag that the
//! server does not know is at least what it was last, and as long as it has not been known since.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use async_trait::async_trait;
use pilotfish_engine::query::{Identity, Row, Rows, Session};
use pilotfish_engine::{EngineName, Error};

use super::{Collect, Collector, Plan, parse};
use crate::collect::replication::{Channel, Side, gather};
use crate::locked;
use crate::metric::{Gathered, Labels};

const PREFIX: &str = "mysql_slave_status_";
const HELP: &str = "From the statement that shows replication.";

pub(super) static COLLECTOR: Collector = Collector {
    name: "slave_status",
    by_default: true,
    help: "replication, by channel",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(SlaveStatus {
            sql: statement(identity),
            lags: Mutex::default(),
        }))
    },
};

/// None of these waits for a replica that is stopping: MySQL says so of SHOW REPLICA STATUS since 5.7.
fn statement(identity: &Identity) -> &'static str {
    match identity.engine {
        EngineName::MariaDb => "SHOW ALL SLAVES STATUS",
        _ if identity.version >= [8, 0, 22] => "SHOW REPLICA STATUS",
        _ => "SHOW SLAVE STATUS",
    }
}

struct SlaveStatus {
    sql: &'static str,
    /// By channel: when the server last knew the lag, or when the channel was first seen without one.
    lags: Mutex<HashMap<String, (Instant, f64)>>,
}

#[async_trait]
impl Collect for SlaveStatus {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(self.sql).await?;
        let mut channels = Vec::new();
        let mut names = HashSet::new();
        for row in rows.iter() {
            let seen = Seen { rows: &rows, row };
            let lag = self.lag(seen.channel(), seen.number("Seconds_Behind_Master"));
            names.insert(seen.channel().to_owned());
            seen.gather_columns(lag, into);
            seen.gather_positions(into);
            channels.push(seen.normal(lag));
        }
        // One that is made anew later is another one.
        self.lags().retain(|name, _| names.contains(name));
        gather(&channels, into);
        Ok(())
    }
}

impl SlaveStatus {
    fn lags(&self) -> MutexGuard<'_, HashMap<String, (Instant, f64)>> {
        locked(&self.lags)
    }

    fn lag(&self, channel: &str, known: Option<f64>) -> f64 {
        let mut lags = self.lags();
        let now = Instant::now();
        match known {
            Some(lag) => {
                lags.insert(channel.to_owned(), (now, lag));
                lag
            }
            None => {
                // At first sight nothing is known of it; later it has not caught up since.
                let Some((since, lag)) = lags.get(channel) else {
                    lags.insert(channel.to_owned(), (now, 0.0));
                    return f64::NAN;
                };
                (lag + now.duration_since(*since).as_secs_f64()).floor()
            }
        }
    }
}

/// A channel as the server shows it. Columns are asked for by their old names.
struct Seen<'a> {
    rows: &'a Rows,
    row: Row<'a>,
}

impl<'a> Seen<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        let place = self.rows.column(name);
        let place = place.or_else(|| {
            let mut columns = self.rows.columns().iter();
            columns.position(|column| old_name(column).eq_ignore_ascii_case(name))
        });
        self.row.at(place?)
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok()
    }

    /// MariaDB has names of connections, MySQL of channels.
    fn channel(&self) -> &'a str {
        let names = ["Connection_name", "Channel_Name"];
        let name = names.iter().find_map(|name| self.text(name));
        name.unwrap_or_default()
    }

    fn labels(&self) -> Labels {
        let text = |name| self.text(name).unwrap_or_default().to_owned();
        vec![
            ("master_host", text("Master_Host")),
            ("master_uuid", text("Master_UUID")),
            ("channel_name", text("Channel_Name")),
            ("connection_name", text("Connection_name")),
        ]
        .into()
    }

    fn gather_columns(&self, lag: f64, into: &mut Gathered) {
        for (place, column) in self.rows.columns().iter().enumerate() {
            let old = old_name(column);
            let text = self.row.at(place);
            let value = match old.as_str() {
                "seconds_behind_master" => Some(lag),
                // Preparing and whatever else it may be on the way to Yes: it does not run.
                "slave_io_running" | "slave_sql_running" => {
                    Some(text.and_then(parse::status).unwrap_or(0.0))
                }
                _ => text.and_then(parse::status),
            };
            let Some(value) = value else { continue };
            let new = column.to_ascii_lowercase();
            if new != old {
                into.untyped(format!("{PREFIX}{new}"), HELP, self.labels(), value);
            }
            into.untyped(format!("{PREFIX}{old}"), HELP, self.labels(), value);
        }
    }

    /// MariaDB's positions: the last transaction of each domain, `0-1-100,1-2-30`.
    fn gather_positions(&self, into: &mut Gathered) {
        for (column, name, help) in [
            (
                "Gtid_IO_Pos",
                "gtid_io_pos",
                "Number of the last transaction received, by domain.",
            ),
            (
                "Gtid_Slave_Pos",
                "gtid_slave_pos",
                "Number of the last transaction applied, by domain.",
            ),
        ] {
            let positions = self.text(column).unwrap_or_default().split(',');
            for position in positions.map(str::trim) {
                let mut parts = position.split('-');
                let (Some(domain), Some(server), Some(number)) =
                    (parts.next(), parts.next(), parts.next())
                else {
                    continue;
                };
                let Ok(number) = number.parse() else { continue };
                let labels = self.labels().with("domain_id", domain);
                let labels = labels.with("server_id", server);
                into.gauge(format!("{PREFIX}{name}"), help, labels, number);
            }
        }
    }

    fn normal(&self, lag: f64) -> Channel {
        let side = |running, code| Side {
            running: self.text(running) == Some("Yes"),
            error_code: self.number(code).unwrap_or(0.0),
        };
        let host = self.text("Master_Host").unwrap_or_default();
        let port = self.text("Master_Port").unwrap_or_default();
        Channel {
            name: self.channel().to_owned(),
            source: format!("{host}:{port}"),
            receiver: Some(side("Slave_IO_Running", "Last_IO_Errno")),
            applier: side("Slave_SQL_Running", "Last_SQL_Errno"),
            lag: Some(lag),
        }
    }
}

/// `Seconds_Behind_Source` was `Seconds_Behind_Master` once.
fn old_name(column: &str) -> String {
    let column = column.to_ascii_lowercase();
    let words = column.split('_').map(|word| match word {
        "source" => "master",
        "replica" => "slave",
        word => word,
    });
    words.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_mysql_have_their_old_names_too() {
        assert_eq!(old_name("Seconds_Behind_Source"), "seconds_behind_master");
        assert_eq!(old_name("Replica_IO_Running"), "slave_io_running");
        assert_eq!(old_name("Read_Source_Log_Pos"), "read_master_log_pos");
        assert_eq!(old_name("Replicate_Do_DB"), "replicate_do_db");
    }

    #[test]
    fn a_lag_that_nobody_knows_is_at_least_the_last_one() {
        let status = SlaveStatus {
            sql: "",
            lags: Mutex::default(),
        };
        assert_eq!(status.lag("a", Some(7.0)), 7.0);
        assert!(status.lag("a", None) >= 7.0);
        assert!(status.lag("b", None).is_nan(), "nobody knows");
        assert!(status.lag("b", None) < 1.0);
    }
}
