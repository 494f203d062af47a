//! `exporter list`: every metric that this server gives, by what it is.

use std::fmt::Write as _;

use pilotfish_engine::EngineName;
use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::{OutputFormat, Process};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::args::ScrapeConfig;
use crate::collect;
use crate::metric::{self, Gathered};
use crate::own::Counts;
use crate::scrape::{Filter, Scraper};

/// The answer.
#[derive(Debug, Serialize)]
struct Listing {
    /// The server in its own words.
    server: String,
    collectors: Vec<Listed>,
    metrics: Vec<Metric>,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: &'static str,
    help: &'static str,
    default: bool,
    /// Whether it ran, and why it failed.
    on: bool,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Metric {
    name: String,
    r#type: &'static str,
    help: String,
    labels: Vec<&'static str>,
    series: usize,
}

/// Scrapes once and tells what came.
///
/// # Errors
/// Where the server does not answer.
pub(crate) async fn run(config: ScrapeConfig, process: Process) -> Result<(), Failure> {
    let target = config.target;
    let engine = target.engine();
    let scraper = Scraper::new(target, config.choices, config.limits, Handle::current());
    let started = Instant::now();
    let scrape = scraper
        .scrape(Filter::new(), started + config.timeout)
        .await;
    let Some(identity) = &scrape.identity else {
        let why = scrape.error.clone().unwrap_or_default();
        let kind = match scrape.refused {
            true => Kind::Denied,
            false => Kind::Unreachable,
        };
        return Err(Failure::new(kind, why));
    };
    let mut own = Gathered::default();
    Counts::default().complete(engine, &scrape, started.elapsed(), &mut own);
    let listing = Listing {
        server: identity.words.clone(),
        collectors: collectors(identity.engine, &scrape.outcomes),
        metrics: metrics(&[&scrape.gathered, &own]),
    };
    scraper.close().await;
    // For people it is no result as well: the log would say all of it again.
    match process.output() {
        OutputFormat::Text => process.print(&as_text(&listing)),
        _ => process.result(&listing),
    }
    Ok(())
}

fn collectors(engine: EngineName, outcomes: &[crate::scrape::Outcome]) -> Vec<Listed> {
    let listed = collect::of(engine).iter().map(|collector| {
        let outcome = outcomes.iter().find(|one| one.name == collector.name);
        Listed {
            name: collector.name,
            help: collector.help,
            default: collector.by_default,
            on: outcome.is_some(),
            error: outcome.and_then(|outcome| outcome.error.clone()),
        }
    });
    listed.collect()
}

fn metrics(parts: &[&Gathered]) -> Vec<Metric> {
    let families = parts.iter().flat_map(|part| part.families());
    let mut metrics: Vec<_> = families
        .map(|(name, family)| {
            let labels = family
                .samples
                .iter()
                .flat_map(|sample| sample.labels.pairs());
            let mut labels: Vec<_> = labels.map(|(name, _)| *name).collect();
            labels.sort_unstable();
            labels.dedup();
            Metric {
                name: name.to_owned(),
                r#type: match family.kind {
                    metric::Kind::Counter => "counter",
                    metric::Kind::Gauge => "gauge",
                    metric::Kind::Histogram => "histogram",
                    metric::Kind::Untyped => "untyped",
                },
                help: family.help.to_string(),
                labels,
                series: family.samples.len(),
            }
        })
        .collect();
    metrics.sort_by(|one, other| one.name.cmp(&other.name));
    metrics
}

fn as_text(listing: &Listing) -> String {
    let mut text = format!("{}\n\nCOLLECTOR\n", listing.server);
    for one in &listing.collectors {
        let state = match (&one.error, one.on) {
            (Some(error), _) => format!("fails: {error}"),
            (None, true) => "on".to_owned(),
            (None, false) => "off".to_owned(),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{:<50} {state}", one.name);
    }
    text.push_str("\nMETRIC\n");
    for metric in &listing.metrics {
        let labels = match metric.labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", metric.labels.join(",")),
        };
        let _ = writeln!(
            text,
            "{}{labels} ({}) {}",
            metric.name, metric.r#type, metric.help
        );
    }
    text
}
