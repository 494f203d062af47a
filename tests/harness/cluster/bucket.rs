//! The bucket: SeaweedFS in the cluster, written through a forwarded port.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{Cluster, Outcome, PATIENCE, until};
use crate::s3::S3;

/// Name of the bucket.
pub const BUCKET: &str = "dumps";
/// Where in it the dumps lie.
pub const PREFIX: &str = "drugs";
const MANIFEST: &str = include_str!("bucket.yaml");

/// Starts the bucket and waits for it; its Secret is what the tools need.
pub fn start(cluster: &Cluster) -> Outcome<()> {
    cluster.secret(
        "pilotfish-bucket",
        &[
            "AWS_ACCESS_KEY_ID=pilotfish",
            "AWS_SECRET_ACCESS_KEY=pilotfish-secret",
            "AWS_ENDPOINT_URL=http://bucket:8333",
        ],
    )?;
    cluster.apply(MANIFEST)?;
    cluster.wait_available("bucket")?;
    until("the bucket to accept signed requests", PATIENCE, || {
        let forwarded = Forwarded::to_bucket(cluster)?;
        Ok(S3::at(&forwarded.endpoint).answers().then_some(()))
    })
}

/// Stores an object under the prefix that the pods look at.
pub fn put(cluster: &Cluster, name: &str, content: &[u8]) -> Outcome<()> {
    let forwarded = Forwarded::to_bucket(cluster)?;
    S3::at(&forwarded.endpoint).put(BUCKET, &format!("{PREFIX}/{name}"), content);
    Ok(())
}

/// The same with a file.
pub fn put_file(cluster: &Cluster, name: &str, file: &Path) -> Outcome<()> {
    let forwarded = Forwarded::to_bucket(cluster)?;
    S3::at(&forwarded.endpoint).put_file(BUCKET, &format!("{PREFIX}/{name}"), file);
    Ok(())
}

/// Makes the bucket unreachable, or reachable again: a Service without pods behind it refuses at once.
pub fn reachable(cluster: &Cluster, yes: bool) -> Outcome<()> {
    let app = if yes { "bucket" } else { "nobody" };
    let patch = format!(r#"{{"spec": {{"selector": {{"app": "{app}"}}}}}}"#);
    cluster
        .kubectl(&["patch", "service", "bucket", "-p", &patch])
        .map(drop)
}

/// A port of this machine that leads to the bucket's pod; ends with its value.
#[derive(Debug)]
struct Forwarded {
    kubectl: Child,
    /// It ends when nobody reads what it says.
    _said: BufReader<ChildStdout>,
    endpoint: String,
}

impl Forwarded {
    fn to_bucket(cluster: &Cluster) -> Outcome<Self> {
        let mut kubectl = Command::new("kubectl")
            .args(["--namespace", cluster.namespace()])
            .args(["port-forward", "deployment/bucket", ":8333"])
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
            endpoint: format!("http://{address}"),
        };
        if address.is_empty() {
            return Err(format!("no forwarded port in {line:?}"));
        }
        Ok(forwarded)
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}
