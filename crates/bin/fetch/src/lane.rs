//! Network work on one thread with an event loop of its own.
//!
//! Buffers are freed on the thread that made them: with connections moving between the threads of
//! the process's event loop, the allocator kept half as much again (34 MiB instead of 21 for four
//! connections). One thread is not what limits a transfer, and it may block on the disk.

use pilotfish_failure::{Failure, Kind};
use tokio_util::sync::CancellationToken;

/// Runs `work` to its end on a thread of its own. Dropping the future stops it.
pub(crate) async fn on_own_thread<T, W>(
    name: &str,
    work: impl FnOnce() -> W + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    W: Future<Output = T>,
{
    let unwanted = CancellationToken::new();
    let _stop_when_dropped = unwanted.clone().drop_guard();
    let (tell, told) = tokio::sync::oneshot::channel();
    let cannot = |what: &dyn std::fmt::Display| {
        Failure::new(Kind::Config, format!("start the {name} thread: {what}"))
    };
    let event_loop = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot(&error))?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let done = event_loop.block_on(async {
                tokio::select! {
                    done = work() => Some(done),
                    () = unwanted.cancelled() => None,
                }
            });
            if let Some(done) = done {
                // Nobody waits for it any more: then it was not wanted.
                let _ = tell.send(done);
            }
            // File reads that nobody waits for must not hold the thread.
            event_loop.shutdown_background();
        })
        .map_err(|error| cannot(&error))?;
    told.await.map_err(|_| {
        Failure::new(
            Kind::Bug,
            format!("the {name} thread ended without an answer"),
        )
    })
}
