//! Scrapes: who asks the server, over which sessions, and until when.
//!
//! A fixed number of sessions stays open; whatever happens there are never more. Each is a [`lane`] in which one
//! statement is under way at a time. A scrape sends a worker into the first lane, which takes the collectors off a
//! list, and where that is not done soon another one into the next, so that a slow collector holds up its lane and nothing
//! else. When the time of the scrape is over, what has come is answered and what has not is called failed; the worker
//! stays in its lane until the server lets go of it.
//!
//! Whoever asks for the same collectors while a scrape of them is under way, and waits about as long, gets its result.

mod lane;
mod order;
mod outcome;
mod shift;
mod tour;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use pilotfish_engine::Error;
use pilotfish_engine::query::Identity;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::collect::{self, Choices, Chosen, Scope};
use crate::locked;
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
    /// For one answer: nothing is said of it in the log, and no other database is visited.
    pub(crate) passing: bool,
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

/// A scrape under way, and when it ends at the latest.
#[derive(Clone)]
struct Flight {
    deadline: Instant,
    landing: Shared<BoxFuture<'static, Arc<Scrape>>>,
}

impl Flight {
    /// Whether it does for somebody with another deadline: it ends before that, and not at a time when hardly
    /// anything can have come.
    fn suits(&self, deadline: Instant) -> bool {
        let half = deadline.saturating_duration_since(Instant::now()) / 2;
        self.deadline <= deadline + SLACK && self.deadline + half >= deadline
    }
}

/// Two that ask at the same time do not ask at the same instant.
const SLACK: Duration = Duration::from_millis(100);

/// What the workers of all scrapes share.
struct Crew {
    target: Target,
    choices: Choices,
    limits: Limits,
    lanes: Vec<Arc<tokio::sync::Mutex<Lane>>>,
    /// Chosen for the server that answered last.
    chosen: Mutex<Option<(Identity, Arc<Vec<Chosen>>)>>,
    cache: Mutex<HashMap<&'static str, (Instant, Gathered)>>,
    /// Collectors that a lane is at, and when the scrapes end that they are for.
    under_way: Mutex<Vec<(&'static str, Instant)>>,
    album: Mutex<tour::Album>,
    /// When it was last known whether the server is there, and whether it was.
    known: Mutex<Option<(Instant, bool)>>,
}

impl Scraper {
    /// Opens nothing; sessions live on that runtime.
    pub(crate) fn new(target: Target, choices: Choices, limits: Limits, runtime: Handle) -> Self {
        let lanes = (0..limits.connections.max(1)).map(|_| Arc::default());
        Self {
            crew: Arc::new(Crew {
                target,
                choices,
                lanes: lanes.collect(),
                limits,
                chosen: Mutex::default(),
                cache: Mutex::default(),
                under_way: Mutex::default(),
                album: Mutex::default(),
                known: Mutex::default(),
            }),
            flights: Arc::default(),
            runtime,
        }
    }

    /// Scrapes, or waits for the scrape of the same that is under way. Ends by the deadline, give or take a moment.
    pub(crate) async fn scrape(&self, mut filter: Filter, deadline: Instant) -> Arc<Scrape> {
        // Names that there are none of would be as many scrapes of the same.
        filter.retain(|name| collect::flags().any(|(_, collector, _)| collector.name == name));
        self.flight(filter, deadline).landing.await
    }

    fn flight(&self, filter: Filter, deadline: Instant) -> Flight {
        let mut flights = locked(&self.flights);
        if let Some(flight) = flights.get(&filter).filter(|flight| flight.suits(deadline)) {
            return flight.clone();
        }
        let crew = Arc::clone(&self.crew);
        let scraping = self.runtime.spawn(crew.scrape(filter.clone(), deadline));
        let (flights_of_all, key) = (Arc::clone(&self.flights), filter.clone());
        let landing = async move {
            let landed = scraping.await;
            locked(&flights_of_all)
                .retain(|one, flight| *one != key || flight.deadline != deadline);
            Arc::new(landed.unwrap_or_else(|error| Scrape::broken(error.to_string())))
        };
        let flight = Flight {
            deadline,
            landing: landing.boxed().shared(),
        };
        flights.insert(filter, flight.clone());
        // Whoever asked may go away; it lands all the same.
        drop(self.runtime.spawn(flight.landing.clone()));
        flight
    }

    /// A session for a moment, to see whether there is one to be had.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn greet(&self) -> Result<Identity, Error> {
        let session = self.crew.target.session(None).await?;
        let identity = session.identity().clone();
        session.close().await;
        Ok(identity)
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
        if scrape.identity.is_none() && self.target.may_be_silent() {
            scrape.doubt_its_kind();
        }
        scrape.up = self.judge(&scrape);
        if scrape.is_up() && scrape.identity.is_none() {
            scrape.finish(&self.names_known());
        }
        if scrape.is_up() && !self.limits.passing {
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
        let chosen = locked(&self.chosen)
            .as_ref()
            .map(|(_, list)| Arc::clone(list));
        let is_local = |one: &Chosen| one.plan.scope == Scope::EachDatabase;
        let Some(chosen) = chosen.filter(|list| list.iter().any(is_local)) else {
            return;
        };
        let tour = tokio::spawn(tour::when_due(Arc::clone(self), chosen));
        if !locked(&self.album).has_begun() {
            let _ = tokio::time::timeout_at(deadline, tour).await;
        }
        locked(&self.album).show(scrape);
    }

    /// Whether the server is there; where this scrape knows nothing of it, as the last one that did says.
    fn judge(&self, scrape: &Scrape) -> bool {
        let mut known = locked(&self.known);
        match scrape.verdict() {
            Some(up) => {
                *known = Some((Instant::now(), up));
                up
            }
            None => known.is_some_and(|(since, up)| up && since.elapsed() < lane::GIVE_UP),
        }
    }

    /// The collectors for a server; they keep what they remember while the server stays the same.
    fn chosen_for(&self, identity: &Identity) -> Arc<Vec<Chosen>> {
        let mut chosen = locked(&self.chosen);
        match chosen.as_ref() {
            Some((known, list)) if known == identity => Arc::clone(list),
            _ => {
                let foreign = self.choices.foreign(identity.engine);
                if !foreign.is_empty() && !self.limits.passing {
                    tracing::warn!(flags = ?foreign, server = %identity.words, "these flags are for another kind of server");
                }
                let list = Arc::new(collect::choose(identity, &self.choices));
                if !self.limits.passing {
                    tracing::info!(
                        version = %identity.words,
                        collectors = list.len(),
                        "chose the collectors for this server"
                    );
                }
                *chosen = Some((identity.clone(), Arc::clone(&list)));
                list
            }
        }
    }

    /// The collectors of the server that answered last.
    fn names_known(&self) -> Vec<&'static str> {
        let chosen = locked(&self.chosen);
        let chosen = chosen.iter().flat_map(|(_, list)| list.iter());
        chosen.map(|one| one.collector.name).collect()
    }

    /// Notes that a lane begins with a collector; `None` while another one is still at it for a scrape that is over, and
    /// would only be joined in its waiting.
    fn begin(&self, name: &'static str, deadline: Instant) -> Option<UnderWay<'_>> {
        let mut under_way = locked(&self.under_way);
        let now = Instant::now();
        if under_way
            .iter()
            .any(|(one, until)| *one == name && *until < now)
        {
            return None;
        }
        under_way.push((name, deadline));
        Some(UnderWay {
            crew: self,
            name,
            deadline,
        })
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

/// A collector that a lane is at, while this lives.
struct UnderWay<'a> {
    crew: &'a Crew,
    name: &'static str,
    deadline: Instant,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut under_way = locked(&self.crew.under_way);
        let mine = |one: &(&str, Instant)| *one == (self.name, self.deadline);
        if let Some(place) = under_way.iter().position(mine) {
            under_way.swap_remove(place);
        }
    }
}
