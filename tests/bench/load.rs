//! One plain dump file into an empty server: the stock client, and `load`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use pilotfish_harness::{Server, ServerKind, Tool, World, tpch};

use crate::figures::{Figures, median, timed};
use crate::peers;

/// Settings of all sides: a server that was given memory, durability as shipped.
pub(crate) const SETTINGS: [&str; 1] = ["--innodb-buffer-pool-size=1G"];

/// The times of all rounds.
#[derive(Debug, Default)]
struct Times {
    client: Vec<Duration>,
    infile: Vec<Duration>,
    inserts: Vec<Duration>,
    floor: Vec<Duration>,
    /// Of MariaDB only, as the next.
    myloader: Vec<Duration>,
    import: Vec<Duration>,
    peak_kib: u64,
    /// Of the last load by LOAD DATA.
    stages: BTreeMap<String, f64>,
}

pub(crate) fn run(kind: ServerKind, engine: &str, scale: &str, rounds: usize) {
    eprintln!("== load: TPC-H at scale {scale} into {}", kind.name());
    let dump = tpch::dump(kind, scale);
    // Both sides read the file from memory, the first run too.
    std::io::copy(
        &mut File::open(&dump).expect("open the dump"),
        &mut std::io::sink(),
    )
    .expect("read the dump");
    let mut times = Times::default();
    for round in 1..=rounds.max(1) {
        eprintln!("   round {round} of {rounds}");
        one_round(kind, scale, &dump, &mut times);
    }
    let megabytes = std::fs::metadata(&dump).expect("the dump's size").len() as f64 / 1e6;
    figures(engine, megabytes, times).write("load");
}

/// Each side once, on a server of its own.
fn one_round(kind: ServerKind, scale: &str, dump: &Path, times: &mut Times) {
    let (time, expected) = stock_client(kind, dump);
    times.client.push(time);
    let loaded = load(kind, dump, "--local-infile=ON", &expected);
    times.infile.push(loaded.time);
    times.peak_kib = times.peak_kib.max(loaded.peak_kib);
    times.stages = loaded.stages;
    let loaded = load(kind, dump, "--local-infile=OFF", &expected);
    times.inserts.push(loaded.time);
    times.peak_kib = times.peak_kib.max(loaded.peak_kib);
    times.floor.push(peer("by hand", kind, &expected, |server| {
        peers::by_hand(server, scale);
    }));
    if !kind.is_mariadb() {
        return;
    }
    let folder = peers::mydumped(kind, scale);
    times
        .myloader
        .push(peer("myloader", kind, &expected, |server| {
            peers::myloader(server, &folder);
        }));
    let folder = peers::dumped_to_folder(kind, scale);
    times
        .import
        .push(peer("mariadb-import", kind, &expected, |server| {
            peers::mariadb_import(server, &folder);
        }));
}

fn figures(engine: &str, megabytes: f64, times: Times) -> Figures {
    let mut figures = Figures::default();
    let [client, infile, inserts, floor] =
        [&times.client, &times.infile, &times.inserts, &times.floor].map(|times| median(times));
    let mut ratio = |name: &str, time: f64| {
        figures.add(format!("{engine}.{name}"), time, "times");
    };
    ratio("ratio_vs_client", client / infile);
    ratio("ratio_vs_client_insert", client / inserts);
    ratio("ratio_vs_floor", floor / infile);
    for (peer, times) in [
        ("myloader", &times.myloader),
        ("mariadb_import", &times.import),
    ] {
        if !times.is_empty() {
            let time = median(times);
            figures.add(format!("{engine}.ratio_vs_{peer}"), time / infile, "times");
            figures.add(format!("{engine}.{peer}_seconds"), time, "s");
        }
    }
    figures.add(format!("{engine}.floor_seconds"), floor, "s");
    figures.add(format!("{engine}.client_seconds"), client, "s");
    figures.add(format!("{engine}.load_seconds"), infile, "s");
    figures.add(format!("{engine}.load_infile_off_seconds"), inserts, "s");
    let rate = megabytes / infile;
    figures.add(format!("{engine}.load_mb_per_second"), rate, "MB/s");
    let peak = times.peak_kib as f64 / 1024.0;
    figures.add(format!("{engine}.peak_rss_mib"), peak, "MiB");
    // `proving` runs beside `staging` and `keys`.
    for (stage, seconds) in times.stages {
        figures.add(format!("{engine}.stage_{stage}_seconds"), seconds, "s");
    }
    figures
}

/// One run of `load`.
struct Loaded {
    time: Duration,
    peak_kib: u64,
    /// Seconds by stage, as `load` tells them.
    stages: BTreeMap<String, f64>,
}

/// The peer: its time, and the rows it leaves behind.
fn stock_client(kind: ServerKind, dump: &Path) -> (Duration, String) {
    let world = World::new();
    let server = start(kind, &world, "--local-infile=ON");
    let (time, _) = timed("stock client", || server.sql_file("app", dump));
    (time, counts(&server))
}

/// Another loader on a fresh server; its time, its work checked.
fn peer(what: &str, kind: ServerKind, expected: &str, work: impl FnOnce(&Server)) -> Duration {
    let world = World::new();
    let server = start(kind, &world, "--local-infile=ON");
    let (time, ()) = timed(what, || work(&server));
    assert_eq!(
        counts(&server),
        expected,
        "{what} left other rows than the stock client"
    );
    time
}

/// `load` on a fresh server, after checking its work.
fn load(kind: ServerKind, dump: &Path, infile: &str, expected: &str) -> Loaded {
    let world = World::new();
    let server = start(kind, &world, infile);
    let tool = Tool::beside("load")
        .arg(dump)
        .args(["--into", "app", "--output", "json"])
        .env("PILOTFISH_URL", server.url())
        .timeout(Duration::from_secs(1800));
    let (time, finished) = timed(&format!("load, {infile}"), || tool.run().success());
    assert_eq!(
        counts(&server),
        expected,
        "load left other rows than the stock client"
    );
    let report: serde_json::Value =
        serde_json::from_str(&finished.stdout).expect("load prints its report");
    Loaded {
        time,
        peak_kib: finished.peak_rss_kib,
        stages: serde_json::from_value(report["stages"].clone()).expect("seconds by stage"),
    }
}

/// The redo log as the server is shipped with: that of tests is smaller, and has pages written all the time.
pub(crate) fn redo_log(kind: ServerKind) -> &'static str {
    match kind.is_mariadb() {
        true => "--innodb-log-file-size=96M",
        false => "--innodb-redo-log-capacity=100M",
    }
}

pub(crate) fn start(kind: ServerKind, world: &World, infile: &str) -> Server {
    let args: Vec<_> = SETTINGS
        .into_iter()
        .chain([infile, redo_log(kind)])
        .collect();
    let server = Server::start(kind, world, &args);
    server.sql("CREATE DATABASE app");
    server
}

fn counts(server: &Server) -> String {
    let selects = tpch::TABLES.map(|table| format!("SELECT '{table}', COUNT(*) FROM app.{table}"));
    server.sql(&selects.join(" UNION ALL "))
}
