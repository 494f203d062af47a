//! The two sidecars: `fetch` looks into the bucket, `watch` loads what it brings.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pilotfish_harness::{Port, Running, S3, Tool, World, http};
use serde_json::Value;

use crate::account::{Account, grouped};
use crate::database::Database;
use crate::releases::{BUCKET, PREFIX};

/// Longest wait for one release to be live.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(crate) struct Sidecars {
    fetch: Running,
    watch: Running,
    fetch_port: Port,
    watch_port: Port,
}

/// What `watch` reports of one load.
#[derive(Debug)]
pub(crate) struct LoadSeen {
    pub(crate) loaded: Vec<String>,
    pub(crate) unchanged: Vec<String>,
    pub(crate) retired: Vec<String>,
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
}

impl LoadSeen {
    fn of(report: &Value) -> Self {
        let names = |field: &str| -> Vec<String> {
            let list = report[field].as_array().cloned().unwrap_or_default();
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        Self {
            loaded: names("tables_loaded"),
            unchanged: names("tables_unchanged"),
            retired: names("tables_retired"),
            rows: report["rows"].as_u64().unwrap_or(0),
            seconds: report["seconds"].as_f64().unwrap_or(0.0),
        }
    }

    /// The tables of the release.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &String> {
        self.loaded.iter().chain(&self.unchanged)
    }
}

impl Sidecars {
    pub(crate) fn start(world: &World, server: &Database, s3: &S3) -> Self {
        let volume = world.join("volume");
        std::fs::create_dir_all(&volume).expect("make the volume");
        let (fetch_port, watch_port) = (Port::free(), Port::free());
        let fetch = Tool::beside("fetch")
            .arg(format!("s3://{BUCKET}/{PREFIX}/"))
            .args(["--match", "*.sql.zst", "--every", "1s", "--to"])
            .arg(&volume)
            .args(["--endpoint", s3.endpoint()])
            // The bucket is still empty: not to be a reason to give up.
            .args(["--init-max-failures", "1000"])
            .args(["--listen", &format!("127.0.0.1:{fetch_port}")])
            .envs(s3.env())
            .spawn();
        let watch = Tool::beside("watch")
            .arg(&volume)
            .args(["--into", "app", "--threads", "4"])
            .args(["--listen", &format!("127.0.0.1:{watch_port}")])
            .env("PILOTFISH_URL", server.url())
            .spawn();
        Self {
            fetch,
            watch,
            fetch_port,
            watch_port,
        }
    }

    pub(crate) fn fetch_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.fetch_port)
    }

    pub(crate) fn watch_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.watch_port)
    }

    /// Follows `watch` until its `number`th release is live, telling the account each phase.
    pub(crate) fn await_load(
        &mut self,
        number: usize,
        account: &Account,
        stop: &AtomicBool,
    ) -> Result<LoadSeen, String> {
        let start = Instant::now();
        let mut told = String::new();
        loop {
            if stop.load(Ordering::SeqCst) {
                return Err("interrupted".to_owned());
            }
            for (name, tool) in [("fetch", &mut self.fetch), ("watch", &mut self.watch)] {
                if !tool.is_running() {
                    return Err(format!("{name} ended:\n{}", tool.stderr()));
                }
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("no release is live:\n{}", self.watch.stderr()));
            }
            let state = http::get(&format!("{}/v1/state", self.watch_url()));
            let state = state
                .filter(|answer| answer.status == 200)
                .map(|answer| answer.json());
            if let Some(state) = state {
                if let Some(report) = nth_success(&state, number) {
                    let load = LoadSeen::of(report);
                    account.say(
                        "watch",
                        &format!("live: {} rows in {:.1} s", grouped(load.rows), load.seconds),
                    );
                    return Ok(load);
                }
                tell(account, &state["running"], &mut told);
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// What a person types who does not like the release.
    pub(crate) fn roll_back(server: &Database) {
        let _ = Tool::beside("load")
            .arg("rollback")
            .env("PILOTFISH_URL", server.url())
            .run()
            .success();
    }

    /// Ends both in good order.
    pub(crate) fn stop(self) {
        for tool in [self.watch, self.fetch] {
            tool.terminate();
            let _ = tool.wait();
        }
    }
}

/// The report of the `number`th load that brought a release; the list is newest first.
fn nth_success(state: &Value, number: usize) -> Option<&Value> {
    let loads = state["loads"].as_array()?;
    let reports = loads.iter().rev().map(|load| &load["report"]);
    reports
        .filter(|report| report["outcome"] == "loaded")
        .nth(number - 1)
}

/// Says the phase of the running load when it is a new one.
fn tell(account: &Account, running: &Value, told: &mut String) {
    let Some(phase) = running["phase"].as_str() else {
        return;
    };
    if phase != told {
        account.say(
            "watch",
            &format!(
                "{phase} ({} rows so far)",
                grouped(running["rows"].as_u64().unwrap_or(0))
            ),
        );
        phase.clone_into(told);
    }
}
