//! Ports of this machine that lead into the cluster.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{Cluster, Outcome};

/// A port that leads to the pod of a Deployment; ends with its value.
#[derive(Debug)]
pub(super) struct Forwarded {
    kubectl: Child,
    /// It ends when nobody reads what it says.
    _said: BufReader<ChildStdout>,
    address: String,
}

impl Forwarded {
    pub(super) fn to(cluster: &Cluster, deployment: &str, port: u16) -> Outcome<Self> {
        let mut kubectl = Command::new("kubectl")
            .args(["--namespace", cluster.namespace(), "port-forward"])
            .args([&format!("deployment/{deployment}"), &format!(":{port}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| format!("run kubectl: {error}"))?;
        let stdout = kubectl.stdout.take().ok_or("kubectl has no output")?;
        let mut said = BufReader::new(stdout);
        let mut line = String::new();
        let _ = said.read_line(&mut line);
        // Forwarding from 127.0.0.1:34567 -> 8333
        let address = line.split_whitespace().nth(2).unwrap_or_default();
        let forwarded = Self {
            kubectl,
            _said: said,
            address: address.to_owned(),
        };
        if address.is_empty() {
            return Err(format!("no forwarded port in {line:?}"));
        }
        Ok(forwarded)
    }

    /// The URL of what listens there.
    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}
