//! What one scrape asks for, and how far it is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pilotfish_engine::query::Identity;
use tokio::time::Instant;

use super::{Filter, Scrape};
use crate::collect::Chosen;

/// Collectors to run, handed out one by one.
pub(super) struct Order {
    filter: Filter,
    pub(super) deadline: Instant,
    /// Known as soon as a server has answered: its collectors, and which of them are asked for.
    list: OnceLock<List>,
    next: AtomicUsize,
}

/// The server that answered first, its collectors, and which of them are asked for.
struct List {
    identity: Identity,
    chosen: Arc<Vec<Chosen>>,
    wanted: Vec<usize>,
}

/// One collector to run.
pub(super) struct Task {
    list: Arc<Vec<Chosen>>,
    index: usize,
}

impl Task {
    pub(super) fn chosen(&self) -> &Chosen {
        &self.list[self.index]
    }
}

impl Order {
    pub(super) fn new(filter: Filter, deadline: Instant) -> Self {
        Self {
            filter,
            deadline,
            list: OnceLock::new(),
            next: AtomicUsize::new(0),
        }
    }

    /// Whether another server, or another version of it, answered first.
    pub(super) fn is_for_another(&self, identity: &Identity) -> bool {
        let list = self.list.get();
        list.is_some_and(|list| list.identity != *identity)
    }

    /// Whoever reaches the server first says what there is to do.
    pub(super) fn fill(&self, identity: &Identity, choose: impl FnOnce() -> Arc<Vec<Chosen>>) {
        self.list.get_or_init(|| {
            let chosen = choose();
            let all = 0..chosen.len();
            let is_wanted = |index: &usize| self.filter.contains(chosen[*index].collector.name);
            let wanted: Vec<usize> = all.clone().filter(is_wanted).collect();
            // One that fits no collector asks for all, as in mysqld_exporter since 0.15.
            let wanted = if wanted.is_empty() {
                all.collect()
            } else {
                wanted
            };
            List {
                identity: identity.clone(),
                chosen,
                wanted,
            }
        });
    }

    /// The next collector that nobody has taken.
    pub(super) fn take(&self) -> Option<Task> {
        let list = self.list.get()?;
        let index = *list.wanted.get(self.next.fetch_add(1, Ordering::Relaxed))?;
        Some(Task {
            list: Arc::clone(&list.chosen),
            index,
        })
    }

    /// Longest time of one statement: two that hang still leave the others half of the scrape.
    pub(super) fn statement_timeout(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        (left / 2).max(Duration::from_millis(100))
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        let Some(list) = self.list.get() else {
            return Vec::new();
        };
        let names = list.wanted.iter();
        names
            .map(|index| list.chosen[*index].collector.name)
            .collect()
    }

    /// Every collector has reported; a lane that is stuck does not count then.
    pub(super) fn is_done(&self, scrape: &Scrape) -> bool {
        let list = self.list.get();
        list.is_some_and(|list| scrape.reported() >= list.wanted.len())
    }
}
