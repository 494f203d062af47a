//! What changed since the last scrape: a line when something fails, and one when it works again. A line for every scrape
//! would be read by nobody.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::locked;
use crate::scrape::Scrape;

/// Failures as they are known.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// By collector; of the server itself under an empty name.
    failing: Mutex<BTreeMap<String, String>>,
    /// There was a scrape.
    begun: AtomicBool,
}

impl News {
    /// Compares a scrape with what was known.
    pub(crate) fn note(&self, scrape: &Scrape) {
        self.begun.store(true, Ordering::Relaxed);
        let mut failing = locked(&self.failing);
        let server = (!scrape.is_up()).then(|| {
            let why = scrape.error.clone();
            why.unwrap_or_else(|| "the session broke".to_owned())
        });
        let mut change = |name: &str, error: Option<&String>| match (failing.get(name), error) {
            (None, Some(error)) => {
                match name {
                    "" => tracing::warn!(%error, "the server does not answer"),
                    _ => tracing::warn!(collector = name, %error, "a collector fails"),
                }
                failing.insert(name.to_owned(), error.clone());
            }
            (Some(_), Some(error)) => drop(failing.insert(name.to_owned(), error.clone())),
            (Some(_), None) => {
                match name {
                    "" => tracing::info!("the server answers again"),
                    _ => tracing::info!(collector = name, "the collector works again"),
                }
                failing.remove(name);
            }
            (None, None) => {}
        };
        change("", server.as_ref());
        // What a server that is away does not answer is no news of each collector.
        if server.is_some() {
            return;
        }
        for outcome in &scrape.outcomes {
            change(outcome.name, outcome.error.as_ref());
        }
    }

    /// What fails now, and why; `None` before the first scrape.
    pub(crate) fn last(&self) -> Option<Vec<(String, String)>> {
        let failing = locked(&self.failing);
        let failing = failing
            .iter()
            .map(|(name, why)| (name.clone(), why.clone()));
        self.begun
            .load(Ordering::Relaxed)
            .then(|| failing.collect())
    }
}
