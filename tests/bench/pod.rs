//! From `apply` to Ready: a pod that loads a dump by the sidecars, against the same pod with the dump in initdb.d.

use std::path::Path;
use std::time::{Duration, Instant};

use pilotfish_harness::cluster::{Cluster, Outcome, PATIENCE, bucket, condition, until};
use pilotfish_harness::{ServerKind, tpch};
use serde_json::Value;

use crate::figures::{Figures, median};

const POD: &str = "db-0";
const FOLDER: &str = "tests/bench/pod";

/// Measures both ways, alternating; what the idle sidecars take is read after the last load.
pub(crate) fn run(scale: &str, rounds: usize) {
    let cluster =
        Cluster::with_namespace(&format!("bench-pod-{}", std::process::id())).expect("a namespace");
    let measured = measure(&cluster, scale, rounds);
    if let Err(why) = &measured {
        eprintln!("{}", cluster.account_of_trouble());
        let _ = cluster.delete();
        panic!("{why}");
    }
    cluster.delete().expect("delete the namespace");
}

fn measure(cluster: &Cluster, scale: &str, rounds: usize) -> Outcome<()> {
    let dump = tpch::dump(ServerKind::MariaDb118, scale);
    let megabytes = dump.metadata().map_or(0, |file| file.len()) / 1_000_000;
    eprintln!("== pod: a dump of {megabytes} MB (TPC-H {scale})");
    cluster.secret("db", &["root-password=root's", "reader-password=reader's"])?;
    cluster.secret("pilotfish", &["password=pilotfish's", "token=token"])?;
    bucket::start(cluster)?;
    bucket::put_file(cluster, "v1.sql", &dump)?;
    cluster.kubectl(&["apply", "-f", &format!("{FOLDER}/fill.yaml")])?;
    until("the volume of initdb.d", PATIENCE, || {
        Ok(condition(&cluster.object("job/fill")?, "Complete").then_some(()))
    })?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut memory = Vec::new();
    for _ in 0..rounds {
        theirs.push(apply_to_ready(cluster, "initdb")?);
        remove(cluster)?;
        ours.push(apply_to_ready(cluster, "ours")?);
        memory = idle_sidecars(cluster)?;
        remove(cluster)?;
    }
    let mut figures = Figures::default();
    let (ours, theirs) = (median(&ours), median(&theirs));
    figures.add("pod.ratio_vs_initdb", theirs / ours, "x");
    figures.add("pod.apply_to_ready_seconds", ours, "s");
    figures.add("pod.initdb_seconds", theirs, "s");
    let most = memory.iter().map(|(_, mib)| *mib).fold(0.0, f64::max);
    figures.add("pod.sidecar_rss_mib", most, "MiB");
    for (name, mib) in memory {
        figures.add(format!("pod.{name}_rss_mib"), mib, "MiB");
    }
    figures.write("pod");
    Ok(())
}

fn apply_to_ready(cluster: &Cluster, way: &str) -> Outcome<Duration> {
    let start = Instant::now();
    cluster.apply_folder(&Path::new(FOLDER).join(way))?;
    until("the pod to be ready", PATIENCE * 5, || {
        Ok(cluster.is_ready(POD)?.then_some(()))
    })?;
    let time = start.elapsed();
    eprintln!("   {way}: {:.2} s", time.as_secs_f64());
    Ok(time)
}

/// Deletes the pod and its data, so that the next one starts empty.
fn remove(cluster: &Cluster) -> Outcome<()> {
    cluster.kubectl(&["delete", "statefulset", "db"])?;
    until("the pod to be gone", PATIENCE, || {
        Ok(cluster.object(&format!("pod/{POD}")).is_err().then_some(()))
    })?;
    for claim in ["data-db-0", "dumps-db-0"] {
        cluster.kubectl(&["delete", "pvc", claim, "--ignore-not-found"])?;
    }
    Ok(())
}

/// Resident memory of the sidecars in MiB, by the kubelet's account, once they have nothing to do.
fn idle_sidecars(cluster: &Cluster) -> Outcome<Vec<(String, f64)>> {
    let pod = cluster.object(&format!("pod/{POD}"))?;
    let node = pod["spec"]["nodeName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    // The kubelet measures every 10 to 15 seconds.
    std::thread::sleep(Duration::from_secs(45));
    let page = cluster.kubectl(&[
        "get",
        "--raw",
        &format!("/api/v1/nodes/{node}/proxy/stats/summary"),
    ])?;
    let summary: Value = serde_json::from_str(&page).map_err(|error| error.to_string())?;
    let pods = summary["pods"].as_array().cloned().unwrap_or_default();
    let ours = pods.iter().find(|one| {
        one["podRef"]["name"] == POD && one["podRef"]["namespace"] == cluster.namespace()
    });
    let containers = ours
        .and_then(|pod| pod["containers"].as_array().cloned())
        .unwrap_or_default();
    let rss = |name: &str| {
        containers
            .iter()
            .find(|one| one["name"] == name)
            .and_then(|one| one["memory"]["rssBytes"].as_f64())
            .map(|bytes| (name.to_owned(), bytes / 1_048_576.0))
            .ok_or_else(|| format!("the kubelet does not know the memory of {name}"))
    };
    ["fetch", "watch"].into_iter().map(rss).collect()
}
