//! What is shipped for Grafana and Prometheus, as they read it.

use serde_json::Value;

/// What the panels of a dashboard ask, of all instances, and with a range that a scrape of every second has points in.
///
/// # Panics
/// When it is no dashboard.
#[must_use]
pub fn panel_queries(dashboard: &str) -> Vec<String> {
    let dashboard: Value = serde_json::from_str(dashboard).expect("a dashboard");
    let mut queries = Vec::new();
    gather(&dashboard["panels"], &mut queries);
    queries
}

/// Rows hold panels of their own.
fn gather(panels: &Value, queries: &mut Vec<String>) {
    for panel in panels.as_array().into_iter().flatten() {
        gather(&panel["panels"], queries);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap_or_default();
            let query = query.replace("$__rate_interval", "20s");
            queries.push(query.replace("$namespace", ".*").replace("$instance", ".*"));
        }
    }
}

/// The rules file of a plain Prometheus, from the operator's object: as the example's README makes it.
#[must_use]
pub fn plain_rules(object: &str) -> String {
    object
        .lines()
        .skip_while(|line| !line.starts_with("spec:"))
        .skip(1)
        .map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned() + "\n")
        .collect()
}
