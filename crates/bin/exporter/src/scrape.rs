//! Scrapes: who asks the server, over which sessions, and until when.
//!
//! A fixed number of sessions stays open; whatever happens there are never more. Each is a [`lane`] in which one
//! statement is under way at a time. A scrape sends a worker into the first lane, which takes the collectors off a
//! list, and where that is not done soon another one into the next, so that a slow collector holds up its lane and nothing
//! else. When the time of the scrape is over, what has come is
//! answered and what has not is called failed; the worker stays in its lane until the server lets go of it.
//!
//! One scrape is in flight at a time for the same collectors; whoever asks meanwhile gets its result.

mod lane;
mod order;
mod outcome;
mod shift;
mod tour;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use pilotfish_engine::query::Identity;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::collect::{self, Choices, Chosen};
use crate::metric::Gathered;
use crate::target::Target;
use lane::Lane;
use order::Order;
pub(crate) use outcome::{Outcome, Scrape};
use shift::Shift;

/// Names of collectors that were asked for; none means all that are on.
pub(crate) type Filter = BTreeSet<String>;

/// How much a scraper may take.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Sessions that stay open.
    pub(crate) connections: usize,
    /// Longest wait for a lock of the server.
    pub(crate) lock_timeout: Duration,
    /// Collectors whose answers are good for a while.
    pub(crate) caches: BTreeMap<String, Duration>,
    pub(crate) databases: Databases,
}

/// Which databases of PostgreSQL are looked into, besides the one that every scrape is in.
#[derive(Debug, Clone)]
pub(crate) struct Databases {
    pub(crate) every: Duration,
    /// Empty takes all.
    pub(crate) only: Vec<String>,
    pub(crate) except: Vec<String>,
}

impl Databases {
    fn takes(&self, name: &str) -> bool {
        let is = |list: &[String]| list.iter().any(|one| one == name);
        (self.only.is_empty() || is(&self.only)) && !is(&self.except)
    }
}

/// One server, and what is asked of it.
pub(crate) struct Scraper {
    crew: Arc<Crew>,
    flights: Arc<Mutex<HashMap<Filter, Flight>>>,
    /// Sessions live here, whoever's runtime a request comes on.
    runtime: Handle,
}

type Flight = Shared<BoxFuture<'static, Arc<Scrape>>>;

/// What the workers of all scrapes share.
struct Crew {
    target: Target,
    choices: Choices,
    limits: Limits,
    lanes: Vec<Arc<tokio::sync::Mutex<Lane>>>,
    /// Chosen for the server that answered last.
    chosen: Mutex<Option<(Identity, Arc<Vec<Chosen>>)>>,
    cache: Mutex<HashMap<&'static str, (Instant, Gathered)>>,
    album: Mutex<tour::Album>,
}

impl Scraper {
    /// Opens nothing; call it on the runtime that the sessions shall live on.
    pub(crate) fn new(target: Target, choices: Choices, limits: Limits) -> Self {
        let lanes = (0..limits.connections.max(1)).map(|_| Arc::default());
        Self {
            crew: Arc::new(Crew {
                target,
                choices,
                lanes: lanes.collect(),
                limits,
                chosen: Mutex::default(),
                cache: Mutex::default(),
                album: Mutex::default(),
            }),
            flights: Arc::default(),
            runtime: Handle::current(),
        }
    }

    /// Scrapes, or waits for the scrape of the same that is under way. Ends by the deadline of whoever came first.
    pub(crate) async fn scrape(&self, filter: Filter, deadline: Instant) -> Arc<Scrape> {
        self.flight(filter, deadline).await
    }

    fn flight(&self, filter: Filter, deadline: Instant) -> Flight {
        let mut flights = locked(&self.flights);
        if let Some(flight) = flights.get(&filter) {
            return flight.clone();
        }
        let (crew, flights_of_all, key) = (
            Arc::clone(&self.crew),
            Arc::clone(&self.flights),
            filter.clone(),
        );
        let landing = self.runtime.spawn(async move {
            let scrape = Arc::new(crew.scrape(key.clone(), deadline).await);
            locked(&flights_of_all).remove(&key);
            scrape
        });
        let flights_of_all = Arc::clone(&self.flights);
        let key = filter.clone();
        let flight = landing
            .map(move |landed| {
                landed.unwrap_or_else(|error| {
                    locked(&flights_of_all).remove(&key);
                    Arc::new(Scrape::broken(error.to_string()))
                })
            })
            .boxed()
            .shared();
        flights.insert(filter, flight.clone());
        flight
    }

    /// Ends the sessions that are free.
    pub(crate) async fn close(&self) {
        for lane in &self.crew.lanes {
            if let Ok(mut lane) = lane.try_lock() {
                lane.close().await;
            }
        }
    }
}

impl Crew {
    async fn scrape(self: Arc<Self>, filter: Filter, deadline: Instant) -> Scrape {
        let order = Arc::new(Order::new(filter, deadline));
        let mut scrape = Scrape::default();
        Shift::begin(&self, &order).work(&mut scrape).await;
        scrape.finish(&order.names());
        if scrape.is_up() {
            self.look_elsewhere(&mut scrape, deadline).await;
        }
        let server = self.target.server_label();
        scrape
            .gathered
            .label("server", &server, collect::names_server);
        scrape.without_duplicates();
        scrape
    }

    /// Adds what other databases have. Only the first scrape waits for it.
    async fn look_elsewhere(self: &Arc<Self>, scrape: &mut Scrape, deadline: Instant) {
        let tour = tokio::spawn(tour::when_due(Arc::clone(self)));
        if !locked(&self.album).has_begun() {
            let _ = tokio::time::timeout_at(deadline, tour).await;
        }
        let album = locked(&self.album);
        let Scrape {
            outcomes, gathered, ..
        } = scrape;
        for outcome in outcomes.iter().filter(|outcome| outcome.error.is_none()) {
            album.show(outcome.name, gathered);
        }
        album.describe(gathered);
    }

    /// The collectors for a server; they keep what they remember while the server stays the same.
    fn chosen_for(&self, identity: &Identity) -> Arc<Vec<Chosen>> {
        let mut chosen = locked(&self.chosen);
        match chosen.as_ref() {
            Some((known, list)) if known == identity => Arc::clone(list),
            _ => {
                let foreign = self.choices.foreign(identity.engine);
                if !foreign.is_empty() {
                    tracing::warn!(flags = ?foreign, server = %identity.words, "these flags are for another kind of server");
                }
                let list = Arc::new(collect::choose(identity, &self.choices));
                tracing::info!(
                    version = %identity.words,
                    collectors = list.len(),
                    "chose the collectors for this server"
                );
                *chosen = Some((identity.clone(), Arc::clone(&list)));
                list
            }
        }
    }

    fn cached(&self, name: &'static str) -> Option<Gathered> {
        let age = self.limits.caches.get(name)?;
        let cache = locked(&self.cache);
        let (since, gathered) = cache.get(name)?;
        (since.elapsed() < *age).then(|| gathered.clone())
    }

    fn keep(&self, name: &'static str, gathered: &Gathered) {
        if self.limits.caches.contains_key(name) {
            locked(&self.cache).insert(name, (Instant::now(), gathered.clone()));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
