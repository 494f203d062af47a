//! The other databases of a PostgreSQL server, one after the other over one more session.
//!
//! A session sees tables of one database only. Two hundred databases are two hundred sessions, which the server has to
//! begin and end: so they are not visited for every scrape, but once in a while, and shown as they were then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pilotfish_engine::Error;
use tokio::time::{Instant, timeout};

use super::{Crew, Scrape};
use crate::collect::{Chosen, Scope};
use crate::locked;
use crate::metric::{Gathered, Labels};

/// Those that one may look into, but for templates, what is left of a DROP that broke off, and the one where every scrape is.
const DATABASES: &str = "SELECT datname FROM pg_database WHERE datallowconn AND datconnlimit <> -2 AND NOT datistemplate \
    AND datname <> current_database() AND has_database_privilege(datname, 'CONNECT') ORDER BY datname";
/// Longest visit of one database.
const VISIT: Duration = Duration::from_secs(5);
/// Longest tour; what is not reached is called missed.
const TOUR: Duration = Duration::from_secs(60);

/// So many tours that fail, and what the last good one brought home is shown no more.
const TOO_OLD: u32 = 5;

/// What the last tour brought home.
#[derive(Default)]
pub(super) struct Album {
    /// When the last tour ended, however.
    tried: Option<Instant>,
    /// When the last good one did.
    ended: Option<Instant>,
    under_way: bool,
    /// Tours that failed since.
    failures: u32,
    by_collector: HashMap<&'static str, Gathered>,
    /// By collector: a database in which it failed, and why.
    errors: HashMap<&'static str, String>,
    /// Collectors that ask in every database.
    local: Vec<&'static str>,
    /// A database that could not be visited, or why no tour was made, which all of them miss.
    unvisited: Option<String>,
    visited: u64,
    missed: u64,
}

impl Album {
    /// Whether a tour has been made.
    pub(super) fn has_begun(&self) -> bool {
        self.tried.is_some()
    }

    /// Adds what it has of each collector, and where one failed.
    pub(super) fn show(&self, scrape: &mut Scrape) {
        for outcome in &mut scrape.outcomes {
            if let Some(gathered) = self.by_collector.get(outcome.name) {
                scrape.gathered.extend(gathered.clone());
            }
            if outcome.error.is_none() {
                let own = self.errors.get(outcome.name).or(self.unvisited.as_ref());
                outcome.error = own.filter(|_| self.local.contains(&outcome.name)).cloned();
            }
        }
        self.describe(&mut scrape.gathered);
    }

    /// How it was made.
    fn describe(&self, into: &mut Gathered) {
        let Some(ended) = self.ended else { return };
        let mut gauge = |name, help, labels, value| {
            into.gauge(format!("pilotfish_exporter_{name}"), help, labels, value);
        };
        for (state, count) in [("visited", self.visited), ("missed", self.missed)] {
            let help = "Databases besides the one that every scrape is in.";
            let labels = Labels::of("state", state);
            gauge("other_databases", help, labels, count as f64);
        }
        gauge(
            "other_databases_age_seconds",
            "Since they were visited.",
            Labels::none(),
            ended.elapsed().as_secs_f64(),
        );
    }

    /// Takes in how a tour ended.
    fn note(&mut self, made: Result<Self, Error>) {
        let now = Some(Instant::now());
        match made {
            Ok(made) => {
                *self = Self {
                    ended: now,
                    local: std::mem::take(&mut self.local),
                    ..made
                };
            }
            Err(error) => {
                self.failures += 1;
                self.unvisited = Some(format!("cannot visit the other databases: {error}"));
                match self.failures {
                    1 => tracing::warn!(%error, "cannot visit the other databases"),
                    TOO_OLD => {
                        *self = Self {
                            failures: TOO_OLD,
                            local: std::mem::take(&mut self.local),
                            unvisited: self.unvisited.take(),
                            ..Self::default()
                        }
                    }
                    _ => tracing::debug!(%error, "cannot visit the other databases"),
                }
            }
        }
        self.tried = now;
        self.under_way = false;
    }
}

/// Makes a tour where it is time for one and nobody is on one.
pub(super) async fn when_due(crew: Arc<Crew>, chosen: Arc<Vec<Chosen>>) {
    let every = crew.limits.databases.every;
    {
        let mut album = locked(&crew.album);
        let fresh = album.tried.is_some_and(|tried| tried.elapsed() < every);
        if fresh || album.under_way {
            return;
        }
        album.under_way = true;
        album.local = local(&chosen).map(|one| one.collector.name).collect();
    }
    let tour = Tour {
        crew: &crew,
        started: Instant::now(),
        album: Album::default(),
    };
    let made = tour.make(&chosen).await;
    locked(&crew.album).note(made);
}

/// The collectors that ask in every database.
fn local(chosen: &[Chosen]) -> impl Iterator<Item = &Chosen> {
    let all = chosen.iter();
    all.filter(|one| one.plan.scope == Scope::EachDatabase)
}

struct Tour<'a> {
    crew: &'a Crew,
    started: Instant,
    album: Album,
}

impl Tour<'_> {
    async fn make(mut self, chosen: &[Chosen]) -> Result<Album, Error> {
        let local: Vec<&Chosen> = local(chosen).collect();
        for database in self.databases().await? {
            let visit = timeout(VISIT, self.visit(&database, &local)).await;
            let late = |_| Error::TimedOut {
                doing: "visit".to_owned(),
                limit: VISIT,
            };
            match visit.map_err(late).flatten() {
                Ok(found) => {
                    self.album.visited += 1;
                    for (name, result) in found {
                        self.note(&database, name, result);
                    }
                }
                Err(error) => {
                    tracing::debug!(%database, %error, "cannot visit a database");
                    self.album.missed += 1;
                    let why = format!("cannot visit the database {database}: {error}");
                    self.album.unvisited.get_or_insert(why);
                }
            }
        }
        Ok(self.album)
    }

    /// What a collector has or why it has nothing there; one that fails costs no other.
    fn note(&mut self, database: &str, name: &'static str, result: Result<Gathered, Error>) {
        match result {
            Ok(gathered) => self
                .album
                .by_collector
                .entry(name)
                .or_default()
                .extend(gathered),
            Err(error) => {
                let why = format!("in the database {database}: {error}");
                self.album.errors.entry(name).or_insert(why);
            }
        }
    }

    async fn databases(&self) -> Result<Vec<String>, Error> {
        let mut session = self.crew.target.session(None).await?;
        let rows = timeout(VISIT, session.rows(DATABASES)).await;
        let rows = rows.map_err(|_| Error::Unreachable("no list of databases".to_owned()))??;
        let names = rows.iter().filter_map(|row| row.at(0).map(str::to_owned));
        let names = names.filter(|name| self.crew.limits.databases.takes(name));
        let names = names.collect();
        session.close().await;
        Ok(names)
    }

    async fn visit(&self, database: &str, local: &[&Chosen]) -> Result<Vec<Found>, Error> {
        if self.started.elapsed() > TOUR {
            return Err(Error::Unreachable("the tour took too long".to_owned()));
        }
        let mut session = self.crew.target.session(Some(database)).await?;
        let lock = self.crew.limits.lock_timeout.min(VISIT);
        session.guard(VISIT, lock).await?;
        let mut found = Vec::new();
        for chosen in local {
            let mut gathered = Gathered::default();
            let collected = chosen
                .plan
                .how
                .collect(session.as_mut(), &mut gathered)
                .await;
            found.push((chosen.collector.name, collected.map(|()| gathered)));
        }
        session.close().await;
        Ok(found)
    }
}

/// A collector, and what it has.
type Found = (&'static str, Result<Gathered, Error>);
