//! Brings the dispatcher to rest after any change: what has come too late ends, what has arrived
//! moves on, what is not live is queued, and what can start starts.

use std::time::Instant;

use pilotfish_failure::Kind;

use super::{
    AUTO, Batch, Dispatcher, Mark, Obstacle, Order, Release, Rider, Verdict, Wish, fail, mark,
    queued,
};

impl Dispatcher {
    /// Brings the state to rest after any change.
    pub(super) fn settle(&mut self, now: Instant, orders: &mut Vec<Order>) {
        self.expire(now, orders);
        self.resolve(orders);
        self.follow_level(orders);
        self.start(now, orders);
    }

    fn expire(&mut self, now: Instant, orders: &mut Vec<Order>) {
        let late = |rider: &Rider| rider.expires.is_some_and(|expires| expires <= now);
        for rider in self.waiting.extract_if(.., |rider| late(rider)) {
            let error = match &rider.wish {
                Wish::Named(name) => format!("release {name} did not appear on the volume in time"),
                _ => "no release appeared on the volume in time".to_owned(),
            };
            orders.push(mark(
                &rider.id,
                Mark::Failed {
                    kind: Kind::TimedOut,
                    error,
                },
            ));
        }
        let Some(batch) = &mut self.queued else {
            return;
        };
        let last_error = match &self.retry {
            Some(retry) if retry.digest == batch.release.digest => retry.error.as_str(),
            _ => "the server did not answer",
        };
        for rider in batch.riders.extract_if(.., |rider| late(rider)) {
            let error = format!("gave up after {:?}: {last_error}", self.ask_timeout);
            orders.push(mark(
                &rider.id,
                Mark::Failed {
                    kind: Kind::TimedOut,
                    error,
                },
            ));
        }
        if batch.riders.is_empty() {
            self.queued = None;
        }
    }

    /// Moves loads whose release is on the volume from waiting to the queue or the running load.
    fn resolve(&mut self, orders: &mut Vec<Order>) {
        let Some(seen) = self.seen.clone() else {
            return;
        };
        let look = self.look;
        let arrived: Vec<Rider> = self
            .waiting
            .extract_if(.., |rider| match &rider.wish {
                Wish::Named(name) => seen.answers_to(name),
                Wish::Latest { look: first } => look >= *first,
                Wish::Auto => true,
            })
            .collect();
        for rider in arrived {
            self.join(rider, &seen, orders);
        }
    }

    fn join(&mut self, rider: Rider, release: &Release, orders: &mut Vec<Order>) {
        let same = |batch: &&mut Batch| batch.release.digest == release.digest;
        if self.stopping.is_none()
            && let Some(batch) = self.running.as_mut().filter(same)
        {
            orders.push(mark(
                &rider.id,
                Mark::Running {
                    digest: release.digest.clone(),
                },
            ));
            batch.riders.push(rider);
            return;
        }
        orders.push(mark(&rider.id, queued(release, None)));
        // The queue only ever holds the release on the volume: `looked` empties it otherwise.
        let known_by = self.readings;
        match &mut self.queued {
            Some(batch) => {
                batch.riders.push(rider);
                batch.known_by = known_by;
            }
            None => {
                self.queued = Some(Batch {
                    release: release.clone(),
                    riders: vec![rider],
                    known_by,
                });
            }
        }
    }

    /// Queues the release on the volume when it is not live, and forgets it when that has changed.
    fn follow_level(&mut self, orders: &mut Vec<Order>) {
        let Some(seen) = self.seen.clone() else {
            return;
        };
        let needed = self.needs_load(&seen.digest);
        if let Some(batch) = self.queued.take() {
            let idle = !needed && batch.riders.iter().all(Rider::is_auto);
            if self.is_left_alone(&seen.digest) && self.read > batch.known_by {
                let error = Obstacle::RolledBack {
                    digest: seen.digest,
                };
                fail(batch.riders, Kind::BadData, &error.to_string(), orders);
            } else if idle && self.is_live(&seen.digest) {
                succeed(&batch, orders);
            } else {
                self.queued = Some(batch);
            }
            return;
        }
        if !needed || self.draining || self.is_running(&seen.digest) {
            return;
        }
        self.autos += 1;
        let id = format!("{AUTO}{}-{}", self.prefix, self.autos);
        orders.push(mark(&id, queued(&seen, None)));
        let rider = Rider {
            id,
            wish: Wish::Auto,
            expires: None,
        };
        self.queued = Some(Batch {
            release: seen,
            riders: vec![rider],
            known_by: 0,
        });
    }

    fn start(&mut self, now: Instant, orders: &mut Vec<Order>) {
        // Without the ledger nobody knows whether anything is to be done.
        if self.draining || self.away || self.running.is_some() || self.ledger.is_none() {
            return;
        }
        let Some(batch) = &self.queued else { return };
        let digest = &batch.release.digest;
        // It may have been resumed since: the next reading decides.
        if self.is_left_alone(digest) {
            return;
        }
        let tried = self.retry.as_ref().filter(|retry| retry.digest == *digest);
        // A replica never takes a load of its own: replication brought the release.
        let arrived = tried.is_some() && self.is_live(digest) && self.read > batch.known_by;
        if !arrived && tried.is_some_and(|retry| now < retry.not_before) {
            return;
        }
        let Some(batch) = self.queued.take() else {
            return;
        };
        if arrived {
            succeed(&batch, orders);
            self.retry = None;
            return;
        }
        let running = Mark::Running {
            digest: batch.release.digest.clone(),
        };
        orders.extend(
            batch
                .riders
                .iter()
                .map(|rider| mark(&rider.id, running.clone())),
        );
        orders.push(Order::Start(batch.release.clone()));
        self.running = Some(batch);
    }

    fn needs_load(&self, digest: &str) -> bool {
        self.ledger.is_some()
            && !self.is_live(digest)
            && !self.is_left_alone(digest)
            && self.verdict_on(digest).is_none()
    }

    pub(super) fn is_running(&self, digest: &str) -> bool {
        let mut running = self.running.iter();
        running.any(|batch| batch.release.digest == digest)
    }

    pub(super) fn verdict_on(&self, digest: &str) -> Option<&Verdict> {
        self.verdict
            .as_ref()
            .filter(|(known, _)| known == digest)
            .map(|(_, verdict)| verdict)
    }
}

fn succeed(batch: &Batch, orders: &mut Vec<Order>) {
    for rider in &batch.riders {
        let digest = batch.release.digest.clone();
        orders.push(mark(&rider.id, Mark::Succeeded { digest }));
    }
}
