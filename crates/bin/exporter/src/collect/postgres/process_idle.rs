//! How long idle sessions have been idle, by state and application.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::{Row, Session};

use super::{Collect, Collector, Plan};
use crate::metric::{Buckets, Gathered};

/// Upper bounds of the buckets, in seconds; each is a column of the statement.
const BOUNDS: [u32; 9] = [1, 2, 5, 15, 30, 60, 90, 120, 300];

pub(super) static COLLECTOR: Collector = Collector {
    name: "process_idle",
    by_default: false,
    help: "histogram of how long sessions have been idle",
    settings: &[],
    plan: |_, _| Some(Plan::server(ProcessIdle { sql: statement() })),
};

struct ProcessIdle {
    sql: String,
}

/// The sum is of whole seconds.
fn statement() -> String {
    let bucket = |bound| format!(", count(*) FILTER (WHERE idle <= {bound})");
    let buckets: String = BOUNDS.map(bucket).concat();
    format!(
        "SELECT state, application_name, count(*), sum(round(idle)){buckets} FROM (\
         SELECT state, coalesce(application_name, 'unknown') AS application_name, \
         extract(epoch FROM now() - state_change) AS idle FROM pg_stat_activity WHERE state LIKE 'idle%') s \
         GROUP BY state, application_name"
    )
}

#[async_trait]
impl Collect for ProcessIdle {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(&self.sql).await?;
        for row in rows.iter() {
            let text = |place: usize| row.at(place).unwrap_or_default().to_owned();
            let labels = vec![("state", text(0)), ("application_name", text(1))];
            let help = "Idle sessions, by how long they have been so.";
            into.histogram("pg_process_idle_seconds", help, labels, buckets(row));
        }
        Ok(())
    }
}

fn buckets(row: Row<'_>) -> Buckets {
    let count = |place| {
        row.at(place)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    let bounds = BOUNDS.into_iter().map(f64::from);
    Buckets {
        cumulative: bounds.zip((4..).map(count)).collect(),
        sum: row.at(3).and_then(|text| text.parse().ok()).unwrap_or(0.0),
        count: count(2),
        native: None,
    }
}
