//! The longest time for all of a run: then it is stopped as by a signal, and says that time ran out.

use std::time::Duration;

use pilotfish_failure::{Failure, Kind};
use tokio_util::sync::CancellationToken;

/// Runs from its start.
#[derive(Debug)]
pub(crate) struct Limit {
    /// Stops the work: by the signal that ends the process, or when time ran out.
    pub(crate) cancel: CancellationToken,
    shutdown: CancellationToken,
    after: Option<Duration>,
}

impl Limit {
    pub(crate) fn start(after: Option<Duration>, shutdown: &CancellationToken) -> Self {
        let cancel = shutdown.child_token();
        if let Some(after) = after {
            let cancel = cancel.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                cancel.cancel();
            });
        }
        Self {
            cancel,
            shutdown: shutdown.clone(),
            after,
        }
    }

    /// What stopped the work, where it was the time and no signal.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        match self.after {
            Some(after) if failure.kind() == Kind::Cancelled && !self.shutdown.is_cancelled() => {
                let message = format!(
                    "not done within {after:?} (--timeout); the next run goes on from here"
                );
                Failure::new(Kind::TimedOut, message)
            }
            _ => failure,
        }
    }
}
