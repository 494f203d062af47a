//! InnoDB's own counters: those that are enabled, under the names that the server gives them.

use async_trait::async_trait;
use pilotfish_engine::query::{Identity, Session};
use pilotfish_engine::{EngineName, Error};

use super::{Collect, Collector, Plan, parse};
use crate::metric::{Gathered, Labels};

const PREFIX: &str = "mysql_info_schema_innodb_metrics_";

pub(super) static COLLECTOR: Collector = Collector {
    name: "info_schema.innodb_metrics",
    by_default: false,
    help: "counters of InnoDB that are enabled",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(InnodbMetrics {
            sql: statement(identity),
        }))
    },
};

struct InnodbMetrics {
    sql: &'static str,
}

fn statement(identity: &Identity) -> &'static str {
    match identity.engine {
        EngineName::MariaDb => {
            "SELECT subsystem, name, type, comment, count \
             FROM information_schema.innodb_metrics WHERE enabled = 1"
        }
        _ => {
            "SELECT subsystem, name, type, comment, count \
             FROM information_schema.innodb_metrics WHERE status = 'enabled'"
        }
    }
}

#[async_trait]
impl Collect for InnodbMetrics {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(self.sql).await?;
        for row in rows.iter() {
            let text = |place| row.at(place).unwrap_or_default();
            let Some(value) = parse::number(text(4)) else {
                continue;
            };
            match text(0) {
                "buffer_page_io" => pages_moved(text(1), value, into),
                "buffer" if pages(text(1), value, into) => {}
                subsystem => {
                    let name = name(subsystem, text(1));
                    other(&name, text(2), text(3), value, into);
                }
            }
        }
        Ok(())
    }
}

/// Pages that were read and written, by type.
fn pages_moved(name: &str, value: f64, into: &mut Gathered) {
    let (metric, help, kind) = if let Some(kind) = name.strip_prefix("buffer_page_read_") {
        ("buffer_page_read_total", "Pages read, by type.", kind)
    } else if let Some(kind) = name.strip_prefix("buffer_page_written_") {
        ("buffer_page_written_total", "Pages written, by type.", kind)
    } else {
        return;
    };
    let labels = vec![("type", kind.to_owned())];
    into.counter(format!("{PREFIX}{metric}"), help, labels, value);
}

/// Pages of the buffer pool, by state, if that is what this is. The total is the sum of the others, and would count
/// twice.
fn pages(name: &str, value: f64, into: &mut Gathered) -> bool {
    let Some(state) = name.strip_prefix("buffer_pool_pages_") else {
        return false;
    };
    match state {
        "total" => {}
        "dirty" => into.gauge(
            format!("{PREFIX}buffer_pool_dirty_pages"),
            "Pages of the buffer pool that are not on disk yet.",
            Labels::none(),
            value,
        ),
        state => into.gauge(
            format!("{PREFIX}buffer_pool_pages"),
            "Pages of the buffer pool, by state.",
            vec![("state", state.to_owned())],
            value,
        ),
    }
    true
}

/// `buffer_LRU_batch_flush_total_pages` keeps its capitals.
fn name(subsystem: &str, name: &str) -> String {
    let valid = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    format!("{subsystem}_{name}").replace(|letter| !valid(letter), "_")
}

/// Some of what MySQL calls a counter falls below zero: that is none.
fn other(name: &str, kind: &str, comment: &str, value: f64, into: &mut Gathered) {
    let help = comment.to_owned();
    if matches!(kind, "counter" | "status_counter") && value >= 0.0 {
        into.counter(format!("{PREFIX}{name}_total"), help, Labels::none(), value);
    } else {
        into.gauge(format!("{PREFIX}{name}"), help, Labels::none(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Format;

    #[test]
    fn names_of_the_server_are_names_of_metrics() {
        let mut gathered = Gathered::default();
        pages_moved("buffer_page_read_index_leaf", 1.0, &mut gathered);
        pages_moved("buffer_page_written_blob", 2.0, &mut gathered);
        assert!(pages("buffer_pool_pages_total", 3.0, &mut gathered));
        assert!(pages("buffer_pool_pages_dirty", 4.0, &mut gathered));
        assert!(pages("buffer_pool_pages_free", 5.0, &mut gathered));
        assert!(!pages("buffer_pool_size", 6.0, &mut gathered));
        other("dml_dml_reads", "status_counter", "c", 7.0, &mut gathered);
        other(
            "lock_lock_row_lock_time",
            "counter",
            "c",
            -8.0,
            &mut gathered,
        );
        other("server_page_size", "value", "c", 9.0, &mut gathered);
        let text = Format::shown(&gathered);
        for line in [
            "page_read_total{type=\"index_leaf\"} 1\n",
            "page_written_total{type=\"blob\"} 2\n",
            "pool_dirty_pages 4\n",
            "pool_pages{state=\"free\"} 5\n",
            "dml_dml_reads_total 7\n",
            "lock_row_lock_time -8\n",
            "server_page_size 9\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(gathered.series(), 7);
        assert_eq!(name("buffer", "buffer_LRU-x"), "buffer_buffer_LRU_x");
    }
}
