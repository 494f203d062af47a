//! What a cluster does to pods: buckets go away, pods and containers end at the wrong moment. Nobody lends a hand.

use std::time::Instant;

use crate::dumps;
use crate::prometheus;
use crate::reader::Seen;
use crate::stage::{Held, PODS, Stage, WATCH};
use pilotfish_harness::cluster::bucket;
use pilotfish_harness::cluster::{Outcome, PATIENCE, until};

/// Enough rows that a pod can be deleted while they are loaded.
const MANY: u32 = 600_000;

/// The bucket is away and a pod is deleted, with its server's data: it comes back from the dump that it has.
pub(crate) fn bucket_away(stage: &Stage) -> Outcome<()> {
    let version = stage.version(PODS[0])?;
    bucket::reachable(&stage.cluster, false)?;
    // Goes with the pod, which still uses it.
    let claim = format!("data-{}", PODS[0]);
    stage
        .cluster
        .kubectl(&["delete", "pvc", &claim, "--wait=false"])?;
    let seconds = delete_and_await(stage, PODS[0], &[])?;
    if stage.version(PODS[0])? != version {
        return Err(format!("{} came back with another version", PODS[0]));
    }
    stage.say(
        "db",
        &format!(
            "without a bucket and with an empty server {} is back with v{version} after {seconds:.1} s",
            PODS[0]
        ),
    );
    prometheus::wait_firing(stage, "PilotfishSourceStale")?;
    stage.say("alert", "PilotfishSourceStale fires");
    bucket::reachable(&stage.cluster, true)?;
    prometheus::wait_ended(stage, "PilotfishSourceStale")?;
    stage.say("alert", "the bucket is back: it ends");
    Ok(())
}

/// A pod is deleted in the middle of a load.
pub(crate) fn deleted_mid_load(stage: &Stage) -> Outcome<()> {
    let (old, new) = publish_many(stage)?;
    let rows = wait_loading(stage, PODS[1], old)?;
    let seconds = delete_and_await(stage, PODS[1], &["--grace-period=2"])?;
    stage.say(
        "db",
        &format!(
            "{} deleted with {rows} rows staged; ready again after {seconds:.1} s",
            PODS[1]
        ),
    );
    wait_old_then_new(stage, old, new)
}

/// The server's container ends in the middle of a load.
pub(crate) fn containers_restarted(stage: &Stage) -> Outcome<()> {
    let (old, new) = publish_many(stage)?;
    let before = stage.restarts(PODS[0], "db")?;
    let rows = wait_loading(stage, PODS[0], old)?;
    // As PID 1 it has a handler for some signals only; a PostgreSQL waits for its clients at SIGTERM.
    let kill = match stage.engine {
        "postgres" => "kill -INT 1",
        _ => "kill 1",
    };
    let _ = stage.cluster.exec(PODS[0], "db", &["bash", "-c", kill]);
    until(
        "the server's container to be started again",
        PATIENCE,
        || Ok((stage.restarts(PODS[0], "db")? > before).then_some(())),
    )?;
    stage.say(
        "db",
        &format!("its container ended with {rows} rows staged, and was started again"),
    );
    wait_old_then_new(stage, old, new)?;
    stage.wait_ready().map(drop)
}

/// Publishes a release that takes its time; the versions before and after it.
fn publish_many(stage: &Stage) -> Outcome<(u32, u32)> {
    let old = stage.version(PODS[0])?;
    let new = old + 1;
    bucket::put(
        &stage.cluster,
        &format!("v{new}.sql.gz"),
        &dumps::dump(stage.engine, new, MANY),
    )?;
    Ok((old, new))
}

/// Waits until a pod is in the middle of a load, with the old version live; the rows that it has staged.
fn wait_loading(stage: &Stage, pod: &str, old: u32) -> Outcome<f64> {
    let rows = until(&format!("{pod} to load"), PATIENCE, || {
        let rows = stage
            .cluster
            .metric(pod, WATCH, "pilotfish_watch_load_rows")?;
        Ok((rows > 0.0).then_some(rows))
    })?;
    match stage.version(pod)? {
        version if version == old => Ok(rows),
        _ => Err(format!("{pod} has loaded before it could be disturbed")),
    }
}

/// Every answer is the old version or the new one, and in the end it is the new one.
fn wait_old_then_new(stage: &Stage, old: u32, new: u32) -> Outcome<()> {
    for pod in PODS {
        until(&format!("v{new} in {pod}"), PATIENCE, || {
            Ok(match stage.held(pod)? {
                Held::Version(version) if version == new => Some(Ok(())),
                Held::Version(version) if version == old => None,
                other => Some(Err(format!("{pod} holds {other:?}"))),
            })
        })??;
    }
    stage.say(
        "db",
        &format!("v{old} until it was v{new}, in both pods, without a hand"),
    );
    Seen::now(stage).map(drop)
}

/// Deletes a pod and waits until its successor is ready; the seconds it took.
fn delete_and_await(stage: &Stage, pod: &str, words: &[&str]) -> Outcome<f64> {
    let uid = stage.pod(pod)?["metadata"]["uid"].clone();
    let start = Instant::now();
    let mut args = vec!["delete", "pod", pod, "--wait=false"];
    args.extend(words);
    stage.cluster.kubectl(&args)?;
    until(&format!("{pod} to be ready again"), PATIENCE, || {
        let another = stage.pod(pod)?["metadata"]["uid"] != uid;
        Ok((another && stage.cluster.is_ready(pod)?).then_some(()))
    })?;
    Ok(start.elapsed().as_secs_f64())
}

/// The kernel ends `watch` in the middle of a load, for want of memory; with enough of it the next pod heals.
pub(crate) fn out_of_memory(stage: &Stage) -> Outcome<()> {
    // Rows that go by COPY take less of it.
    let (limit, said) = match stage.engine {
        "postgres" => ("12Mi", "12 MiB"),
        _ => ("24Mi", "24 MiB"),
    };
    limit_watch(stage, limit)?;
    delete_and_await(stage, PODS[1], &[])?;
    let (old, new) = publish_many(stage)?;
    until("watch to be killed for its memory", PATIENCE, || {
        let pod = stage.pod(PODS[1])?;
        let statuses = pod["status"]["initContainerStatuses"].as_array();
        let mut watch = statuses
            .into_iter()
            .flatten()
            .filter(|one| one["name"] == "watch");
        let killed = watch.any(|one| one["lastState"]["terminated"]["reason"] == "OOMKilled");
        Ok(killed.then_some(()))
    })?;
    if stage.version(PODS[1])? != old {
        return Err(format!("{} lost v{old}", PODS[1]));
    }
    stage.say(
        "watch",
        &format!("OOMKilled with a limit of {said} in the middle of a load; v{old} stays live"),
    );
    limit_watch(stage, "256Mi")?;
    delete_and_await(stage, PODS[1], &[])?;
    wait_old_then_new(stage, old, new)
}

/// Sets the memory limit of `watch` in the template: for the next pod, since nothing restarts by itself.
fn limit_watch(stage: &Stage, limit: &str) -> Outcome<()> {
    let resources =
        format!(r#"{{"requests": {{"memory": "8Mi"}}, "limits": {{"memory": "{limit}"}}}}"#);
    let containers = format!(r#"[{{"name": "watch", "resources": {resources}}}]"#);
    let patch =
        format!(r#"{{"spec": {{"template": {{"spec": {{"initContainers": {containers}}}}}}}}}"#);
    stage
        .cluster
        .kubectl(&["patch", "statefulset", "db", "-p", &patch])
        .map(drop)
}
