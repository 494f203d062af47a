//! Running a tool's real binary: cleared environment, bounded time, results that must be looked at.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::eventually::{PATIENCE, eventually};
use crate::length::short_or_long;
use crate::process::signal;

/// A command for one tool. The environment holds nothing but what the test puts there.
#[derive(Debug)]
#[must_use]
pub struct Tool {
    command: Command,
    stdin: Stdin,
    timeout: Duration,
}

#[derive(Debug)]
enum Stdin {
    Null,
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Tool {
    /// A command for the binary at `path`; in a tool's own tests `tool!("load")` knows the path.
    pub fn new(path: impl AsRef<Path>) -> Self {
        let mut command = Command::new(path.as_ref());
        command.env_clear().env("TZ", "UTC");
        Self {
            command,
            stdin: Stdin::Null,
            timeout: Duration::from_secs(short_or_long(120, 3600)),
        }
    }

    /// A command for the tool that was built together with the running program: for the demo, the
    /// benchmarks and the examples, which are not tests of one tool.
    ///
    /// # Panics
    /// When the tool was not built.
    pub fn beside(name: &str) -> Self {
        let here = std::env::current_exe().expect("the path of the running program");
        // Cargo keeps tests in a folder below the one of the tools.
        let mut folder = here.parent().expect("a program has a folder");
        if folder.ends_with("deps") {
            folder = folder.parent().expect("and that one, too");
        }
        let path = folder.join(format!("pilotfish-{name}"));
        assert!(
            path.exists(),
            "{} is missing: build the workspace",
            path.display()
        );
        Self::new(path)
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets variables.
    pub fn envs(
        mut self,
        pairs: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Self {
        self.command.envs(pairs);
        self
    }

    /// Runs in that folder.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Feeds standard input and closes it.
    pub fn stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.stdin = Stdin::Bytes(content.into());
        self
    }

    /// Feeds standard input from a file.
    pub fn stdin_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.stdin = Stdin::File(path.into());
        self
    }

    /// The time after which `run` and `wait` give up; two minutes when not said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it does not end within the timeout.
    pub fn run(self) -> Finished {
        self.spawn().wait()
    }

    /// Starts it in the background.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(mut self) -> Running {
        let stdin = match &self.stdin {
            Stdin::Null => Stdio::null(),
            Stdin::Bytes(_) => Stdio::piped(),
            Stdin::File(path) => File::open(path).expect("open the file for stdin").into(),
        };
        let mut child = self
            .command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {:?}: {error}", self.command.get_program()));
        if let (Stdin::Bytes(content), Some(mut pipe)) = (self.stdin, child.stdin.take()) {
            // The tool may end before it has read everything: that is its right.
            thread::spawn(move || drop(pipe.write_all(&content)));
        }
        let stdout = Output::of(child.stdout.take());
        let stderr = Output::of(child.stderr.take());
        Running {
            child,
            stdout,
            stderr,
            timeout: self.timeout,
            peak_rss_kib: 0,
        }
    }
}

/// One output of a running tool, read as it comes.
#[derive(Debug)]
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = pipe.map(|mut pipe| {
            thread::spawn(move || {
                let mut buffer = [0; 16 << 10];
                while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                    sink.extend_from_slice(&buffer[..length]);
                }
            })
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
            .into_owned()
    }

    fn complete(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("read the tool's output");
        }
        self.text()
    }
}

/// A tool at work; killed by its pid at drop.
#[derive(Debug)]
#[must_use]
pub struct Running {
    child: std::process::Child,
    stdout: Output,
    stderr: Output,
    timeout: Duration,
    peak_rss_kib: u64,
}

impl Running {
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        signal(self.pid(), Signal::TERM);
    }

    /// Sends a signal by its name: `TERM`, `INT`, `KILL`, `STOP`, `CONT`, `HUP`.
    ///
    /// # Panics
    /// When the name is none of these.
    pub fn signal(&self, name: &str) {
        let which = match name {
            "TERM" => Signal::TERM,
            "INT" => Signal::INT,
            "KILL" => Signal::KILL,
            "STOP" => Signal::STOP,
            "CONT" => Signal::CONT,
            "HUP" => Signal::HUP,
            other => panic!("no signal is called {other}"),
        };
        signal(self.pid(), which);
    }

    /// Standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until standard error holds `text`, and returns all of it.
    ///
    /// # Panics
    /// When the tool ends, or a minute passes, without it.
    pub fn wait_for_stderr(&mut self, text: &str) -> String {
        eventually(
            &format!("`{text}` in the log of pid {}", self.pid()),
            PATIENCE,
            || {
                let ended = self.child.try_wait().expect("ask for the tool's state");
                let log = self.stderr.text();
                if log.contains(text) {
                    return Some(log);
                }
                if let Some(status) = ended {
                    let log = self.stderr.complete();
                    assert!(
                        log.contains(text),
                        "ended with {status} without `{text}`:\n{log}"
                    );
                    return Some(log);
                }
                None
            },
        )
    }

    /// The most memory it has held so far, in KiB: `VmHWM` of the kernel's account.
    pub fn peak_rss_kib(&mut self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let seen = status.ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        });
        self.peak_rss_kib = self.peak_rss_kib.max(seen.unwrap_or(0));
        self.peak_rss_kib
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("ask for the tool's state")
            .is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When the timeout passes; its output is shown.
    pub fn wait(mut self) -> Finished {
        let start = Instant::now();
        let status = loop {
            self.peak_rss_kib();
            if let Some(status) = self.child.try_wait().expect("await the tool") {
                break status;
            }
            if start.elapsed() > self.timeout {
                panic!(
                    "still running after {:?}\nstdout:\n{}\nstderr:\n{}",
                    self.timeout,
                    self.stdout.text(),
                    self.stderr.text()
                );
            }
            thread::sleep(Duration::from_millis(5));
        };
        Finished {
            code: status.code(),
            signal: std::os::unix::process::ExitStatusExt::signal(&status),
            stdout: self.stdout.complete(),
            stderr: self.stderr.complete(),
            peak_rss_kib: self.peak_rss_kib,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already; nothing is left to report to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a tool ended.
#[derive(Debug, Clone)]
#[must_use]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    /// The most memory it held, in KiB, as far as it was seen.
    pub peak_rss_kib: u64,
}

impl Finished {
    /// Fails the test unless the tool ended with 0.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "the tool failed:\n{self}");
        self
    }

    /// Fails the test unless the tool ended with `code` and its standard error holds `text`.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fails_with(self, code: i32, text: &str) -> Self {
        assert_eq!(self.code, Some(code), "not the expected exit code:\n{self}");
        assert!(self.stderr.contains(text), "no `{text}` in:\n{self}");
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("standard output is not JSON ({error}):\n{self}"))
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            formatter,
            "exit code {:?}, signal {:?}",
            self.code, self.signal
        )?;
        writeln!(
            formatter,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        )
    }
}
