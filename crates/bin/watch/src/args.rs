//! What the user types, and the only way from there to settings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use pilotfish_engine::{ServerArgs, Settings};
use pilotfish_loader::{LoadArgs, Options};
use pilotfish_runtime::{CommonArgs, Environment, parse_duration, parse_duration_above_zero};

use crate::neighbour::Neighbour;

/// Load whatever release lies on a volume into the server beside it, and every later one
#[derive(Debug, clap::Parser)]
#[command(
    override_usage = "pilotfish-watch [FLAGS] <PATH>\n       \
                      pilotfish-watch drain [--listen ADDRESS] [--drain-timeout TIME]   (a preStop hook)",
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true,
    // What follows a volume has no fixed digest, and is no stream.
    mut_arg("sha256", |arg| arg.hide(true)),
    mut_arg("no_trailer", |arg| arg.hide(true))
)]
pub struct Args {
    /// Volume, ConfigMap folder, folder of dumps, or one dump
    #[arg(required = true)]
    path: Option<PathBuf>,
    #[command(flatten)]
    volume: VolumeArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Stop the running load safely and start no other: a preStop hook
    #[command(hide = true)]
    Drain,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Volume")]
struct VolumeArgs {
    /// Quiet time of a file before its load
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    settle: Duration,
    /// Look again this often, whatever events say
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "1m", value_parser = parse_duration_above_zero)]
    rescan: Duration,
    /// Look every --settle (NFS has no inotify)
    #[arg(long)]
    poll: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "HTTP")]
struct HttpArgs {
    /// Page, metrics and API
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "0.0.0.0:9808",
        global = true
    )]
    listen: SocketAddr,
    /// File with the token of changing calls
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The fetch to tell when a load waits
    #[arg(long, value_name = "URL")]
    fetch_url: Option<String>,
    /// Longest wait of an asked-for load for its release or server
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "1h", value_parser = parse_duration_above_zero)]
    ask_timeout: Duration,
    /// Longest wait of drain for the running load
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "20s", value_parser = parse_duration, global = true)]
    drain_timeout: Duration,
}

/// What `watch` does.
#[derive(Debug)]
pub enum Config {
    /// Watch a volume.
    Watch(Box<WatchConfig>),
    /// Tell the watch in this pod to drain.
    Drain {
        /// Where it listens, over loopback.
        address: SocketAddr,
        /// Longest wait.
        timeout: Duration,
    },
}

/// Settings of the sidecar.
#[derive(Debug)]
pub struct WatchConfig {
    /// Volume, folder or file.
    pub(crate) path: PathBuf,
    /// Plain files must stay unchanged this long.
    pub(crate) settle: Duration,
    /// Time between looks without events.
    pub(crate) rescan: Duration,
    /// Never use inotify.
    pub(crate) poll: bool,
    /// Address of the admin HTTP.
    pub(crate) listen: SocketAddr,
    /// File with the bearer token.
    pub(crate) token_file: Option<PathBuf>,
    /// The `fetch` beside it.
    pub(crate) fetch: Option<Neighbour>,
    /// Longest life of a load that waits.
    pub(crate) ask_timeout: Duration,
    /// Longest wait for the running load after a drain.
    pub(crate) drain_timeout: Duration,
    /// The server.
    pub(crate) server: Settings,
    /// How it is loaded.
    pub(crate) options: Options,
}

impl Args {
    pub(crate) fn common(&self) -> &CommonArgs {
        &self.common
    }

    pub(crate) fn into_config(self, environment: &Environment) -> Result<Config, Vec<String>> {
        if matches!(self.command, Some(Command::Drain)) {
            return Ok(Config::Drain {
                address: over_loopback(self.http.listen),
                timeout: self.http.drain_timeout,
            });
        }
        let mut mistakes = Vec::new();
        let mut keep = |result: Result<(), Vec<String>>| {
            if let Err(more) = result {
                mistakes.extend(more);
            }
        };
        let mut server = None;
        let env = |name: &str| environment.get(name).map(str::to_owned);
        keep(
            self.server
                .into_settings(env)
                .map(|settings| server = Some(settings)),
        );
        let mut options = None;
        keep(self.load.into_options().map(|value| options = Some(value)));
        let mut fetch = None;
        if let Some(url) = &self.http.fetch_url {
            let parsed = Neighbour::parse(url).map(|neighbour| fetch = Some(neighbour));
            keep(parsed.map_err(|why| vec![format!("--fetch-url: {why}")]));
            if self.http.token_file.is_none() {
                let why = "--fetch-url needs --token-file: fetch takes no call without its token";
                keep(Err(vec![why.to_owned()]));
            }
        }
        match (self.path, server, options) {
            (Some(path), Some(server), Some(options)) if mistakes.is_empty() => {
                Ok(Config::Watch(Box::new(WatchConfig {
                    path,
                    settle: self.volume.settle,
                    rescan: self.volume.rescan,
                    poll: self.volume.poll,
                    listen: self.http.listen,
                    token_file: self.http.token_file,
                    fetch,
                    ask_timeout: self.http.ask_timeout,
                    drain_timeout: self.http.drain_timeout,
                    server,
                    options,
                })))
            }
            (path, ..) => {
                if path.is_none() {
                    mistakes.push("<PATH> is required".to_owned());
                }
                Err(mistakes)
            }
        }
    }
}

/// Where a process of the same pod reaches a listener.
fn over_loopback(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn help_is_short() {
        let command = Args::command();
        for arg in command.get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!((1..=70).contains(&help.len()), "{}: {help}", arg.get_id());
        }
    }
}
