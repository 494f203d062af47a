//! HTTP: the metrics, and a page for people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use pilotfish_engine::{EngineName, Error};
use pilotfish_failure::Failure;
use pilotfish_runtime::{Process, Ready};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::args::ServeConfig;
use crate::exposition::Format;
use crate::gzip::{self, Packer};
use crate::metric::Gathered;
use crate::news::News;
use crate::own::Counts;
use crate::pod::Pod;
use crate::probe::Prober;
use crate::scrape::{Filter, Scraper};
use crate::web_config::{Users, WebConfig, only};
use crate::{page, process_metrics};

/// How Prometheus says how long it waits.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";
/// However short the time that is left, or long what somebody names.
const LEAST: Duration = Duration::from_millis(100);
/// How long a server that starts with the pod may take before the log says that it is not there.
const START: Duration = Duration::from_secs(60);
/// Probes at a time; the others wait.
const PROBES: usize = 8;
const MOST: Duration = Duration::from_secs(300);

/// What handlers need.
struct Web {
    scraper: Scraper,
    prober: Prober,
    engine: EngineName,
    counts: Counts,
    news: News,
    registry: prometheus::Registry,
    pod: Arc<Pod>,
    timeout: Duration,
    timeout_offset: Duration,
    metrics_path: String,
    server: String,
}

/// Answers scrapes until the process is told to end.
///
/// # Errors
/// Where the port cannot be bound.
pub(crate) async fn run(config: ServeConfig, process: Process) -> Result<(), Failure> {
    process_metrics::register(&process.metrics)?;
    let web_config = match &config.web_config {
        Some(path) => WebConfig::read(path)?,
        None => WebConfig::default(),
    };
    let dead = config.scrape.choices.dead();
    if !dead.is_empty() {
        tracing::warn!(flags = ?dead, "no server has what these ask any more: they have no effect");
    }
    let target = config.scrape.target;
    let web = Arc::new(Web {
        engine: target.engine(),
        server: target.to_string(),
        prober: Prober {
            probes: config.probes,
            choices: config.scrape.choices.clone(),
            limits: config.scrape.limits.clone(),
            runtime: Handle::current(),
            turns: Semaphore::new(PROBES),
        },
        scraper: Scraper::new(
            target,
            config.scrape.choices,
            config.scrape.limits,
            Handle::current(),
        ),
        counts: Counts::default(),
        news: News::default(),
        registry: process.metrics.clone(),
        pod: Arc::new(config.pod),
        timeout: config.scrape.timeout,
        timeout_offset: config.timeout_offset,
        metrics_path: config.metrics_path,
    });
    // What does not depend on the server beside it: a blip of that must not take the pod out of service twice.
    let ready = Ready::new("the port");
    let mut routes = Router::new();
    if web.metrics_path != "/" {
        routes = routes.route("/", get(landing));
    }
    let routes = routes
        .route(&web.metrics_path, get(metrics))
        .route("/probe", get(probe))
        .route("/-/reload", post(reload))
        .with_state(Arc::clone(&web));
    let routes = guarded(routes, web_config.users, &web_config.headers);
    process.serve_own_metrics(config.listen, ready.clone(), routes, web_config.front)?;
    ready.set(true, "answers scrapes");
    drop(tokio::spawn(look_first(Arc::clone(&web))));
    process.shutdown.cancelled().await;
    web.scraper.close().await;
    Ok(())
}

/// What is wrong with the server, the account or a file is in the log before anybody scrapes. A server that starts in the
/// same pod takes its time, and is waited for without a word.
async fn look_first(web: Arc<Web>) {
    let begin = Instant::now();
    loop {
        match web.scraper.greet().await {
            Ok(server) => return tracing::info!(version = %server.words, "the server answers"),
            Err(error @ (Error::Unreachable(_) | Error::Busy { .. } | Error::TimedOut { .. }))
                if begin.elapsed() < START =>
            {
                tracing::debug!(%error, "the server does not answer yet");
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            Err(error) => return tracing::warn!(%error, "the server does not answer"),
        }
    }
}

/// Only users get through, where there are any; every answer has these headers.
fn guarded(routes: Router, users: Users, headers: &BTreeMap<String, String>) -> Router {
    let routes = match users.is_empty() {
        true => routes,
        false => routes.layer(from_fn_with_state(Arc::new(users), only)),
    };
    let headers: HeaderMap = headers
        .iter()
        .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, value.parse().ok()?)))
        .collect();
    routes.layer(map_response(move |mut response: Response| {
        response.headers_mut().extend(headers.clone());
        std::future::ready(response)
    }))
}

/// For those who ask mysqld_exporter to read its files again: here they are read for every session.
async fn reload() -> &'static str {
    "ok"
}

async fn landing(State(web): State<Arc<Web>>) -> Html<String> {
    let failing = web.news.last();
    Html(page::page(
        &web.server,
        &web.metrics_path,
        failing.as_deref(),
    ))
}

async fn metrics(
    State(web): State<Arc<Web>>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let started = Instant::now();
    let filter = filter(&query);
    let scrape = web.scraper.scrape(filter, started + web.time_for(&headers));
    let (scrape, pod) = tokio::join!(scrape, web.pod.gathered());
    web.news.note(&scrape);
    let mut own = Gathered::default();
    web.counts
        .complete(web.engine, &scrape, started.elapsed(), &mut own);
    process_metrics::gather(&web.registry, &mut own);
    own.extend(pod);
    answer(&headers, &[&scrape.gathered, &own])
}

/// The same of a server that the request names.
async fn probe(
    State(web): State<Arc<Web>>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let started = Instant::now();
    let time = web.time_for(&headers);
    let turn = tokio::time::timeout(time, web.prober.turns.acquire()).await;
    if turn.is_err() {
        let busy = "too many probes are under way\n";
        return (StatusCode::SERVICE_UNAVAILABLE, busy).into_response();
    }
    let target = match web.prober.target(&query).await {
        Ok(target) => target,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    };
    let (engine, server) = (target.engine(), target.to_string());
    let scraper = web.prober.scraper(target);
    let scrape = scraper.scrape(filter(&query), started + time).await;
    if let Some(error) = &scrape.error {
        tracing::info!(%error, %server, "a probe failed");
    }
    let mut own = Gathered::default();
    Counts::default().complete(engine, &scrape, started.elapsed(), &mut own);
    drop(tokio::spawn(async move { scraper.close().await }));
    answer(&headers, &[&scrape.gathered, &own])
}

fn answer(headers: &HeaderMap, parts: &[&Gathered]) -> Response {
    let format = Format::accepted(text(headers, header::ACCEPT.as_str()));
    let kind = [(header::CONTENT_TYPE, format.content_type())];
    if gzip::wanted(text(headers, header::ACCEPT_ENCODING.as_str())) {
        let mut packer = Packer::default();
        format.write(parts, |piece| packer.take(piece));
        let encoding = [(header::CONTENT_ENCODING, "gzip")];
        return (kind, encoding, packer.finish()).into_response();
    }
    let mut body = Vec::new();
    format.write(parts, |piece| body.extend_from_slice(piece));
    (kind, body).into_response()
}

/// `collect[]=global_status`, with or without what stands before the name in its flag.
fn filter(query: &[(String, String)]) -> Filter {
    let wanted = query.iter().filter(|(key, _)| key == "collect[]");
    let bare = |name: &str| {
        let prefixes = ["collect.", "collector."];
        let bare = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
        bare.unwrap_or(name).to_owned()
    };
    wanted.map(|(_, name)| bare(name)).collect()
}

impl Web {
    /// How long a scrape may take: what whoever asks waits, and a little less.
    fn time_for(&self, headers: &HeaderMap) -> Duration {
        let named = text(headers, TIMEOUT_HEADER).and_then(|text| text.parse().ok());
        let named = named.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let time = named.unwrap_or(self.timeout);
        time.saturating_sub(self.timeout_offset).clamp(LEAST, MOST)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_are_asked_for_by_name_or_by_flag() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let query = [
            pair("collect[]", "global_status"),
            pair("collect[]", "collect.slave_status"),
            pair("target", "db:3306"),
        ];
        let names: Vec<_> = filter(&query).into_iter().collect();
        assert_eq!(names, ["global_status", "slave_status"]);
    }
}
