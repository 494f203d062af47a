//! When the certificate of the server ends.
//!
//! MariaDB and MySQL say it in their status. PostgreSQL has no view for it: there the session has seen it, where it is
//! encrypted.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::{Collect, Collector, Plan};
use crate::metric::{Gathered, Labels};

/// Of PostgreSQL.
pub(super) static OF_SESSION: Collector = Collector {
    name: "certificate",
    by_default: true,
    help: "the end of the server's certificate, over TLS",
    settings: &[],
    plan: |_, _| Some(Plan::server(Certificate)),
};

struct Certificate;

#[async_trait]
impl Collect for Certificate {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        if let Some(end) = session.certificate_end() {
            gather(end as f64, into);
        }
        Ok(())
    }
}

/// Seconds since the epoch.
pub(super) fn gather(end: f64, into: &mut Gathered) {
    into.gauge(
        "pilotfish_server_certificate_end_timestamp_seconds",
        "When the certificate of the server ends.",
        Labels::none(),
        end,
    );
}
