//! From the first word of the command line to the exit code.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pilotfish_failure::{Failure, Kind};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::args::{CommonArgs, OutputFormat};
use crate::command_line::{self, Parsed, Request};
use crate::environment::Environment;
use crate::install;
use crate::log::Log;
use crate::outcome;
use crate::process::{Process, lock};

/// How long a signal may take from its handler to whoever waits for it.
const LAST_LOOK: Duration = Duration::from_millis(20);

/// How long an installation that was stopped may take to remove what it began.
const CLEARING: Duration = Duration::from_secs(5);

/// One pilotfish tool.
pub trait Tool: 'static {
    /// Name without prefix: `fetch` is the binary `pilotfish-fetch` and the metrics `pilotfish_fetch_*`.
    const NAME: &'static str;
    /// Threads that work is done on; as many as there are cores where nothing is said. One is the process's own.
    const THREADS: Option<usize> = None;
    /// What the user typed; flattens [`CommonArgs`].
    type Args: clap::Parser + Send;
    /// What the tool works with. Its `Debug` shows secrets as stars: it is logged once, as fields.
    type Config: std::fmt::Debug + Send;

    /// The common flags inside the arguments.
    fn common(args: &Self::Args) -> &CommonArgs;

    /// Checks the arguments and builds the configuration. Opens no port, file or connection.
    ///
    /// # Errors
    /// One sentence for every mistake, not only the first.
    fn configure(args: Self::Args, environment: &Environment) -> Result<Self::Config, Vec<String>>;

    /// Does the work. Returns soon after `process.shutdown`: a daemon with `Ok`, a one-shot that was
    /// interrupted with [`Kind::Cancelled`].
    fn run(
        config: Self::Config,
        process: Process,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// The whole life of a tool's process.
pub fn main<T: Tool>() -> ExitCode {
    use_small_pages();
    // First of all: as PID 1 the kernel drops every signal that comes before its handler.
    let ground = Ground::prepare(T::THREADS);
    let environment = Environment::read();
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(wanted) = install::wanted(&words) {
        return installed(wanted, T::NAME, &environment, ground);
    }
    let parsed = match command_line::parse::<T::Args>(T::NAME, words, &environment) {
        Request::Show(text) => {
            // Nobody to tell when standard output is closed.
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Request::Work(parsed) => parsed,
    };
    let common = parsed
        .args
        .as_ref()
        .map_or_else(|| parsed.common.clone(), |a| T::common(a).clone());
    let log = Log::start(&common);
    let panics = Panics::default();
    panics.hook();
    let end = End {
        environment: &environment,
        common: &common,
        log: &log,
    };
    match configure::<T>(parsed, &environment) {
        Ok(config) => run::<T>(config, ground, &end, &panics),
        Err(mistakes) => end.refuse(T::NAME, &mistakes),
    }
}

/// The end of a program that is several tools and was called by the name of none of them.
pub fn no_tool(tools: &[&str]) -> ExitCode {
    let _ = writeln!(
        io::stderr(),
        "error: this is several tools; call {}",
        tools.join(", ")
    );
    ExitCode::from(Kind::Usage.exit_code())
}

/// Answers `install DIR` with the place of the copy.
fn installed(
    wanted: install::Wanted,
    tool: &str,
    environment: &Environment,
    ground: Result<Ground, Failure>,
) -> ExitCode {
    let log = Log::start(&CommonArgs::default());
    let program = format!("pilotfish-{tool}");
    let help = install::help(&program);
    let answer = match wanted {
        install::Wanted::Into(folder) => ground.and_then(|ground| {
            let Ground {
                event_loop,
                mut signals,
            } = ground;
            let answer = event_loop.block_on(install_unless_stopped(folder, program, &mut signals));
            // A copy that is stuck must not hold the process up.
            event_loop.shutdown_background();
            answer.map(|place| place.display().to_string())
        }),
        install::Wanted::Help => Ok(help),
        install::Wanted::Unclear => {
            let message = "install takes one folder, whose name does not begin with a dash";
            Err(Failure::new(Kind::Usage, message).with_hint(help))
        }
    };
    match answer {
        Ok(text) => {
            let _ = writeln!(io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            outcome::log(&log, Err(&failure), None);
            outcome::write_termination_message(environment, &failure);
            ExitCode::from(failure.kind().exit_code())
        }
    }
}

async fn install_unless_stopped(
    folder: PathBuf,
    program: String,
    signals: &mut Signals,
) -> Result<PathBuf, Failure> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let copy = move || install::into(&folder, &program, || !stopped.is_cancelled());
    let mut copying = tokio::task::spawn_blocking(copy);
    let lost = |lost: JoinError| Err(outcome::bug(&lost.to_string()));
    tokio::select! {
        done = &mut copying => return done.unwrap_or_else(lost),
        name = signals.next() => {
            info!(signal = name, "shutting down");
            stop.cancel();
        }
    }
    match tokio::time::timeout(CLEARING, copying).await {
        Ok(done) => done.unwrap_or_else(lost),
        Err(_) => Err(Failure::new(
            Kind::Cancelled,
            "install: a signal came, and the folder does not answer",
        )),
    }
}

/// The allocator asks for huge pages, of which a process of many short-lived buffers on many threads
/// uses a corner each: 50 MiB resident instead of 21. Kernels without them have nothing to turn off.
fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
}

/// Mistakes that keep a tool from starting.
struct Mistakes {
    kind: Kind,
    sentences: Vec<String>,
}

fn configure<T: Tool>(
    parsed: Parsed<T::Args>,
    environment: &Environment,
) -> Result<T::Config, Mistakes> {
    let mut sentences = parsed.mistakes;
    let kind = if sentences.is_empty() {
        Kind::Config
    } else {
        Kind::Usage
    };
    let config = match parsed.args {
        // Without a value that was taken out, the tool would complain about its absence.
        Some(args) if !parsed.value_dropped => match T::configure(args, environment) {
            Ok(config) => Some(config),
            Err(more) => {
                sentences.extend(more);
                None
            }
        },
        _ => None,
    };
    match config {
        Some(config) if sentences.is_empty() => Ok(config),
        _ => Err(Mistakes { kind, sentences }),
    }
}

/// What a process stands on before anything is known of its work.
struct Ground {
    event_loop: Runtime,
    signals: Signals,
}

impl Ground {
    fn prepare(threads: Option<usize>) -> Result<Self, Failure> {
        // One thread is this one.
        let mut event_loop = match threads {
            Some(1) => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        if let Some(threads) = threads {
            event_loop.worker_threads(threads);
        }
        let event_loop = event_loop
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Kind::Config, format!("start threads: {error}")))?;
        let signals = {
            let _inside = event_loop.enter();
            Signals::listen()?
        };
        Ok(Self {
            event_loop,
            signals,
        })
    }
}

fn run<T: Tool>(
    config: T::Config,
    ground: Result<Ground, Failure>,
    end: &End<'_>,
    panics: &Panics,
) -> ExitCode {
    if let Err(failure) = end.check_result_file() {
        return end.tell_without_file(&failure);
    }
    let shutdown = panics.shutdown.clone();
    let process = match Process::new(T::NAME, end.common.output, end.log, shutdown) {
        Ok(process) => process,
        Err(error) => return end.tell(Err(&outcome::bug(&error.to_string())), None),
    };
    let Ground {
        event_loop,
        mut signals,
    } = match ground {
        Ok(ground) => ground,
        Err(failure) => return end.tell(Err(&failure), None),
    };
    let life = live::<T>(config, process.clone(), &mut signals, end);
    let mut outcome = event_loop.block_on(life);
    process.end();
    if let Some(panicked) = panics.message() {
        outcome = Err(outcome::bug(&panicked));
    }
    let (outcome, result) = end.settle(outcome, &process);
    let code = end.tell(outcome.as_ref().copied(), result.as_ref());
    let failure = match process.take_successor() {
        Some(successor) if outcome.is_ok() => {
            Some(event_loop.block_on(become_it(successor, &mut signals)))
        }
        _ => None,
    };
    // Blocking work that ignores the shutdown must not hold the process up.
    event_loop.shutdown_background();
    match failure {
        Some(failure) => end.tell(Err(&failure), None),
        None => code,
    }
}

/// Becomes the program, unless somebody has told this process to stop; returns why it did not.
async fn become_it(mut successor: Command, signals: &mut Signals) -> Failure {
    let program = successor.get_program().to_string_lossy().into_owned();
    if signals.came_by(LAST_LOOK).await {
        let message = format!("a signal came before {program} was started");
        return Failure::new(Kind::Cancelled, message);
    }
    let error = successor.exec();
    Failure::new(Kind::Config, format!("run {program}: {error}"))
        .with_hint("the program must exist in this container and be executable")
}

/// Runs the tool until it returns, or until the patience after a signal is used up.
async fn live<T: Tool>(
    config: T::Config,
    process: Process,
    signals: &mut Signals,
    end: &End<'_>,
) -> Result<(), Failure> {
    let common = end.common;
    end.log.configuration(T::NAME, &config);
    let report = process.board().report();
    let shutdown = process.shutdown.clone();
    tokio::spawn(report);
    // A task of its own, so that a panic in it is caught.
    let tool = tokio::spawn(T::run(config, process));
    let work = async {
        tool.await
            .unwrap_or_else(|lost| Err(outcome::bug(&lost.to_string())))
    };
    let mut work = std::pin::pin!(work);
    tokio::select! {
        outcome = &mut work => return outcome,
        name = signals.next() => {
            info!(signal = name, grace = ?common.grace, "shutting down");
            shutdown.cancel();
        }
        () = shutdown.cancelled() => {}
    }
    tokio::select! {
        outcome = &mut work => outcome,
        name = signals.next() => {
            warn!(signal = name, "second signal: ending at once");
            Err(Failure::new(Kind::Cancelled, "a second signal ended the process at once"))
        }
        () = tokio::time::sleep(common.grace) => {
            let grace = common.grace;
            Err(Failure::new(Kind::Cancelled, format!("work did not end within {grace:?} after the signal"))
                .with_hint("raise --grace and the pod's terminationGracePeriodSeconds"))
        }
    }
}

/// SIGTERM and SIGINT: as PID 1 a process without handlers ignores both.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    came: bool,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| outcome::bug(&format!("install signal handlers: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            came: false,
        })
    }

    async fn next(&mut self) -> &'static str {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        self.came = true;
        name
    }

    /// Whether one has come by now, whoever was told of it; waits `moment` for the thread that passes it on.
    async fn came_by(&mut self, moment: Duration) -> bool {
        self.came || tokio::time::timeout(moment, self.next()).await.is_ok()
    }
}

/// Panics of any thread: one line each, and the process shuts down with exit code 70.
#[derive(Default)]
struct Panics {
    shutdown: CancellationToken,
    first: Arc<Mutex<Option<String>>>,
}

impl Panics {
    fn hook(&self) {
        let shutdown = self.shutdown.clone();
        let first = Arc::clone(&self.first);
        std::panic::set_hook(Box::new(move |panic| {
            let message = describe(panic);
            // Captured only if RUST_BACKTRACE asks for it.
            let backtrace = std::backtrace::Backtrace::capture();
            if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
                error!("{message}\n{backtrace}");
            }
            lock(&first).get_or_insert(message);
            shutdown.cancel();
        }));
    }

    fn message(&self) -> Option<String> {
        lock(&self.first).clone()
    }
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_owned());
    match panic.location() {
        Some(place) => format!("{text} at {}:{}", place.file(), place.line()),
        None => text,
    }
}

/// Everyone who is told how it ended.
struct End<'a> {
    environment: &'a Environment,
    common: &'a CommonArgs,
    log: &'a Log,
}

impl End<'_> {
    /// Folds what happened to standard output and the result into the outcome.
    fn settle(
        &self,
        outcome: Result<(), Failure>,
        process: &Process,
    ) -> (Result<(), Failure>, Option<Value>) {
        let (outcome, result) = match process.take_result() {
            Some(Err(error)) => (
                Err(outcome::bug(&format!("write the result: {error}"))),
                None,
            ),
            Some(Ok(value)) => (outcome, Some(value)),
            None => (outcome, None),
        };
        if self.common.output == OutputFormat::Json {
            match (&outcome, &result) {
                (Ok(()), Some(value)) => process.print(&value.to_string()),
                (Ok(()), None) => {}
                (Err(failure), result) => {
                    let document = outcome::document(Err(failure), result.as_ref());
                    process.print(&Value::Object(document).to_string());
                }
            }
        }
        let outcome = match process.take_stdout_error() {
            // The reader has seen enough: that is its right.
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => match outcome {
                Err(failure) if failure.kind() != Kind::Cancelled => Err(failure),
                _ => Ok(()),
            },
            Some(error) => {
                outcome.and_then(|()| Err(Failure::from(error).context("write to standard output")))
            }
            None => outcome,
        };
        (outcome, result)
    }

    /// Before the work: afterwards it is too late to learn that its result has nowhere to go.
    fn check_result_file(&self) -> Result<(), Failure> {
        let path = self.common.result_file.as_deref();
        path.map_or(Ok(()), outcome::check_result_file)
    }

    fn tell_without_file(&self, failure: &Failure) -> ExitCode {
        outcome::log(self.log, Err(failure), None);
        outcome::write_termination_message(self.environment, failure);
        ExitCode::from(failure.kind().exit_code())
    }

    fn tell(&self, outcome: Result<(), &Failure>, result: Option<&Value>) -> ExitCode {
        outcome::log(self.log, outcome, result);
        self.write(outcome, &outcome::document(outcome, result))
    }

    /// Reports mistakes: a list for a person, one line for a collector.
    fn refuse(&self, tool: &str, mistakes: &Mistakes) -> ExitCode {
        let sentences = &mistakes.sentences;
        let failure = Failure::new(mistakes.kind, sentences.join("; "))
            .with_hint(format!("see pilotfish-{tool} --help"));
        let mut document = outcome::document(Err(&failure), None);
        document.insert("mistakes".to_owned(), sentences.clone().into());
        if self.log.is_json() {
            self.log
                .json_line("ERROR", &failure.to_string(), document.clone());
        } else {
            let count = match sentences.len() {
                1 => "one mistake".to_owned(),
                count => format!("{count} mistakes"),
            };
            let list: String = sentences
                .iter()
                .map(|sentence| format!("  - {sentence}\n"))
                .collect();
            self.log.raw_line(&format!(
                "pilotfish-{tool}: {count} in the configuration, nothing was started\n{list}see pilotfish-{tool} --help"
            ));
        }
        self.write(Err(&failure), &document)
    }

    fn write(&self, outcome: Result<(), &Failure>, document: &Map<String, Value>) -> ExitCode {
        let mut code = 0;
        if let Err(failure) = outcome {
            outcome::write_termination_message(self.environment, failure);
            code = failure.kind().exit_code();
        }
        if let Some(path) = &self.common.result_file
            && let Err(error) = outcome::write_result_file(path, document)
        {
            error!(path = %path.display(), %error, "cannot write the result file");
            if code == 0 {
                code = Kind::CannotWrite.exit_code();
            }
        }
        ExitCode::from(code)
    }
}
