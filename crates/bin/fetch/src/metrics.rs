//! What Prometheus sees of `fetch`.

use std::time::{SystemTime, UNIX_EPOCH};

use pilotfish_failure::{Failure, Kind};
use pilotfish_volume::Manifest;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The metrics; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) last_success: IntGauge,
    pub(crate) consecutive_failures: IntGauge,
    failures: IntCounterVec,
    last_failure: IntGaugeVec,
    rounds: IntCounterVec,
    pub(crate) received: IntCounter,
    pub(crate) retries: IntCounter,
    pub(crate) source_up: IntGauge,
    pub(crate) fallback: IntGauge,
    pub(crate) checksum_denied: IntGauge,
    release: IntGaugeVec,
    release_time: IntGauge,
    release_size: IntGauge,
    pub(crate) transfer_done: IntGauge,
    pub(crate) transfer_total: IntGauge,
    pub(crate) notify_pending: IntGauge,
    pub(crate) notify_failures: IntCounter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Failure> {
        Self::try_register(registry)
            .map_err(|error| Failure::new(Kind::Bug, format!("register metrics: {error}")))
    }

    fn try_register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| registered(registry, IntGauge::new(full(name), help));
        let counter =
            |name: &str, help: &str| registered(registry, IntCounter::new(full(name), help));
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let opts = Opts::new(full(name), help);
            registered(registry, IntGaugeVec::new(opts, labels))
        };
        let counters = |name: &str, help: &str, label: &str| {
            let opts = Opts::new(full(name), help);
            registered(registry, IntCounterVec::new(opts, &[label]))
        };
        Ok(Self {
            last_success: gauge(
                "last_success_timestamp_seconds",
                "When the source was last seen and the volume had its release.",
            )?,
            consecutive_failures: gauge(
                "consecutive_failures",
                "Rounds in a row that failed; 0 after a success.",
            )?,
            failures: counters("failures_total", "Rounds that failed, by meaning.", "kind")?,
            last_failure: gauges(
                "last_failure_timestamp_seconds",
                "When a round last failed, by meaning.",
                &["kind"],
            )?,
            rounds: counters(
                "rounds_total",
                "Rounds that succeeded, by outcome.",
                "outcome",
            )?,
            received: counter("received_bytes_total", "Bytes of objects received.")?,
            retries: counter(
                "retries_total",
                "Requests made again after a transient failure.",
            )?,
            source_up: gauge(
                "source_up",
                "Whether the source answered in the last round.",
            )?,
            fallback: gauge(
                "fallback_active",
                "Whether an older object stands in for a refused newest one.",
            )?,
            checksum_denied: gauge(
                "checksum_denied",
                "Whether --checksum-from auto was refused the checksum file: nothing is proven then.",
            )?,
            release: gauges(
                "release_info",
                "Always 1; the labels are the live release and its SHA-256.",
                &["release", "sha256"],
            )?,
            release_time: gauge(
                "release_timestamp_seconds",
                "When the live release was fetched.",
            )?,
            release_size: gauge("release_size_bytes", "Stored bytes of the live release.")?,
            transfer_done: gauge(
                "transfer_done_bytes",
                "Bytes of the running transfer so far.",
            )?,
            transfer_total: gauge(
                "transfer_size_bytes",
                "Bytes of the running transfer in all.",
            )?,
            notify_pending: gauge(
                "notify_pending",
                "Whether a release was not yet accepted by --notify.",
            )?,
            notify_failures: counter("notify_failures_total", "Calls of --notify that failed.")?,
        })
    }

    pub(crate) fn failed(&self, failure: &Failure) {
        let kind = [failure.kind().name()];
        self.consecutive_failures.inc();
        self.failures.with_label_values(&kind).inc();
        self.last_failure.with_label_values(&kind).set(timestamp());
    }

    pub(crate) fn succeeded(&self, outcome: &str) {
        self.consecutive_failures.set(0);
        self.last_success.set(timestamp());
        self.rounds.with_label_values(&[outcome]).inc();
    }

    /// One series at a time: releases come and go, and each would stay a series for ever.
    pub(crate) fn live(&self, manifest: &Manifest) {
        self.release.reset();
        self.release
            .with_label_values(&[&manifest.release, &manifest.sha256])
            .set(1);
        self.release_time
            .set(i64::try_from(manifest.fetched_at).unwrap_or(i64::MAX));
        self.release_size
            .set(i64::try_from(manifest.size).unwrap_or(i64::MAX));
    }
}

fn full(name: &str) -> String {
    format!("pilotfish_fetch_{name}")
}

/// The metric, once the registry has it too.
fn registered<M: Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<M, prometheus::Error>,
) -> Result<M, prometheus::Error> {
    let metric = made?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Unix seconds, as gauges hold them.
fn timestamp() -> i64 {
    i64::try_from(now()).unwrap_or(i64::MAX)
}

/// Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
