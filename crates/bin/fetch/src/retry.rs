//! Asking again: exponential backoff with jitter, stopped by a signal.

use std::time::Duration;

use pilotfish_failure::{Failure, Kind};
use pilotfish_storage::Error;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How patient a transfer is.
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    /// Tries in a row that may fail before giving up.
    pub(crate) limit: u32,
    pub(crate) cancel: CancellationToken,
    pub(crate) metrics: Metrics,
}

/// Why a patient call ended without an answer.
#[derive(Debug)]
pub(crate) enum Retrying {
    Storage(Error),
    Cancelled,
}

impl From<Retrying> for Failure {
    fn from(retrying: Retrying) -> Self {
        match retrying {
            Retrying::Storage(error) => failed(error),
            Retrying::Cancelled => cancelled(),
        }
    }
}

/// A storage's error as the tool's, with what to look at.
pub(crate) fn failed(error: Error) -> Failure {
    let hint = error.hint();
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// What a run ends with that was told to stop.
pub(crate) fn cancelled() -> Failure {
    Failure::new(
        Kind::Cancelled,
        "stopped before it was done; the next run goes on from here",
    )
}

impl Retry {
    /// Calls until it works, fails for good, or fails too often.
    pub(crate) async fn run<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, Retrying>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut failures = 0;
        loop {
            let answer = tokio::select! {
                answer = call() => answer,
                () = self.cancel.cancelled() => return Err(Retrying::Cancelled),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    failures += 1;
                    self.pause(failures, error).await?;
                }
            }
        }
    }

    /// Waits before the next try, or gives the error back when there is none.
    pub(crate) async fn pause(&self, failures: u32, error: Error) -> Result<(), Retrying> {
        if !error.is_transient() || failures > self.limit {
            return Err(Retrying::Storage(error));
        }
        let asked = match &error {
            Error::Unreachable { retry_after, .. } => *retry_after,
            _ => None,
        };
        let pause = asked
            .unwrap_or_default()
            .max(backoff(failures, FIRST_PAUSE, LONGEST_PAUSE));
        tracing::info!(%error, failures, ?pause, "trying again");
        self.metrics.retries.inc();
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.cancel.cancelled() => Err(Retrying::Cancelled),
        }
    }
}

/// The pause after so many failures: doubled each time up to `longest`, and somewhere between half
/// and all of that, so that many pods do not come back at the same moment.
pub(crate) fn backoff(failures: u32, first: Duration, longest: Duration) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    let pause = doubled.min(longest);
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(10));
        for (failures, most) in [
            (1, 100),
            (2, 200),
            (5, 1600),
            (50, 10_000),
            (u32::MAX, 10_000),
        ] {
            let pause = backoff(failures, first, longest).as_millis();
            assert!((most / 2..=most).contains(&pause), "{failures}: {pause}");
        }
    }
}
