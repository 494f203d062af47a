//! What the Prometheus of the example knows.

use serde_json::Value;

use crate::stage::Stage;
use pilotfish_harness::cluster::{Outcome, PATIENCE, until};

const SERVICE: &str = "prometheus";
const PORT: u16 = 9090;

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

/// Waits until no alert fires, or only those named.
pub(crate) fn wait_quiet(stage: &Stage, but: &[&str]) -> Outcome<()> {
    until("the alerts to end", PATIENCE, || {
        let firing = firing(stage)?;
        if firing.iter().all(|one| but.contains(&one.as_str())) {
            return Ok(Some(()));
        }
        Err(firing.join(", "))
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

fn ask(stage: &Stage, path: &str) -> Outcome<Value> {
    let page = stage.cluster.service_page(SERVICE, PORT, path)?;
    serde_json::from_str(&page).map_err(|error| format!("prometheus {path}: {error}"))
}
