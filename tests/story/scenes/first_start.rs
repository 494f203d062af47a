//! Two pods start, first beside a dump that cannot be loaded: ready only when the data is there.

use crate::dumps;
use crate::prometheus;
use crate::reader::Seen;
use crate::stage::{PODS, Stage, WATCH};
use pilotfish_harness::cluster::bucket;
use pilotfish_harness::cluster::{Outcome, PATIENCE, until};

pub(crate) fn act(stage: &Stage) -> Outcome<()> {
    stage.make_secrets()?;
    bucket::start(&stage.cluster)?;
    bucket::put(
        &stage.cluster,
        "v0.sql.gz",
        &dumps::truncated(stage.engine, 0, 2000),
    )?;
    stage
        .cluster
        .apply_folder(&stage.prop("overlays").join(stage.engine))?;
    let (reader, beside) = match stage.engine {
        "postgres" => ("reader-postgres", "overlays/postgres-reader"),
        _ => ("reader", "overlays/reader"),
    };
    stage.cluster.apply_folder(&stage.example(reader))?;
    for pod in 0..PODS.len() {
        let folder = stage.prop(&format!("{beside}-{pod}"));
        stage.cluster.apply_folder(&folder)?;
    }
    stage.say(
        "apply",
        "two database pods and their readers; the bucket holds a truncated dump",
    );
    for pod in PODS {
        refuses_the_truncated_one(stage, pod)?;
    }
    let published = now_in_the_cluster(stage)?;
    bucket::put(
        &stage.cluster,
        "v1.sql.gz",
        &dumps::dump(stage.engine, 1, 20_000),
    )?;
    stage.say("publish", "v1");
    let seconds = stage.wait_ready()?;
    for pod in PODS {
        if stage.version(pod)? != 1 || ready_since(stage, pod)? < published {
            return Err(format!("{pod} was ready without its data"));
        }
    }
    stage.say(
        "db",
        &format!("both pods are ready with v1, {seconds:.1} s after it"),
    );
    stage.cluster.wait_available("reader")?;
    prometheus::start(stage)?;
    let targets = PODS.len() * 2;
    until("Prometheus to scrape all sidecars", PATIENCE, || {
        let up = prometheus::targets_up(stage)?;
        Ok((up == targets).then_some(()))
    })?;
    stage.say(
        "prometheus",
        &format!("scrapes {targets} of {targets} sidecars"),
    );
    until("the reader's first counts", PATIENCE, || {
        Ok(Seen::now(stage).ok())
    })?;
    Seen::since(Seen::default(), stage)?.must_be_flawless(stage)
}

/// The API server's clock, as its objects tell times: later ones are greater.
fn now_in_the_cluster(stage: &Stage) -> Outcome<String> {
    stage
        .cluster
        .kubectl(&["create", "configmap", "published"])?;
    let object = stage.cluster.object("configmap/published")?;
    let time = object["metadata"]["creationTimestamp"].as_str();
    time.map(str::to_owned)
        .ok_or_else(|| format!("no time in {object}"))
}

/// Since when a pod has been ready without a break.
fn ready_since(stage: &Stage, pod: &str) -> Outcome<String> {
    let pod = stage.pod(pod)?;
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let ready = conditions.find(|one| one["type"] == "Ready" && one["status"] == "True");
    let since = ready.and_then(|one| one["lastTransitionTime"].as_str());
    since
        .map(str::to_owned)
        .ok_or_else(|| format!("not ready: {}", pod["status"]["conditions"]))
}

fn refuses_the_truncated_one(stage: &Stage, pod: &str) -> Outcome<()> {
    until(
        &format!("{pod} to refuse the truncated dump"),
        PATIENCE,
        || {
            let page = stage.cluster.page(pod, WATCH, "/")?;
            Ok(page.contains("the dump is cut off").then_some(()))
        },
    )?;
    if stage.cluster.is_ready(pod)? {
        return Err(format!("{pod} is ready without a release"));
    }
    stage.say(pod, "not ready: its page says that the dump is cut off");
    Ok(())
}
