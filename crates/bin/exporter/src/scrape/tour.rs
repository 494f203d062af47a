//! The other databases of a PostgreSQL server, one after the other over one more session.
//!
//! A session sees tables of one database only. Two hundred databases are two hundred sessions, which the server has to
//! begin and end: so they are not visited for every scrape, but once in a while, and shown as they were then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pilotfish_engine::Error;
use pilotfish_engine::query::Session;
use tokio::time::{Instant, timeout};

use super::{Crew, locked};
use crate::collect::{Chosen, Scope};
use crate::metric::{Gathered, Labels};

/// Those that one may look into, but for templates and the one where every scrape is.
const DATABASES: &str = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate \
    AND datname <> current_database() AND has_database_privilege(datname, 'CONNECT') ORDER BY datname";
/// Longest visit of one database.
const VISIT: Duration = Duration::from_secs(5);
/// Longest tour; what is not reached is called missed.
const TOUR: Duration = Duration::from_secs(60);

/// What the last tour brought home.
#[derive(Default)]
pub(super) struct Album {
    ended: Option<Instant>,
    under_way: bool,
    by_collector: HashMap<&'static str, Gathered>,
    visited: u64,
    missed: u64,
}

impl Album {
    /// Whether there is anything to show yet.
    pub(super) fn has_begun(&self) -> bool {
        self.ended.is_some()
    }

    /// Adds what it has for a collector.
    pub(super) fn show(&self, collector: &str, into: &mut Gathered) {
        if let Some(gathered) = self.by_collector.get(collector) {
            into.extend(gathered.clone());
        }
    }

    /// How it was made.
    pub(super) fn describe(&self, into: &mut Gathered) {
        let Some(ended) = self.ended else { return };
        let mut gauge = |name, help, labels, value| {
            into.gauge(format!("pilotfish_exporter_{name}"), help, labels, value);
        };
        for (state, count) in [("visited", self.visited), ("missed", self.missed)] {
            let help = "Databases besides the one that every scrape is in.";
            let labels: Labels = vec![("state", state.to_owned())];
            gauge("other_databases", help, labels, count as f64);
        }
        gauge(
            "other_databases_age_seconds",
            "Since they were visited.",
            Labels::new(),
            ended.elapsed().as_secs_f64(),
        );
    }
}

/// Makes a tour where it is time for one and nobody is on one.
pub(super) async fn when_due(crew: Arc<Crew>) {
    let every = crew.limits.databases.every;
    {
        let mut album = locked(&crew.album);
        let fresh = album.ended.is_some_and(|ended| ended.elapsed() < every);
        if fresh || album.under_way {
            return;
        }
        album.under_way = true;
    }
    let chosen = locked(&crew.chosen)
        .as_ref()
        .map(|(_, list)| Arc::clone(list));
    let tour = Tour {
        crew: &crew,
        started: Instant::now(),
        album: Album::default(),
    };
    let made = tour.make(&chosen.unwrap_or_default()).await;
    let mut album = locked(&crew.album);
    match made {
        Ok(made) => *album = made,
        Err(error) => tracing::warn!(%error, "cannot visit the other databases"),
    }
    album.ended = Some(Instant::now());
    album.under_way = false;
}

struct Tour<'a> {
    crew: &'a Crew,
    started: Instant,
    album: Album,
}

impl Tour<'_> {
    async fn make(mut self, chosen: &[Chosen]) -> Result<Album, Error> {
        let local: Vec<&Chosen> = chosen
            .iter()
            .filter(|chosen| chosen.plan.scope == Scope::EachDatabase)
            .collect();
        if local.is_empty() {
            return Ok(self.album);
        }
        for database in self.databases().await? {
            let visit = timeout(VISIT, self.visit(&database, &local));
            let found = match visit.await {
                Ok(found) => found,
                Err(_) => Err(Error::TimedOut {
                    doing: "visit".to_owned(),
                    limit: VISIT,
                }),
            };
            match found {
                Ok(found) => {
                    self.album.visited += 1;
                    for (name, gathered) in found {
                        self.album
                            .by_collector
                            .entry(name)
                            .or_default()
                            .extend(gathered);
                    }
                }
                Err(error) => {
                    tracing::debug!(%database, %error, "cannot visit a database");
                    self.album.missed += 1;
                }
            }
        }
        Ok(self.album)
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

    async fn visit(
        &self,
        database: &str,
        local: &[&Chosen],
    ) -> Result<Vec<(&'static str, Gathered)>, Error> {
        if self.started.elapsed() > TOUR {
            return Err(Error::Unreachable("the tour took too long".to_owned()));
        }
        let mut session = self.crew.target.session(Some(database)).await?;
        let found = self.look_around(session.as_mut(), local).await;
        session.close().await;
        found
    }

    async fn look_around(
        &self,
        session: &mut dyn Session,
        local: &[&Chosen],
    ) -> Result<Vec<(&'static str, Gathered)>, Error> {
        session
            .guard(VISIT, self.crew.limits.lock_timeout.min(VISIT))
            .await?;
        let mut found = Vec::new();
        for chosen in local {
            let mut gathered = Gathered::default();
            chosen.plan.how.collect(session, &mut gathered).await?;
            found.push((chosen.collector.name, gathered));
        }
        Ok(found)
    }
}
