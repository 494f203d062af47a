//! What the user types, and the only way from there to settings.
//!
//! Flags of collectors, and what else the two exporters are started with in so many manifests, are called as there.

mod collectors;
mod source;
mod variables;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use pilotfish_engine::{EngineName, ServerArgs};
use pilotfish_runtime::{CommonArgs, Environment, parse_duration, parse_duration_above_zero};

use crate::collect::Choices;
use crate::pod::{DATA_FOLDERS, Pod};
use crate::probe::Probes;
use crate::scrape::{Databases, Limits};
use crate::target::Target;
use collectors::CollectorArgs;
use source::LegacyArgs;
use variables::Variables;

/// Show Prometheus what a MariaDB, MySQL or PostgreSQL server does
#[derive(Debug, clap::Parser)]
#[command(
    override_usage = "pilotfish-exporter [FLAGS]\n       \
                      pilotfish-exporter list [--output json]   (every metric of the server)",
    after_help = "Collectors: --collect.NAME and --no-collect.NAME, of PostgreSQL --collector.NAME; list shows them",
    mut_arg("log_level", |arg| arg.alias("log.level"))
)]
pub struct Args {
    #[command(flatten)]
    web: WebArgs,
    #[command(flatten)]
    scrape: ScrapeArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    legacy: LegacyArgs,
    #[command(flatten)]
    collectors: CollectorArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// list: scrape once, and describe every metric
    #[arg(value_name = "COMMAND", hide_possible_values = true)]
    verb: Option<Verb>,
}

/// What to do other than to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Verb {
    List,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "HTTP")]
struct WebArgs {
    /// Page and metrics [default: 0.0.0.0:9104, of PostgreSQL 9187]
    #[arg(long, value_name = "ADDRESS", alias = "web.listen-address", value_parser = address)]
    listen: Option<SocketAddr>,
    /// TLS and users, in the form of Prometheus' exporters
    #[arg(
        long,
        hide_short_help = true,
        value_name = "FILE",
        alias = "web.config.file"
    )]
    web_config: Option<PathBuf>,
    /// Path of the metrics [default: /metrics]
    #[arg(
        long,
        hide_short_help = true,
        value_name = "PATH",
        alias = "web.telemetry-path"
    )]
    metrics_path: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Scrapes")]
struct ScrapeArgs {
    /// Sessions that stay open
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u8).range(1..=16))]
    connections: u8,
    /// Answers of a collector that stay good for a while: info_schema.tables=5m
    #[arg(long, value_name = "NAME=TIME", value_parser = cache)]
    cache: Vec<(String, Duration)>,
    /// Time of a scrape whose asker names none
    #[arg(long, hide_short_help = true, value_name = "TIME", alias = "collection-timeout", default_value = "10s", value_parser = parse_duration_above_zero)]
    scrape_timeout: Duration,
    /// Kept back of the time that the asker names
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "250ms", value_parser = seconds)]
    timeout_offset: Duration,
    /// Longest wait for a lock
    #[arg(long, hide_short_help = true, value_name = "TIME", alias = "exporter.lock_wait_timeout", default_value = "2s", value_parser = seconds)]
    lock_timeout: Duration,
    /// Visit PostgreSQL's other databases this often
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "1m", value_parser = parse_duration)]
    databases_every: Duration,
    /// Visit these only
    #[arg(
        long,
        hide_short_help = true,
        value_name = "NAME",
        value_delimiter = ','
    )]
    include_databases: Vec<String>,
    /// Do not visit these
    #[arg(
        long,
        hide_short_help = true,
        value_name = "NAME",
        value_delimiter = ','
    )]
    exclude_databases: Vec<String>,
    /// Volumes of the pod to look at [default: the data folders of the images]
    #[arg(long, hide_short_help = true, value_name = "PATH")]
    volume: Vec<PathBuf>,
    /// Run only the collectors that are turned on
    #[arg(long, hide_short_help = true, alias = "collector.disable-defaults")]
    disable_defaults: bool,
}

/// Paths that answer something else.
const TAKEN: [&str; 4] = ["/probe", "/livez", "/readyz", "/-/reload"];

/// What the tool does.
#[derive(Debug)]
pub enum Config {
    /// Answer scrapes.
    Serve(Box<ServeConfig>),
    /// Describe every metric of the server.
    List(Box<ScrapeConfig>),
}

/// Settings of the sidecar.
#[derive(Debug)]
pub struct ServeConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) metrics_path: String,
    pub(crate) web_config: Option<PathBuf>,
    pub(crate) timeout_offset: Duration,
    pub(crate) probes: Probes,
    pub(crate) pod: Pod,
    pub(crate) scrape: ScrapeConfig,
}

/// Settings of a scrape.
#[derive(Debug)]
pub struct ScrapeConfig {
    pub(crate) target: Target,
    pub(crate) choices: Choices,
    pub(crate) limits: Limits,
    /// Where whoever asks says nothing of it.
    pub(crate) timeout: Duration,
}

impl Args {
    pub(crate) fn common(&self) -> &CommonArgs {
        &self.common
    }

    pub(crate) fn into_config(self, environment: &Environment) -> Result<Config, Vec<String>> {
        let refused = self.legacy.refused();
        if !refused.is_empty() {
            return Err(refused);
        }
        let (source, probes) = source::source(self.server, &self.legacy, environment)?;
        let target = Target::new(source);
        let mut choices = self.collectors.choices;
        if self.scrape.disable_defaults {
            choices.without_defaults();
        }
        let is_postgres = target.engine() == EngineName::Postgres;
        let variables = match is_postgres {
            true => Variables::read(environment)?,
            false => Variables::default(),
        };
        self.legacy.turn_off(&variables, &mut choices);
        let listen = match (self.web.listen, variables.listen) {
            (Some(listen), _) => listen,
            (None, Some(text)) => {
                let wrong = |why| vec![format!("PG_EXPORTER_WEB_LISTEN_ADDRESS: {why}")];
                address(&text).map_err(wrong)?
            }
            (None, None) => {
                let port = if is_postgres { 9187 } else { 9104 };
                SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
            }
        };
        let metrics_path = self.web.metrics_path.or(variables.metrics_path);
        let metrics_path = metrics_path.unwrap_or_else(|| "/metrics".to_owned());
        let either = |flag: Vec<String>, variable| if flag.is_empty() { variable } else { flag };
        let pod = Pod::new(match self.scrape.volume.is_empty() {
            true => DATA_FOLDERS.map(PathBuf::from).into(),
            false => self.scrape.volume,
        });
        let mut caches: BTreeMap<_, _> = self.scrape.cache.into_iter().collect();
        // A release stays for hours.
        caches
            .entry("releases".to_owned())
            .or_insert(Duration::from_secs(30));
        let scrape = ScrapeConfig {
            target,
            choices,
            limits: Limits {
                connections: self.scrape.connections.into(),
                lock_timeout: self.scrape.lock_timeout,
                caches,
                passing: false,
                databases: Databases {
                    every: self.scrape.databases_every,
                    only: either(self.scrape.include_databases, variables.include_databases),
                    except: either(self.scrape.exclude_databases, variables.exclude_databases),
                },
            },
            timeout: self.scrape.scrape_timeout,
        };
        if self.verb == Some(Verb::List) {
            return Ok(Config::List(Box::new(scrape)));
        }
        let path = &metrics_path;
        if !path.starts_with('/') || path.contains(['{', '*']) || TAKEN.contains(&path.as_str()) {
            let why =
                "--metrics-path: begin it with /, and take none of /probe, /livez and /readyz";
            return Err(vec![why.to_owned()]);
        }
        Ok(Config::Serve(Box::new(ServeConfig {
            listen,
            metrics_path,
            web_config: self.web.web_config,
            timeout_offset: self.scrape.timeout_offset,
            probes,
            pod,
            scrape,
        })))
    }
}

/// `:9104` is every address, as the two exporters have it.
fn address(text: &str) -> Result<SocketAddr, String> {
    let full = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.replacen("localhost:", "127.0.0.1:", 1),
    };
    full.parse()
        .map_err(|_| "write ADDRESS:PORT or :PORT".to_owned())
}

/// A time, or as the two exporters have it a number of seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(number) => Duration::try_from_secs_f64(number).map_err(|error| error.to_string()),
        Err(_) => parse_duration(text),
    }
}

fn cache(text: &str) -> Result<(String, Duration), String> {
    let parts = text.split_once('=').ok_or("write NAME=TIME")?;
    let known = crate::collect::flags().any(|(_, collector, _)| collector.name == parts.0);
    if !known {
        return Err(format!(
            "there is no collector {}: list shows them",
            parts.0
        ));
    }
    Ok((parts.0.to_owned(), parse_duration_above_zero(parts.1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_times_are_read_as_the_two_exporters_have_them() {
        assert_eq!(address(":9104").unwrap().to_string(), "0.0.0.0:9104");
        assert_eq!(address("localhost:1").unwrap().to_string(), "127.0.0.1:1");
        assert!(address("9104").is_err());
        assert_eq!(seconds("0.25").unwrap(), Duration::from_millis(250));
        assert_eq!(seconds("3s").unwrap(), Duration::from_secs(3));
    }

    #[test]
    fn a_cache_is_of_a_collector_that_there_is() {
        assert!(cache("global_status=1m").is_ok());
        assert!(cache("global_statusses=1m").is_err());
        assert!(cache("global_status").is_err());
    }
}
