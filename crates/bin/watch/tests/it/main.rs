//! Black-box tests of `pilotfish-watch` beside real servers, with the documented grants only.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails here and shows what it saw"
)]

mod api;
mod browser;
mod command_line;
mod life;
mod postgres;
mod prefect;
mod signals;
mod volumes;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use pilotfish_engine::{Engine, ServerArgs};
use pilotfish_harness::http::{self, Response};
use pilotfish_harness::{
    Fault, PATIENCE, Port, Proxy, Running, Server, ServerKind, Tool, World, eventually, tool,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "tr0ut";

/// A sidecar at work.
struct Watch {
    running: Running,
    port: Port,
}

/// A sidecar that looks at `path` and writes into the server at `url`, not started yet.
fn watch(url: &str, path: &Path) -> Tool {
    tool!("watch")
        .args(["--url", url, "--settle", "300ms", "--into", "app"])
        .arg(path)
}

/// The release readers see; `None` when there is none, or when releases are mixed.
fn live(server: &Server) -> Option<String> {
    let query = "SELECT GROUP_CONCAT(DISTINCT release_no), COUNT(*) FROM app.t";
    let answer = server.try_sql(query).ok()?;
    let (release, rows) = answer.trim().split_once('\t')?;
    (rows == "500").then(|| release.to_owned())
}

/// Publishes as the kubelet does: a new folder, and one rename.
fn publish(volume: &Path, number: u32, dump: &str) -> String {
    let folder = volume.join(format!("..release_{number}"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("dump.sql"), dump).unwrap();
    let next = volume.join("..data_tmp");
    std::os::unix::fs::symlink(folder.file_name().unwrap(), &next).unwrap();
    fs::rename(next, volume.join("..data")).unwrap();
    let name = volume.join("dump.sql");
    if !name.exists() {
        std::os::unix::fs::symlink("..data/dump.sql", name).unwrap();
    }
    folder.display().to_string()
}

/// What `load rollback` does.
fn roll_back(url: &str) {
    in_the_ledger(url, async |engine| {
        let report = pilotfish_loader::rollback(
            engine,
            pilotfish_loader::Wanted::default(),
            false,
            &CancellationToken::new(),
        )
        .await;
        report.unwrap();
    });
}

/// What `load resume` does.
fn resume(url: &str) {
    in_the_ledger(url, async |engine| {
        let resumed =
            pilotfish_loader::resume(engine, pilotfish_loader::Wanted::default(), None).await;
        assert!(!resumed.unwrap().is_empty());
    });
}

fn in_the_ledger(url: &str, work: impl AsyncFnOnce(&dyn Engine)) {
    let flags = Flags::parse_from(["load", "--url", url]);
    let settings = flags.server.into_settings(|_| None).unwrap();
    let event_loop = tokio::runtime::Runtime::new().unwrap();
    event_loop.block_on(async {
        let engine = pilotfish_engine::open(&settings).await.unwrap();
        work(engine.as_ref()).await;
    });
}

/// The server of the commands beside a load.
#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    server: ServerArgs,
}

/// A server with a sidecar's volume beside it.
struct Bench {
    world: World,
    server: Server,
    volume: PathBuf,
    token: PathBuf,
}

impl Bench {
    fn new() -> Self {
        Self::on(ServerKind::MariaDb1011)
    }

    fn on(kind: ServerKind) -> Self {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let volume = world.join("volume");
        fs::create_dir(&volume).unwrap();
        let token = world.write("token", format!("{TOKEN}\n"));
        Self {
            world,
            server,
            volume,
            token,
        }
    }

    fn watch(&self) -> Tool {
        self.watch_by(&self.server.url())
    }

    /// A sidecar that reaches the server by another way.
    fn watch_by(&self, url: &str) -> Tool {
        watch(url, &self.volume)
            .arg("--token-file")
            .arg(&self.token)
    }

    /// A dump that says `number` in each row, so that readers know which release they see.
    fn dump(number: u32) -> String {
        let rows: Vec<String> = (0..500).map(|id| format!("({id},{number})")).collect();
        format!(
            "-- MariaDB dump 10.19  Distrib 10.11.9-MariaDB, for debian-linux-gnu (x86_64)\n\
             /*!40101 SET NAMES utf8mb4 */;\n\
             DROP TABLE IF EXISTS `t`;\n\
             CREATE TABLE `t` (`id` int NOT NULL, `release_no` int, PRIMARY KEY (`id`));\n\
             INSERT INTO `t` VALUES {};\n\
             -- Dump completed on 2026-11-21 10:00:00\n",
            rows.join(",")
        )
    }

    fn publish(&self, number: u32) -> String {
        self.publish_text(number, &Self::dump(number))
    }

    fn publish_text(&self, number: u32, dump: &str) -> String {
        publish(&self.volume, number, dump)
    }

    fn roll_back(&self) {
        roll_back(&self.server.url());
    }

    fn resume(&self) {
        resume(&self.server.url());
    }

    /// The release readers see; `None` when there is none, or when releases are mixed.
    fn live(&self) -> Option<String> {
        live(&self.server)
    }

    #[track_caller]
    fn becomes_live(&self, number: u32) {
        eventually(&format!("release {number} to be live"), PATIENCE, || {
            self.live().filter(|live| *live == number.to_string())
        });
    }
}

impl Watch {
    fn start(tool: Tool) -> Self {
        let port = Port::free();
        let running = Self::listening(tool, &port);
        Self { running, port }
    }

    /// The next process where this one listened. This one was killed: its address is free once it
    /// has ended, which its peers can notice sooner.
    #[track_caller]
    fn start_again(&mut self, tool: Tool) {
        eventually("the killed watch to end", PATIENCE, || {
            (!self.running.is_running()).then_some(())
        });
        self.running = Self::listening(tool, &self.port);
    }

    #[track_caller]
    fn listening(tool: Tool, port: &Port) -> Running {
        let mut running = tool.arg(format!("--listen=127.0.0.1:{port}")).spawn();
        eventually("watch to answer", PATIENCE, || {
            let ended = !running.is_running();
            assert!(
                !ended,
                "watch ended before it answered:\n{}",
                running.stderr()
            );
            http::get(&format!("http://127.0.0.1:{port}/livez"))
        });
        running
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn get(&self, path: &str) -> Response {
        http::get(&self.url(path)).unwrap()
    }

    /// A changing call with the token.
    fn call(&self, method: &str, path: &str, body: &str) -> Response {
        let bearer = format!("Bearer {TOKEN}");
        http::request(method, &self.url(path), &[("authorization", &bearer)], body).unwrap()
    }

    fn state(&self) -> Value {
        self.get("/v1/state").json()
    }

    /// Waits until a load is in that state, and returns it.
    #[track_caller]
    fn load_is(&self, id: &str, state: &str) -> Value {
        self.becomes(&format!("load {id}"), state, || {
            let answer = self.get(&format!("/v1/loads/{id}"));
            (answer.status == 200).then(|| answer.json())
        })
    }

    /// Waits until the newest load is in that state, and returns it.
    #[track_caller]
    fn newest_is(&self, state: &str) -> Value {
        self.becomes("the newest load", state, || {
            Some(self.state()["loads"][0].clone())
        })
    }

    /// Waits for a state; a test that waits in vain shows what there was instead.
    #[track_caller]
    fn becomes(&self, what: &str, state: &str, look: impl Fn() -> Option<Value>) -> Value {
        let mut shown = None;
        eventually(&format!("{what} to be {state}"), PATIENCE, || {
            let load = look();
            if load != shown {
                println!("{what}: {load:#?}");
                shown.clone_from(&load);
            }
            load.filter(|load| load["state"] == state)
        })
    }

    #[track_caller]
    fn is_ready(&self) {
        eventually("readiness", PATIENCE, || {
            Some(()).filter(|()| self.get("/readyz").status == 200)
        });
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line
            .and_then(|line| line.rsplit(' ').next())
            .map(str::parse);
        value
            .unwrap_or_else(|| panic!("no {name} in:\n{text}"))
            .unwrap()
    }

    /// Ends it with SIGTERM, and returns its log.
    #[track_caller]
    fn ends_well(self) -> String {
        self.running.terminate();
        self.running.wait().success().stderr
    }
}
