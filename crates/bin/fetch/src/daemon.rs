//! The loop: a round, a pause, and again, for as long as the failure budgets allow.

use std::sync::Arc;
use std::time::Duration;

use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::{Process, Ready};
use pilotfish_volume::Manifest;
use tokio::sync::watch;

use crate::api::{self, Board};
use crate::config::Loop;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::report::{Outcome, Report, warn_of};
use crate::retry::backoff;
use crate::round::Rounds;

/// First pause after a failed round; doubled up to `--every`.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// Runs rounds until shutdown or until a failure budget is spent.
pub(crate) async fn run(
    mut rounds: Rounds,
    daemon: &Loop,
    notifier: Option<Notifier>,
    process: &Process,
    metrics: &Metrics,
) -> Result<(), Failure> {
    let config = Arc::clone(&rounds.config);
    let ready = Ready::new("waiting for the first release on the volume");
    let board = Arc::new(Board::new(&config, metrics));
    let routes = api::routes(&board, daemon.api.token_file.clone());
    process
        .serve_admin(daemon.api.listen, ready.clone(), routes)
        .await?;
    let (newest, releases) = watch::channel(None);
    if let Some(notifier) = notifier {
        tokio::spawn(notifier.tell_all(releases));
    }
    let show = |release: Option<&Manifest>| {
        if let Some(release) = release {
            ready.set(
                true,
                &format!("release {} is on the volume", release.release),
            );
            metrics.live(release);
            board.live(release);
            newest.send_if_modified(|told: &mut Option<Manifest>| {
                let is_new = told
                    .as_ref()
                    .is_none_or(|told| told.release != release.release);
                if is_new {
                    *told = Some(release.clone());
                }
                is_new
            });
        }
    };
    let mut failures = 0;
    let mut last = None;
    loop {
        if let Ok(live) = rounds.live().await {
            show(live.as_ref());
        }
        board.begin();
        let round = rounds.run().await;
        if process.shutdown.is_cancelled() {
            return Ok(());
        }
        let pause = match round {
            Ok(report) => {
                failures = 0;
                succeeded(&report, last.replace(report.outcome), metrics);
                show(report.release.as_ref());
                process.result(&report);
                board.end(Ok(&report));
                daemon.every
            }
            Err(failure) => {
                last = None;
                metrics.failed(&failure);
                board.end(Err(&failure));
                let busy = failure.kind() == Kind::Busy;
                // Another publisher at work is how two pods share a volume.
                failures += u32::from(!busy);
                let has_release = ready.get().0;
                if spent(daemon, failures, has_release) {
                    return Err(
                        failure.context(format!("give up after {failures} failures in a row"))
                    );
                }
                match board.release() {
                    Some(live) => warn_of(&failure, &config.address, &live, Some(failures)),
                    None => {
                        tracing::warn!(error = %failure, hint = failure.hint(), failures, "round failed");
                    }
                }
                backoff(failures.max(1), FIRST_PAUSE, daemon.every).min(daemon.every)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = board.asked() => tracing::info!("asked for a round"),
            () = process.shutdown.cancelled() => return Ok(()),
        }
    }
}

/// Whether the failures in a row are more than the budget.
fn spent(daemon: &Loop, failures: u32, has_release: bool) -> bool {
    if has_release {
        daemon.max_failures.is_some_and(|budget| failures > budget)
    } else {
        failures > daemon.init_max_failures
    }
}

fn succeeded(report: &Report, last: Option<Outcome>, metrics: &Metrics) {
    metrics.succeeded(report.outcome.name());
    // That there is still nothing to do is no news.
    if report.received_bytes == 0 && last == Some(report.outcome) {
        return;
    }
    let release = report.release.as_ref();
    tracing::info!(
        outcome = report.outcome.name(),
        release = release.map(|release| release.release.as_str()),
        received_bytes = report.received_bytes,
        problem = report.problem,
        "round done"
    );
}
