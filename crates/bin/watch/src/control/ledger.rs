//! The server's ledger: what is live, whoever made it so, and what was asked of earlier processes.

use std::sync::Arc;
use std::time::Instant;

use pilotfish_failure::Failure;
use pilotfish_loader::{LoadRecord, Status};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::Control;
use super::trouble::{self, Said};
use crate::dispatcher::{AUTO, Input, Live, Mark};
use crate::job::in_time;
use crate::view::ServerView;

/// Entries of the server's book that are looked at after a restart.
const MOST_ADOPTED: u32 = 50;

/// What one reading found.
pub(super) struct LedgerRead {
    pub(super) number: u64,
    pub(super) live: Result<Vec<Status>, Failure>,
    /// The book of the processes before, where it was still to be read.
    pub(super) book: Option<Result<Vec<LoadRecord>, Failure>>,
}

impl Control {
    /// Reads in a task of its own: a server that stalls must not hold up signals, looks and calls.
    pub(super) fn read_ledger(&mut self, reply: mpsc::Sender<LedgerRead>) {
        let (job, number) = (Arc::clone(&self.job), self.dispatcher.begin_reading());
        let wants_book = !self.adopted;
        tokio::spawn(async move {
            let live = in_time("read the ledger", job.ledger()).await;
            let book = if wants_book && live.is_ok() {
                Some(in_time("read the book of loads", job.recent(MOST_ADOPTED)).await)
            } else {
                None
            };
            // Nobody listens any more once the process ends.
            let _ = reply.send(LedgerRead { number, live, book }).await;
        });
    }

    pub(super) fn ledger(&mut self, read: LedgerRead) {
        match read.live {
            Err(failure) => {
                let error = trouble::sentence(&failure);
                if self.said_of_server.is_due(Instant::now(), &error) {
                    warn!(%failure, hint = failure.hint(), "cannot use the server, it is tried again");
                }
                self.server = ServerView {
                    reachable: Some(false),
                    error: Some(error),
                };
                self.metrics.server_away();
                self.input(Input::ServerAway);
            }
            Ok(mut live) => {
                if self.server.reachable == Some(false) {
                    info!("the server answers again");
                    self.said_of_server = Said::default();
                }
                self.server = ServerView {
                    reachable: Some(true),
                    error: None,
                };
                if let Some(seen) = self.dispatcher.seen() {
                    self.job.as_on_volume(&mut live, seen);
                }
                let known = live
                    .iter()
                    .map(|status| Live {
                        digest: status.digest.clone(),
                        whole: status.is_whole(),
                        finishing: status.finishing,
                        rejected: status.rejected.clone(),
                    })
                    .collect();
                (self.live, self.torn) = live.into_iter().partition(Status::is_whole);
                self.metrics.ledger(&self.live);
                // Before anything starts: older loads come first, in the book as in time.
                if let Some(book) = read.book {
                    self.adopt(book);
                }
                self.input(Input::Ledger {
                    reading: read.number,
                    ledger: known,
                });
            }
        }
    }

    /// Takes up what was asked of the processes before this one.
    fn adopt(&mut self, book: Result<Vec<LoadRecord>, Failure>) {
        let records = match book {
            Ok(records) => records,
            Err(failure) => {
                if self
                    .said_of_server
                    .is_due(Instant::now(), &failure.to_string())
                {
                    warn!(%failure, "cannot read the book of loads: it is tried again");
                }
                return;
            }
        };
        self.adopted = true;
        let look = self.asker.ask();
        // Oldest first, so that the newest wish is the last one and wins.
        for record in records.into_iter().rev() {
            if self.book.get(&record.id).is_some() {
                continue;
            }
            let (id, release, state) = (record.id.clone(), record.release.clone(), record.state);
            let automatic = id.starts_with(AUTO);
            self.book.adopt(record);
            if state.is_terminal() {
                continue;
            }
            if automatic {
                let why = "the process ended before the load did".to_owned();
                self.mark(&id, Mark::Cancelled { why }, None);
                continue;
            }
            info!(id, "takes up a load that an earlier process was asked for");
            match self
                .dispatcher
                .ask(Instant::now(), id.clone(), release, look)
            {
                Ok(orders) => self.carry_out(orders, None),
                Err(_) => {
                    let why = "too many loads wait".to_owned();
                    self.mark(&id, Mark::Cancelled { why }, None);
                }
            }
        }
    }
}
