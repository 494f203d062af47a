//! `watch drain`: a preStop hook that ends the load in flight before the server is stopped.

use std::net::SocketAddr;
use std::time::Duration;

use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::Process;

use crate::neighbour::Neighbour;

/// Proves that the caller is no web page: a page cannot set it across origins.
pub(crate) const HEADER: &str = "x-pilotfish-drain";

/// Longer than the other side waits, so that its answer arrives.
const MARGIN: Duration = Duration::from_secs(2);

pub(crate) async fn run(
    address: SocketAddr,
    timeout: Duration,
    process: &Process,
) -> Result<(), Failure> {
    let path = format!("/v1/drain?wait={}ms", timeout.as_millis());
    let watch = Neighbour::at(address);
    let answer = tokio::select! {
        answer = watch.post(&path, &[(HEADER, "yes")], "", timeout.saturating_add(MARGIN)) => answer?,
        () = process.shutdown.cancelled() => {
            return Err(Failure::new(Kind::Cancelled, "waiting for the drain was interrupted"));
        }
    };
    match answer {
        (200, _) => Ok(()),
        (504, _) => {
            let message = format!("drain {watch}: the load did not end within {timeout:?}");
            Err(Failure::new(Kind::TimedOut, message).with_hint("raise --drain-timeout"))
        }
        (status, body) => Err(Failure::new(
            Kind::Bug,
            format!("drain {watch}: status {status}: {body}"),
        )),
    }
}
