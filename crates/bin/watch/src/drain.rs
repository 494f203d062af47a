//! `watch drain`: a preStop hook that ends the load in flight before the server is stopped.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::Process;

use crate::api::LONGEST_WAIT;
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
    let watch = Neighbour::at(address);
    tokio::select! {
        drained = drained(&watch, timeout, LONGEST_WAIT) => drained,
        () = process.shutdown.cancelled() => {
            Err(Failure::new(Kind::Cancelled, "waiting for the drain was interrupted"))
        }
    }
}

/// Asks until the watch has drained or `timeout` is over; one question is answered within `longest`.
async fn drained(watch: &Neighbour, timeout: Duration, longest: Duration) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        let left = timeout.saturating_sub(started.elapsed());
        let wait = left.min(longest);
        let path = format!("/v1/drain?wait={}ms", wait.as_millis());
        let patience = wait.saturating_add(MARGIN);
        match watch.post(&path, &[(HEADER, "yes")], "", patience).await? {
            (200, _) => return Ok(()),
            (504, _) if left > wait => {}
            (504, _) => {
                let message = format!("drain {watch}: the load did not end within {timeout:?}");
                return Err(
                    Failure::new(Kind::TimedOut, message).with_hint("raise --drain-timeout")
                );
            }
            (status, body) => {
                let message = format!("drain {watch}: status {status}: {body}");
                return Err(Failure::new(Kind::Bug, message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A watch that answers with these in turn; returns what it was asked.
    fn answers(statuses: &'static [u16]) -> (Neighbour, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let watch = Neighbour::at(listener.local_addr().unwrap());
        let asked = std::thread::spawn(move || {
            let answer = |status: &u16| {
                let (mut caller, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let length = caller.read(&mut request).unwrap();
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                caller.write_all(head.as_bytes()).unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                request.lines().next().unwrap_or_default().to_owned()
            };
            statuses.iter().map(answer).collect()
        });
        (watch, asked)
    }

    #[tokio::test]
    async fn a_drain_is_awaited_for_as_long_as_was_asked_for() {
        let (watch, asked) = answers(&[504, 504, 200]);
        let (long, step) = (Duration::from_secs(300), Duration::from_secs(60));
        drained(&watch, long, step).await.unwrap();
        let asked = asked.join().unwrap();
        assert_eq!(asked.len(), 3);
        for line in asked {
            assert_eq!(line, "POST /v1/drain?wait=60000ms HTTP/1.1");
        }
        let (watch, asked) = answers(&[504]);
        let failure = drained(&watch, step, step).await.unwrap_err();
        assert_eq!(failure.kind(), Kind::TimedOut);
        assert!(failure.to_string().ends_with("within 60s"), "{failure}");
        asked.join().unwrap();
    }
}
