//! One run of the loader, as a task that can be stopped and looked at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotfish_failure::{Failure, Kind};
use pilotfish_loader::{Phase, Progress, Report, Snapshot};
use pilotfish_runtime::{Process, Progress as Shown, Unit};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::dispatcher::{Release, short};
use crate::job::Job;

/// How often progress goes from the loader to the log or the bar.
const REFRESH: Duration = Duration::from_millis(200);

/// Time for the loader to leave by itself: the server may be in the middle of a long statement.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Run {
    release: Release,
    started: Instant,
    progress: Progress,
    cancel: CancellationToken,
    task: JoinHandle<Result<Report, Failure>>,
}

/// How a run ended.
pub(super) struct Ended {
    pub(super) release: Release,
    pub(super) took: Duration,
    pub(super) result: Result<Report, Failure>,
}

impl Run {
    pub(super) fn start(process: &Process, job: Arc<Job>, release: Release) -> Self {
        let (progress, cancel) = (Progress::new(), CancellationToken::new());
        let shown = process.progress(
            &format!("load {}", short(&release.digest)),
            Unit::Bytes,
            None,
        );
        let work = {
            let (release, progress, cancel) = (release.clone(), progress.clone(), cancel.clone());
            async move { job.load(&release, &progress, &cancel).await }
        };
        let (look, stop) = (progress.clone(), cancel.clone());
        let task = tokio::spawn(async move {
            let mut work = std::pin::pin!(work);
            let mut ticks = tokio::time::interval(REFRESH);
            loop {
                tokio::select! {
                    result = &mut work => return result,
                    () = stop.cancelled() => break,
                    _ = ticks.tick() => show(&look.snapshot(), &shown),
                }
            }
            shown.note("stopping");
            tokio::select! {
                result = &mut work => return result,
                () = tokio::time::sleep(PATIENCE) => {}
            }
            let phase = look.snapshot().phase;
            if may_be_left(phase) {
                let message = format!(
                    "left the load while {}: nothing live was changed",
                    phase.name()
                );
                return Err(Failure::new(Kind::Cancelled, message));
            }
            work.await
        });
        Self {
            release,
            started: Instant::now(),
            progress,
            cancel,
            task,
        }
    }

    /// Tells the loader to leave; its end follows.
    pub(super) fn stop(&self) {
        self.cancel.cancel();
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.progress.snapshot()
    }

    /// Waits for the end of the run, for ever when there is none, and takes the run away. Nothing is
    /// lost when the wait is given up.
    pub(super) async fn end(run: &mut Option<Self>) -> Ended {
        let Some(running) = run else {
            return std::future::pending().await;
        };
        let result = (&mut running.task).await.unwrap_or_else(|lost| {
            Err(Failure::new(
                Kind::Bug,
                format!("the load's task ended: {lost}"),
            ))
        });
        let ended = Ended {
            release: running.release.clone(),
            took: running.started.elapsed(),
            result,
        };
        *run = None;
        ended
    }
}

fn show(now: &Snapshot, shown: &Shown) {
    shown.set(now.bytes);
    if let Some(total) = now.bytes_total {
        shown.total(total);
    }
    shown.note(&format!("{}, {} rows", now.phase.name(), now.rows));
}

/// Whether the loader can be dropped where it is, as if it had been killed, without anything live in
/// motion. Then the server ends its statement alone, and the next load waits for its lock.
fn may_be_left(phase: Phase) -> bool {
    match phase {
        Phase::Opening | Phase::Surveying | Phase::Staging | Phase::Keys | Phase::Checking => true,
        Phase::Swapping | Phase::Finishing | Phase::Tidying | Phase::Done => false,
    }
}
