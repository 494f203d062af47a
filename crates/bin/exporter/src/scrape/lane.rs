//! A place for one session, and the worker in it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pilotfish_engine::query::{Identity, Rows, Session};
use pilotfish_engine::{Error, LiveRelease};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout, timeout_at};

use super::Crew;
use super::order::{Order, Task};
use super::outcome::Report;
use crate::metric::Gathered;

/// A session that has not answered for so long is given up: its server or the way to it is gone. Until then there is
/// no other in its place, so that a server which hangs is not asked to hold more and more of them.
pub(super) const GIVE_UP: Duration = Duration::from_secs(60);

/// A session keeps the rights that its account had when it began: one that was denied something is replaced by a new
/// one after so long, which may have been granted it. The next ones wait six times as long, up to six minutes: most
/// rights that are missing will be missing.
const DENIED: Duration = Duration::from_secs(10);
const RENEWALS: u32 = 2;
/// Longest wait for a new session where there is one.
const RENEWAL: Duration = Duration::from_secs(1);

/// Who waits for a lane gives up before the scrape does, which hears of it.
const BEFORE: Duration = Duration::from_millis(20);

/// As poolers do it: what a session remembers of tables, of rights and of the server's certificate is no older.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// A session, or room for one.
#[derive(Default)]
pub(super) struct Lane {
    session: Option<Box<dyn Session>>,
    /// When it began.
    since: Option<Instant>,
    /// When something was first denied to it.
    denied: Option<Instant>,
    /// Sessions in a row that were replaced for that.
    renewals: u32,
    /// It has answered in this scrape.
    proven: bool,
    /// What the server was told to bear, as whole hundreds of milliseconds.
    guard: Option<Duration>,
}

/// Goes into a lane and takes collectors off the list until none is left.
pub(super) async fn work(
    crew: Arc<Crew>,
    lane: Arc<Mutex<Lane>>,
    order: Arc<Order>,
    reports: UnboundedSender<Report>,
) {
    // Nobody listens any more where the scrape has ended; what is sent then is of no use to anybody.
    let tell = |report| drop(reports.send(report));
    work_off(&crew, lane, &order, &tell).await;
    tell(Report::Left);
}

async fn work_off(
    crew: &Crew,
    lane: Arc<Mutex<Lane>>,
    order: &Order,
    tell: &(impl Fn(Report) + Sync),
) {
    let Ok(mut lane) = timeout_at(order.deadline - BEFORE, lane.lock_owned()).await else {
        return tell(Report::Busy);
    };
    let started = Instant::now();
    let mut identity = match lane.open(crew, order).await {
        Ok(identity) => identity,
        Err(error) => return tell(Report::Unreachable(error)),
    };
    // A session that was not used for a while remembers a server that another one has taken the place of.
    if order.is_for_another(&identity) {
        lane.close().await;
        identity = match lane.open(crew, order).await {
            Ok(identity) if !order.is_for_another(&identity) => identity,
            _ => return,
        };
    }
    order.fill(&identity, || crew.chosen_for(&identity));
    let took = started.elapsed();
    tell(Report::Connected {
        identity: identity.clone(),
        took,
        answered: lane.proven,
    });
    while let Some(task) = order.take() {
        if Instant::now() >= order.deadline {
            return;
        }
        let name = task.chosen().collector.name;
        let started = Instant::now();
        let Some(_under_way) = crew.begin(name, order.deadline) else {
            let stuck = "its statement of an earlier scrape is still under way".to_owned();
            tell(collected(
                name,
                started,
                Err(Error::Locked(stuck)),
                lane.proven,
            ));
            continue;
        };
        let mut result = lane.collect(crew, &task).await;
        if result.as_ref().is_err_and(is_the_end) {
            // Restarted since the last scrape, ended by somebody, or dropped for being idle: what has not answered in this
            // scrape may have been so for long, and is asked again. Nobody asks whether it is there before: that would be one
            // more question of every scrape.
            let again = !lane.proven;
            lane.drop_session();
            match lane.open(crew, order).await {
                Ok(now) if now == identity => {
                    if again {
                        result = lane.collect(crew, &task).await;
                    }
                }
                Ok(now) => {
                    crew.chosen_for(&now);
                    tell(collected(name, started, result, lane.proven));
                    return tell(Report::Changed);
                }
                Err(error) => {
                    tell(collected(name, started, result, lane.proven));
                    return tell(Report::Unreachable(error));
                }
            }
        }
        if matches!(result, Err(Error::Denied(_))) {
            lane.denied.get_or_insert(started);
        }
        tell(collected(name, started, result, lane.proven));
    }
}

fn collected(
    name: &'static str,
    started: Instant,
    result: Result<Gathered, Error>,
    answered: bool,
) -> Report {
    Report::Collected {
        name,
        took: started.elapsed(),
        result,
        answered,
    }
}

/// After this the session is of no more use.
fn is_the_end(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable(_) | Error::Protocol(_) | Error::TimedOut { .. }
    )
}

impl Lane {
    /// A session: the one that is here, else a new one.
    async fn open(&mut self, crew: &Crew, order: &Order) -> Result<Identity, Error> {
        self.proven = false;
        self.renew(crew).await;
        let mut opened = self.begin(crew, order).await;
        if opened.is_err() && self.session.is_some() {
            // As it is with a session that nobody used for a while.
            self.drop_session();
            opened = self.begin(crew, order).await;
        }
        if opened.is_err() {
            self.drop_session();
        }
        opened
    }

    /// Puts a new session in the place of one that is old, or was denied something. Where there is none to be had, the
    /// old one stays: it may be the last that the server gives out for a while.
    async fn renew(&mut self, crew: &Crew) {
        let longer =
            |since: Option<Instant>, limit| since.is_some_and(|since| since.elapsed() > limit);
        let denied = longer(self.denied, DENIED * 6_u32.pow(self.renewals.min(RENEWALS)));
        if self.session.is_none() || !(denied || longer(self.since, LIFETIME)) {
            return;
        }
        let renewals = if denied { self.renewals + 1 } else { 0 };
        match timeout(RENEWAL, crew.target.session(None)).await {
            Ok(Ok(session)) => {
                self.close().await;
                self.session = Some(session);
                self.proven = true;
            }
            Ok(Err(error)) => tracing::debug!(%error, "the session stays that is there"),
            Err(_) => tracing::debug!("the session stays that is there: a new one takes too long"),
        }
        (self.since, self.denied, self.renewals) = (Some(Instant::now()), None, renewals);
    }

    async fn begin(&mut self, crew: &Crew, order: &Order) -> Result<Identity, Error> {
        let session = match &mut self.session {
            Some(session) => session,
            None => {
                let session = in_time("open a session", crew.target.session(None)).await?;
                self.proven = true;
                self.since = Some(Instant::now());
                self.session.insert(session)
            }
        };
        let identity = session.identity().clone();
        self.guard(crew, order).await?;
        Ok(identity)
    }

    /// Tells the server how long a statement may take, where that is not what it was told before.
    async fn guard(&mut self, crew: &Crew, order: &Order) -> Result<(), Error> {
        let step = 100;
        let millis = order.statement_timeout().as_millis() / step * step;
        let statement = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        let near = |known: Duration| known.abs_diff(statement) <= statement / 10;
        if self.guard.is_some_and(near) {
            return Ok(());
        }
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let lock = crew.limits.lock_timeout.min(statement);
        in_time("limit statements", session.guard(statement, lock)).await?;
        self.guard = Some(statement);
        Ok(())
    }

    async fn collect(&mut self, crew: &Crew, task: &Task) -> Result<Gathered, Error> {
        let chosen = task.chosen();
        let name = chosen.collector.name;
        if let Some(gathered) = crew.cached(name) {
            return Ok(gathered);
        }
        let Some(session) = &mut self.session else {
            return Err(Error::Unreachable("no session".to_owned()));
        };
        let mut gathered = Gathered::default();
        let mut watched = Watched {
            session: session.as_mut(),
            answered: &mut self.proven,
        };
        let collect = chosen.plan.how.collect(&mut watched, &mut gathered);
        in_time(name, collect).await?;
        crew.keep(name, &gathered);
        Ok(gathered)
    }

    fn drop_session(&mut self) {
        *self = Self::default();
    }

    pub(super) async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = timeout(Duration::from_secs(1), session.close()).await;
        }
        self.drop_session();
    }
}

/// A session, and whether it has answered.
struct Watched<'a> {
    session: &'a mut dyn Session,
    answered: &'a mut bool,
}

#[async_trait]
impl Session for Watched<'_> {
    fn identity(&self) -> &Identity {
        self.session.identity()
    }

    async fn guard(&mut self, statement: Duration, lock: Duration) -> Result<(), Error> {
        self.session.guard(statement, lock).await
    }

    async fn rows(&mut self, sql: &str) -> Result<Rows, Error> {
        let rows = self.session.rows(sql).await;
        *self.answered |= !rows.as_ref().is_err_and(is_the_end);
        rows
    }

    async fn releases(&mut self) -> Result<Vec<LiveRelease>, Error> {
        let releases = self.session.releases().await;
        *self.answered |= !releases.as_ref().is_err_and(is_the_end);
        releases
    }

    fn certificate_end(&self) -> Option<u64> {
        self.session.certificate_end()
    }

    async fn close(self: Box<Self>) {}
}

async fn in_time<T>(doing: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Error::TimedOut {
        doing: doing.to_owned(),
        limit: GIVE_UP,
    };
    timeout(GIVE_UP, work).await.map_err(late)?
}
