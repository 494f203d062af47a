//! What pilotfish loaded into the server, by the ledger.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::{Collect, Collector, Plan, Scope};
use crate::metric::{Gathered, Labels};

/// Of MariaDB and MySQL, whose ledger speaks of all databases.
pub(super) static OF_SERVER: Collector = Collector {
    name: "releases",
    by_default: true,
    help: "what pilotfish loaded",
    settings: &[],
    plan: |_, _| Some(plan(Scope::Server)),
};

/// Of PostgreSQL, where each database has its own.
pub(super) static OF_DATABASES: Collector = Collector {
    name: OF_SERVER.name,
    by_default: true,
    help: OF_SERVER.help,
    settings: &[],
    plan: |_, _| Some(plan(Scope::EachDatabase)),
};

fn plan(scope: Scope) -> Plan {
    Plan {
        scope,
        how: Box::new(Releases),
    }
}

struct Releases;

#[async_trait]
impl Collect for Releases {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let mut gauge = |name, help, labels, value| {
            into.gauge(format!("pilotfish_release_{name}"), help, labels, value);
        };
        for release in session.releases().await? {
            let labels = Labels::of("database", release.database);
            let named = labels.clone().with("digest", release.digest);
            gauge("info", "The live release of each database.", named, 1.0);
            gauge(
                "live_since_timestamp_seconds",
                "When it became live.",
                labels.clone(),
                release.since as f64,
            );
            gauge(
                "finishing",
                "1 while objects that follow the swap are still being made.",
                labels,
                f64::from(u8::from(release.finishing)),
            );
        }
        Ok(())
    }
}
