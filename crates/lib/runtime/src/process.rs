//! What a running tool may ask of its process.

use std::ffi::{OsStr, OsString};
use std::io::{self, StdoutLock, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pilotfish_failure::Failure;
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Ready};
use crate::args::OutputFormat;
use crate::front::Front;
use crate::log::Log;
use crate::progress::{Board, Progress, Unit};

/// The process as the tool sees it: when to stop, where results, progress and metrics go.
#[derive(Clone)]
pub struct Process {
    /// Cancelled by the first SIGTERM or SIGINT: finish within `--grace`.
    pub shutdown: CancellationToken,
    /// What `/metrics` shows. Names: `pilotfish_<tool>_<noun>_<unit>[_total]`.
    pub metrics: prometheus::Registry,
    shared: Arc<Shared>,
}

struct Shared {
    output: OutputFormat,
    board: Board,
    /// Cancelled when `run` has returned: until then the admin port answers, during a drain too.
    ended: CancellationToken,
    result: Mutex<Option<Result<Value, String>>>,
    successor: Mutex<Option<Command>>,
    stdout_error: Mutex<Option<io::Error>>,
}

impl Process {
    pub(crate) fn new(
        tool: &str,
        output: OutputFormat,
        log: &Log,
        shutdown: CancellationToken,
    ) -> Result<Self, prometheus::Error> {
        let board = Board::new(log.bars().cloned());
        let shared = Shared {
            output,
            board,
            ended: CancellationToken::new(),
            result: Mutex::new(None),
            successor: Mutex::new(None),
            stdout_error: Mutex::new(None),
        };
        let metrics = prometheus::Registry::new();
        admin::register_process_metrics(tool, &metrics)?;
        Ok(Self {
            shutdown,
            metrics,
            shared: Arc::new(shared),
        })
    }

    /// Shows how far a piece of work is: a bar on a terminal, else a log line every 10 s. `total` is
    /// in the same unit, `None` as long as nobody knows.
    #[must_use]
    pub fn progress(&self, label: &str, unit: Unit, total: Option<u64>) -> Progress {
        self.shared.board.begin(label, unit, total)
    }

    /// The result of the run, replacing an earlier one. It goes to `--result-file` and the last log
    /// line (inside `result`), and as it is to standard output with `--output json`.
    pub fn result(&self, value: &impl Serialize) {
        let value = serde_json::to_value(value).map_err(|error| error.to_string());
        *lock(&self.shared.result) = Some(value);
    }

    /// What standard output should get.
    #[must_use]
    pub fn output(&self) -> OutputFormat {
        self.shared.output
    }

    /// Writes text to standard output, for the answers of query commands; a missing final newline is
    /// added. A reader that went away (`| head`) ends the tool quietly.
    pub fn print(&self, text: &str) {
        let mut out = io::stdout().lock();
        let mut write = || {
            out.write_all(text.as_bytes())?;
            if !text.ends_with('\n') {
                out.write_all(b"\n")?;
            }
            out.flush()
        };
        if let Err(error) = write() {
            lock(&self.shared.stdout_error).get_or_insert(error);
            self.shutdown.cancel();
        }
    }

    /// Standard output itself, locked, for tools whose output is the data. What becomes of a failed
    /// write is the caller's to say. [`Self::print`] waits for the lock.
    pub fn stdout(&self) -> StdoutLock<'static> {
        io::stdout().lock()
    }

    /// Serves `/livez`, `/readyz`, `/metrics` and the tool's own `routes` (its page at `/` among
    /// them) on a thread of its own, until `run` has returned. Returns the address really bound,
    /// which matters for port 0.
    ///
    /// # Errors
    /// [`Kind::Config`](pilotfish_failure::Kind::Config) naming the address when it cannot be bound.
    #[expect(
        clippy::unused_async,
        reason = "callers await it: binding may become asynchronous"
    )]
    pub async fn serve_admin(
        &self,
        listen: SocketAddr,
        ready: Ready,
        routes: axum::Router,
    ) -> Result<SocketAddr, Failure> {
        let metrics = admin::metrics(self.metrics.clone());
        self.serve_own_metrics(listen, ready, routes.merge(metrics), None)
    }

    /// The same for a tool whose `routes` answer `/metrics` too, behind TLS where there is a front.
    ///
    /// # Errors
    /// As [`Self::serve_admin`].
    pub fn serve_own_metrics(
        &self,
        listen: SocketAddr,
        ready: Ready,
        routes: axum::Router,
        front: Option<Front>,
    ) -> Result<SocketAddr, Failure> {
        let (shutdown, stop) = (self.shutdown.clone(), self.shared.ended.clone());
        admin::serve(listen, ready, routes, front, shutdown, stop)
    }

    /// Replaces this process by `program` once `run` has returned `Ok` and everything is written.
    pub fn exec_after<A: AsRef<OsStr>>(
        &self,
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = A>,
    ) {
        let mut command = Command::new(program.into());
        command.args(args);
        *lock(&self.shared.successor) = Some(command);
    }

    pub(crate) fn board(&self) -> &Board {
        &self.shared.board
    }

    pub(crate) fn take_result(&self) -> Option<Result<Value, String>> {
        lock(&self.shared.result).take()
    }

    pub(crate) fn take_successor(&self) -> Option<Command> {
        lock(&self.shared.successor).take()
    }

    pub(crate) fn take_stdout_error(&self) -> Option<io::Error> {
        lock(&self.shared.stdout_error).take()
    }

    pub(crate) fn end(&self) {
        self.shared.ended.cancel();
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("shutdown", &self.shutdown)
            .finish_non_exhaustive()
    }
}

/// Locks; a panic elsewhere leaves these small values whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
