//! A cluster as `kubectl` sees it: whichever KUBECONFIG names, in one namespace.

pub mod blobs;
pub mod bucket;
mod forwarded;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::variable;

/// What went wrong, in words for a person.
pub type Outcome<T> = Result<T, String>;

/// Generous: two cores may carry all of it. What is measured is printed, never asserted.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// One namespace of the cluster.
#[derive(Debug)]
pub struct Cluster {
    namespace: String,
}

impl Cluster {
    /// Makes the namespace, in which the API server refuses every pod that is not restricted. It is labelled with
    /// the run that `./x` is in, which deletes what is left by that label.
    pub fn with_namespace(namespace: &str) -> Outcome<Self> {
        let cluster = Self {
            namespace: namespace.to_owned(),
        };
        let mut labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        if let Some(run) = variable("PILOTFISH_RUN") {
            labels["pilotfish-run"] = run.into();
        }
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": labels},
        });
        cluster.apply(&object.to_string())?;
        Ok(cluster)
    }

    /// Its name.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Deletes the namespace, and what is in it; does not wait for it.
    ///
    /// # Errors
    /// As all functions here: what `kubectl` complains about.
    pub fn delete(&self) -> Outcome<()> {
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"])
            .map(drop)
    }

    /// What `kubectl` prints; its complaint as the error.
    pub fn kubectl(&self, args: &[&str]) -> Outcome<String> {
        self.kubectl_with(args, b"")
    }

    /// The same with something on its standard input.
    pub fn kubectl_with(&self, args: &[&str], input: &[u8]) -> Outcome<String> {
        let mut child = Command::new("kubectl")
            .args(["--namespace", &self.namespace, "--request-timeout=60s"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("run kubectl: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read its input is not interested.
            let _ = stdin.write_all(input);
        }
        let output = child
            .wait_with_output()
            .map_err(|error| format!("wait for kubectl: {error}"))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        Err(format!(
            "kubectl {}: {}{}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim(),
            printed.trim()
        ))
    }

    /// Applies manifests.
    pub fn apply(&self, manifests: &str) -> Outcome<()> {
        self.kubectl_with(&["apply", "-f", "-"], manifests.as_bytes())
            .map(drop)
    }

    /// Applies a kustomization.
    pub fn apply_folder(&self, folder: &Path) -> Outcome<()> {
        self.kubectl(&["apply", "-k", &folder.to_string_lossy()])
            .map(drop)
    }

    /// Makes a Secret of `key=value` literals.
    pub fn secret(&self, name: &str, literals: &[&str]) -> Outcome<()> {
        let literals: Vec<_> = literals
            .iter()
            .map(|literal| format!("--from-literal={literal}"))
            .collect();
        let mut args = vec!["create", "secret", "generic", name];
        args.extend(literals.iter().map(String::as_str));
        self.kubectl(&args).map(drop)
    }

    /// Waits until a Deployment has its pods.
    pub fn wait_available(&self, deployment: &str) -> Outcome<()> {
        until(&format!("deployment {deployment}"), PATIENCE, || {
            let object = self.object(&format!("deployment/{deployment}"))?;
            Ok(condition(&object, "Available").then_some(()))
        })
    }

    /// Whether a pod is ready.
    pub fn is_ready(&self, pod: &str) -> Outcome<bool> {
        Ok(condition(&self.object(&format!("pod/{pod}"))?, "Ready"))
    }

    /// An object as the API has it.
    pub fn object(&self, name: &str) -> Outcome<Value> {
        let text = self.kubectl(&["get", name, "-o", "json"])?;
        serde_json::from_str(&text).map_err(|error| format!("{name} as JSON: {error}"))
    }

    /// Runs a command in a container; what it prints.
    pub fn exec(&self, pod: &str, container: &str, command: &[&str]) -> Outcome<String> {
        let mut args = vec!["exec", pod, "-c", container, "--"];
        args.extend(command);
        self.kubectl(&args)
    }

    /// The body of a page of a pod, through the API server: no address of the pod is needed.
    pub fn page(&self, pod: &str, port: u16, path: &str) -> Outcome<String> {
        self.through("pods", pod, port, path)
    }

    /// The body of a page of a Service.
    pub fn service_page(&self, service: &str, port: u16, path: &str) -> Outcome<String> {
        self.through("services", service, port, path)
    }

    fn through(&self, kind: &str, name: &str, port: u16, path: &str) -> Outcome<String> {
        let namespace = &self.namespace;
        self.kubectl(&[
            "get",
            "--raw",
            &format!("/api/v1/namespaces/{namespace}/{kind}/{name}:{port}/proxy{path}"),
        ])
    }

    /// The value of a metric of a pod; 0 where it has none, as Prometheus counts.
    pub fn metric(&self, pod: &str, port: u16, series: &str) -> Outcome<f64> {
        let page = self.page(pod, port, "/metrics")?;
        Ok(page
            .lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
            .unwrap_or(0.0))
    }

    /// What a person would look at first.
    #[must_use]
    pub fn account_of_trouble(&self) -> String {
        let mut text = String::new();
        for args in [
            &["get", "pods", "-o", "wide"][..],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &["logs", "db-0", "-c", "fetch", "--tail=15"],
            &["logs", "db-0", "-c", "watch", "--tail=15"],
            &["logs", "db-0", "-c", "db", "--tail=15"],
            &["logs", "deployment/reader", "--tail=15"],
        ] {
            let said = self.kubectl(args).unwrap_or_else(|error| error);
            let lines: Vec<_> = said.lines().collect();
            let end = lines[lines.len().saturating_sub(30)..].join("\n");
            text += &format!("--- kubectl {}\n{end}\n", args.join(" "));
        }
        text
    }
}

/// Whether the condition of an object is true.
#[must_use]
pub fn condition(object: &Value, kind: &str) -> bool {
    object["status"]["conditions"]
        .as_array()
        .is_some_and(|all| {
            all.iter()
                .any(|one| one["type"] == kind && one["status"] == "True")
        })
}

/// Asks again and again until there is an answer; the last complaint is in the error.
pub fn until<T>(
    what: &str,
    patience: Duration,
    mut probe: impl FnMut() -> Outcome<Option<T>>,
) -> Outcome<T> {
    let start = Instant::now();
    loop {
        let complaint = match probe() {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => String::new(),
            Err(complaint) => format!(": {complaint}"),
        };
        if start.elapsed() > patience {
            return Err(format!("waited {patience:?} in vain for {what}{complaint}"));
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}
