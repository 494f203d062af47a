//! Sessions, by what they do, by user and by host. The one that asks does not count.

use std::collections::BTreeMap;

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::{Rows, Session};

use super::{Collect, Collector, Own, Plan, Setting, parse};
use crate::metric::Gathered;

pub(super) static COLLECTOR: Collector = Collector {
    name: "info_schema.processlist",
    by_default: false,
    help: "sessions by command, state, user and host",
    settings: &[
        Setting {
            name: "min_time",
            default: "0",
            help: "leave out sessions that have been in their state for fewer seconds",
        },
        Setting {
            name: "processes_by_user",
            default: "true",
            help: "count sessions by user",
        },
        Setting {
            name: "processes_by_host",
            default: "true",
            help: "count sessions by host",
        },
    ],
    plan: |_, own| Some(Plan::server(Processlist::new(own))),
};

struct Processlist {
    sql: String,
    by_user: bool,
    by_host: bool,
}

impl Processlist {
    fn new(own: Own<'_>) -> Self {
        Self {
            sql: statement(own.number("min_time")),
            by_user: own.switch("processes_by_user"),
            by_host: own.switch("processes_by_host"),
        }
    }
}

/// Hosts are shown with a port, which would be another one for each session.
fn statement(min_time: u64) -> String {
    format!(
        "SELECT user, SUBSTRING_INDEX(host, ':', 1) AS client, command, state, \
         COUNT(*) AS sessions, SUM(time) AS seconds \
         FROM information_schema.processlist \
         WHERE id <> CONNECTION_ID() AND time >= {min_time} \
         GROUP BY user, client, command, state"
    )
}

#[async_trait]
impl Collect for Processlist {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let seen = Seen::of(&session.rows(&self.sql).await?);
        for ((command, state), (sessions, seconds)) in seen.by_state {
            let labels = vec![("command", command), ("state", state)];
            into.gauge(
                "mysql_info_schema_processlist_threads",
                "Sessions, by what they do.",
                labels.clone(),
                sessions,
            );
            into.gauge(
                "mysql_info_schema_processlist_seconds",
                "How long sessions have been in their state, by what they do.",
                labels,
                seconds,
            );
        }
        for (user, sessions) in seen.by_user.into_iter().filter(|_| self.by_user) {
            into.gauge(
                "mysql_info_schema_processlist_processes_by_user",
                "Sessions, by user.",
                vec![("mysql_user", user)],
                sessions,
            );
        }
        for (host, sessions) in seen.by_host.into_iter().filter(|_| self.by_host) {
            into.gauge(
                "mysql_info_schema_processlist_processes_by_host",
                "Sessions, by host.",
                vec![("client_host", host)],
                sessions,
            );
        }
        Ok(())
    }
}

/// Sums of the answer's rows.
#[derive(Default)]
struct Seen {
    by_state: BTreeMap<(String, String), (f64, f64)>,
    by_user: BTreeMap<String, f64>,
    by_host: BTreeMap<String, f64>,
}

impl Seen {
    fn of(rows: &Rows) -> Self {
        let mut seen = Self::default();
        for row in rows.iter() {
            let text = |place| row.at(place).unwrap_or_default();
            let number = |place| row.at(place).and_then(parse::number).unwrap_or(0.0);
            let (sessions, seconds) = (number(4), number(5));
            let what = (word(text(2)), word(text(3)));
            let state = seen.by_state.entry(what).or_default();
            state.0 += sessions;
            state.1 += seconds;
            let host = if text(1).is_empty() {
                "unknown"
            } else {
                text(1)
            };
            *seen.by_host.entry(host.to_owned()).or_default() += sessions;
            *seen.by_user.entry(text(0).to_owned()).or_default() += sessions;
        }
        seen
    }
}

/// A command or a state as one word: `Waiting for table metadata lock` is `waiting_for_table_metadata_lock`.
fn word(text: &str) -> String {
    if text.is_empty() {
        return "unknown".to_owned();
    }
    let letter = |letter| match letter {
        ';' | ',' | ':' | '.' | '(' | ')' => None,
        ' ' | '-' => Some('_'),
        other => Some(other),
    };
    text.to_lowercase().chars().filter_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_states_are_one_word() {
        assert_eq!(word(""), "unknown");
        assert_eq!(word("Binlog Dump"), "binlog_dump");
        assert_eq!(word("Opening tables; (re-read)."), "opening_tables_re_read");
    }
}
