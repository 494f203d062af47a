//! What the Prometheus of the example knows.

use serde_json::{Value, json};

use crate::stage::Stage;
use pilotfish_harness::cluster::{Outcome, PATIENCE, until};
use pilotfish_harness::plain_rules;

const SERVICE: &str = "prometheus";
const PORT: u16 = 9090;

/// Starts the Prometheus of the example with the shipped alerts, both in a hurry.
pub(crate) fn start(stage: &Stage) -> Outcome<()> {
    let rules = std::fs::read_to_string(stage.file("manifests/alerts/rules.yaml"))
        .map_err(|error| format!("read the alert rules: {error}"))?;
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pilotfish-alerts"},
        "data": {"rules.yaml": hurried(&plain_rules(&rules))},
    });
    stage.cluster.apply(&config.to_string())?;
    let folder = stage.example("prometheus");
    let manifests = stage
        .cluster
        .kubectl(&["kustomize", &folder.to_string_lossy()])?
        .replace("_interval: 30s", "_interval: 2s")
        .replace("_interval: 15s", "_interval: 2s");
    stage.cluster.apply(&manifests)?;
    stage.cluster.wait_available("prometheus")
}

/// The same rules for a bucket that is looked at every 5 s: what takes minutes and hours takes seconds.
fn hurried(rules: &str) -> String {
    let mut hurried = String::new();
    for line in rules.lines() {
        let words = line.trim_start();
        let space = &line[..line.len() - words.len()];
        let line = if words.starts_with("for: ") {
            format!("{space}for: 4s")
        } else {
            line.replace("> 1800", "> 20")
                .replace("[5m]", "[20s]")
                .replace("[10m]", "[20s]")
        };
        hurried.push_str(&line);
        hurried.push('\n');
    }
    hurried
}

/// The names of the alerts that fire.
pub(crate) fn firing(stage: &Stage) -> Outcome<Vec<String>> {
    let answer = ask(stage, "/api/v1/alerts")?;
    let alerts = answer["data"]["alerts"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    Ok(alerts
        .iter()
        .filter(|alert| alert["state"] == "firing")
        .filter_map(|alert| alert["labels"]["alertname"].as_str())
        .map(str::to_owned)
        .collect())
}

/// Waits until an alert fires.
pub(crate) fn wait_firing(stage: &Stage, alert: &str) -> Outcome<()> {
    until(&format!("the alert {alert} to fire"), PATIENCE, || {
        let firing = firing(stage)?;
        Ok(firing.iter().any(|one| one == alert).then_some(()))
    })
}

/// Waits until an alert fires no more.
pub(crate) fn wait_ended(stage: &Stage, alert: &str) -> Outcome<()> {
    until(&format!("the alert {alert} to end"), PATIENCE, || {
        let firing = firing(stage)?;
        Ok(firing.iter().all(|one| one != alert).then_some(()))
    })
}

/// How many targets are scraped with success.
pub(crate) fn targets_up(stage: &Stage) -> Outcome<usize> {
    let answer = ask(stage, "/api/v1/targets?state=active")?;
    let targets = answer["data"]["activeTargets"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    Ok(targets
        .iter()
        .filter(|target| target["health"] == "up")
        .count())
}

/// How many series a query has.
pub(crate) fn series(stage: &Stage, query: &str) -> Outcome<usize> {
    let mut path = "/api/v1/query?query=".to_owned();
    for byte in query.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => path.push(byte.into()),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    let answer = ask(stage, &path)?;
    let found = answer["data"]["result"].as_array();
    found
        .map(Vec::len)
        .ok_or_else(|| format!("prometheus: {query}: {answer}"))
}

fn ask(stage: &Stage, path: &str) -> Outcome<Value> {
    let page = stage.cluster.service_page(SERVICE, PORT, path)?;
    serde_json::from_str(&page).map_err(|error| format!("prometheus {path}: {error}"))
}
