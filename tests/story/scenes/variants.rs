//! The overlays of the example, each in a namespace of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pilotfish_harness::cluster::{Cluster, Outcome, PATIENCE, blobs, bucket, condition, until};
use serde_json::json;

use crate::dumps;
use crate::stage::{FETCH, PODS, Stage, WATCH};

/// One ReadWriteMany volume for both pods, filled by the CronJob's Job.
pub(crate) fn shared_volume(stage: &Stage) -> Outcome<()> {
    act_beside(stage, "shared", "mariadb", act_shared_volume)
}

/// The dumps lie in Azure's Blob Storage.
pub(crate) fn azure(stage: &Stage) -> Outcome<()> {
    act_beside(stage, "azure", "mariadb", act_azure)
}

/// A ConfigMap holds the dump: the volume is empty at first, and then the kubelet swaps its `..data`.
pub(crate) fn config_map(stage: &Stage) -> Outcome<()> {
    act_beside(stage, "config-map", "mariadb", act_config_map)
}

/// No claim for the dumps, a pod made anew, and a key that the bucket refuses: it serves the data that it has.
pub(crate) fn key_refused(stage: &Stage) -> Outcome<()> {
    act_beside(stage, "key-refused", "mariadb", act_key_refused)
}

/// A Secret without one of its keys: the pod waits, its events say for what, and no server has run initdb.d.
pub(crate) fn key_missing(stage: &Stage) -> Outcome<()> {
    act_beside(stage, "key-missing", "mariadb", act_key_missing)
}

/// In a namespace of its own, which is gone after it.
pub(super) fn act_beside(
    stage: &Stage,
    name: &str,
    engine: &'static str,
    act: fn(&Stage) -> Outcome<()>,
) -> Outcome<()> {
    let variant = stage.beside(name, engine)?;
    let acted = variant.make_secrets().and_then(|()| act(&variant));
    if acted.is_err() {
        println!("{}", variant.cluster.account_of_trouble());
    }
    variant.cluster.delete()?;
    acted
}

fn act_shared_volume(stage: &Stage) -> Outcome<()> {
    bucket::start(&stage.cluster)?;
    stage
        .cluster
        .apply_folder(&stage.example("shared-volume"))?;
    for version in [1, 2] {
        let dump = dumps::dump(stage.engine, version, 2000);
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

fn act_azure(stage: &Stage) -> Outcome<()> {
    blobs::start(&stage.cluster)?;
    stage.cluster.apply_folder(&stage.prop("overlays/azure"))?;
    for version in [1, 2] {
        let dump = dumps::dump(stage.engine, version, 2000);
        blobs::put(&stage.cluster, &format!("v{version}.sql.gz"), &dump)?;
        let seconds = stage.wait_version(version)?;
        stage.say(
            "azure",
            &format!("v{version} live in both pods {seconds:.1} s after it was stored"),
        );
    }
    stage.wait_ready().map(drop)
}

fn act_config_map(stage: &Stage) -> Outcome<()> {
    let cluster = &stage.cluster;
    cluster.apply_folder(&stage.prop("overlays/config-map"))?;
    for pod in PODS {
        until(
            &format!("watch in {pod} to say what it lacks"),
            PATIENCE,
            || {
                let page = cluster.page(pod, WATCH, "/")?;
                Ok(page.contains("no release").then_some(()))
            },
        )?;
        if cluster.is_ready(pod)? {
            return Err(format!("{pod} is ready without a release"));
        }
    }
    stage.say(
        "config",
        "no ConfigMap yet: both pods run and are not ready",
    );
    for version in [1, 2] {
        let dump = STANDARD.encode(dumps::dump(stage.engine, version, 2000));
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "small-dump"},
            "binaryData": {"drugs.sql.gz": dump},
        });
        cluster.apply(&object.to_string())?;
        let seconds = stage.wait_version(version)?;
        stage.say(
            "config",
            &format!("v{version} live in both pods {seconds:.1} s after the ConfigMap had it"),
        );
    }
    stage.wait_ready().map(drop)
}

fn act_key_missing(stage: &Stage) -> Outcome<()> {
    let cluster = &stage.cluster;
    let patch = r#"[{"op": "remove", "path": "/data/token"}]"#;
    cluster.kubectl(&["patch", "secret", "pilotfish", "--type=json", "-p", patch])?;
    bucket::start(cluster)?;
    bucket::put(cluster, "v1.sql.gz", &dumps::dump(stage.engine, 1, 2000))?;
    cluster.apply_folder(&stage.prop("overlays/mariadb"))?;
    for pod in PODS {
        let object = format!("involvedObject.name={pod}");
        until(
            &format!("an event of {pod} that names the key"),
            PATIENCE,
            || {
                let events = cluster.kubectl(&["get", "events", "--field-selector", &object])?;
                let told = events.contains("non-existent secret key: token");
                Ok(told.then_some(()))
            },
        )?;
        let state = &stage.pod(pod)?["status"]["containerStatuses"][0]["state"];
        if state["waiting"].is_null() {
            return Err(format!("the server of {pod} is not waiting: {state}"));
        }
    }
    stage.say(
        "secret",
        "without the key `token`: both pods wait before their first start, and an event names it",
    );
    let patch = r#"{"stringData": {"token": "the-token"}}"#;
    cluster.kubectl(&["patch", "secret", "pilotfish", "-p", patch])?;
    let seconds = stage.wait_version(1)?;
    stage.say(
        "secret",
        &format!("v1 live in both pods {seconds:.1} s after the key was there"),
    );
    stage.wait_ready().map(drop)
}

fn act_key_refused(stage: &Stage) -> Outcome<()> {
    let cluster = &stage.cluster;
    bucket::start(cluster)?;
    bucket::put(cluster, "v1.sql.gz", &dumps::dump(stage.engine, 1, 2000))?;
    cluster.apply_folder(&stage.prop("overlays/empty-dir"))?;
    stage.wait_version(1)?;
    stage.wait_ready()?;
    let patch = r#"{"stringData": {"AWS_SECRET_ACCESS_KEY": "of yesterday"}}"#;
    cluster.kubectl(&["patch", "secret", "pilotfish-bucket", "-p", patch])?;
    cluster.kubectl(&["delete", "pod", PODS[0]])?;
    until("the pod made anew to be ready", PATIENCE, || {
        Ok(cluster.is_ready(PODS[0])?.then_some(()))
    })?;
    // Far more than the six after which a loop without a release would end, but for the component's word.
    let failures = until("fetch to fail ten times", PATIENCE, || {
        let failures = cluster.metric(PODS[0], FETCH, "pilotfish_fetch_consecutive_failures")?;
        if !cluster.is_ready(PODS[0])? {
            return Ok(Some(Err(format!("not ready after {failures} failures"))));
        }
        Ok((failures >= 10.0).then_some(Ok(failures)))
    })??;
    if stage.version(PODS[0])? != 1 || stage.restarts(PODS[0], "fetch")? != 0 {
        return Err("fetch ended, or v1 is gone".to_owned());
    }
    stage.say(
        "fetch",
        &format!("a wrong key and an empty volume: {failures} failures, and the pod serves v1 all the time"),
    );
    Ok(())
}

/// The CronJob's next run, now.
fn run_fetch(cluster: &Cluster, name: &str) -> Outcome<()> {
    cluster.kubectl(&["create", "job", name, "--from=cronjob/fetch"])?;
    until("the Job of fetch", PATIENCE, || {
        let job = cluster.object(&format!("job/{name}"))?;
        Ok(condition(&job, "Complete").then_some(()))
    })
}
