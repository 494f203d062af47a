//! Replicas that have told this server of themselves.

use async_trait::async_trait;
use pilotfish_engine::query::{Identity, Session};
use pilotfish_engine::{EngineName, Error};

use super::{Collect, Collector, Plan};
use crate::metric::{Gathered, Labels};

pub(super) static COLLECTOR: Collector = Collector {
    name: "slave_hosts",
    by_default: false,
    help: "replicas of this server",
    settings: &[],
    plan: |identity, _| {
        Some(Plan::server(SlaveHosts {
            sql: statement(identity),
        }))
    },
};

struct SlaveHosts {
    sql: &'static str,
}

fn statement(identity: &Identity) -> &'static str {
    match identity.engine {
        EngineName::MySql if identity.version >= [8, 0, 22] => "SHOW REPLICAS",
        _ => "SHOW SLAVE HOSTS",
    }
}

/// In the order of the columns, whose names are others in each version; MariaDB has no UUIDs.
const LABELS: [&str; 5] = ["server_id", "slave_host", "port", "master_id", "slave_uuid"];

#[async_trait]
impl Collect for SlaveHosts {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(self.sql).await?;
        for row in rows.iter() {
            let text = |place| row.at(place).unwrap_or_default().to_owned();
            let labels = LABELS.iter().enumerate();
            into.gauge(
                "mysql_heartbeat_mysql_slave_hosts_info",
                "A replica of this server.",
                Labels::from_iter(labels.map(|(place, label)| (*label, text(place)))),
                1.0,
            );
        }
        Ok(())
    }
}
