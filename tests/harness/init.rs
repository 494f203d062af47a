//! A tool as PID 1 of a PID namespace of its own, as in a container: the kernel drops every signal
//! that it has no handler for.

use std::path::Path;

use rustix::process::Signal;

use crate::eventually::{PATIENCE, eventually};
use crate::process::signal;
use crate::tool::{Running, Tool};

impl Tool {
    /// A command for the binary at `path` as PID 1; in a tool's own tests `init!("load")` knows the path.
    pub fn as_init(path: impl AsRef<Path>) -> Self {
        let unshare = Self::new("unshare");
        let unshare = if rustix::process::geteuid().is_root() {
            unshare
        } else {
            unshare.args(["--user", "--map-root-user"])
        };
        unshare
            .args(["--pid", "--fork", "--mount-proc", "--"])
            .arg(path.as_ref())
    }
}

impl Running {
    /// Sends SIGTERM to the tool that runs as PID 1; it ends with the tool's own exit code.
    ///
    /// # Panics
    /// When it was not started by [`Tool::as_init`].
    pub fn terminate_init(&self) {
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        let init = eventually("the process that is PID 1", PATIENCE, || {
            let children = std::fs::read_to_string(&children).ok()?;
            children.split_whitespace().next()?.parse().ok()
        });
        signal(init, Signal::TERM);
    }
}
