//! What MariaDB and MySQL share: the wire protocol, TLS, error numbers and most statements.
//!
//! Private to this crate; [`crate::mariadb`] and [`crate::mysql`] say what differs.

mod ask;
pub(crate) mod connect;
mod load;
mod probe;
mod query;
mod question;
mod server_error;
mod tls;
mod truth;

#[cfg(feature = "testing")]
pub use load::converted_bytes;

use crate::query::Query;
use crate::{EngineName, Error, Settings};
use ask::Ask as _;
use connect::{SessionSetup, connect};

/// What tells the engines of the family apart when looking at a server.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) engine: EngineName,
    /// The name for people and results.
    pub(crate) name: &'static str,
    /// One row per replication channel.
    pub(crate) replica_status: &'static str,
    /// The right that `replica_status` needs.
    pub(crate) replica_right: &'static str,
}

/// A server of the family and how to reach it.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    pub(crate) settings: Settings,
    pub(crate) variant: &'static Variant,
}

/// Opens sessions that ask.
pub(crate) fn query(settings: &Settings) -> Box<dyn Query> {
    Box::new(query::Opener {
        settings: settings.clone(),
    })
}

/// Asks the server which engine it is.
pub(crate) async fn detect(settings: &Settings) -> Result<EngineName, Error> {
    let mut conn = connect(settings, &SessionSetup::default()).await?;
    let version: Option<String> = conn.query_first("SELECT VERSION()").await?;
    conn.disconnect().await?;
    Ok(engine_of(&version.unwrap_or_default()))
}

/// MariaDB says its name in every version text, whatever its packager added.
fn engine_of(version: &str) -> EngineName {
    if version.contains("MariaDB") {
        EngineName::MariaDb
    } else {
        EngineName::MySql
    }
}
