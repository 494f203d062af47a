//! A Prefect flow publishes a dump and asks every pod for it by its own DNS name.

use pilotfish_harness::cluster::{Cluster, Outcome, PATIENCE, condition, until};

use crate::dumps;
use crate::stage::{PODS, Stage};

pub(crate) fn publishes(stage: &Stage) -> Outcome<()> {
    let cluster = &stage.cluster;
    cluster.secret(
        "publisher",
        &[
            "AWS_ACCESS_KEY_ID=pilotfish",
            "AWS_SECRET_ACCESS_KEY=pilotfish-secret",
            "AWS_REGION=us-east-1",
            "AWS_ENDPOINT_URL=http://bucket:8333",
        ],
    )?;
    let server = stage.prop("overlays/prefect/server.yaml");
    cluster.kubectl(&["apply", "-f", &server.to_string_lossy()])?;
    cluster.wait_available("prefect-server")?;
    let flow = stage.prop("overlays/prefect");

    lay_on_the_desk(cluster, &dumps::truncated(stage.engine, 70, 20_000))?;
    cluster.apply_folder(&flow)?;
    let said = ended(cluster, "Failed")?;
    if !said.contains("the dump is cut off") || !said.contains("db-1.db:9808") {
        return Err(format!("the flow does not say why: {said}"));
    }
    stage.say(
        "prefect",
        "the run of a truncated dump failed in the loader's words, with the pods' names",
    );
    cluster.kubectl(&["delete", "job", "publish-dump"])?;

    lay_on_the_desk(cluster, &dumps::dump(stage.engine, 71, 20_000))?;
    cluster.apply_folder(&flow)?;
    let _ = ended(cluster, "Complete")?;
    for pod in PODS {
        if stage.version(pod)? != 71 {
            return Err(format!(
                "the run is Completed, and {pod} does not serve its dump"
            ));
        }
    }
    for pod in PODS {
        let log = stage.cluster.kubectl(&["logs", pod, "-c", "fetch"])?;
        let mut unproven = log.lines().filter(|line| line.contains("no checksum file"));
        if let Some(line) = unproven.find(|line| line.contains("drugs.sql.gz")) {
            return Err(format!(
                "{pod} took the flow's dump without its proof: {line}"
            ));
        }
    }
    stage.say(
        "prefect",
        "the run of the next one completed: both pods serve it, checked against its SHA-256",
    );
    cluster
        .kubectl(&["delete", "deployment", "prefect-server"])
        .map(drop)
}

/// Puts the dump where the flow finds it.
fn lay_on_the_desk(cluster: &Cluster, dump: &[u8]) -> Outcome<()> {
    let store = "import sys; open('/dumps/drugs.sql.gz', 'wb').write(sys.stdin.buffer.read())";
    let words = [
        "exec",
        "-i",
        "deployment/prefect-server",
        "-c",
        "desk",
        "--",
        "python",
        "-c",
        store,
    ];
    cluster.kubectl_with(&words, dump).map(drop)
}

/// What the flow's log says once its Job has come to this end.
fn ended(cluster: &Cluster, wanted: &str) -> Outcome<String> {
    let (end, log) = until("the flow's Job to end", PATIENCE, || {
        let job = cluster.object("job/publish-dump")?;
        let mut ends = ["Complete", "Failed"].into_iter();
        let Some(end) = ends.find(|end| condition(&job, end)) else {
            return Ok(None);
        };
        let log = cluster.kubectl(&["logs", "job/publish-dump", "-c", "publish"])?;
        Ok(Some((end, log)))
    })?;
    if end != wanted {
        return Err(format!("the flow's Job is {end}: {log}"));
    }
    Ok(log)
}
