//! What `/metrics` shows. Digests are labels of `info` series with one sample each.

use std::time::Duration;

use pilotfish_failure::{Failure, Kind};
use pilotfish_loader::{Phase, Snapshot, State, Status};
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::dispatcher::Obstacle;
use crate::view::unix_now;

/// From a check that finds nothing to do to a load of hours, in seconds.
const DURATIONS: [f64; 12] = [
    0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0,
];

const PHASES: [Phase; 8] = [
    Phase::Opening,
    Phase::Surveying,
    Phase::Staging,
    Phase::Keys,
    Phase::Checking,
    Phase::Swapping,
    Phase::Finishing,
    Phase::Tidying,
];

/// The metrics of this tool.
pub(crate) struct Metrics {
    releases: Releases,
    load: Load,
    failures: IntGauge,
    last_success: IntGauge,
    reachable: IntGauge,
    ledger_read_at: IntGauge,
    ready: IntGauge,
    silent: IntGauge,
    looks: IntCounter,
}

/// What is on the volume and what is live.
struct Releases {
    seen: IntGaugeVec,
    seen_at: IntGauge,
    applied: IntGaugeVec,
    applied_at: IntGauge,
    current: IntGauge,
    rejected: IntGauge,
}

/// The running load, and those that ended.
struct Load {
    phase: IntGaugeVec,
    rows: IntGauge,
    rows_expected: IntGauge,
    bytes: IntGauge,
    bytes_expected: IntGauge,
    duration: Histogram,
    ended: IntCounterVec,
    rows_loaded: IntCounter,
    bytes_loaded: IntCounter,
}

impl Releases {
    fn register(r: &Registry) -> Result<Self, prometheus::Error> {
        let applied = ("release_applied_info", "The live release of each database.");
        let applied_at = "When the newest live release became live; the skew between pods.";
        Ok(Self {
            seen: labelled(
                r,
                "release_seen_info",
                "The release on the volume.",
                &["digest"],
            )?,
            seen_at: gauge(
                r,
                "release_seen_timestamp_seconds",
                "When it was first seen.",
            )?,
            applied: labelled(r, applied.0, applied.1, &["database", "digest"])?,
            applied_at: gauge(r, "release_applied_timestamp_seconds", applied_at)?,
            current: gauge(
                r,
                "release_current",
                "1 when the release on the volume is live.",
            )?,
            rejected: gauge(
                r,
                "release_rejected",
                "1 when the release on the volume was rolled back: see load resume.",
            )?,
        })
    }
}

impl Load {
    fn register(r: &Registry) -> Result<Self, prometheus::Error> {
        let duration = HistogramOpts::new(
            "pilotfish_watch_load_duration_seconds",
            "How long loads took, failed ones too.",
        );
        let ended = Opts::new(
            "pilotfish_watch_loads_total",
            "Runs of the loader, by their end.",
        );
        let duration = Histogram::with_opts(duration.buckets(DURATIONS.to_vec()))?;
        Ok(Self {
            phase: labelled(
                r,
                "load_phase",
                "1 for the phase of the running load.",
                &["phase"],
            )?,
            rows: gauge(r, "load_rows", "Rows the running load has stored.")?,
            rows_expected: gauge(r, "load_expected_rows", "Rows it will store; 0 if unknown.")?,
            bytes: gauge(
                r,
                "load_read_bytes",
                "Stored bytes of the dump it has read.",
            )?,
            bytes_expected: gauge(r, "load_expected_bytes", "Size of the dump; 0 if unknown.")?,
            duration: registered(r, duration)?,
            ended: registered(r, IntCounterVec::new(ended, &["result"])?)?,
            rows_loaded: counter(r, "loaded_rows_total", "Rows of successful loads.")?,
            bytes_loaded: counter(r, "loaded_bytes_total", "Stored bytes of successful loads.")?,
        })
    }
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Failure> {
        Self::build(registry)
            .map_err(|error| Failure::new(Kind::Bug, format!("register metrics: {error}")))
    }

    fn build(r: &Registry) -> Result<Self, prometheus::Error> {
        let success = "When a load last succeeded or found nothing to do.";
        Ok(Self {
            releases: Releases::register(r)?,
            load: Load::register(r)?,
            failures: gauge(
                r,
                "consecutive_failures",
                "Failed loads since the last success.",
            )?,
            last_success: gauge(r, "last_success_timestamp_seconds", success)?,
            reachable: gauge(
                r,
                "server_reachable",
                "1 when the server's ledger was just read.",
            )?,
            ledger_read_at: gauge(r, "ledger_read_timestamp_seconds", "When it was last read.")?,
            ready: gauge(r, "ready", "1 when /readyz says so.")?,
            silent: gauge(
                r,
                "volume_watch_silent",
                "1 when events did not come and it polls.",
            )?,
            looks: counter(r, "volume_looks_total", "Looks at the volume.")?,
        })
    }

    pub(crate) fn saw(&self, digest: Option<&str>) {
        self.releases.seen.reset();
        if let Some(digest) = digest {
            self.releases.seen.with_label_values(&[digest]).set(1);
            self.releases.seen_at.set(seconds(unix_now()));
        }
    }

    pub(crate) fn looked(&self) {
        self.looks.inc();
    }

    pub(crate) fn watch_is_silent(&self) {
        self.silent.set(1);
    }

    pub(crate) fn ledger(&self, live: &[Status]) {
        self.reachable.set(1);
        self.ledger_read_at.set(seconds(unix_now()));
        self.releases.applied.reset();
        for status in live {
            self.releases
                .applied
                .with_label_values(&[&status.database, &status.digest])
                .set(1);
        }
        let newest = live.iter().map(|status| status.since).max().unwrap_or(0);
        self.releases.applied_at.set(seconds(newest));
    }

    /// Whether what is on the volume is known to be live.
    pub(crate) fn current(&self, current: bool) {
        self.releases.current.set(i64::from(current));
    }

    pub(crate) fn blocked(&self, obstacle: Option<&Obstacle>) {
        let rejected = matches!(obstacle, Some(Obstacle::RolledBack { .. }));
        self.releases.rejected.set(i64::from(rejected));
    }

    pub(crate) fn server_away(&self) {
        self.reachable.set(0);
    }

    pub(crate) fn ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// How far the running load is; `None` when none runs.
    pub(crate) fn progress(&self, now: Option<&Snapshot>) {
        for phase in PHASES {
            let here = now.is_some_and(|now| now.phase == phase);
            self.load
                .phase
                .with_label_values(&[phase.name()])
                .set(i64::from(here));
        }
        let of = |value: fn(&Snapshot) -> u64| seconds(now.map_or(0, value));
        self.load.rows.set(of(|now| now.rows));
        self.load
            .rows_expected
            .set(of(|now| now.rows_total.unwrap_or(0)));
        self.load.bytes.set(of(|now| now.bytes));
        self.load
            .bytes_expected
            .set(of(|now| now.bytes_total.unwrap_or(0)));
    }

    pub(crate) fn ended(&self, state: State, took: Duration, rows: u64, bytes: u64) {
        self.load.duration.observe(took.as_secs_f64());
        let result = match state {
            State::Succeeded => "succeeded",
            State::Cancelled => "cancelled",
            _ => "failed",
        };
        self.load.ended.with_label_values(&[result]).inc();
        match state {
            State::Succeeded => {
                self.load.rows_loaded.inc_by(rows);
                self.load.bytes_loaded.inc_by(bytes);
                self.last_success.set(seconds(unix_now()));
                self.failures.set(0);
            }
            State::Failed => self.failures.inc(),
            _ => {}
        }
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    registered(
        registry,
        IntGauge::new(format!("pilotfish_watch_{name}"), help)?,
    )
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    registered(
        registry,
        IntCounter::new(format!("pilotfish_watch_{name}"), help)?,
    )
}

fn labelled(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    let opts = Opts::new(format!("pilotfish_watch_{name}"), help);
    registered(registry, IntGaugeVec::new(opts, labels)?)
}

fn seconds(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
