//! PostgreSQL 14 and later.

mod connect;
mod probe;
mod server_error;
mod tls;
mod truth;

use crate::load::Load;
use crate::{Engine, Probe, Settings};

/// A server and how to reach it.
struct Postgres {
    settings: Settings,
}

pub(crate) fn open(settings: &Settings) -> Box<dyn Engine> {
    Box::new(Postgres {
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
        None
    }
}

/// An identifier in quotes.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
