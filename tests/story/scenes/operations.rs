//! What people do to it: rotate a password, lose an account, upgrade the sidecars.

use crate::dumps;
use crate::reader::Seen;
use crate::stage::{PODS, Stage};
use pilotfish_harness::cluster::bucket;
use pilotfish_harness::cluster::{Outcome, PATIENCE, condition, until};
use serde_json::json;

/// What the Secret is changed to: a shell, SQL and JSON each have a sign in it to trip over.
const NEXT_PASSWORD: &str = "the 'kelp' \\one";
/// What is left of it however somebody escapes it.
const PART_OF_IT: &str = "kelp";

/// The Secret changes, the shipped Job runs ALTER USER, nothing restarts, the next load works.
pub(crate) fn password_rotated(stage: &Stage) -> Outcome<()> {
    let before = Seen::now(stage)?;
    let restarts = all_restarts(stage)?;
    let patch = json!({"stringData": {"password": NEXT_PASSWORD}}).to_string();
    stage
        .cluster
        .kubectl(&["patch", "secret", "pilotfish", "-p", &patch])?;
    stage
        .cluster
        .apply_folder(&stage.example("rotate-password"))?;
    until("the rotation's Job", PATIENCE, || {
        let job = stage.cluster.object("job/rotate-password")?;
        Ok(condition(&job, "Complete").then_some(()))
    })?;
    let said =
        stage
            .cluster
            .kubectl(&["logs", "--selector=job-name=rotate-password", "--tail=5"])?;
    let done = said.matches("has the new password").count();
    if done != PODS.len() || said.contains(PART_OF_IT) {
        return Err(format!("the password was changed in {done} pods: {said}"));
    }
    stage.say(
        "rotate",
        "the Job gave the account its new password in both pods",
    );
    publish_next(stage)?;
    if all_restarts(stage)? != restarts {
        return Err("containers restarted at the rotation".to_owned());
    }
    stage.say(
        "watch",
        "loads with the new password; no container was restarted",
    );
    account_lost(stage)?;
    Seen::since(before, stage)?.must_be_flawless(stage)
}

/// A server without the account, as one that was there before pilotfish: the shipped script makes it.
fn account_lost(stage: &Stage) -> Outcome<()> {
    for pod in PODS {
        // Of PostgreSQL it owns what is live, and cannot be dropped.
        let lost = match stage.engine {
            "postgres" => "ALTER ROLE pilotfish PASSWORD NULL",
            _ => "DROP USER 'pilotfish'@'127.0.0.1'",
        };
        stage.sql(pod, lost)?;
        let script = "bash /pilotfish-account/rotate.sh 60 2>&1";
        // Root may not, the first time: the script fails, and what the client says of the statement stays with it.
        let in_vain = format!(
            "for name in MYSQL_ROOT MARIADB_ROOT POSTGRES; do export ${{name}}_PASSWORD=wrong; unset ${{name}}_PASSWORD_FILE; done; \
             {script}; echo code=$?"
        );
        let said = stage.cluster.exec(pod, "db", &["bash", "-c", &in_vain])?;
        if !said.contains("root cannot change the account")
            || !said.contains("code=1")
            || said.contains(PART_OF_IT)
        {
            return Err(format!("a root that is refused: {said}"));
        }
        let said = stage.cluster.exec(pod, "db", &["bash", "-c", script])?;
        if !said.contains("has the new password") || said.contains(PART_OF_IT) {
            return Err(format!("the account was not made again: {said}"));
        }
    }
    publish_next(stage)?;
    stage.say(
        "rotate",
        "the account was lost in both pods: rotate.sh made it again, with its grants",
    );
    Ok(())
}

/// The images of the sidecars are patched in place, by the README's commands: those restart, the server does not.
pub(crate) fn upgraded_in_place(stage: &Stage) -> Outcome<()> {
    let before = Seen::now(stage)?;
    for pod in PODS {
        let count = |name| stage.restarts(pod, name);
        let (db, watch, fetch) = (count("db")?, count("watch")?, count("fetch")?);
        let object = format!("pod/{pod}");
        let (next_watch, next_fetch) = ("watch=pilotfish-watch:next", "fetch=pilotfish-fetch:next");
        let restarts = r#"{.status.initContainerStatuses[?(@.name=="watch")].restartCount}"#;
        let restarted = format!("--for=jsonpath={restarts}={}", watch + 1);
        for words in [
            &["set", "image", &object, next_watch, next_fetch][..],
            &["wait", &restarted, &object],
            &["wait", "--for=condition=Ready", &object],
        ] {
            let patience = ["--timeout=5m", "--request-timeout=6m"];
            let patience = &patience[..if words[0] == "wait" { 2 } else { 0 }];
            stage.cluster.kubectl(&[words, patience].concat())?;
        }
        if count("watch")? == watch {
            return Err(format!("{pod} is ready with its old watch"));
        }
        until(&format!("the new fetch of {pod}"), PATIENCE, || {
            Ok((count("fetch")? > fetch).then_some(()))
        })?;
        if count("db")? != db {
            return Err(format!("the server of {pod} was restarted"));
        }
    }
    stage.say(
        "upgrade",
        "watch and fetch have other images in both pods, one pod after the other; the servers went on",
    );
    publish_next(stage)?;
    Seen::since(before, stage)?.must_be_flawless(stage)
}

fn publish_next(stage: &Stage) -> Outcome<()> {
    let next = stage.version(PODS[0])? + 1;
    bucket::put(
        &stage.cluster,
        &format!("v{next}.sql.gz"),
        &dumps::dump(stage.engine, next, 20_000),
    )?;
    stage.wait_version(next).map(drop)
}

fn all_restarts(stage: &Stage) -> Outcome<Vec<u64>> {
    PODS.iter()
        .flat_map(|pod| ["db", "watch", "fetch"].map(|container| stage.restarts(pod, container)))
        .collect()
}
