//! The book of loads that people and schedulers asked for.

use pilotfish_engine::Engine;
use pilotfish_failure::{Context as _, Failure, Kind};
use serde::{Deserialize, Serialize};

use crate::Report;
use crate::commands::ability;

/// Where a load that was asked for stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// For its release to arrive on the volume.
    Waiting,
    /// Behind a running load.
    Queued,
    /// Now.
    Running,
    /// Its release is live.
    Succeeded,
    /// See `error`.
    Failed,
    /// Stopped by someone, or replaced by a newer one.
    Cancelled,
}

impl State {
    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// One entry of the book; a stable contract as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadRecord {
    /// Chosen by the caller, or made up.
    pub id: String,
    /// The release it asks for: SHA-256 or the source's version.
    pub release: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Why it failed.
    pub error: Option<String>,
    /// The exit code `load` would have ended with.
    pub exit_code: Option<u8>,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub updated_at: u64,
    /// Rows stored so far.
    pub rows: u64,
    /// Bytes of the dump read so far.
    pub bytes: u64,
    /// What it did, once it succeeded.
    pub report: Option<Report>,
}

/// Writes or replaces an entry of `asker`.
///
/// # Errors
/// When the server cannot be reached or written to.
pub async fn record(engine: &dyn Engine, asker: &str, entry: &LoadRecord) -> Result<(), Failure> {
    let body = serde_json::to_string(entry)
        .map_err(|error| Failure::new(Kind::Bug, format!("write a load's record: {error}")))?;
    ability(engine)?
        .history()
        .put(asker, &entry.id, &body)
        .await
        .context("write the book of loads")
}

/// The entry of an id, of those of `asker`.
///
/// # Errors
/// When the server cannot be reached.
pub async fn record_of(
    engine: &dyn Engine,
    asker: &str,
    id: &str,
) -> Result<Option<LoadRecord>, Failure> {
    let body = ability(engine)?
        .history()
        .get(asker, id)
        .await
        .context("read the book of loads")?;
    Ok(body.and_then(|body| parse(&body)))
}

/// The newest entries of `asker`, newest first.
///
/// # Errors
/// When the server cannot be reached.
pub async fn recent(
    engine: &dyn Engine,
    asker: &str,
    limit: u32,
) -> Result<Vec<LoadRecord>, Failure> {
    let bodies = ability(engine)?
        .history()
        .recent(asker, limit)
        .await
        .context("read the book of loads")?;
    Ok(bodies.iter().filter_map(|body| parse(body)).collect())
}

/// An entry that a newer version wrote in another shape is skipped, not fatal.
fn parse(body: &str) -> Option<LoadRecord> {
    serde_json::from_str(body)
        .inspect_err(|error| tracing::warn!(%error, "skips an entry of the book of loads"))
        .ok()
}
