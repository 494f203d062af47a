//! Brings a dump from S3, Azure, https or a file onto a volume.
//!
//! Promise: what readers see is a release that was received whole and verified, published by one
//! rename (the volume contract of `pilotfish-volume`); a cut or a kill costs at most the parts that
//! were in flight; bytes of two versions are never mixed; a source that is away is no reason to fail
//! while the volume has a release. Memory is bounded: 1 MiB per connection, 3 MiB of buffers and the
//! decompressor's window, whatever the object's size.
//!
//! It knows no database and does not look into dumps.

mod api;
mod args;
mod bring;
mod checksum;
mod config;
mod daemon;
mod download;
mod find;
mod flush;
mod genuine;
mod glob;
mod inflow;
mod lane;
mod limit;
mod metrics;
mod notify;
mod page;
mod partial;
mod receive;
mod report;
mod retry;
mod round;
mod space;
mod stdout;
mod unpack;

use std::path::Path;
use std::sync::Arc;

use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::{CommonArgs, Environment, Process, Tool};
use pilotfish_storage::{Storage, open};

pub use args::Args;
pub use config::Config;
use config::Destination;
use limit::Limit;
use metrics::Metrics;
use notify::Notifier;
use report::{Report, warn_of};
use round::Rounds;

/// The tool.
#[derive(Debug)]
pub struct Fetch;

impl Tool for Fetch {
    const NAME: &'static str = "fetch";
    type Args = Args;
    type Config = Config;

    fn common(args: &Args) -> &CommonArgs {
        args.common()
    }

    fn configure(args: Args, env: &Environment) -> Result<Config, Vec<String>> {
        args.into_config(env)
    }

    async fn run(config: Config, process: Process) -> Result<(), Failure> {
        let metrics = Metrics::register(&process.metrics)?;
        let config = Arc::new(config);
        let storage = open(&config.address, &config.storage).await?;
        let limit = Limit::start(config.timeout, &process.shutdown);
        match &config.destination {
            Destination::Stdout => {
                stdout::run(&config, &storage, &process, &metrics, &limit.cancel)
                    .await
                    .map_err(|failure| limit.explain(failure))
            }
            Destination::Volume(root) => {
                onto_volume(&config, &storage, root, &process, &metrics, &limit).await
            }
        }
    }
}

async fn onto_volume(
    config: &Arc<Config>,
    storage: &Arc<dyn Storage>,
    root: &Path,
    process: &Process,
    metrics: &Metrics,
    limit: &Limit,
) -> Result<(), Failure> {
    let notifier = match &config.notify {
        Some(notify) => Some(Notifier::new(
            notify,
            &config.storage,
            metrics,
            &process.shutdown,
        )?),
        None => None,
    };
    let mut rounds = Rounds::new(
        Arc::clone(config),
        Arc::clone(storage),
        root,
        process,
        metrics,
        &limit.cancel,
    );
    if let Some(daemon) = &config.daemon {
        return daemon::run(rounds, daemon, notifier, process, metrics).await;
    }
    let report = match rounds.run().await {
        Ok(report) => report,
        Err(failure) => without_the_source(&rounds, limit.explain(failure)).await?,
    };
    report.tell(&config.address);
    process.result(&report);
    if let (Some(notifier), Some(release)) = (notifier, &report.release) {
        notifier.tell_once(release).await?;
    }
    Ok(())
}

/// How a run ends that brought nothing.
async fn without_the_source(rounds: &Rounds, failure: Failure) -> Result<Report, Failure> {
    if rounds.config.strict {
        return Err(failure);
    }
    match good_enough(rounds, failure).await {
        Err(failure) if rounds.config.best_effort && !is_our_own_end(failure.kind()) => {
            tracing::warn!(
                source = %rounds.config.address,
                problem = %failure,
                hint = failure.hint(),
                "nothing was brought; --best-effort lets it pass, a later run may do better"
            );
            Ok(Report::let_pass(&failure))
        }
        ended => ended,
    }
}

/// What no source, disk or publisher is to blame for. Mistakes of the command line end a process before this.
const fn is_our_own_end(kind: Kind) -> bool {
    matches!(kind, Kind::Bug | Kind::Cancelled)
}

/// A release on the volume is good enough when the source is away: a pod must not stay down because
/// a bucket is.
async fn good_enough(rounds: &Rounds, failure: Failure) -> Result<Report, Failure> {
    let away = matches!(
        failure.kind(),
        Kind::Unreachable | Kind::Denied | Kind::TimedOut
    );
    let Some(live) = rounds.live().await?.filter(|_| away) else {
        return Err(failure);
    };
    warn_of(&failure, &rounds.config.address, &live, None);
    Ok(Report::source_away(live, &failure))
}
