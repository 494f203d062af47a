//! What a pod does to a process, in small pods of their own: any user, no /tmp, no DNS yet, service links, limits.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::Stage;
use pilotfish_harness::cluster::{Outcome, PATIENCE, until};

/// One container that runs to its end.
struct OneShot<'a> {
    name: &'a str,
    image: &'a str,
    args: &'a [&'a str],
    user: u32,
    links: bool,
    volume: Value,
}

impl Default for OneShot<'_> {
    fn default() -> Self {
        Self {
            name: "one-shot",
            image: "pilotfish-wait:0.1.0",
            args: &[],
            user: 65532,
            links: false,
            volume: json!({}),
        }
    }
}

pub(crate) fn act(stage: &Stage) -> Outcome<()> {
    any_user_and_nothing_writable(stage)?;
    a_failure_says_why(stage)?;
    a_full_volume(stage)?;
    ends_at_sigterm_as_pid_1(stage)?;
    no_name_yet_and_service_links(stage)
}

fn any_user_and_nothing_writable(stage: &Stage) -> Outcome<()> {
    let pod = OneShot {
        name: "any-user",
        image: "pilotfish-fetch:0.1.0",
        args: &["s3://dumps/drugs/", "--match=v1.*", "--to=/dumps"],
        user: 1_234_567,
        ..OneShot::default()
    };
    let end = pod.run_to_end(stage)?;
    expect(&end, 0)?;
    stage.say("pod", "user 1234567, read-only root, no /tmp: fetch works");
    Ok(())
}

fn a_failure_says_why(stage: &Stage) -> Outcome<()> {
    let pod = OneShot {
        name: "no-such-object",
        image: "pilotfish-fetch:0.1.0",
        args: &["s3://dumps/nothing.sql", "--to=/dumps"],
        ..OneShot::default()
    };
    let end = pod.run_to_end(stage)?;
    let message = end["message"].as_str().unwrap_or_default();
    if end["exitCode"] == 0 || !message.contains("nothing.sql") {
        return Err(format!("the termination message does not say why: {end}"));
    }
    stage.say(
        "pod",
        &format!(
            "termination message, code {}: {}",
            end["exitCode"],
            message.trim()
        ),
    );
    Ok(())
}

fn a_full_volume(stage: &Stage) -> Outcome<()> {
    let pod = OneShot {
        name: "full-volume",
        image: "pilotfish-fetch:0.1.0",
        args: &[
            "s3://dumps/drugs/",
            "--match=v1.*",
            "--to=/dumps",
            "--reserve=0",
        ],
        volume: json!({"medium": "Memory", "sizeLimit": "256Ki"}),
        ..OneShot::default()
    };
    let end = pod.run_to_end(stage)?;
    expect(&end, 73)?;
    stage.say(
        "pod",
        &format!(
            "a full volume: {}",
            end["message"].as_str().unwrap_or_default().trim()
        ),
    );
    Ok(())
}

fn ends_at_sigterm_as_pid_1(stage: &Stage) -> Outcome<()> {
    let pod = OneShot {
        name: "pid-1",
        args: &["--host=192.0.2.1", "--user=nobody", "--timeout=0s"],
        ..OneShot::default()
    };
    pod.start(stage)?;
    until("the waiting pod to run", PATIENCE, || {
        Ok((stage.pod(pod.name)?["status"]["phase"] == "Running").then_some(()))
    })?;
    let start = Instant::now();
    stage.cluster.kubectl(&["delete", "pod", pod.name])?;
    let seconds = start.elapsed().as_secs_f64();
    if start.elapsed() > Duration::from_secs(20) {
        return Err(format!(
            "as PID 1 it took {seconds:.1} s to end: SIGTERM was not heard"
        ));
    }
    stage.say(
        "pod",
        &format!("PID 1 ends at SIGTERM: deleted within {seconds:.1} s of its 30"),
    );
    Ok(())
}

/// The Service's name is not there yet, and others are called as our variables are.
fn no_name_yet_and_service_links(stage: &Stage) -> Outcome<()> {
    let service = |name: &str, spec: Value| {
        let metadata = json!({"name": name});
        let object =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
        stage.cluster.apply(&object.to_string())
    };
    service("pilotfish-wait", json!({"ports": [{"port": 1}]}))?;
    let mut args = vec![
        "--host=db-later",
        "--user=reader",
        "--password-file=/run/secrets/pilotfish-wait/password",
        "--timeout=2m",
    ];
    if stage.engine == "postgres" {
        args.extend(["--engine=postgres", "--database=app"]);
    }
    let pod = OneShot {
        name: "no-name-yet",
        args: &args,
        links: true,
        ..OneShot::default()
    };
    pod.start(stage)?;
    until("wait to look for a name in vain", PATIENCE, || {
        let log = stage.cluster.kubectl(&["logs", pod.name])?;
        Ok(log.contains("lookup").then_some(()))
    })?;
    service(
        "db-later",
        json!({"selector": {"app": "db"}, "ports": [{"port": stage.port()}]}),
    )?;
    let end = pod.end(stage)?;
    expect(&end, 0)?;
    stage.say(
        "pod",
        "a name that DNS learns later, and PILOTFISH_WAIT_PORT=tcp://... about: wait works",
    );
    Ok(())
}

impl OneShot<'_> {
    fn run_to_end(&self, stage: &Stage) -> Outcome<Value> {
        self.start(stage)?;
        self.end(stage)
    }

    fn start(&self, stage: &Stage) -> Outcome<()> {
        let manifest = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.name},
            "spec": {
                "restartPolicy": "Never",
                "enableServiceLinks": self.links,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": self.user, "fsGroup": self.user,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "tool", "image": self.image, "args": self.args,
                    "envFrom": [{"secretRef": {"name": "pilotfish-bucket"}}],
                    "securityContext": {
                        "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [
                        {"name": "dumps", "mountPath": "/dumps"},
                        {"name": "secret", "mountPath": "/run/secrets/pilotfish-wait"},
                    ],
                }],
                "volumes": [
                    {"name": "dumps", "emptyDir": self.volume},
                    {"name": "secret", "secret": {"secretName": "pilotfish-wait"}},
                ],
            },
        });
        stage.cluster.apply(&manifest.to_string())
    }

    /// The `terminated` state of its container.
    fn end(&self, stage: &Stage) -> Outcome<Value> {
        until(&format!("the pod {} to end", self.name), PATIENCE, || {
            let pod = stage.pod(self.name)?;
            let state = &pod["status"]["containerStatuses"][0]["state"];
            if state["terminated"].is_object() {
                return Ok(Some(state["terminated"].clone()));
            }
            Err(state.to_string())
        })
    }
}

fn expect(end: &Value, code: u64) -> Outcome<()> {
    if end["exitCode"] == code {
        return Ok(());
    }
    Err(format!("wanted code {code}: {end}"))
}
