//! The example's Prefect flow: a dump goes to S3, and every pod has it live before the run succeeds.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use pilotfish_harness::{Prefect, S3};
use serde_json::json;

use super::*;

const BUCKET: &str = "dumps";

/// A flow starts within seconds, or within minutes where others hold the machine.
const FLOW_PATIENCE: Duration = Duration::from_secs(600);

/// What a StatefulSet has in each pod: a server, a volume, `fetch` and `watch`.
struct Pod {
    server: Server,
    volume: PathBuf,
    fetch: Option<Running>,
    fetch_port: Port,
    watch: Watch,
}

/// Two pods, a bucket, and a Prefect server.
struct Scene {
    world: World,
    s3: Arc<S3>,
    prefect: Prefect,
    token: PathBuf,
    pods: [Pod; 2],
}

impl Pod {
    fn start(world: &World, name: &str, s3: &S3, token: &Path) -> Self {
        let server = Server::start(ServerKind::MariaDb1011, world, &[]);
        let volume = world.join(name);
        fs::create_dir(&volume).unwrap();
        let fetch_port = Port::free();
        let fetch = fetch(&volume, &fetch_port, s3, token);
        let watch = Watch::start(follower(&server, &volume, &fetch_port, token));
        Self {
            server,
            volume,
            fetch: Some(fetch),
            fetch_port,
            watch,
        }
    }

    fn fetch_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.fetch_port)
    }

    /// Ends `fetch`, which has found a checksum for whatever it took.
    #[track_caller]
    fn stop_fetch(&mut self) {
        let fetch = self.fetch.take().unwrap();
        fetch.terminate();
        let log = fetch.wait().success().stderr;
        assert!(!log.contains("no checksum file"), "{log}");
    }
}

/// A `fetch` that looks rarely: `watch` tells it when somebody waits.
fn fetch(volume: &Path, port: &Port, s3: &S3, token: &Path) -> Running {
    Tool::beside("fetch")
        .arg(format!("s3://{BUCKET}/drugs/"))
        .args(["--endpoint", s3.endpoint(), "--checksum-from", "auto"])
        // The bucket is still empty: not to be a reason to give up.
        .args(["--every", "1h", "--init-max-failures", "1000"])
        .args(["--match", "*.sql", "--listen", &format!("127.0.0.1:{port}")])
        .arg("--to")
        .arg(volume)
        .arg("--token-file")
        .arg(token)
        .envs(s3.env())
        .spawn()
}

fn follower(server: &Server, volume: &Path, fetch: &Port, token: &Path) -> Tool {
    watch(&server.url(), volume)
        .args(["--fetch-url", &format!("http://127.0.0.1:{fetch}")])
        .args(["--rescan", "1s"])
        .arg("--token-file")
        .arg(token)
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let s3 = Arc::new(S3::start(&world));
        s3.make_bucket(BUCKET);
        let token = world.write("token", format!("{TOKEN}\n"));
        let pods = ["db-0", "db-1"].map(|name| Pod::start(&world, name, &s3, &token));
        let prefect = Prefect::start(&world);
        Self {
            world,
            s3,
            prefect,
            token,
            pods,
        }
    }

    fn urls(&self) -> Vec<String> {
        self.pods.iter().map(|pod| pod.watch.url("")).collect()
    }

    /// The example's script with these words, and the account of the bucket.
    fn script(&self, words: &[&str]) -> Tool {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let script = checkout.join("examples/dump-reload/prefect/publish.py");
        self.prefect
            .script(&script)
            .args(words)
            .envs(self.s3.env())
            .env("AWS_ENDPOINT_URL", self.s3.endpoint())
    }

    fn parameters(&self, dump: &Path, pods: &[String]) -> String {
        json!({
            "dump": dump,
            "bucket": BUCKET,
            "prefix": "drugs/",
            "pods": pods,
            "token_file": self.token,
            "timeout_seconds": 600,
        })
        .to_string()
    }

    fn run(&self, dump: &Path, pods: &[String]) -> Tool {
        self.script(&["run", &self.parameters(dump, pods)])
    }

    /// The newest run, as the Prefect server tells it.
    fn newest_run(&self) -> Value {
        let newest = json!({"sort": "START_TIME_DESC", "limit": 1});
        self.prefect.ask("/flow_runs/filter", Some(&newest))[0].clone()
    }

    /// The table that a run left: one row for each pod.
    fn table(&self, run: &Value) -> Value {
        let of_run = json!({"artifacts": {
            "key": {"any_": ["loads"]}, "flow_run_id": {"any_": [run["id"]]},
        }});
        let found = self.prefect.ask("/artifacts/filter", Some(&of_run));
        serde_json::from_str(found[0]["data"].as_str().unwrap()).unwrap()
    }

    #[track_caller]
    fn assert_live(&self, number: u32) {
        for pod in &self.pods {
            assert_eq!(live(&pod.server), Some(number.to_string()));
        }
    }

    /// The loads of a pod that this run asked for.
    fn loads_of(&self, pod: usize, run: &Value) -> Vec<Value> {
        let run = run["id"].as_str().unwrap();
        let loads = self.pods[pod].watch.get("/v1/loads").json();
        let loads = loads["loads"].as_array().cloned().unwrap();
        let is_of_run = |load: &Value| load["id"].as_str().unwrap().starts_with(run);
        loads.into_iter().filter(is_of_run).collect()
    }
}

#[test]
fn a_prefect_flow_succeeds_once_every_pod_has_its_dump_live() {
    let mut scene = Scene::new();
    let looker = look_for_dumps_alone(&scene.s3);
    a_good_dump_is_live_on_both_pods(&scene);
    a_bad_dump_fails_the_run_in_the_loaders_words(&scene);
    a_pod_that_is_killed_meanwhile_is_asked_again(&mut scene);
    a_run_that_is_started_again_is_the_same_load(&scene);

    let unfinished = scene.s3.request(&[], &format!("{BUCKET}?uploads="));
    assert!(!unfinished.contains("<UploadId>"), "{unfinished}");
    for pod in &mut scene.pods {
        pod.stop_fetch();
    }
    drop(scene);
    // One more than runs: the one that was started again published again.
    assert_eq!(looker.join().unwrap(), 5);
}

fn a_good_dump_is_live_on_both_pods(scene: &Scene) {
    let dump = scene.world.write("drugs.sql", Bench::dump(1));
    let _ = scene.run(&dump, &scene.urls()).run().success();
    let run = scene.newest_run();
    assert_eq!(run["state"]["type"], "COMPLETED", "{run:#}");
    scene.assert_live(1);
    let table = scene.table(&run);
    for (row, url) in table.as_array().unwrap().iter().zip(scene.urls()) {
        assert_eq!((&row["pod"], &row["rows"]), (&json!(url), &json!(500)));
        assert!(row["seconds"].is_f64(), "{table:#}");
    }
}

fn a_bad_dump_fails_the_run_in_the_loaders_words(scene: &Scene) {
    let dump = Bench::dump(2).replace("`release_no` int,", "`id` int,");
    let dump = scene.world.write("drugs.sql", dump);
    // A third one answers, but is no watch.
    let stranger = scene.pods[0].fetch_url();
    let pods = [scene.urls(), vec![stranger.clone()]].concat();
    let refused = scene.run(&dump, &pods).run();
    let run = scene.newest_run();
    assert_eq!(run["state"]["type"], "FAILED", "{run:#}");
    let message = run["state"]["message"].as_str().unwrap();
    for url in scene.urls() {
        assert!(
            message.contains(&format!("{url}: load failed: ")),
            "{run:#}"
        );
    }
    for part in [
        "Duplicate column name 'id'",
        &format!("{stranger}: refused: 404"),
    ] {
        assert!(message.contains(part), "{part} {run:#}");
    }
    let _ = refused.fails_with(1, "Duplicate column name 'id'");
    let table = scene.table(&run).to_string();
    assert!(table.contains("Duplicate column name 'id'"), "{table}");
    scene.assert_live(1);
}

fn a_pod_that_is_killed_meanwhile_is_asked_again(scene: &mut Scene) {
    // More than two parts of an upload.
    let line = format!("-- {}\n", "x".repeat(97));
    let dump = Bench::dump(3).replace("-- Dump c", &(line.repeat(350_000) + "-- Dump c"));
    let dump = scene.world.write("drugs.sql", dump);
    // Without fetch its load waits for the release.
    scene.pods[1].stop_fetch();
    let flow = scene.run(&dump, &scene.urls()).spawn();
    let run = eventually("a waiting load", FLOW_PATIENCE, || {
        let run = scene.newest_run();
        let waits = |load: &Value| load["state"] == "waiting";
        scene.loads_of(1, &run).iter().any(waits).then_some(run)
    });
    let pod = &mut scene.pods[1];
    pod.watch.running.signal("KILL");
    eventually("the flow to notice", FLOW_PATIENCE, || {
        flow.stderr().contains("is asked again").then_some(())
    });
    let tool = follower(&pod.server, &pod.volume, &pod.fetch_port, &scene.token);
    pod.watch.start_again(tool);
    pod.fetch = Some(fetch(&pod.volume, &pod.fetch_port, &scene.s3, &scene.token));
    let _ = flow.wait().success();
    let run = scene
        .prefect
        .ask(&format!("/flow_runs/{}", run["id"].as_str().unwrap()), None);
    assert_eq!(run["state"]["type"], "COMPLETED", "{run:#}");
    scene.assert_live(3);
    for pod in [0, 1] {
        assert_eq!(scene.loads_of(pod, &run).len(), 1);
    }
}

/// As a schedule and the Retry button of Prefect's page do it.
fn a_run_that_is_started_again_is_the_same_load(scene: &Scene) {
    let dump = scene.world.write("drugs.sql", Bench::dump(4));
    let parameters = scene.parameters(&dump, &scene.urls());
    let served = scene.script(&["serve", "0 3 29 2 *", &parameters]).spawn();
    let id = eventually("the deployment", FLOW_PATIENCE, || {
        let found = scene.prefect.ask("/deployments/filter", Some(&json!({})));
        found[0]["id"].as_str().map(str::to_owned)
    });
    let start = format!("/deployments/{id}/create_flow_run");
    let run = scene.prefect.ask(&start, Some(&json!({})));
    let run = format!("/flow_runs/{}", run["id"].as_str().unwrap());
    let completed = |count: u64| {
        eventually(&format!("attempt {count}"), FLOW_PATIENCE, || {
            let run = scene.prefect.ask(&run, None);
            let is_over = run["run_count"] == count && run["state"]["type"] == "COMPLETED";
            is_over.then_some(run)
        })
    };
    completed(1);
    scene.assert_live(4);
    let again = json!({"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": true});
    let _ = scene.prefect.ask(&format!("{run}/set_state"), Some(&again));
    let run = completed(2);
    for pod in [0, 1] {
        assert_eq!(scene.loads_of(pod, &run).len(), 1);
    }
    served.terminate();
    let _ = served.wait();
}

/// Looks into the bucket for as long as there is one: no dump without its checksum, as `fetch` could see
/// it. Returns how many dumps there were in the end.
fn look_for_dumps_alone(s3: &Arc<S3>) -> JoinHandle<usize> {
    let s3 = Arc::downgrade(s3);
    std::thread::spawn(move || {
        let mut dumps = 0;
        while let Some(s3) = s3.upgrade() {
            let listing = s3.request(&[], &format!("{BUCKET}?list-type=2"));
            let keys = listing.split("<Key>").skip(1);
            let keys: Vec<&str> = keys.filter_map(|rest| rest.split('<').next()).collect();
            let seen: Vec<_> = keys.iter().filter(|key| key.ends_with(".sql")).collect();
            for dump in &seen {
                let checksum = format!("{dump}.sha256");
                assert!(
                    keys.contains(&checksum.as_str()),
                    "{dump} is alone: {keys:?}"
                );
            }
            dumps = seen.len();
            std::thread::sleep(Duration::from_millis(20));
        }
        dumps
    })
}
