//! The exporters whose place ours takes, as their projects release them and as Debian ships them.
//!
//! `./x setup` builds the first from the Go modules of `tests/peers` and unpacks the second.

use std::path::PathBuf;
use std::process::Command;

use crate::eventually::{PATIENCE, eventually};
use crate::exposition::Exposition;
use crate::process::Child;
use crate::world::cache_dir;
use crate::{Port, Server, World, http};

/// Which build of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// mysqld_exporter 0.16.0, postgres_exporter 0.17.1.
    Upstream,
    /// Debian 12's: mysqld_exporter 0.14.0, postgres_exporter 0.11.1.
    Debian,
}

impl Build {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Upstream, Self::Debian];

    fn program(self, name: &str) -> PathBuf {
        let path = match self {
            Self::Upstream => cache_dir().join("exporters-0.16.0-0.17.1").join(name),
            Self::Debian => {
                let name = name.replace('_', "-");
                cache_dir().join(format!("rootfs-exporters-12/usr/bin/prometheus-{name}"))
            }
        };
        assert!(
            path.exists(),
            "{} is missing: run `./x setup`",
            path.display()
        );
        path
    }
}

/// Rules files of mysqld_exporter's mixin: what it records, and its alerts.
///
/// # Panics
/// When they are missing.
#[must_use]
pub fn mysqld_mixin() -> [String; 3] {
    let folder = cache_dir().join("exporters-0.16.0-0.17.1/mysqld-mixin");
    [
        "rules/rules.yaml",
        "alerts/general.yaml",
        "alerts/galera.yaml",
    ]
    .map(|file| {
        let path = folder.join(file);
        std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}: run `./x setup`", path.display()))
    })
}

/// A peer that runs.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    port: Port,
}

impl Peer {
    /// mysqld_exporter beside a server; `args` are flags of its collectors.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn mysqld(
        build: Build,
        world: &World,
        server: &Server,
        (user, password): (&str, &str),
        args: &[&str],
    ) -> Self {
        let mut command = Command::new(build.program("mysqld_exporter"));
        // 0.14 knows only the one variable, later ones only the file.
        let port = server.port();
        let file = world.write(
            format!("my-{port}.cnf"),
            format!("[client]\nhost=127.0.0.1\nport={port}\nuser={user}\npassword={password}\n"),
        );
        command
            .env_clear()
            .env(
                "DATA_SOURCE_NAME",
                format!("{user}:{password}@(127.0.0.1:{port})/"),
            )
            .arg(format!("--config.my-cnf={}", file.display()))
            .args(args);
        Self::start(command, world, "mysqld_exporter")
    }

    /// postgres_exporter beside a server, by a URL of it.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn postgres(build: Build, world: &World, url: &str, args: &[&str]) -> Self {
        let mut command = Command::new(build.program("postgres_exporter"));
        let source = format!("{url}?sslmode=disable");
        command
            .env_clear()
            .env("DATA_SOURCE_NAME", source)
            .args(args);
        Self::start(command, world, "postgres_exporter")
    }

    fn start(mut command: Command, world: &World, name: &str) -> Self {
        let port = Port::free();
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let log = world.join(format!("{name}-{port}.log"));
        let child = Child::start(name, &mut command, &log);
        let peer = Self { child, port };
        eventually(name, PATIENCE, || http::get(&peer.url()).map(drop));
        peer
    }

    /// Where its metrics are.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.port)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Scrapes it.
    ///
    /// # Panics
    /// When it does not answer with metrics.
    #[must_use]
    pub fn scrape(&self) -> Exposition {
        let answer = http::get(&self.url()).expect("the peer answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
        Exposition::parse(&answer.body)
    }
}
