//! The command line of `fetch`.

use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use pilotfish_runtime::{CommonArgs, Environment, OutputFormat, parse_bytes, parse_duration};
use pilotfish_storage::{Address, StorageArgs, Timeouts, is_plain_address};

use crate::checksum::Expected;
use crate::config::{
    Api, Config, Destination, Limits, Loop, Notify, Pick, Retention, Selection, Transfer, Unpack,
};
use crate::glob::Glob;

/// Smallest part: below it requests cost more than bytes.
const SMALLEST_PART: u64 = 64 << 10;

/// Brings a dump from S3, Azure, https or a file onto a volume: verified, resumable, in one step.
#[derive(Debug, clap::Parser)]
pub struct Args {
    /// s3://bucket/key, az://container/key, https://.., file:///.. or folder/
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    release: ReleaseArgs,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    daemon: DaemonArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Release")]
struct ReleaseArgs {
    /// Volume to publish on
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Stream it instead: fetch --stdout URL | load -
    #[arg(long, conflicts_with = "to")]
    stdout: bool,
    /// File name on the volume [default: the object's]
    #[arg(long)]
    name: Option<String>,
    /// auto, by content; or keep it as it is stored
    #[arg(
        long,
        value_name = "auto|keep",
        default_value = "auto",
        hide_possible_values = true
    )]
    decompress: Unpack,
    /// Refuse what grows more than this many times when it is unpacked
    #[arg(
        long,
        hide_short_help = true,
        value_name = "TIMES",
        default_value = "200"
    )]
    max_expansion: NonZeroU64,
    /// Refuse what unpacks to more bytes than this [default: no limit]
    #[arg(long, hide_short_help = true, value_name = "SIZE", value_parser = parse_bytes)]
    max_bytes: Option<u64>,
    /// Bytes of the volume's disk that stay free
    #[arg(long, hide_short_help = true, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes)]
    reserve: u64,
    /// Releases that always stay
    #[arg(long, value_name = "N", default_value = "2")]
    keep: NonZeroUsize,
    /// Replaced releases stay this long, unless space is short
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "24h", value_parser = parse_duration)]
    keep_for: Duration,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Source")]
struct SourceArgs {
    /// Of a folder: newest, or name-desc
    #[arg(
        long,
        value_name = "RULE",
        default_value = "newest",
        hide_possible_values = true
    )]
    pick: Pick,
    /// Only names like *.sql.zst; ** for folders
    #[arg(long, value_name = "GLOB")]
    r#match: Option<String>,
    /// Older objects to try when one is refused
    #[arg(long, value_name = "N", default_value = "0")]
    fallback: usize,
    /// Fail when the source is away, whatever is on the volume
    #[arg(long, conflicts_with_all = ["every", "stdout", "fallback"])]
    strict: bool,
    /// End with 0 also without the source: a loop brings it later
    #[arg(long, hide_short_help = true, conflicts_with_all = ["strict", "every", "stdout"])]
    best_effort: bool,
    /// SHA-256 of the object as it is stored
    #[arg(long, value_name = "HEX", conflicts_with = "checksum_from")]
    sha256: Option<String>,
    /// Checksum file; auto: the one beside it
    #[arg(long, value_name = "URL|auto")]
    checksum_from: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Source")]
struct TransferArgs {
    /// Connections; each takes up to 1 MiB of memory
    #[arg(long, hide_short_help = true, value_name = "N", default_value = "4")]
    parallel: NonZeroUsize,
    /// Bytes of one part; a part under way at a kill is fetched again
    #[arg(long, hide_short_help = true, value_name = "SIZE", default_value = "16MiB", value_parser = parse_bytes)]
    part_size: u64,
    /// Tries again, without a byte in between, before giving up
    #[arg(long, hide_short_help = true, value_name = "N", default_value = "5")]
    retries: u32,
    /// Longest wait for a connection
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    connect_timeout: Duration,
    /// Longest silence of a connection; under 1 KiB in it is silence, too
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    read_timeout: Duration,
    /// Longest time for all of it, then code 124 [default: no limit]
    #[arg(long, hide_short_help = true, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Loop")]
struct DaemonArgs {
    /// Keep running, and look this often
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    every: Option<Duration>,
    /// Failures in a row to bear while the volume has no release
    #[arg(long, hide_short_help = true, value_name = "N", default_value = "5")]
    init_max_failures: u32,
    /// Failures in a row to bear once it has one [default: any number]
    #[arg(long, hide_short_help = true, value_name = "N")]
    max_failures: Option<u32>,
    /// Page, metrics and API
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:9803")]
    listen: SocketAddr,
    /// File with the token of POST /v1/fetches
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Tell pilotfish-watch at this URL
    #[arg(long, value_name = "URL")]
    notify: Option<String>,
    /// File with the token to show to --notify
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    notify_token_file: Option<PathBuf>,
    /// Longest wait until --notify accepts, without --every
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    notify_timeout: Duration,
}

impl Args {
    pub(crate) fn common(&self) -> &CommonArgs {
        &self.common
    }

    /// Checks everything; opens nothing.
    pub(crate) fn into_config(self, env: &Environment) -> Result<Config, Vec<String>> {
        let mut mistakes = Vec::new();
        let timeouts = Timeouts {
            connect: self.transfer.connect_timeout,
            read: self.transfer.read_timeout,
        };
        let get = |name: &str| env.get(name).map(str::to_owned);
        let storage = note(&mut mistakes, self.storage.into_options(get, timeouts));
        let address = note(
            &mut mistakes,
            Address::parse(&self.url).map_err(one_mistake),
        );
        let selection = self.source.selection(address.as_ref(), &mut mistakes);
        let expected = self.source.expected(&mut mistakes);
        let unpack = self.release.decompress;
        let name = self.release.name(&mut mistakes);
        let limits = Limits {
            expansion: self.release.max_expansion.get(),
            bytes: self.release.max_bytes,
            reserve: self.release.reserve,
        };
        let retention = Retention {
            keep: self.release.keep.get(),
            keep_for: self.release.keep_for,
        };
        let transfer = self.transfer.transfer(&mut mistakes);
        let timeout = self.transfer.timeout.filter(|limit| !limit.is_zero());
        if timeout.is_some() && self.daemon.every.is_some() {
            mistakes.push("--timeout ends a single run: leave it out beside --every".to_owned());
        }
        let json = self.common.output == OutputFormat::Json;
        let daemon = self.daemon.parts(&mut mistakes);
        let destination = self.release.destination(&mut mistakes);
        if destination == Some(Destination::Stdout) {
            let fallback = self.source.fallback > 0;
            let loops = daemon.0.is_some() || daemon.1.is_some();
            only_for_volumes(fallback, json, loops, &mut mistakes);
        }
        match (storage, address, destination, selection, expected, transfer) {
            (
                Some(storage),
                Some(address),
                Some(destination),
                Some(selection),
                Some(expected),
                Some(transfer),
            ) if mistakes.is_empty() => Ok(Config {
                address,
                storage,
                destination,
                selection,
                expected,
                unpack,
                name,
                limits,
                retention,
                transfer,
                timeout,
                strict: self.source.strict,
                best_effort: self.source.best_effort,
                daemon: daemon.0,
                notify: daemon.1,
                holder: get("HOSTNAME").unwrap_or_else(|| "pilotfish-fetch".to_owned()),
            }),
            _ => Err(mistakes),
        }
    }
}

/// What a stream on standard output cannot go with.
fn only_for_volumes(fallback: bool, json: bool, loops: bool, mistakes: &mut Vec<String>) {
    if fallback {
        mistakes.push("--stdout streams one object: --fallback is for --to".to_owned());
    }
    if json {
        mistakes.push("--stdout has no room for --output json: use --result-file".to_owned());
    }
    if loops {
        mistakes.push("--stdout goes with neither --every nor --notify".to_owned());
    }
}

impl ReleaseArgs {
    fn destination(&self, mistakes: &mut Vec<String>) -> Option<Destination> {
        match (&self.to, self.stdout) {
            (Some(root), _) => Some(Destination::Volume(root.clone())),
            (None, true) => Some(Destination::Stdout),
            (None, false) => {
                mistakes.push("say where to: --to DIR or --stdout".to_owned());
                None
            }
        }
    }

    fn name(&self, mistakes: &mut Vec<String>) -> Option<String> {
        let name = self.name.clone()?;
        if let Err(problem) = crate::unpack::check_name(&name) {
            mistakes.push(format!("--name {name:?}: {problem}"));
        }
        Some(name)
    }
}

impl SourceArgs {
    fn selection(
        &self,
        address: Option<&Address>,
        mistakes: &mut Vec<String>,
    ) -> Option<Selection> {
        let folder = address.is_some_and(Address::is_folder);
        if let (Some(address), Address::Http { .. }) = (address, address?)
            && (self.r#match.is_some() || self.fallback > 0)
        {
            mistakes.push(format!(
                "{address}: http(s) has no folders for --match or --fallback"
            ));
        } else if self.r#match.is_some() && !folder {
            mistakes.push("--match picks from a folder: end the URL with a slash".to_owned());
        } else if self.fallback > 0 && !folder {
            mistakes.push("--fallback needs a folder: end the URL with a slash".to_owned());
        }
        Some(Selection {
            pick: self.pick,
            matching: Glob::new(self.r#match.as_deref().unwrap_or("*")),
            fallback: self.fallback,
        })
    }

    fn expected(&self, mistakes: &mut Vec<String>) -> Option<Expected> {
        match (&self.sha256, self.checksum_from.as_deref()) {
            (Some(hex), _) => {
                let hex = hex.trim().to_ascii_lowercase();
                if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    mistakes.push("--sha256 takes 64 hex digits".to_owned());
                }
                Some(Expected::Sha256(hex))
            }
            (None, Some("auto")) => Some(Expected::Beside),
            (None, Some(url)) => {
                note(mistakes, Address::parse(url).map_err(one_mistake)).map(Expected::From)
            }
            (None, None) => Some(Expected::Nothing),
        }
    }
}

impl TransferArgs {
    fn transfer(&self, mistakes: &mut Vec<String>) -> Option<Transfer> {
        if self.part_size < SMALLEST_PART {
            mistakes.push("--part-size is 64KiB or more".to_owned());
        }
        Some(Transfer {
            parallel: self.parallel.get(),
            part_size: self.part_size,
            retries: self.retries,
        })
    }
}

impl DaemonArgs {
    fn parts(self, mistakes: &mut Vec<String>) -> (Option<Loop>, Option<Notify>) {
        if self.every == Some(Duration::ZERO) {
            mistakes.push("--every takes a time above zero".to_owned());
        }
        if self.every.is_none() && self.token_file.is_some() {
            mistakes.push("--token-file guards the API of the loop: give --every too".to_owned());
        }
        let daemon = self.every.map(|every| Loop {
            every,
            init_max_failures: self.init_max_failures,
            max_failures: self.max_failures,
            api: Api {
                listen: self.listen,
                token_file: self.token_file,
            },
        });
        if self.notify.is_none() && self.notify_token_file.is_some() {
            mistakes.push("--notify-token-file goes with --notify".to_owned());
        }
        let notify = self.notify.and_then(|url| match reqwest::Url::parse(&url) {
            Ok(parsed) if is_plain_address(&url) => Some(Notify {
                url: parsed,
                token_file: self.notify_token_file,
                patience: self.notify_timeout,
            }),
            _ => {
                mistakes.push(
                    "--notify takes a plain address, http://127.0.0.1:9808; \
                     a token comes from --notify-token-file"
                        .to_owned(),
                );
                None
            }
        });
        (daemon, notify)
    }
}

/// Collects the mistakes of one part and goes on with the others.
fn note<T>(mistakes: &mut Vec<String>, result: Result<T, Vec<String>>) -> Option<T> {
    result.map_err(|more| mistakes.extend(more)).ok()
}

fn one_mistake(error: impl std::fmt::Display) -> Vec<String> {
    vec![error.to_string()]
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    /// Beside the longest flag and its value that is what a terminal of 120 columns has room for.
    const WIDEST: usize = 70;

    #[test]
    fn each_flag_is_explained_in_one_short_line() {
        for flag in super::Args::command().get_arguments() {
            let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
            let length = help.chars().count();
            assert!(
                (1..=WIDEST).contains(&length),
                "{}: {length}: {help}",
                flag.get_id()
            );
        }
    }
}
