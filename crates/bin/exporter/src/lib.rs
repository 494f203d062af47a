//! Shows Prometheus what a MariaDB, MySQL or PostgreSQL server does: one sidecar in the place of mysqld_exporter and
//! postgres_exporter, under the names that dashboards and alerts know.
//!
//! The story, room by room: [`web`] takes a request; [`scrape`] sends workers over a fixed number of sessions; they run
//! the collectors that [`collect`] chose for this server, each a file; what they gather ([`metric`]) is written in the
//! format that was asked for ([`exposition`]), with what the exporter says of itself ([`own`]).
//!
//! Promise: a scrape ends within its time, shows all that has come by then, and says what is missing. The server has
//! never more sessions of it than it was told, however it hangs.

mod args;
mod collect;
mod exposition;
mod gzip;
mod histogram;
mod list;
mod metric;
mod news;
mod own;
mod page;
mod pod;
mod probe;
mod process_metrics;
mod scrape;
mod target;
mod web;
mod web_config;
mod yaml;

use std::sync::{Mutex, MutexGuard, PoisonError};

use pilotfish_failure::Failure;
use pilotfish_runtime::{CommonArgs, Environment, Process, Tool};

pub use args::{Args, Config};

/// Locks; a panic elsewhere leaves what is kept here whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The tool.
#[derive(Debug)]
pub struct Exporter;

impl Tool for Exporter {
    const NAME: &'static str = "exporter";
    /// It waits for the server most of the time; a thread more is memory for nothing.
    const THREADS: Option<usize> = Some(1);
    type Args = Args;
    type Config = Config;

    fn common(args: &Args) -> &CommonArgs {
        args.common()
    }

    fn configure(args: Args, environment: &Environment) -> Result<Config, Vec<String>> {
        args.into_config(environment)
    }

    async fn run(config: Config, process: Process) -> Result<(), Failure> {
        match config {
            Config::Serve(serve) => web::run(*serve, process).await,
            Config::List(list) => list::run(*list, process).await,
        }
    }
}
