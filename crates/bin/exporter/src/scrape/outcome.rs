//! What has come of a scrape.

use std::time::Duration;

use pilotfish_engine::Error;
use pilotfish_engine::query::Identity;

use crate::metric::Gathered;

/// What a worker tells.
pub(super) enum Report {
    /// There is a session; whether the server has answered over it in this scrape, or will have to.
    Connected {
        identity: Identity,
        took: Duration,
        answered: bool,
    },
    /// It did not.
    Unreachable(Error),
    /// The lane was taken all the time: the statement of an earlier scrape is still under way.
    Busy,
    /// Another server has taken the place of the one that answered first; the next scrape is of it.
    Changed,
    /// A worker has nothing more to do.
    Left,
    /// A collector is done.
    Collected {
        name: &'static str,
        took: Duration,
        result: Result<Gathered, Error>,
        /// The server has answered over this session.
        answered: bool,
    },
}

impl Report {
    /// A server that turns the first lane away turns the others away.
    pub(super) fn ends_it(&self, so_far: &Scrape) -> bool {
        matches!(self, Self::Unreachable(_)) && so_far.identity.is_none()
    }
}

/// Whether a server said so itself: too many sessions, a wrong password. It is there, and may answer over another session.
fn turns_away(error: &Error) -> bool {
    matches!(
        error,
        Error::Busy { .. } | Error::Sql { .. } | Error::Denied(_) | Error::LoginRefused(_)
    )
}

/// One collector's part of a scrape.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) took: Duration,
    pub(crate) error: Option<String>,
}

/// The result of a scrape.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    /// Which server answered.
    pub(crate) identity: Option<Identity>,
    /// How long it took until it did.
    pub(crate) connection: Duration,
    /// Why it did not.
    pub(crate) error: Option<String>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) gathered: Gathered,
    /// Series that came twice, and are shown once.
    pub(crate) duplicates: u64,
    /// Whether the server is there.
    pub(super) up: bool,
    answered: bool,
    /// It could not be reached, and not only because all lanes were taken.
    unreachable: bool,
    /// It was there, and gave out no session.
    turned_away: bool,
    busy: bool,
    /// The server turned the account away.
    pub(crate) refused: bool,
    /// Workers that have left.
    pub(super) left: usize,
}

impl Scrape {
    pub(super) fn broken(why: String) -> Self {
        Self {
            error: Some(why),
            ..Self::default()
        }
    }

    /// Whether the server is there.
    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// Whether all that was asked for is there.
    pub(crate) fn is_whole(&self) -> bool {
        let all = self.outcomes.iter().all(|one| one.error.is_none());
        self.up && self.identity.is_some() && all
    }

    /// What this scrape by itself knows of that: nothing, where it asked nothing, or where other scrapes had all lanes.
    pub(super) fn verdict(&self) -> Option<bool> {
        if self.unreachable {
            return Some(false);
        }
        // Also where there was no second session to be had.
        if self.answered {
            return Some(true);
        }
        if self.turned_away {
            return Some(false);
        }
        let asked_nothing = self.outcomes.iter().all(|one| one.error.is_none());
        match self.identity.is_some() {
            true if asked_nothing => None,
            true => Some(false),
            false if self.busy => None,
            false => Some(false),
        }
    }

    pub(super) fn reported(&self) -> usize {
        self.outcomes.len()
    }

    pub(super) fn note(&mut self, report: Report) {
        match report {
            Report::Connected {
                identity,
                took,
                answered,
            } => {
                self.answered |= answered;
                self.identity = Some(identity);
                self.connection = self.connection.max(took);
            }
            Report::Unreachable(error) => {
                self.refused |= matches!(error, Error::Denied(_) | Error::LoginRefused(_));
                self.unreachable |= !turns_away(&error);
                self.turned_away = true;
                self.error.get_or_insert(error.to_string());
            }
            Report::Busy => {
                self.busy = true;
                let busy = "the server has not answered an earlier statement yet";
                self.error.get_or_insert(busy.to_owned());
            }
            Report::Changed => {}
            Report::Left => self.left += 1,
            Report::Collected {
                name,
                took,
                result,
                answered,
            } => {
                self.answered |= answered;
                let error = match result {
                    Ok(gathered) => {
                        self.gathered.extend(gathered);
                        None
                    }
                    Err(error) => Some(error.to_string()),
                };
                self.outcomes.push(Outcome { name, took, error });
            }
        }
    }

    /// What has not reported in time has failed.
    pub(super) fn finish(&mut self, all: &[&'static str]) {
        if self.identity.is_none() {
            let late = "no session within the time of this scrape";
            self.error.get_or_insert(late.to_owned());
        }
        let why = match self.unreachable || (self.turned_away && !self.answered) {
            true => "not asked: the server is away",
            false => "no answer within the time of this scrape",
        };
        for name in all {
            if !self.outcomes.iter().any(|outcome| outcome.name == *name) {
                self.outcomes.push(Outcome {
                    name,
                    took: Duration::ZERO,
                    error: Some(why.to_owned()),
                });
            }
        }
    }

    /// Nothing was heard of a server of which nobody said what it is.
    pub(super) fn doubt_its_kind(&mut self) {
        let nothing_heard = !(self.unreachable || self.turned_away || self.busy);
        if let Some(error) = self.error.as_mut().filter(|_| nothing_heard) {
            error.push_str(
                "; a PostgreSQL would wait to be spoken to: is it one? --engine postgres",
            );
        }
    }

    pub(super) fn without_duplicates(&mut self) {
        self.duplicates = self.gathered.without_duplicates();
    }
}
