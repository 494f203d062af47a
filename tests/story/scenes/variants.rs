//! The overlays of the example, each in a namespace of its own.

use pilotfish_harness::cluster::{Cluster, Outcome, PATIENCE, bucket, condition, until};

use crate::dumps;
use crate::stage::Stage;

/// One ReadWriteMany volume for both pods, filled by the CronJob's Job.
pub(crate) fn shared_volume(stage: &Stage) -> Outcome<()> {
    let variant = stage.beside("shared")?;
    let acted = act_shared_volume(&variant);
    if acted.is_err() {
        println!("{}", variant.cluster.account_of_trouble());
    }
    variant.cluster.delete()?;
    acted
}

fn act_shared_volume(stage: &Stage) -> Outcome<()> {
    stage.make_secrets()?;
    bucket::start(&stage.cluster)?;
    stage
        .cluster
        .apply_folder(&stage.example("shared-volume"))?;
    for version in [1, 2] {
        let dump = dumps::dump(version, 2000);
        bucket::put(&stage.cluster, &format!("v{version}.sql.gz"), &dump)?;
        run_fetch(&stage.cluster, &format!("fetch-{version}"))?;
        let seconds = stage.wait_version(version)?;
        stage.say(
            "shared",
            &format!("v{version} fetched once, and live in both pods {seconds:.1} s later"),
        );
    }
    stage.wait_ready().map(drop)
}

/// The CronJob's next run, now.
fn run_fetch(cluster: &Cluster, name: &str) -> Outcome<()> {
    cluster.kubectl(&["create", "job", name, "--from=cronjob/fetch"])?;
    until("the Job of fetch", PATIENCE, || {
        let job = cluster.object(&format!("job/{name}"))?;
        Ok(condition(&job, "Complete").then_some(()))
    })
}
