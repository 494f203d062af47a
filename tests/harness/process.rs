//! Background processes that end with the value that holds them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::eventually;
use crate::leftovers::PID;

/// A running program with its output in a file; killed by its pid at drop.
#[derive(Debug)]
pub struct Child {
    inner: std::process::Child,
    name: String,
    log: PathBuf,
}

impl Child {
    /// Starts `command` with no input and both outputs appended to `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("open the log");
        let inner = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("share the log"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("start {name}: {error}"));
        std::fs::write(log.with_file_name(PID), inner.id().to_string()).expect("note the pid");
        Self {
            inner,
            name: name.to_owned(),
            log: log.to_owned(),
        }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.inner.id()
    }

    /// Fails the test when the program has ended, with the end of its log.
    ///
    /// # Panics
    /// When it has ended.
    pub fn assert_alive(&mut self) {
        if let Some(status) = self.inner.try_wait().expect("ask for the child's state") {
            panic!("{} ended with {status}:\n{}", self.name, self.log_end());
        }
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Panics
    /// When it cannot be awaited.
    pub fn kill9(&mut self) {
        self.inner.kill().expect("kill the child");
        self.inner.wait().expect("await the killed child");
    }

    /// SIGTERM, and waits until it is gone.
    ///
    /// # Panics
    /// When it is still there after a minute.
    pub fn stop(&mut self) {
        signal(self.pid(), Signal::TERM);
        let name = self.name.clone();
        eventually(
            &format!("the end of {name}"),
            Duration::from_secs(60),
            || self.inner.try_wait().expect("await the child"),
        );
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may be gone already; nothing is left to report to.
        let _ = self.inner.kill();
        let _ = self.inner.wait();
    }
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().expect("a pid fits")).expect("a pid is not zero");
    kill_process(pid, signal).expect("send a signal");
}

/// Sends a signal to a process that may have ended by itself.
pub(crate) fn try_signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().expect("a pid fits")).expect("a pid is not zero");
    // Whoever is gone needs none.
    let _ = kill_process(pid, signal);
}

/// The processes that `pid` started and has not awaited yet.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.unwrap_or_default();
    listed
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Whether a process is there and not only unawaited.
pub(crate) fn is_running(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    // After the name, which may hold parentheses, comes one letter.
    state.is_ok_and(|stat| {
        let (_, rest) = stat.rsplit_once(") ").unwrap_or_default();
        !rest.is_empty() && !rest.starts_with(['Z', 'X'])
    })
}
