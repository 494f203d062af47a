//! Releases come, are refused, are rolled back.

use std::time::Duration;

use serde_json::Value;

use crate::dumps;
use crate::prometheus;
use crate::reader::Seen;
use crate::stage::{PODS, Stage, WATCH};
use pilotfish_harness::cluster::bucket;
use pilotfish_harness::cluster::{Outcome, PATIENCE, until};

/// A new dump in the bucket: both pods converge on it, the reader notices nothing.
pub(crate) fn arrives(stage: &Stage) -> Outcome<()> {
    let before = Seen::now(stage)?;
    bucket::put(
        &stage.cluster,
        "v2.sql.gz",
        &dumps::dump(stage.engine, 2, 20_000),
    )?;
    let seconds = stage.wait_version(2)?;
    stage.say(
        "db",
        &format!(
            "both pods hold v2, {seconds:.1} s after it was in the bucket (looked for every 5 s)"
        ),
    );
    let status = stage.load(PODS[0], &["status"])?;
    let digest = live_digest(stage, PODS[0])?;
    if !digest.get(..12).is_some_and(|head| status.contains(head)) {
        return Err(format!(
            "release {digest} is live, and status says: {status}"
        ));
    }
    stage.say(
        "exec",
        &format!(
            "pilotfish-load status in the stock container: {}",
            first_line(&status)
        ),
    );
    Seen::since(before, stage)?.must_be_flawless(stage)
}

/// A truncated dump: refused, said, the old data stays.
pub(crate) fn is_refused(stage: &Stage) -> Outcome<()> {
    let before = Seen::now(stage)?;
    bucket::put(
        &stage.cluster,
        "v3.sql.gz",
        &dumps::truncated(stage.engine, 3, 20_000),
    )?;
    for pod in PODS {
        until(&format!("{pod} to refuse v3"), PATIENCE, || {
            let failures =
                stage
                    .cluster
                    .metric(pod, WATCH, "pilotfish_watch_consecutive_failures")?;
            Ok((failures > 0.0).then_some(()))
        })?;
        if stage.version(pod)? != 2 || !stage.cluster.is_ready(pod)? {
            return Err(format!("{pod} lost v2"));
        }
    }
    stage.say(
        "watch",
        "the truncated v3 is refused by both; v2 stays live, the pods stay ready",
    );
    prometheus::wait_firing(stage, "PilotfishLoadRefused")?;
    Seen::since(before, stage)?.must_be_flawless(stage)?;
    bucket::put(
        &stage.cluster,
        "v4.sql.gz",
        &dumps::dump(stage.engine, 4, 20_000),
    )?;
    let seconds = stage.wait_version(4)?;
    prometheus::wait_ended(stage, "PilotfishLoadRefused")?;
    stage.say("db", &format!("v4 heals it within {seconds:.1} s"));
    Ok(())
}

/// A person rolls back: it stays so, until another release comes.
pub(crate) fn is_rolled_back(stage: &Stage) -> Outcome<()> {
    let before = Seen::now(stage)?;
    let was = stage.version(PODS[0])?;
    bucket::put(
        &stage.cluster,
        "v5.sql.gz",
        &dumps::dump(stage.engine, 5, 20_000),
    )?;
    stage.wait_version(5)?;
    stage.load(PODS[0], &["rollback"])?;
    prometheus::wait_firing(stage, "PilotfishReleasesDiffer")?;
    stage.say(
        "alert",
        "PilotfishReleasesDiffer fires: one pod was rolled back",
    );
    stage.load(PODS[1], &["rollback"])?;
    stage.wait_version(was)?;
    prometheus::wait_firing(stage, "PilotfishReleaseRolledBack")?;
    prometheus::wait_ended(stage, "PilotfishReleasesDiffer")?;
    // Several looks of fetch and watch.
    std::thread::sleep(Duration::from_secs(12));
    for pod in PODS {
        let version = stage.version(pod)?;
        if version != was {
            return Err(format!(
                "{pod} went from the rolled back v{was} to v{version} by itself"
            ));
        }
        let rejected = stage
            .cluster
            .metric(pod, WATCH, "pilotfish_watch_release_rejected")?;
        if rejected < 1.0 {
            return Err(format!("{pod} does not say that its release is rejected"));
        }
    }
    stage.say(
        "exec",
        &format!("rolled back from v5 to v{was} in both pods; it stays so, and the metric says it"),
    );
    let seen = Seen::since(before, stage)?;
    Seen {
        backwards: 0,
        ..seen
    }
    .must_be_flawless(stage)?;
    bucket::put(
        &stage.cluster,
        "v6.sql.gz",
        &dumps::dump(stage.engine, 6, 20_000),
    )?;
    let seconds = stage.wait_version(6)?;
    stage.say("db", &format!("v6 takes over, {seconds:.1} s"));
    Ok(())
}

/// The live release, as `watch` tells it.
fn live_digest(stage: &Stage, pod: &str) -> Outcome<String> {
    let state = stage.cluster.page(pod, WATCH, "/v1/state")?;
    let state: Value = serde_json::from_str(&state).map_err(|error| error.to_string())?;
    let digest = state["live"][0]["digest"].as_str();
    digest
        .map(str::to_owned)
        .ok_or_else(|| format!("no live release in {state}"))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
