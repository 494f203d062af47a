//! Several connections that work off one bounded queue.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotfish_dump::{Position, Statement, excerpt};
use pilotfish_engine::load::{Completed, Loaded, MarkChunk, RowBatch, Stage, Worker};
use pilotfish_failure::{Context as _, Failure, Kind};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::Progress;
use crate::keys::Key;
use crate::throttle::Throttle;

/// Jobs that wait for a connection: one is enough to keep all of them busy.
const QUEUED: usize = 1;

/// Work for one connection.
#[derive(Debug)]
pub(crate) enum Job {
    /// Store rows.
    Rows(Box<RowBatch>, Position),
    /// Keep the marks of rows for the next load, under the name of the first one's table.
    Marks(Vec<MarkChunk>),
    /// Copy the rows of a live table.
    Carry(String),
    /// Build a key that the dump makes behind its rows.
    Build(Box<Key>),
    /// Put the keys of a table back.
    RestoreKeys(String),
    /// Build keys, count, take the proof.
    Complete(String),
}

impl Job {
    const fn is_of_rows(&self) -> bool {
        matches!(self, Self::Rows(..) | Self::Carry(_) | Self::Marks(_))
    }
}

/// Work that was done.
#[derive(Debug)]
pub(crate) enum Done {
    Rows {
        table: String,
        rows: u64,
        loaded: Loaded,
    },
    Marked {
        table: String,
    },
    Built {
        number: u64,
    },
    KeysRestored {
        table: String,
    },
    Completed {
        table: String,
        completed: Completed,
    },
}

impl Done {
    pub(crate) fn table(&self) -> &str {
        match self {
            Self::Rows { table, .. }
            | Self::Marked { table }
            | Self::KeysRestored { table }
            | Self::Completed { table, .. } => table,
            Self::Built { .. } => "",
        }
    }
}

/// See the module. Dropping it ends the connections: what they had not committed is undone.
#[derive(Debug)]
pub(crate) struct Pool {
    jobs: mpsc::Sender<Job>,
    done: mpsc::UnboundedReceiver<Result<Done, Failure>>,
    tasks: JoinSet<()>,
}

type Queue = Arc<Mutex<mpsc::Receiver<Job>>>;

impl Pool {
    /// Opens `size` connections.
    pub(crate) async fn open(
        stage: &dyn Stage,
        size: usize,
        throttle: Option<&Throttle>,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let mut workers = Vec::with_capacity(size);
        for _ in 0..size {
            workers.push(stage.worker().await.context("open a connection for rows")?);
        }
        Ok(Self::of(workers, throttle, progress))
    }

    fn of(workers: Vec<Box<dyn Worker>>, throttle: Option<&Throttle>, progress: &Progress) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUED);
        let queue: Queue = Arc::new(Mutex::new(queue));
        // Unbounded, but every entry stands for a job that went through the bounded queue.
        let (tell, done) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for worker in workers {
            let (queue, tell) = (Arc::clone(&queue), tell.clone());
            let serving = serve(worker, queue, tell, throttle.cloned(), progress.clone());
            tasks.spawn(serving);
        }
        Self { jobs, done, tasks }
    }

    /// Whatever is done next. Never ends while jobs are under way.
    pub(crate) async fn done(&mut self) -> Result<Done, Failure> {
        loop {
            tokio::select! {
                biased;
                done = self.done.recv() => return done.unwrap_or_else(|| Err(ended())),
                Some(joined) = self.tasks.join_next() => joined.map_err(|_| ended())?,
            }
        }
    }

    /// Puts a job into the queue once there is room; hands over what is done meanwhile.
    pub(crate) async fn send(
        &mut self,
        job: Job,
        mut note: impl FnMut(Done),
    ) -> Result<(), Failure> {
        let jobs = self.jobs.clone();
        let mut room = std::pin::pin!(jobs.reserve());
        loop {
            tokio::select! {
                biased;
                done = self.done.recv() => note(done.unwrap_or_else(|| Err(ended()))?),
                Some(joined) = self.tasks.join_next() => joined.map_err(|_| ended())?,
                permit = &mut room => {
                    permit.map_err(|_| ended())?.send(job);
                    return Ok(());
                }
            }
        }
    }

    /// Ends the connections, all jobs being done.
    pub(crate) async fn close(self) {
        let Self {
            jobs, mut tasks, ..
        } = self;
        drop(jobs);
        while tasks.join_next().await.is_some() {}
    }
}

/// What failed, for errors about a statement of the dump.
pub(crate) fn doing(statement: &Statement) -> String {
    format!("run {}: {}", statement.position, excerpt(&statement.text))
}

fn ended() -> Failure {
    Failure::new(Kind::Bug, "the connections for rows ended early")
}

async fn serve(
    mut worker: Box<dyn Worker>,
    queue: Queue,
    tell: mpsc::UnboundedSender<Result<Done, Failure>>,
    mut throttle: Option<Throttle>,
    progress: Progress,
) {
    loop {
        let job = queue.lock().await.recv().await;
        let Some(job) = job else { return };
        let turn = match &mut throttle {
            Some(throttle) => throttle.pass().await.map(Some),
            None => Ok(None),
        };
        let turn = match turn {
            Ok(turn) => turn,
            Err(refused) => {
                // Whoever does not listen any more has failed already.
                let _ = tell.send(Err(refused));
                return;
            }
        };
        let (of_rows, begun) = (job.is_of_rows(), Instant::now());
        let outcome = work(worker.as_mut(), job).await;
        drop(turn);
        let (took, converting) = (begun.elapsed(), worker.converting());
        if of_rows {
            progress.spent("converting", converting);
            progress.spent("storing", took.saturating_sub(converting));
        } else {
            let proving = match &outcome {
                Ok(Done::Completed { completed, .. }) => completed.proved_in,
                _ => Duration::ZERO,
            };
            progress.spent("building", took.saturating_sub(proving));
        }
        let failed = outcome.is_err();
        if tell.send(outcome).is_err() || failed {
            return;
        }
        if let Some(throttle) = throttle.as_ref().filter(|_| of_rows) {
            throttle.rest(took).await;
        }
    }
}

async fn work(worker: &mut dyn Worker, job: Job) -> Result<Done, Failure> {
    match job {
        Job::Rows(batch, position) => {
            let loaded = worker.load(&batch).await.context(format!(
                "load the rows at {position}: {} INTO {}",
                batch.verb, batch.table
            ))?;
            Ok(Done::Rows {
                table: batch.table,
                rows: batch.rows,
                loaded,
            })
        }
        Job::Marks(marks) => {
            let table = marks.first().map(|marks| marks.table.clone());
            let table = table.unwrap_or_default();
            let kept = worker.keep_marks(&marks).await;
            kept.context(format!("keep the marks of {table} and others"))?;
            Ok(Done::Marked { table })
        }
        Job::Carry(table) => {
            let loaded = worker.carry(&table).await;
            let loaded = loaded.context(format!("copy the rows of {table}"))?;
            let rows = loaded.stored.unwrap_or_default();
            Ok(Done::Rows {
                table,
                rows,
                loaded,
            })
        }
        Job::Build(key) => {
            let built = worker.build(&key.statement.text, &key.session).await;
            built.context(doing(&key.statement))?;
            Ok(Done::Built { number: key.number })
        }
        Job::RestoreKeys(table) => {
            worker
                .restore_keys(&table)
                .await
                .context(format!("build the keys of {table}"))?;
            Ok(Done::KeysRestored { table })
        }
        Job::Complete(table) => {
            let completed = worker
                .complete(&table)
                .await
                .context(format!("build the keys of {table}"))?;
            Ok(Done::Completed { table, completed })
        }
    }
}
