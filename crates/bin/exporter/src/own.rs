//! What the exporter says of itself, and of the scrape that is shown.
//!
//! Under the names of the exporter whose place it takes, so that its alerts go on, and under names of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pilotfish_engine::EngineName;

use crate::histogram::Histogram;
use crate::metric::{Gathered, Labels};
use crate::scrape::Scrape;

/// Counts of this process.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    scrapes: AtomicU64,
    failed: AtomicU64,
    duplicates: AtomicU64,
    took: Histogram,
}

impl Counts {
    /// Completes what is shown of a scrape.
    pub(crate) fn complete(
        &self,
        engine: EngineName,
        scrape: &Scrape,
        took: Duration,
        shown: &mut Gathered,
    ) {
        let scrapes = self.scrapes.fetch_add(1, Ordering::Relaxed) + 1;
        let is_whole = scrape.is_whole();
        let failed = self
            .failed
            .fetch_add(u64::from(!is_whole), Ordering::Relaxed)
            + u64::from(!is_whole);
        match engine {
            EngineName::MariaDb | EngineName::MySql => of_mysql(scrape, shown),
            EngineName::Postgres => of_postgres(scrape, scrapes, is_whole, took, shown),
        }
        let help = "1 where the server is there and turns the account away.";
        let refused = flag(scrape.refused);
        shown.gauge(
            "pilotfish_exporter_login_refused",
            help,
            Labels::none(),
            refused,
        );
        self.own(scrapes, failed, scrape, took, shown);
    }

    fn own(
        &self,
        scrapes: u64,
        failed: u64,
        scrape: &Scrape,
        took: Duration,
        shown: &mut Gathered,
    ) {
        let dropped = scrape.duplicates;
        let duplicates = self.duplicates.fetch_add(dropped, Ordering::Relaxed) + dropped;
        let series = scrape.gathered.series();
        let mut counter = |name, help, value: u64| {
            let name = format!("pilotfish_exporter_{name}");
            shown.counter(name, help, Labels::none(), value as f64);
        };
        counter("scrapes_total", "Scrapes.", scrapes);
        counter(
            "incomplete_scrapes_total",
            "Scrapes of which a collector or the server was missing.",
            failed,
        );
        counter(
            "duplicate_series_total",
            "Series that the server showed twice, and that are shown once.",
            duplicates,
        );
        let mut gauge = |name, help, value| {
            shown.gauge(
                format!("pilotfish_exporter_{name}"),
                help,
                Labels::none(),
                value,
            );
        };
        gauge("series", "Series of this scrape.", series as f64);
        shown.histogram(
            "pilotfish_exporter_scrape_duration_seconds",
            "How long scrapes took.",
            Labels::none(),
            self.took.observe(took.as_secs_f64()),
        );
    }
}

fn of_mysql(scrape: &Scrape, shown: &mut Gathered) {
    let up = flag(scrape.is_up());
    shown.gauge(
        "mysql_up",
        "1 where the server answers.",
        Labels::none(),
        up,
    );
    if scrape.outcomes.is_empty() {
        return;
    }
    let mut took = |collector: String, seconds: Duration| {
        shown.gauge(
            "mysql_exporter_collector_duration_seconds",
            "How long a collector took.",
            vec![("collector", collector)],
            seconds.as_secs_f64(),
        );
    };
    if scrape.identity.is_some() {
        took("connection".to_owned(), scrape.connection);
    }
    for outcome in &scrape.outcomes {
        took(format!("collect.{}", outcome.name), outcome.took);
    }
    for outcome in &scrape.outcomes {
        shown.gauge(
            "mysql_exporter_collector_success",
            "1 where a collector got all it asked for.",
            vec![("collector", format!("collect.{}", outcome.name))],
            flag(outcome.error.is_none()),
        );
    }
}

fn of_postgres(
    scrape: &Scrape,
    scrapes: u64,
    is_whole: bool,
    took: Duration,
    shown: &mut Gathered,
) {
    let up = flag(scrape.is_up());
    shown.gauge("pg_up", "1 where the server answers.", Labels::none(), up);
    shown.gauge(
        "pg_exporter_last_scrape_duration_seconds",
        "How long this scrape took.",
        Labels::none(),
        took.as_secs_f64(),
    );
    shown.counter(
        "pg_exporter_scrapes_total",
        "Scrapes.",
        Labels::none(),
        scrapes as f64,
    );
    shown.gauge(
        "pg_exporter_last_scrape_error",
        "1 where a collector or the server is missing.",
        Labels::none(),
        flag(!is_whole),
    );
    for outcome in &scrape.outcomes {
        let labels = || vec![("collector", outcome.name.to_owned())];
        shown.gauge(
            "pg_scrape_collector_duration_seconds",
            "How long a collector took.",
            labels(),
            outcome.took.as_secs_f64(),
        );
        shown.gauge(
            "pg_scrape_collector_success",
            "1 where a collector got all it asked for.",
            labels(),
            flag(outcome.error.is_none()),
        );
    }
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}
