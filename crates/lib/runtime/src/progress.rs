//! How far the work is: a bar for a person at a terminal, a log line every 10 s for everyone else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing::info;

use crate::process::lock;

/// How often a log line tells the progress.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// `AtomicU64` has no `Option`: a total nobody knows yet.
const UNKNOWN: u64 = u64::MAX;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown with binary prefixes.
    Bytes,
    /// Rows of tables.
    Rows,
    /// Anything else that is counted one by one.
    Items,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Rows => "rows",
            Self::Items => "items",
        }
    }
}

/// A piece of work in progress; clones share it, and it ends with [`finish`](Self::finish) or with
/// the last clone.
#[derive(Clone)]
pub struct Progress {
    work: Arc<Work>,
}

struct Work {
    label: String,
    unit: Unit,
    position: AtomicU64,
    total: AtomicU64,
    note: Mutex<String>,
    finished: AtomicBool,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Adds `n` to the position.
    pub fn advance(&self, n: u64) {
        self.work.position.fetch_add(n, Ordering::Relaxed);
        self.draw();
    }

    /// Sets the position.
    pub fn set(&self, position: u64) {
        self.work.position.store(position, Ordering::Relaxed);
        self.draw();
    }

    /// Sets the total, now that somebody knows it.
    pub fn total(&self, total: u64) {
        self.work.total.store(total, Ordering::Relaxed);
        if let Some(bar) = &self.work.bar {
            bar.set_style(style(self.work.unit, true));
            bar.set_length(total);
        }
    }

    /// Says what is being worked on, replacing the note before.
    pub fn note(&self, text: &str) {
        text.clone_into(&mut lock(&self.work.note));
        if let Some(bar) = &self.work.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// Ends the piece of work: the bar goes, a log line stays where anything was done.
    pub fn finish(&self) {
        self.work.finish();
    }

    fn draw(&self) {
        if let Some(bar) = &self.work.bar {
            bar.set_position(self.work.position.load(Ordering::Relaxed));
        }
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("label", &self.work.label)
            .finish_non_exhaustive()
    }
}

impl Work {
    fn finish(&self) {
        if self.finished.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let position = self.position.load(Ordering::Relaxed);
        if position == 0 {
            return;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        info!(
            label = self.label,
            unit = self.unit.name(),
            position,
            seconds = rounded(seconds),
            per_second = rounded(position as f64 / seconds.max(0.001)),
            "progress ended"
        );
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Everything in progress in this process.
pub(crate) struct Board {
    bars: Option<MultiProgress>,
    works: Arc<Mutex<Vec<Weak<Work>>>>,
}

impl Board {
    pub(crate) fn new(bars: Option<MultiProgress>) -> Self {
        Self {
            bars,
            works: Arc::default(),
        }
    }

    pub(crate) fn begin(&self, label: &str, unit: Unit, total: Option<u64>) -> Progress {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::no_length());
            bar.set_style(style(unit, total.is_some()));
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_prefix(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let work = Arc::new(Work {
            label: label.to_owned(),
            unit,
            position: AtomicU64::new(0),
            total: AtomicU64::new(total.unwrap_or(UNKNOWN)),
            note: Mutex::default(),
            finished: AtomicBool::new(false),
            started: Instant::now(),
            bar,
        });
        let mut works = lock(&self.works);
        works.retain(|work| work.strong_count() > 0);
        works.push(Arc::downgrade(&work));
        Progress { work }
    }

    /// Logs what is in progress every 10 s, for as long as it is polled.
    pub(crate) fn report(&self) -> impl Future<Output = ()> + Send + use<> {
        let quiet = self.bars.is_some();
        let works = Arc::clone(&self.works);
        async move {
            if quiet {
                return std::future::pending().await;
            }
            let mut ticks = tokio::time::interval(LOG_EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            ticks.tick().await;
            let mut before: Vec<(Weak<Work>, u64)> = Vec::new();
            loop {
                ticks.tick().await;
                let now: Vec<Arc<Work>> = lock(&works).iter().filter_map(Weak::upgrade).collect();
                let mut seen = Vec::with_capacity(now.len());
                for work in now
                    .iter()
                    .filter(|work| !work.finished.load(Ordering::Relaxed))
                {
                    let earlier = before
                        .iter()
                        .find(|(known, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(work)))
                        .map_or(0, |(_, position)| *position);
                    seen.push((Arc::downgrade(work), log_line(work, earlier)));
                }
                before = seen;
            }
        }
    }
}

/// Logs one piece of work and returns its position; `earlier` was its position 10 s ago.
fn log_line(work: &Work, earlier: u64) -> u64 {
    let position = work.position.load(Ordering::Relaxed);
    let total = work.total.load(Ordering::Relaxed);
    let window = work
        .started
        .elapsed()
        .min(LOG_EVERY)
        .as_secs_f64()
        .max(0.001);
    let rate = position.saturating_sub(earlier) as f64 / window;
    let note = lock(&work.note).clone();
    let note = (!note.is_empty()).then_some(note);
    let total = (total != UNKNOWN).then_some(total);
    let percent = total.map(|total| rounded(100.0 * position as f64 / total.max(1) as f64));
    let eta = total
        .filter(|_| rate > 0.0)
        .map(|total| rounded(total.saturating_sub(position) as f64 / rate));
    info!(
        label = work.label,
        unit = work.unit.name(),
        position,
        total,
        percent,
        per_second = rounded(rate),
        eta_seconds = eta,
        note,
        "progress"
    );
    position
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn style(unit: Unit, bounded: bool) -> ProgressStyle {
    let template = match (unit, bounded) {
        (Unit::Bytes, true) => {
            "{prefix} {wide_bar} {percent}% {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} {msg}"
        }
        (Unit::Bytes, false) => "{prefix} {spinner} {bytes} {binary_bytes_per_sec} {elapsed} {msg}",
        (_, true) => "{prefix} {wide_bar} {percent}% {human_pos}/{human_len} {per_sec} {eta} {msg}",
        (_, false) => "{prefix} {spinner} {human_pos} {per_sec} {elapsed} {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
