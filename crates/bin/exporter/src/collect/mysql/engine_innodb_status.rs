//! What only the text of SHOW ENGINE INNODB STATUS tells. MariaDB has no queue before InnoDB, and no lines about it.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::{Collect, Collector, Plan};
use crate::metric::{Gathered, Labels};

const SQL: &str = "SHOW ENGINE INNODB STATUS";

pub(super) static COLLECTOR: Collector = Collector {
    name: "engine_innodb_status",
    by_default: false,
    help: "SHOW ENGINE INNODB STATUS",
    settings: &[],
    plan: |_, _| Some(Plan::server(EngineInnodbStatus)),
};

struct EngineInnodbStatus;

#[async_trait]
impl Collect for EngineInnodbStatus {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(SQL).await?;
        let status = rows.iter().next().and_then(|row| row.at(2));
        Found::read(status.unwrap_or_default()).gather(into);
        Ok(())
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    inside: Option<u64>,
    queue: Option<u64>,
    read_views: Option<u64>,
}

impl Found {
    /// The last line of a kind counts: before it come statements of users, in which anything may stand.
    fn read(status: &str) -> Self {
        let mut found = Self::default();
        for line in status.lines() {
            if let Some((inside, queue)) = queries(line) {
                found.inside = Some(inside);
                found.queue = Some(queue);
            }
            let views = line.strip_suffix(" read views open inside InnoDB");
            found.read_views = views
                .and_then(|views| views.parse().ok())
                .or(found.read_views);
        }
        found
    }

    fn gather(&self, into: &mut Gathered) {
        for (name, help, value) in [
            (
                "queries_inside_innodb",
                "Statements that InnoDB works on.",
                self.inside,
            ),
            (
                "queries_in_queue",
                "Statements that InnoDB does not let in yet.",
                self.queue,
            ),
            (
                "read_views_open_inside_innodb",
                "Read views that are open.",
                self.read_views,
            ),
        ] {
            if let Some(value) = value {
                let name = format!("mysql_engine_innodb_{name}");
                into.gauge(name, help, Labels::none(), value as f64);
            }
        }
    }
}

/// Of `2 queries inside InnoDB, 1 queries in queue`.
fn queries(line: &str) -> Option<(u64, u64)> {
    let (inside, rest) = line.split_once(" queries inside InnoDB, ")?;
    let queue = rest.strip_suffix(" queries in queue")?;
    Some((inside.parse().ok()?, queue.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_users_are_not_taken_for_the_servers_words() {
        let status = "SELECT '\n7 queries inside InnoDB, 8 queries in queue\n'\n--------\n\
                      2 queries inside InnoDB, 1 queries in queue\n\
                      3 read views open inside InnoDB\n";
        let found = Found {
            inside: Some(2),
            queue: Some(1),
            read_views: Some(3),
        };
        assert_eq!(Found::read(status), found);
        assert_eq!(Found::read("no queries inside InnoDB, "), Found::default());
    }
}
