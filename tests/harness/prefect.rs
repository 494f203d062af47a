//! A real Prefect: its server in a process with a database of its own, and the Python that runs flows.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::eventually::eventually;
use crate::http;
use crate::length::short_or_long;
use crate::process::Child;
use crate::tool::Tool;
use crate::world::{Port, World, cache_dir};

/// What `./x setup` installs: the example's own pins.
const PINS: &str = include_str!("../../examples/dump-reload/prefect/requirements.txt");

/// Importing Prefect takes seconds, and minutes where others hold the machine.
const START: Duration = Duration::from_secs(600);

/// A Prefect server, living in a world.
#[derive(Debug)]
pub struct Prefect {
    folder: PathBuf,
    port: Port,
    _server: Child,
}

impl Prefect {
    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    /// When Prefect is not installed or does not start.
    #[must_use]
    pub fn start(world: &World) -> Self {
        let folder = world.folder("prefect");
        let port = Port::free();
        let mut command = Command::new(python());
        command
            .env_clear()
            .envs(variables(&folder))
            .current_dir(&folder)
            // Python ignores it; who sweeps up after a killed test knows the process by it.
            .arg("-X")
            .arg(format!("world={}", folder.display()))
            .args(["-m", "prefect", "server", "start", "--no-ui"])
            .args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        let mut server = Child::start("prefect", &mut command, &folder.join("log"));
        let health = format!("http://127.0.0.1:{port}/api/health");
        eventually("the Prefect server to answer", START, || {
            server.assert_alive();
            http::get(&health).filter(|answer| answer.status == 200)
        });
        Self {
            folder,
            port,
            _server: server,
        }
    }

    /// A command for a Python script whose flows this server keeps account of.
    pub fn script(&self, path: &Path) -> Tool {
        Tool::new(python())
            .envs(variables(&self.folder))
            .env("PREFECT_API_URL", self.url(""))
            // Waits for runs that are asked for; ten seconds when not said.
            .env("PREFECT_RUNNER_POLL_FREQUENCY", "1")
            .current_dir(&self.folder)
            .timeout(Duration::from_secs(short_or_long(600, 3600)))
            // Leaves no bytecode in the checkout.
            .arg("-B")
            .arg(path)
    }

    /// What the API says to a question; a body makes it a POST.
    ///
    /// # Panics
    /// When it refuses, with its words.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, path: &str, body: Option<&Value>) -> Value {
        let url = self.url(path);
        let (method, body) = match body {
            Some(body) => ("POST", body.to_string()),
            None => ("GET", String::new()),
        };
        let json = [("content-type", "application/json")];
        let answer = http::request(method, &url, &json, &body);
        let answer = answer.unwrap_or_else(|| panic!("{url}: no answer"));
        assert!(
            (200..300).contains(&answer.status),
            "{url}: {} {}",
            answer.status,
            answer.body
        );
        answer.json()
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/api{path}", self.port)
    }
}

fn python() -> PathBuf {
    let version = PINS.lines().find_map(|line| line.strip_prefix("prefect=="));
    let version = version.expect("the example pins a version of Prefect");
    let python = cache_dir().join(format!("prefect-{version}/bin/python"));
    assert!(
        python.exists(),
        "{} is missing: run `./x setup`",
        python.display()
    );
    python
}

/// What keeps Prefect within its folder, and from telling anybody that it was used.
fn variables(folder: &Path) -> [(&'static str, String); 5] {
    let folder = folder.display().to_string();
    [
        ("HOME", folder.clone()),
        ("PATH", "/usr/bin:/bin".to_owned()),
        ("PREFECT_HOME", folder),
        ("PREFECT_SERVER_ANALYTICS_ENABLED", "false".to_owned()),
        ("DO_NOT_TRACK", "1".to_owned()),
    ]
}
