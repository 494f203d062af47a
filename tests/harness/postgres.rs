//! Throwaway PostgreSQL servers with the account the tools use.
//!
//! `./x setup` made their trees, and in each a data folder with that account. A PostgreSQL refuses to run as root,
//! so root runs it in a user namespace of its own, where it has another number and root's files are its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::eventually::eventually;
use crate::install::Tree;
use crate::process::Child;
use crate::server::{copy, feed};
use crate::world::{Port, World};

/// A series of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PostgresKind {
    /// PostgreSQL 15, as Debian 12 ships it.
    Postgres15,
    /// PostgreSQL 18.
    Postgres18,
}

impl PostgresKind {
    /// Every kind: what a test loops over.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![Self::Postgres15, Self::Postgres18]
    }

    /// `postgres-15` or `postgres-18`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres15 => "postgres-15",
            Self::Postgres18 => "postgres-18",
        }
    }

    fn tree(self) -> Tree {
        Tree::find(self.name(), false)
    }

    /// One of its programs.
    fn program(self, name: &str) -> Command {
        let (_, series) = self.name().split_once('-').expect("a name with a series");
        self.tree()
            .command(&format!("usr/lib/postgresql/{series}/bin/{name}"))
    }
}

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
        format!("postgres://pilotfish:secret@127.0.0.1:{}/app", self.port)
    }

    /// Runs SQL as the superuser through psql and returns its rows, columns split by tabs.
    ///
    /// # Panics
    /// When the server refuses.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql)
            .unwrap_or_else(|error| panic!("{error}\nin: {sql}"))
    }

    /// Like [`Postgres::sql`], with psql's message when the server refuses.
    ///
    /// # Errors
    /// What psql printed on standard error.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = self.kind.program("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--field-separator=\t", "--set=ON_ERROR_STOP=1"])
            .args(["--username=postgres", "--dbname", database])
            .arg(format!("--port={}", self.port))
            .arg(format!("--host={}", self.folder.display()));
        feed(psql, sql.as_bytes())
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
        outer.args(["--user", "--map-user=1000", "--map-group=1000", "--"]);
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
