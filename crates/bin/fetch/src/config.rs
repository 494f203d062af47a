//! What a checked command line asks for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use pilotfish_storage::{Address, Options};

use crate::checksum::Expected;
use crate::glob::Glob;

/// A run of `fetch`. `Debug` shows no secret.
#[derive(Debug)]
pub struct Config {
    pub(crate) address: Address,
    pub(crate) storage: Options,
    pub(crate) destination: Destination,
    pub(crate) selection: Selection,
    pub(crate) expected: Expected,
    pub(crate) unpack: Unpack,
    pub(crate) name: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) retention: Retention,
    pub(crate) transfer: Transfer,
    /// Longest time for all of it, without a loop.
    pub(crate) timeout: Option<Duration>,
    /// A release on the volume is not good enough when the source is away.
    pub(crate) strict: bool,
    /// Whatever a later run may mend is no failure of this one.
    pub(crate) best_effort: bool,
    pub(crate) daemon: Option<Loop>,
    pub(crate) notify: Option<Notify>,
    /// What other publishers are told about this one.
    pub(crate) holder: String,
}

/// Where the bytes go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Volume(PathBuf),
    Stdout,
}

/// Which object of a folder, and how many older ones may stand in for it.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) pick: Pick,
    pub(crate) matching: Glob,
    pub(crate) fallback: usize,
}

/// Which object of a folder is the one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Pick {
    /// The one stored last.
    Newest,
    /// The last by name: for names that begin with a date.
    NameDesc,
}

/// What becomes of compressed objects and archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Unpack {
    /// Decompressed and unpacked, by content.
    Auto,
    /// Published as they are stored.
    Keep,
}

/// What is too much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Unpacked bytes per stored byte.
    pub(crate) expansion: u64,
    /// Unpacked bytes of a release.
    pub(crate) bytes: Option<u64>,
    /// Bytes of the disk that stay free.
    pub(crate) reserve: u64,
}

/// How long old releases stay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) keep: usize,
    pub(crate) keep_for: Duration,
}

/// How bytes are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transfer {
    pub(crate) parallel: usize,
    pub(crate) part_size: u64,
    pub(crate) retries: u32,
}

/// The life of a daemon.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) every: Duration,
    pub(crate) init_max_failures: u32,
    pub(crate) max_failures: Option<u32>,
    pub(crate) api: Api,
}

/// The daemon's HTTP side.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) listen: SocketAddr,
    pub(crate) token_file: Option<PathBuf>,
}

/// Whom to tell about releases.
#[derive(Debug, Clone)]
pub(crate) struct Notify {
    pub(crate) url: reqwest::Url,
    pub(crate) token_file: Option<PathBuf>,
    /// How long a run without a loop waits to be heard.
    pub(crate) patience: Duration,
}
