//! Throwaway PostgreSQL servers with the account the tools use.
//!
//! `./x setup` made their trees, and in each a data folder with that account. A PostgreSQL refuses to run as root,
//! so root runs it in a user namespace of its own, where it has another number and root's files are its own.

mod client;
mod kind;
mod text;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use kind::PostgresKind;
use rustix::process::Signal;
pub use text::canonical_dump;

use crate::eventually::{PATIENCE, eventually};
use crate::process::{Child, children, is_running, try_signal};
use crate::server::{copy, feed};
use crate::world::{Port, World};

/// A server living in a world; ended at drop. It has a database `app` that belongs to the tools' account.
#[derive(Debug)]
pub struct Postgres {
    kind: PostgresKind,
    folder: PathBuf,
    port: Port,
    args: Vec<String>,
    child: Mutex<Option<Child>>,
}

impl Postgres {
    /// Starts a server and waits until it answers. `args` are settings such as `max_connections=20`.
    ///
    /// # Panics
    /// When the server is not installed or does not start; its log is shown.
    #[must_use]
    pub fn start(kind: PostgresKind, world: &World, args: &[&str]) -> Self {
        world.take_turn();
        let folder = world.folder(kind.name());
        copy(&kind.tree().path("template"), &folder.join("data"));
        let server = Self {
            kind,
            folder,
            port: Port::free(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            child: Mutex::default(),
        };
        server.launch();
        server
    }

    /// A hot standby of `primary`, which follows it by streaming.
    ///
    /// # Panics
    /// When it cannot be made or started.
    #[must_use]
    pub fn standby_of(primary: &Self, world: &World) -> Self {
        let folder = world.folder(&format!("{}-standby", primary.kind.name()));
        let mut backup = as_somebody(&primary.kind.program("pg_basebackup"));
        backup
            .args(["--username=postgres", "--write-recovery-conf"])
            .args(["--checkpoint=fast", "--no-sync", "--pgdata"])
            .arg(folder.join("data"))
            .arg(format!("--port={}", primary.port))
            .arg(format!("--host={}", primary.folder.display()));
        feed(backup, b"").expect("copy the primary");
        let standby = Self {
            kind: primary.kind,
            folder,
            port: Port::free(),
            args: Vec::new(),
            child: Mutex::default(),
        };
        standby.launch();
        standby
    }

    /// Which server it is.
    #[must_use]
    pub fn kind(&self) -> PostgresKind {
        self.kind
    }

    /// Its TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The folder of its Unix socket.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// The URL of the least-privilege account.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("app")
    }

    /// Its URL for another database, whose name needs no escapes.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!(
            "postgres://pilotfish:secret@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// The process id of the one that starts all others.
    ///
    /// # Panics
    /// When the server is stopped.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child().as_ref().expect("the server runs").pid()
    }

    /// The end of the server's log.
    #[must_use]
    pub fn log_end(&self) -> String {
        self.child()
            .as_ref()
            .map_or_else(String::new, Child::log_end)
    }

    /// Kills the server as a power cut would, for its processes' sake: all of them, since the others
    /// end in their own time after the first, and a new server waits for none of them.
    pub fn kill9(&self) {
        let Some(mut child) = self.child().take() else {
            return;
        };
        // Stopped, it starts no more of them.
        try_signal(child.pid(), Signal::STOP);
        let others = children(child.pid());
        child.kill9();
        for pid in &others {
            try_signal(*pid, Signal::KILL);
        }
        eventually("the end of the server's processes", PATIENCE, || {
            (!others.iter().any(|pid| is_running(*pid))).then_some(())
        });
    }

    /// Stops all its processes where they stand: connections stay, and nobody answers.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Ends [`Postgres::freeze`].
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    fn signal_all(&self, which: Signal) {
        let first = self.pid();
        try_signal(first, which);
        for pid in children(first) {
            try_signal(pid, which);
        }
    }

    /// Runs a script through psql, which goes on after errors, and returns the statements it sent.
    ///
    /// # Panics
    /// When psql does not run to its end.
    #[track_caller]
    pub fn echo(&self, database: &str, script: &str) -> String {
        let mut psql = self.kind.program("psql");
        psql.args(["--no-psqlrc", "--quiet", "--echo-queries"])
            .args(["--output=/dev/null", "--file=-"])
            .args(["--username=postgres", "--dbname", database])
            .arg(format!("--port={}", self.port))
            .arg(format!("--host={}", self.folder.display()));
        feed(psql, script.as_bytes()).unwrap_or_else(|error| panic!("{error}\nin: {script}"))
    }

    /// Puts a line before all others of `pg_hba.conf`: how clients on the network prove who they are.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn authenticate(&self, line: &str) {
        let file = self.folder.join("data/pg_hba.conf");
        let rest = std::fs::read_to_string(&file).expect("read pg_hba.conf");
        std::fs::write(&file, format!("{line}\n{rest}")).expect("write pg_hba.conf");
        self.restart();
    }

    /// Stops the server in good order.
    pub fn stop(&self) {
        if let Some(mut child) = self.child().take() {
            child.stop();
        }
    }

    /// Starts it again on the same data and port, after stopping it if need be.
    pub fn restart(&self) {
        self.stop();
        self.launch();
    }

    /// Stops it and starts it again with other settings.
    pub fn restart_with(&mut self, args: &[&str]) {
        self.args = args.iter().map(|&arg| arg.to_owned()).collect();
        self.restart();
    }

    fn launch(&self) {
        let mut command = as_somebody(&self.kind.program("postgres"));
        command
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "shared_buffers=32MB"])
            .arg("-c")
            .arg(format!("port={}", self.port))
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.folder.display()))
            .args(self.args.iter().flat_map(|arg| ["-c", arg]))
            .current_dir(&self.folder);
        let mut child = Child::start(self.kind.name(), &mut command, &self.folder.join("log"));
        eventually("the server to answer", Duration::from_secs(120), || {
            child.assert_alive();
            self.try_sql("postgres", "SELECT 1").ok()
        });
        *self.child() = Some(child);
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The command; for root by another number in a namespace of its own. The process stays the same.
fn as_somebody(command: &Command) -> Command {
    let (program, args) = (command.get_program(), command.get_args());
    let mut outer = if rustix::process::geteuid().is_root() {
        let mut outer = Command::new("unshare");
        outer.args(["--user", "--map-user=1000", "--map-group=1000"]);
        // Its System V segment outlives a kill, and the kernel has 4096 for all; this way it goes
        // with the last of the server's processes.
        outer.args(["--ipc", "--"]);
        outer.arg(program);
        outer
    } else {
        Command::new(program)
    };
    outer.args(args).env_clear();
    for (name, value) in command.get_envs() {
        outer.env(name, value.unwrap_or_default());
    }
    // `unshare` is found by it.
    outer.env("PATH", "/usr/bin:/bin");
    outer
}
