//! Throwaway MariaDB and MySQL servers with the account the tools use.

mod kind;
mod template;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use kind::ServerKind;
use rustix::process::Signal;
pub(crate) use template::copy;

use crate::eventually::eventually;
use crate::process::{Child, try_signal};
use crate::world::{Port, World};

/// The account's name and password; its rights are in `manifests/account/grants.sql`.
const ACCOUNT: &str = "pilotfish";
const PASSWORD: &str = "secret";

/// A server living in a world, with stock settings except for sizes; ended at drop.
#[derive(Debug)]
pub struct Server {
    kind: ServerKind,
    folder: PathBuf,
    port: Port,
    args: Vec<String>,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Starts a server with an empty data folder and waits until it answers. `args` are server
    /// options such as `--local-infile=ON`.
    ///
    /// # Panics
    /// When the server is not installed or does not start; its log is shown.
    #[must_use]
    pub fn start(kind: ServerKind, world: &World, args: &[&str]) -> Self {
        let template = template::folder(kind);
        world.take_turn();
        let folder = world.folder(kind.name());
        template::copy(&template, &folder.join("data"));
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

    /// Which server it is.
    #[must_use]
    pub fn kind(&self) -> ServerKind {
        self.kind
    }

    /// Its TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The URL of the least-privilege account.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://{ACCOUNT}:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// The process id.
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

    /// Kills the server as a power cut would, for its processes' sake.
    pub fn kill9(&self) {
        if let Some(mut child) = self.child().take() {
            child.kill9();
        }
    }

    /// Stops its process where it stands: connections stay, and nobody answers.
    pub fn freeze(&self) {
        try_signal(self.pid(), Signal::STOP);
    }

    /// Ends [`Server::freeze`].
    pub fn thaw(&self) {
        try_signal(self.pid(), Signal::CONT);
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

    /// Stops it and starts it again with other options.
    pub fn restart_with(&mut self, args: &[&str]) {
        self.args = args.iter().map(|&arg| arg.to_owned()).collect();
        self.restart();
    }

    /// Runs SQL as root through the stock client and returns its batch output: one line per row,
    /// columns split by tabs, no header.
    ///
    /// # Panics
    /// When the server refuses.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql)
            .unwrap_or_else(|error| panic!("{error}\nin: {sql}"))
    }

    /// Like [`Server::sql`], with the client's message when the server refuses.
    ///
    /// # Errors
    /// What the client printed on standard error.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        let mut client = self.client();
        client.args(["--batch", "--skip-column-names"]);
        feed(client, sql.as_bytes())
    }

    /// Runs a file of SQL as root through the stock client, in no database when `database` is empty.
    ///
    /// # Panics
    /// When it cannot be read or the server refuses.
    #[track_caller]
    pub fn sql_file(&self, database: &str, path: &Path) -> String {
        let mut client = self.client();
        client.args(["--batch", "--skip-column-names", "--binary-mode"]);
        if !database.is_empty() {
            client.arg(database);
        }
        client.stdin(File::open(path).expect("open the SQL file"));
        text_of(&client.output().expect("run the client"))
            .unwrap_or_else(|error| panic!("{error}\nin: {}", path.display()))
    }

    /// The stock client as root, for a test that needs its own arguments or pipes.
    #[must_use]
    pub fn client(&self) -> Command {
        self.as_root(self.kind.client())
    }

    /// A program of another kind of server as root on this one: `mariadb-import` got `--dir` and `--parallel` late.
    #[must_use]
    pub fn program_of(&self, kind: ServerKind, name: &str) -> Command {
        let mut program = self.as_root(kind.program(name));
        // Those of 11.8 want TLS, also over a socket, and an older server has none.
        program.arg("--skip-ssl");
        program
    }

    /// A database as the stock dump program writes it. `args` come before the database's name.
    ///
    /// # Panics
    /// When the dump fails.
    #[track_caller]
    #[must_use]
    pub fn dump(&self, database: &str, args: &[&str]) -> Vec<u8> {
        complete(self.dumper(database, args).stdout(Stdio::piped()))
    }

    /// Like [`Server::dump`], into a file.
    ///
    /// # Panics
    /// When the dump fails.
    pub fn dump_to(&self, database: &str, args: &[&str], path: &Path) {
        let file = File::create(path).expect("make the dump file");
        complete(self.dumper(database, args).stdout(file));
    }

    fn dumper(&self, database: &str, args: &[&str]) -> Command {
        let mut dumper = self.as_root(self.kind.dump());
        dumper.args(args).arg(database).stdin(Stdio::null());
        dumper
    }

    fn as_root(&self, mut command: Command) -> Command {
        command
            .arg("--no-defaults")
            .arg("--user=root")
            .arg(format!("--socket={}", self.socket().display()))
            .arg("--default-character-set=utf8mb4");
        command
    }

    fn launch(&self) {
        let mut command = self.kind.server(&self.data());
        command
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.folder.join("pid").display()))
            .arg(format!("--port={}", self.port))
            // A starting MariaDB removes every temporary table's file it finds there.
            .arg(format!("--tmpdir={}", self.folder.display()))
            // As the official images: accounts are matched by address, never by name.
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args(&self.args)
            .current_dir(&self.folder);
        let mut child = Child::start(self.kind.name(), &mut command, &self.folder.join("log"));
        eventually("the server to answer", Duration::from_secs(120), || {
            child.assert_alive();
            self.try_sql("SELECT 1").ok()
        });
        *self.child() = Some(child);
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `command` with `input`; its output, or what it complained about.
pub(crate) fn feed(mut command: Command, input: &[u8]) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run the client");
    let mut pipe = child.stdin.take().expect("the client's standard input");
    let output = std::thread::scope(|scope| {
        // A client that fails early stops reading; its message says why.
        scope.spawn(move || drop(std::io::Write::write_all(&mut pipe, input)));
        child.wait_with_output().expect("await the client")
    });
    text_of(&output)
}

/// Runs a program that must succeed; what it wrote to a piped standard output.
#[track_caller]
pub(crate) fn complete(command: &mut Command) -> Vec<u8> {
    let output = command
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("run the program");
    assert!(
        output.status.success(),
        "{:?}: {}",
        command.get_program(),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

pub(crate) fn text_of(output: &Output) -> Result<String, String> {
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
