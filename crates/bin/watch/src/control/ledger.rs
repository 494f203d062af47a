//! The server's ledger: what is live, whoever made it so, and what was asked of earlier processes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotfish_failure::{Failure, Kind};
use pilotfish_loader::Status;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::Control;
use super::trouble::{self, Said};
use crate::dispatcher::{AUTO, Input, Live, Mark};
use crate::view::ServerView;

/// Longest wait for the ledger.
const PATIENCE: Duration = Duration::from_secs(30);

/// Entries of the server's book that are looked at after a restart.
const MOST_ADOPTED: u32 = 50;

/// A ledger, and the number of the reading.
pub(super) type LedgerRead = (u64, Result<Vec<Status>, Failure>);

impl Control {
    pub(super) fn read_ledger(&mut self, reply: mpsc::Sender<LedgerRead>) {
        let (job, reading) = (Arc::clone(&self.job), self.dispatcher.begin_reading());
        tokio::spawn(async move {
            let result = match tokio::time::timeout(PATIENCE, job.ledger()).await {
                Ok(result) => result,
                Err(_) => Err(Failure::new(
                    Kind::TimedOut,
                    format!("read the ledger: no answer within {PATIENCE:?}"),
                )),
            };
            // Nobody listens any more once the process ends.
            let _ = reply.send((reading, result)).await;
        });
    }

    pub(super) async fn ledger(&mut self, reading: u64, result: Result<Vec<Status>, Failure>) {
        match result {
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
                self.metrics.ledger(&live);
                let known = live
                    .iter()
                    .map(|status| Live {
                        digest: status.digest.clone(),
                        finishing: status.finishing,
                        rejected: status.rejected.clone(),
                    })
                    .collect();
                self.live = live;
                // Before anything starts: older loads come first, in the book as in time.
                self.adopt().await;
                self.input(Input::Ledger {
                    reading,
                    ledger: known,
                });
            }
        }
    }

    /// Takes up what was asked of the processes before this one.
    async fn adopt(&mut self) {
        if self.adopted {
            return;
        }
        let records = match self.job.recent(MOST_ADOPTED).await {
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
