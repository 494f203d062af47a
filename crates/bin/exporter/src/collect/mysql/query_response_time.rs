//! How long statements take: the plugin QUERY_RESPONSE_TIME of MariaDB and Percona.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::{Rows, Session};

use super::absence::Absence;
use super::{Collect, Collector, Plan};
use crate::metric::{Buckets, Gathered, Labels};

const IS_ON: &str = "SHOW GLOBAL VARIABLES LIKE 'query\\_response\\_time\\_stats'";
const SQL: &str = "SELECT time, count, total FROM information_schema.query_response_time";

pub(super) static COLLECTOR: Collector = Collector {
    name: "info_schema.query_response_time",
    by_default: true,
    help: "histogram of the plugin QUERY_RESPONSE_TIME",
    settings: &[],
    plan: |_, _| Some(Plan::server(QueryResponseTime::default())),
};

#[derive(Default)]
struct QueryResponseTime {
    /// The server has no such plugin.
    absent: Absence,
}

#[async_trait]
impl Collect for QueryResponseTime {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        if self.absent.is_known() {
            return Ok(());
        }
        let is_on = session.rows(IS_ON).await?;
        let Some(variable) = is_on.iter().next() else {
            self.absent.note();
            return Ok(());
        };
        if variable.at(1) == Some("ON") {
            let name = "mysql_info_schema_query_response_time_seconds";
            let help = "Statements, by how long they took.";
            let buckets = buckets(&session.rows(SQL).await?);
            into.histogram(name, help, Labels::none(), buckets);
        }
        Ok(())
    }
}

/// Bounds are right-aligned texts; the last row, `TOO LONG`, has what is above all of them.
fn buckets(rows: &Rows) -> Buckets {
    let mut buckets = Buckets::default();
    for row in rows.iter() {
        let number = |place| {
            row.at(place)
                .and_then(|text| text.trim().parse::<f64>().ok())
        };
        buckets.count += row
            .at(1)
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        buckets.sum += number(2).unwrap_or(0.0);
        if let Some(bound) = number(0) {
            buckets.cumulative.push((bound, buckets.count));
        }
    }
    buckets
}
