//! The bucket: SeaweedFS in the cluster, written through a forwarded port.

use std::path::Path;

use super::forwarded::Forwarded;
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
        let forwarded = Forwarded::to(cluster, "bucket", 8333)?;
        Ok(S3::at(&forwarded.endpoint()).answers().then_some(()))
    })
}

/// Stores an object under the prefix that the pods look at.
pub fn put(cluster: &Cluster, name: &str, content: &[u8]) -> Outcome<()> {
    let forwarded = Forwarded::to(cluster, "bucket", 8333)?;
    S3::at(&forwarded.endpoint()).put(BUCKET, &format!("{PREFIX}/{name}"), content);
    Ok(())
}

/// The same with a file.
pub fn put_file(cluster: &Cluster, name: &str, file: &Path) -> Outcome<()> {
    let forwarded = Forwarded::to(cluster, "bucket", 8333)?;
    S3::at(&forwarded.endpoint()).put_file(BUCKET, &format!("{PREFIX}/{name}"), file);
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
