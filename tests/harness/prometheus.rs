//! A Prometheus that scrapes and judges every second.
//!
//! The distribution's package has it, beside promtool; `./x setup` installs it.

use std::process::Command;

use serde_json::{Value, json};

use crate::eventually::{PATIENCE, eventually};
use crate::process::Child;
use crate::{Port, World, http};

/// What it scrapes.
#[derive(Debug, Clone)]
pub struct Target {
    /// What `instance` and `pod` say.
    pub instance: String,
    /// `host:port`.
    pub address: String,
}

/// A Prometheus that runs.
#[derive(Debug)]
pub struct Prometheus {
    _child: Child,
    port: Port,
}

impl Prometheus {
    /// Starts it with targets, and with rules as the text of a rules file each.
    ///
    /// Targets have the labels that manifests/pod-monitor gives them.
    ///
    /// # Panics
    /// When it does not start, as with rules that it does not understand.
    #[must_use]
    pub fn start(world: &World, targets: &[Target], rules: &[&str]) -> Self {
        let port = Port::free();
        let rules: Vec<_> = rules
            .iter()
            .enumerate()
            .map(|(index, text)| world.write(format!("rules-{port}-{index}.yaml"), text))
            .collect();
        let targets: Vec<Value> = targets.iter().map(Target::config).collect();
        // Prometheus reads YAML, of which JSON is a part.
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": rules,
            "scrape_configs": [{"job_name": "pilotfish-exporter", "static_configs": targets}],
        });
        let file = world.write(format!("prometheus-{port}.json"), config.to_string());
        let data = world.join(format!("prometheus-{port}"));
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let log = world.join(format!("prometheus-{port}.log"));
        let mut child = Child::start("prometheus", &mut command, &log);
        eventually("Prometheus", PATIENCE, || {
            child.assert_alive();
            let answer = http::get(&format!("http://127.0.0.1:{port}/-/ready"))?;
            (answer.status == 200).then_some(())
        });
        Self {
            _child: child,
            port,
        }
    }

    /// The label sets of the series that an expression has now, in Prometheus' order.
    ///
    /// # Panics
    /// When it is no expression.
    #[must_use]
    pub fn series(&self, expression: &str) -> Vec<Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let answer = http::query(&url, &[("query", expression)]).expect("Prometheus answers");
        let mut answer = answer.json();
        let Some(series) = answer["data"]["result"].as_array_mut() else {
            panic!("{expression}: {answer}");
        };
        series
            .iter_mut()
            .map(|series| series["metric"].take())
            .collect()
    }

    /// All rules, as its API tells them: `name`, `query`, `health`, `lastError`.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn rules(&self) -> Vec<Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/rules", self.port);
        let answer = http::get(&url).expect("Prometheus answers").json();
        let groups = answer["data"]["groups"].as_array().into_iter().flatten();
        groups
            .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default())
            .collect()
    }

    /// Waits until an alert fires for an instance, with all of these labels.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_firing(&self, alert: &str, labels: &str) {
        let firing = format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\", {labels}}}");
        eventually(&firing, PATIENCE, || {
            (!self.series(&firing).is_empty()).then_some(())
        });
    }
}

impl Target {
    fn config(&self) -> Value {
        json!({
            "targets": [self.address],
            "labels": {
                "instance": self.instance, "pod": self.instance, "namespace": "db",
                "container": "exporter", "workload": "db",
            },
        })
    }
}
