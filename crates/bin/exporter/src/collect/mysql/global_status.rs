//! The server's counters and levels: SHOW GLOBAL STATUS.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::{Collect, Collector, Plan, certificate, parse};
use crate::metric::{Gathered, Labels, valid_name};

const SQL: &str = "SHOW GLOBAL STATUS";
const HELP: &str = "From SHOW GLOBAL STATUS.";
/// Which of them grow and which fall, only the manual knows: they have no type, as they always had.
const PREFIX: &str = "mysql_global_status_";

pub(super) static COLLECTOR: Collector = Collector {
    name: "global_status",
    by_default: true,
    help: "SHOW GLOBAL STATUS",
    settings: &[],
    plan: |_, _| Some(Plan::server(GlobalStatus)),
};

struct GlobalStatus;

/// Statuses whose names begin alike and are one counter each, with the rest of the name as a label.
struct Group {
    prefix: &'static str,
    metric: &'static str,
    label: &'static str,
    help: &'static str,
}

const GROUPS: [Group; 5] = [
    Group {
        prefix: "com_",
        metric: "mysql_global_status_commands_total",
        label: "command",
        help: "Statements, by kind.",
    },
    Group {
        prefix: "handler_",
        metric: "mysql_global_status_handlers_total",
        label: "handler",
        help: "Calls of storage engines, by kind.",
    },
    Group {
        prefix: "connection_errors_",
        metric: "mysql_global_status_connection_errors_total",
        label: "error",
        help: "Connections that failed, by reason.",
    },
    Group {
        prefix: "innodb_rows_",
        metric: "mysql_global_status_innodb_row_ops_total",
        label: "operation",
        help: "Rows of InnoDB, by what was done with them.",
    },
    Group {
        prefix: "performance_schema_",
        metric: "mysql_global_status_performance_schema_lost_total",
        label: "instrumentation",
        help: "Instruments that had no memory.",
    },
];

/// When the server's certificate ends; without TLS it is no time.
const CERTIFICATE: &str = "ssl_server_not_after";

#[async_trait]
impl Collect for GlobalStatus {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(SQL).await?;
        let mut galera = Galera::default();
        for row in rows.iter() {
            let (Some(name), Some(text)) = (row.at(0), row.at(1)) else {
                continue;
            };
            let name = valid_name(name);
            match parse::status(text) {
                Some(value) => {
                    one(&name, value, into);
                    if name == CERTIFICATE {
                        certificate::gather(value, into);
                    }
                }
                None => galera.note(&name, text),
            }
        }
        galera.gather(into);
        Ok(())
    }
}

fn one(name: &str, value: f64, into: &mut Gathered) {
    if let Some(pages) = name.strip_prefix("innodb_buffer_pool_pages_") {
        return pages_of_buffer_pool(pages, value, into);
    }
    let group = GROUPS
        .iter()
        .find_map(|group| Some((group, name.strip_prefix(group.prefix)?)));
    match group {
        Some((group, rest)) => {
            let labels = vec![(group.label, rest.to_owned())];
            into.counter(group.metric, group.help, labels, value);
        }
        None => into.untyped(format!("{PREFIX}{name}"), HELP, Labels::none(), value),
    }
}

/// The total is the sum of the others, and would count twice.
fn pages_of_buffer_pool(which: &str, value: f64, into: &mut Gathered) {
    match which {
        "total" => {}
        "dirty" => into.gauge(
            "mysql_global_status_buffer_pool_dirty_pages",
            "Pages of the buffer pool that are not on disk yet.",
            Labels::none(),
            value,
        ),
        "data" | "free" | "misc" | "old" => into.gauge(
            "mysql_global_status_buffer_pool_pages",
            "Pages of the buffer pool, by state.",
            vec![("state", which.to_owned())],
            value,
        ),
        _ => into.counter(
            "mysql_global_status_buffer_pool_page_changes_total",
            "Changes of pages in the buffer pool, by kind.",
            vec![("operation", which.to_owned())],
            value,
        ),
    }
}

/// What a node of a Galera cluster says in words.
#[derive(Default)]
struct Galera {
    local_state_uuid: String,
    cluster_state_uuid: String,
    provider_version: String,
    latency: String,
}

const LATENCY: [(&str, &str); 5] = [
    (
        "mysql_galera_evs_repl_latency_min_seconds",
        "Shortest latency within the group.",
    ),
    (
        "mysql_galera_evs_repl_latency_avg_seconds",
        "Mean latency within the group.",
    ),
    (
        "mysql_galera_evs_repl_latency_max_seconds",
        "Longest latency within the group.",
    ),
    (
        "mysql_galera_evs_repl_latency_stdev",
        "Standard deviation of the latency within the group.",
    ),
    (
        "mysql_galera_evs_repl_latency_sample_size",
        "How many latencies were measured.",
    ),
];

impl Galera {
    fn note(&mut self, name: &str, text: &str) {
        let field = match name {
            "wsrep_local_state_uuid" => &mut self.local_state_uuid,
            "wsrep_cluster_state_uuid" => &mut self.cluster_state_uuid,
            "wsrep_provider_version" => &mut self.provider_version,
            "wsrep_evs_repl_latency" => &mut self.latency,
            _ => return,
        };
        text.clone_into(field);
    }

    fn gather(self, into: &mut Gathered) {
        if !self.local_state_uuid.is_empty() {
            let labels = vec![
                ("wsrep_local_state_uuid", self.local_state_uuid),
                ("wsrep_cluster_state_uuid", self.cluster_state_uuid),
                ("wsrep_provider_version", self.provider_version),
            ];
            into.gauge(
                "mysql_galera_status_info",
                "A node of a Galera cluster.",
                labels,
                1.0,
            );
        }
        let values: Option<Vec<f64>> = self
            .latency
            .split('/')
            .map(|text| text.parse().ok())
            .collect();
        let values = values.filter(|values| values.len() == LATENCY.len());
        for ((name, help), value) in LATENCY.into_iter().zip(values.unwrap_or_default()) {
            into.gauge(name, help, Labels::none(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Format;

    #[test]
    fn names_that_begin_alike_are_one_family() {
        let mut gathered = Gathered::default();
        for (name, value) in [
            ("com_select", 3.0),
            ("com_insert", 4.0),
            ("innodb_buffer_pool_pages_total", 8.0),
            ("innodb_buffer_pool_pages_data", 7.0),
            ("innodb_buffer_pool_pages_dirty", 6.0),
            ("innodb_buffer_pool_pages_flushed", 5.0),
            ("uptime", 9.0),
        ] {
            one(name, value, &mut gathered);
        }
        let mut galera = Galera::default();
        galera.note("wsrep_evs_repl_latency", "0.1/0.2/0.3/0.01/7");
        galera.note("wsrep_local_state_uuid", "u");
        galera.gather(&mut gathered);
        let text = Format::shown(&gathered);
        for line in [
            "commands_total{command=\"select\"} 3",
            "buffer_pool_pages{state=\"data\"} 7",
            "buffer_pool_dirty_pages 6",
            "page_changes_total{operation=\"flushed\"} 5",
            "mysql_global_status_uptime 9",
            "latency_max_seconds 0.3",
            "status_info{wsrep_local_state_uuid=\"u\",",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("} 8") && !text.contains(" 8\n"), "{text}");
    }
}
