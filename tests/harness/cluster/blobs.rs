//! Azure's Blob Storage: Azurite in the cluster, written through a forwarded port.

use super::forwarded::Forwarded;
use super::{Cluster, Outcome, PATIENCE, until};
use crate::azurite::Azurite;

/// Name of the container.
pub const CONTAINER: &str = "dumps";
/// Where in it the dumps lie.
pub const PREFIX: &str = "drugs";
const PORT: u16 = 10_000;
const MANIFEST: &str = include_str!("blobs.yaml");

/// Starts the account and waits for it; its Secret is what the tools need.
pub fn start(cluster: &Cluster) -> Outcome<()> {
    let account = Azurite::at("http://blobs:10000/pilotfish");
    let mut literals: Vec<String> = account
        .env()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    literals.push(format!("AZURE_STORAGE_ENDPOINT={}", account.endpoint()));
    let literals: Vec<&str> = literals.iter().map(String::as_str).collect();
    cluster.secret("pilotfish-bucket", &literals)?;
    cluster.apply(MANIFEST)?;
    cluster.wait_available("blobs")?;
    until("the account to answer signed requests", PATIENCE, || {
        let forwarded = Forwarded::to(cluster, "blobs", PORT)?;
        Ok(reached(&forwarded).answers().then_some(()))
    })
}

/// Stores a blob under the prefix that the pods look at.
pub fn put(cluster: &Cluster, name: &str, content: &[u8]) -> Outcome<()> {
    let forwarded = Forwarded::to(cluster, "blobs", PORT)?;
    reached(&forwarded).put(CONTAINER, &format!("{PREFIX}/{name}"), content);
    Ok(())
}

fn reached(forwarded: &Forwarded) -> Azurite {
    Azurite::at(&format!("{}/pilotfish", forwarded.endpoint()))
}
