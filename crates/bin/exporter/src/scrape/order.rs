//! What one scrape asks for, and how far it is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::{Filter, Scrape};
use crate::collect::Chosen;

/// Collectors to run, handed out one by one.
pub(super) struct Order {
    filter: Filter,
    pub(super) deadline: Instant,
    /// Known as soon as a server has answered: its collectors, and which of them are asked for.
    list: OnceLock<(Arc<Vec<Chosen>>, Vec<usize>)>,
    next: AtomicUsize,
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

    /// Whoever reaches the server first says what there is to do.
    pub(super) fn fill(&self, chosen: Arc<Vec<Chosen>>) {
        self.list.get_or_init(|| {
            let all = 0..chosen.len();
            let is_wanted = |index: &usize| self.filter.contains(chosen[*index].collector.name);
            let wanted: Vec<usize> = all.clone().filter(is_wanted).collect();
            // One that fits no collector asks for all, as in mysqld_exporter since 0.15.
            let wanted = if wanted.is_empty() {
                all.collect()
            } else {
                wanted
            };
            (chosen, wanted)
        });
    }

    /// The next collector that nobody has taken.
    pub(super) fn take(&self) -> Option<Task> {
        let (list, wanted) = self.list.get()?;
        let index = *wanted.get(self.next.fetch_add(1, Ordering::Relaxed))?;
        Some(Task {
            list: Arc::clone(list),
            index,
        })
    }

    /// Longest time of one statement: two that hang still leave the others half of the scrape.
    pub(super) fn statement_timeout(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        (left / 2).max(Duration::from_millis(100))
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        let Some((list, wanted)) = self.list.get() else {
            return Vec::new();
        };
        let names = wanted.iter().map(|index| list[*index].collector.name);
        names.collect()
    }

    /// Every collector has reported; a lane that is stuck does not count then.
    pub(super) fn is_done(&self, scrape: &Scrape) -> bool {
        let wanted = self.list.get().map(|(_, wanted)| wanted.len());
        wanted.is_some_and(|wanted| scrape.reported() >= wanted)
    }
}
