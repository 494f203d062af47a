//! Holds a load back while its server has enough to do, or its replicas cannot follow.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pilotfish_engine::load::{Gauge, Strain};
use pilotfish_failure::{Failure, Kind};
use pilotfish_quantity::{parse_bytes, parse_duration};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Progress;

/// Between two looks at the server.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest look.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest rest after one job: behind a statement of minutes the looks at the server tell whether to wait.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// `--throttle`: what a server may be put to. `None` is no limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// How far its replicas may be behind.
    pub lag: Option<Duration>,
    /// Sessions of others that run a statement at a time.
    pub running: Option<u64>,
    /// InnoDB's history list.
    pub history: Option<u64>,
    /// Bytes of the write-ahead log that wait for replicas.
    pub wal: Option<u64>,
    /// Replicas to ask for their lag, by host and port; PostgreSQL knows its standbys itself.
    pub replicas: Vec<(String, u16)>,
    /// How long a connection rests after its work, in times of that.
    pub nice: f64,
    /// Longest wait for the server, at one go.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lag: Some(Duration::from_secs(5)),
            running: Some(25),
            history: Some(1_000_000),
            wal: Some(8 << 30),
            replicas: Vec::new(),
            nice: 1.0,
            wait: Duration::from_secs(1800),
        }
    }
}

/// The value of `--throttle`: `lag=2s,running=10`; alone, the limits by default.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Throttling(pub Option<Limits>);

impl FromStr for Throttling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "" | "1" | "true" | "yes" | "on" => return Ok(Self(Some(Limits::default()))),
            "0" | "false" | "no" | "off" => return Ok(Self(None)),
            _ => {}
        }
        let mut limits = Limits::default();
        for limit in text.split(',') {
            let (name, value) = limit.split_once('=').unwrap_or((limit, ""));
            let none = value.eq_ignore_ascii_case("off");
            let number = || {
                value
                    .parse()
                    .map_err(|_| format!("{name}: write a number, or off"))
            };
            match name {
                "lag" if none => limits.lag = None,
                "lag" => limits.lag = Some(parse_duration(value)?),
                "running" if none => limits.running = None,
                "running" => limits.running = Some(number()?),
                "history" if none => limits.history = None,
                "history" => limits.history = Some(number()?),
                "wal" if none => limits.wal = None,
                "wal" => limits.wal = Some(parse_bytes(value)?),
                "replica" => limits.replicas.push(replica(value)?),
                "nice" => limits.nice = nice(value)?,
                "wait" => limits.wait = parse_duration(value)?,
                _ => {
                    return Err(format!(
                        "`{limit}`: write limits such as lag=5s,replica=HOST:PORT,running=25,history=1000000,wal=8GiB,nice=1,wait=30m, or nothing"
                    ));
                }
            }
        }
        Ok(Self(Some(limits)))
    }
}

fn replica(text: &str) -> Result<(String, u16), String> {
    const DEFAULT_PORT: u16 = 3306;
    let help = || "replica: write HOST or HOST:PORT".to_owned();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| help())?),
        None => (text, DEFAULT_PORT),
    };
    match host {
        "" => Err(help()),
        host => Ok((host.to_owned(), port)),
    }
}

fn nice(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(nice) if (0.0..=100.0).contains(&nice) => Ok(nice),
        _ => Err("nice: write a number from 0 to 100, such as 1 for half of the time".to_owned()),
    }
}

impl Limits {
    /// Why a server in this state is to be left alone; `own` sessions of it are the load's.
    fn exceeded(&self, strain: &Strain, own: u64) -> Option<String> {
        if self.lag.is_some() && strain.unknown_lag.is_some() {
            return strain.unknown_lag.clone();
        }
        if let (Some(most), Some((replica, lag))) = (self.lag, &strain.lag)
            && *lag > most
        {
            return Some(format!(
                "replica {replica} is {:.1} s behind, more than {:.1} s",
                lag.as_secs_f64(),
                most.as_secs_f64()
            ));
        }
        if let (Some(most), Some((slot, bytes))) = (self.wal, &strain.wal)
            && *bytes > most
        {
            return Some(format!(
                "{} MiB of the log wait for the replication slot {slot}, more than {} MiB",
                bytes >> 20,
                most >> 20
            ));
        }
        let above = |what: &str, most: Option<u64>, seen: Option<u64>| {
            let (most, seen) = (most?, seen?);
            (seen > most).then(|| format!("{seen} {what}, more than {most}"))
        };
        let others = strain.running.map(|running| running.saturating_sub(own));
        above("other sessions run statements", self.running, others)
            .or_else(|| above("old rows wait for purge", self.history, strain.history))
    }
}

/// The gate before each job of a connection; see the module.
#[derive(Debug, Clone)]
pub(crate) struct Throttle {
    limits: Limits,
    closed: watch::Receiver<Option<String>>,
    own: Own,
    progress: Progress,
}

/// Sessions of the load that the server works for.
type Own = Arc<AtomicU64>;

/// One of them, as long as it lives.
#[derive(Debug)]
pub(crate) struct Turn(Own);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Looks at the server until it is dropped.
#[derive(Debug)]
pub(crate) struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Throttle {
    /// Begins to look at a server.
    pub(crate) fn watch(
        limits: Limits,
        gauge: Box<dyn Gauge>,
        progress: &Progress,
    ) -> (Self, Watching) {
        let (tell, closed) = watch::channel(Some("nobody has looked at it yet".to_owned()));
        // The look itself is one.
        let own = Own::new(AtomicU64::new(1));
        let watching = tokio::spawn(look(limits.clone(), gauge, Arc::clone(&own), tell));
        let throttle = Self {
            limits,
            closed,
            own,
            progress: progress.clone(),
        };
        (throttle, Watching(watching))
    }

    /// Waits until the server can bear more.
    ///
    /// # Errors
    /// `Busy` where that takes longer than the limits allow.
    pub(crate) async fn pass(&mut self) -> Result<Turn, Failure> {
        let begun = Instant::now();
        let open = self.closed.wait_for(Option::is_none);
        let passed = tokio::time::timeout(self.limits.wait, open).await.is_ok();
        self.progress.spent("waiting", begun.elapsed());
        if passed {
            self.own.fetch_add(1, Ordering::Relaxed);
            return Ok(Turn(Arc::clone(&self.own)));
        }
        let why = self.closed.borrow().clone().unwrap_or_default();
        Err(Failure::new(
            Kind::Busy,
            format!(
                "the server had too much to do for {:.0} s: {why}",
                self.limits.wait.as_secs_f64()
            ),
        )
        .with_hint("load at another time, or set --throttle to what the server may bear"))
    }

    /// Rests after a job of rows that took so long.
    pub(crate) async fn rest(&self, took: Duration) {
        let rest = took.mul_f64(self.limits.nice).min(LONGEST_REST);
        self.progress.spent("waiting", rest);
        tokio::time::sleep(rest).await;
    }
}

async fn look(
    limits: Limits,
    mut gauge: Box<dyn Gauge>,
    own: Own,
    tell: watch::Sender<Option<String>>,
) {
    let mut since: Option<Instant> = None;
    loop {
        let closed = match tokio::time::timeout(PATIENCE, gauge.read()).await {
            Ok(Ok(strain)) => limits.exceeded(&strain, own.load(Ordering::Relaxed)),
            // Nobody is hurried on whose state is unknown; the connections of the load find out what it is.
            Ok(Err(error)) => Some(format!("it does not tell how it is: {error}")),
            Err(_) => Some(format!("it did not tell how it is for {PATIENCE:?}")),
        };
        for sentence in gauge.blind() {
            tracing::warn!(sentence, "--throttle does not see everything");
        }
        match (&closed, since) {
            (Some(why), None) => {
                tracing::info!(why, "waits for the server");
                since = Some(Instant::now());
            }
            (None, Some(begun)) => {
                tracing::info!(seconds = begun.elapsed().as_secs_f64(), "goes on");
                since = None;
            }
            _ => {}
        }
        // Nobody listens any more: the load is over.
        if tell.send(closed).is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let read = |text: &str| text.parse::<Throttling>().map(|read| read.0);
        for on in ["", "true", "on"] {
            assert_eq!(read(on), Ok(Some(Limits::default())), "{on}");
        }
        assert_eq!(read("off"), Ok(None));
        let limits = read("lag=250ms,running=off,wal=2GiB,nice=0.5")
            .unwrap()
            .unwrap();
        assert_eq!(limits.lag, Some(Duration::from_millis(250)));
        assert_eq!((limits.running, limits.wal), (None, Some(2 << 30)));
        assert_eq!(limits.history, Limits::default().history);
        let replicas = read("replica=db-1,replica=10.0.0.2:3307").unwrap().unwrap();
        let named = [("db-1".to_owned(), 3306), ("10.0.0.2".to_owned(), 3307)];
        assert_eq!(replicas.replicas, named);
        assert!((limits.nice - 0.5).abs() < f64::EPSILON);
        for wrong in [
            "lag",
            "lag=x",
            "running=many",
            "nice=-1",
            "speed=1",
            "replica=:1",
            "lag=1s;wal=1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_above_its_limit_is_named() {
        let limits = Limits::default();
        let calm = Strain {
            lag: Some(("r:3306".to_owned(), Duration::from_secs(5))),
            running: Some(28),
            history: Some(10),
            unknown_lag: None,
            wal: None,
        };
        assert_eq!(limits.exceeded(&calm, 3), None);
        let busy = limits.exceeded(&calm, 2).unwrap();
        assert!(busy.contains("26 other sessions"), "{busy}");
        let behind = Strain {
            lag: Some(("r:3306".to_owned(), Duration::from_millis(5100))),
            ..calm
        };
        let why = limits.exceeded(&behind, 3).unwrap();
        assert!(why.contains("replica r:3306 is 5.1 s behind"), "{why}");
    }
}
