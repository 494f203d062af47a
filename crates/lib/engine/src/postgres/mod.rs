//! PostgreSQL 14 and later.

mod connect;
mod load;
mod probe;
mod query;
mod server_error;
mod tls;
mod truth;

use crate::load::Load;
use crate::query::Query;
use crate::{Engine, Probe, Settings};

/// A server and how to reach it.
#[derive(Clone)]
struct Postgres {
    settings: Settings,
}

pub(crate) fn open(settings: &Settings) -> Box<dyn Engine> {
    Box::new(Postgres {
        settings: settings.clone(),
    })
}

/// Opens sessions that ask.
pub(crate) fn query(settings: &Settings) -> Box<dyn Query> {
    Box::new(query::Opener {
        settings: settings.clone(),
    })
}

impl Engine for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn probe(&self) -> &dyn Probe {
        self
    }

    fn load(&self) -> Option<&dyn Load> {
        Some(self)
    }
}

impl Postgres {
    /// A session in a database, else in the default one.
    async fn session(&self, database: Option<&str>) -> Result<connect::Session, crate::Error> {
        connect::Session::open(&self.settings, database).await
    }
}

/// A cell of an answer whose shape is known.
fn cell<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a tokio_postgres::Row,
    at: usize,
) -> Result<T, crate::Error> {
    row.try_get(at)
        .map_err(|_| crate::Error::Protocol("a row has an unexpected shape".to_owned()))
}
