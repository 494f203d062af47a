//! The flags of a load, the same for every tool that loads.

use std::thread::available_parallelism;
use std::time::Duration;

use pilotfish_engine::load::{Definer, Owner, SwapMode};
use pilotfish_quantity::parse_duration;

use crate::Options;
use crate::throttle::Throttling;

/// Most connections for rows: beyond it servers get slower, not faster.
const MOST_THREADS: usize = 64;

/// Flags that say how a dump is loaded.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Load")]
pub struct LoadArgs {
    /// Live database, else the one the dump names
    #[arg(long, env = "PILOTFISH_INTO", value_name = "DB")]
    into: Option<String>,
    /// Connections that carry rows [default: cores, 2 to 8]
    #[arg(long, env = "PILOTFISH_THREADS", value_name = "N")]
    threads: Option<usize>,
    /// How staged tables become live
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_SWAP",
        value_name = "MODE",
        default_value = "auto"
    )]
    swap: SwapMode,
    /// Longest search for a moment to swap without making readers wait
    #[arg(long, hide_short_help = true, env = "PILOTFISH_SWAP_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = a_day_at_most)]
    swap_timeout: Duration,
    /// SQL that must be true before the swap; repeatable
    #[arg(long = "check", env = "PILOTFISH_CHECK", value_name = "SQL")]
    checks: Vec<String>,
    /// Largest loss of rows of a table, in percent
    #[arg(long, env = "PILOTFISH_MAX_SHRINK", value_name = "PCT")]
    max_shrink: Option<f64>,
    /// Most tables that one RENAME moves once there are readers: it holds all
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_MAX_RENAMES",
        value_name = "N",
        default_value_t = 5000
    )]
    max_renames: usize,
    /// Keep the replaced release for a rollback
    #[arg(long, hide_short_help = true, env = "PILOTFISH_KEEP_PREVIOUS", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    keep_previous: bool,
    /// Load only this table; repeatable
    #[arg(
        long,
        env = "PILOTFISH_ONLY",
        value_name = "TABLE",
        value_delimiter = ','
    )]
    only: Vec<String>,
    /// Leave this table out; repeatable
    #[arg(
        long,
        env = "PILOTFISH_SKIP",
        value_name = "TABLE",
        value_delimiter = ','
    )]
    skip: Vec<String>,
    /// Replace live tables that no release brought
    #[arg(long, env = "PILOTFISH_ADOPT")]
    adopt: bool,
    /// Replace tables that were written to
    #[arg(long, env = "PILOTFISH_OVERWRITE_MODIFIED")]
    overwrite_modified: bool,
    /// Accept rows whose foreign keys lead nowhere; the check is left out
    #[arg(long, hide_short_help = true, env = "PILOTFISH_ALLOW_ORPHANS")]
    allow_orphans: bool,
    /// On MySQL swap tables other than InnoDB too: a crash LOSES some
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_ALLOW_NON_TRANSACTIONAL"
    )]
    allow_non_transactional: bool,
    /// Whose rights views, triggers and routines run with
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_DEFINER",
        value_name = "WHO",
        default_value = "current"
    )]
    definer: Definer,
    /// On PostgreSQL: to whom what the dump makes belongs
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_OWNER",
        value_name = "WHO",
        default_value = "keep"
    )]
    owner: Owner,
    /// Spare the server: rest, and wait while it is busy
    #[arg(
        long,
        hide_short_help = true,
        env = "PILOTFISH_THROTTLE",
        value_name = "LIMITS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on"
    )]
    throttle: Option<Throttling>,
    /// EMPTY servers only: no redo log, no flush at commits until the swap
    #[arg(long, hide_short_help = true, env = "PILOTFISH_FIRST_LOAD")]
    first_load: bool,
    /// Load changed tables whole, also where few rows differ
    #[arg(long, hide_short_help = true, env = "PILOTFISH_WHOLE")]
    whole: bool,
    /// No binary log: replicas MISS this release and stop at its swap
    #[arg(long, hide_short_help = true, env = "PILOTFISH_NO_BINLOG")]
    no_binlog: bool,
    /// The dump's SHA-256 must be this
    #[arg(long, env = "PILOTFISH_SHA256", value_name = "HEX")]
    sha256: Option<String>,
    /// Accept a dump that never had a trailer
    #[arg(long, hide_short_help = true, env = "PILOTFISH_NO_TRAILER")]
    no_trailer: bool,
}

impl LoadArgs {
    /// The settings, or every mistake in them.
    ///
    /// # Errors
    /// One sentence per mistake, naming the flag.
    pub fn into_options(self) -> Result<Options, Vec<String>> {
        let mut mistakes = Vec::new();
        let throttle = self.throttle.and_then(|throttling| throttling.0);
        let threads = match (self.threads, &throttle) {
            (Some(threads), _) => threads,
            (None, Some(_)) => 1,
            (None, None) => default_threads(),
        };
        if !(1..=MOST_THREADS).contains(&threads) {
            mistakes.push(format!("--threads {threads}: give 1 to {MOST_THREADS}"));
        }
        if self
            .max_shrink
            .is_some_and(|percent| !(0.0..=100.0).contains(&percent))
        {
            mistakes.push("--max-shrink: give a percentage from 0 to 100".to_owned());
        }
        let sha256 = self.sha256.map(|hex| hex.to_ascii_lowercase());
        if sha256.as_ref().is_some_and(|hex| !is_sha256(hex)) {
            mistakes.push("--sha256: give 64 hex digits".to_owned());
        }
        if self
            .into
            .as_ref()
            .is_some_and(|database| database.is_empty() || database.chars().count() > 64)
        {
            mistakes.push("--into: a database name has 1 to 64 characters".to_owned());
        }
        if !self.swap.is_aside() && self.max_shrink.is_some() {
            mistakes.push(
                "--max-shrink needs a swap: without a swap nothing can be held back".to_owned(),
            );
        }
        if !self.swap.is_aside() && !self.checks.is_empty() {
            mistakes.push(
                "--check needs a swap: without it, it would be asked when the live rows are gone already"
                    .to_owned(),
            );
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Options {
            swap: self.swap,
            checks: self.checks,
            max_shrink: self.max_shrink,
            max_renames: self.max_renames,
            keep_previous: self.keep_previous,
            threads,
            only: self.only.into_iter().collect(),
            skip: self.skip.into_iter().collect(),
            into: self.into,
            default_database: None,
            adopt: self.adopt,
            overwrite_modified: self.overwrite_modified,
            allow_orphans: self.allow_orphans,
            allow_non_transactional: self.allow_non_transactional,
            whole: self.whole,
            no_binlog: self.no_binlog,
            definer: self.definer,
            owner: self.owner,
            sha256,
            expected: None,
            no_trailer: self.no_trailer,
            swap_timeout: self.swap_timeout,
            throttle,
            first_load: self.first_load,
            dry_run: false,
        })
    }
}

fn default_threads() -> usize {
    available_parallelism().map_or(2, usize::from).clamp(2, 8)
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A time such as `60s`, `5m` or `250ms`, a day at most.
fn a_day_at_most(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(86_400);
    match parse_duration(text)? {
        time if time <= DAY => Ok(time),
        _ => Err("write a time of a day at most, such as 5m".to_owned()),
    }
}
