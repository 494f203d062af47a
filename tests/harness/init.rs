//! A tool as PID 1 of a PID namespace of its own, as in a container: the kernel drops every signal
//! that it has no handler for.

use std::path::Path;

use rustix::process::Signal;

use crate::eventually::{PATIENCE, eventually};
use crate::process::{children, signal};
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
        let init = eventually("the process that is PID 1", PATIENCE, || {
            children(self.pid()).first().copied()
        });
        signal(init, Signal::TERM);
    }
}
