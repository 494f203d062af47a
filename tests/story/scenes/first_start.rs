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
    bucket::put(&stage.cluster, "v0.sql.gz", &dumps::truncated(0, 2000))?;
    stage
        .cluster
        .apply_folder(&stage.prop("overlays").join(stage.engine))?;
    stage.cluster.apply_folder(&stage.example("reader"))?;
    stage.say(
        "apply",
        "two database pods and a reader; the bucket holds a truncated dump",
    );
    for pod in PODS {
        refuses_the_truncated_one(stage, pod)?;
    }
    bucket::put(&stage.cluster, "v1.sql.gz", &dumps::dump(1, 20_000))?;
    stage.say("publish", "v1");
    let seconds = stage.wait_ready()?;
    for pod in PODS {
        if stage.version(pod)? != 1 {
            return Err(format!("{pod} is ready without its data"));
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
