//! A dump of PostgreSQL into an empty database: its own programs, `load`, and what is possible at all.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use pilotfish_harness::{Finished, Postgres, PostgresKind, Tool, World, tpch};

use crate::figures::{Figures, median, timed};

const KIND: PostgresKind = PostgresKind::Postgres15;
/// Settings of all sides: a server that was given memory, and durability as shipped.
const SETTINGS: [&str; 3] = ["fsync=on", "shared_buffers=1GB", "max_wal_size=4GB"];

/// The times of all rounds.
#[derive(Debug, Default)]
struct Times {
    psql: Vec<Duration>,
    plain: Vec<Duration>,
    restore: Vec<Duration>,
    archive: Vec<Duration>,
    floor: Vec<Duration>,
    peak_kib: u64,
}

pub(crate) fn run(scale: &str, rounds: usize) {
    eprintln!("== load: TPC-H at scale {scale} into {}", KIND.name());
    let files = tpch::for_postgres(KIND, scale);
    // All sides read the files from memory, the first run too.
    for path in [files.plain(), files.archive()] {
        let mut file = File::open(path).expect("open the dump");
        std::io::copy(&mut file, &mut std::io::sink()).expect("read the dump");
    }
    let mut times = Times::default();
    for round in 1..=rounds.max(1) {
        eprintln!("   round {round} of {rounds}");
        one_round(&files, &mut times);
    }
    let mut figures = Figures::default();
    let (psql, plain, floor) = (
        median(&times.psql),
        median(&times.plain),
        median(&times.floor),
    );
    figures.add("postgres.ratio_vs_psql", psql / plain, "times");
    if !times.archive.is_empty() {
        let (restore, archive) = (median(&times.restore), median(&times.archive));
        figures.add("postgres.ratio_vs_pg_restore", restore / archive, "times");
        figures.add("postgres.load_archive_seconds", archive, "s");
    }
    figures.add("postgres.ratio_vs_floor", floor / plain, "times");
    figures.add("postgres.psql_seconds", psql, "s");
    figures.add("postgres.load_seconds", plain, "s");
    figures.add("postgres.pg_restore_seconds", median(&times.restore), "s");
    figures.add("postgres.floor_seconds", floor, "s");
    let peak = times.peak_kib as f64 / 1024.0;
    figures.add("postgres.peak_rss_mib", peak, "MiB");
    figures.write("load");
}

/// Each side once, on a server of its own.
fn one_round(files: &tpch::PostgresFiles, times: &mut Times) {
    let (time, expected) = on_a_server("psql -f", |server| {
        server.sql_file("app", &files.plain());
    });
    times.psql.push(time);
    let side = |what: &str, work: &mut dyn FnMut(&Postgres)| {
        let (time, rows) = on_a_server(what, work);
        // A side that loads nothing measures nothing.
        (rows == expected).then_some(time)
    };
    let mut loaded = None;
    let time = side("load", &mut |server| {
        loaded = Some(load(server, &files.plain()).success());
    });
    times.plain.push(time.expect("load left the rows of psql"));
    times.peak_kib = times.peak_kib.max(peak(loaded));
    let time = side("pg_restore -j4", &mut |server| {
        server.restore("app", &["--jobs=4"], &files.archive());
    });
    times
        .restore
        .push(time.expect("pg_restore left the rows of psql"));
    let mut loaded = None;
    let time = side("load of the archive", &mut |server| {
        loaded = Some(load(server, &files.archive()));
    });
    let refused = loaded
        .as_ref()
        .is_some_and(|done| done.code == Some(65) && done.stderr.contains("archive"));
    if refused {
        eprintln!("   load takes no archives: no figure beside pg_restore");
    } else {
        times.peak_kib = times.peak_kib.max(peak(loaded.map(Finished::success)));
        times
            .archive
            .push(time.expect("load left the rows of psql"));
    }
    let time = side("the floor", &mut |server| floor(server, files));
    times
        .floor
        .push(time.expect("the floor left the rows of psql"));
}

fn peak(loaded: Option<Finished>) -> u64 {
    loaded.map_or(0, |done| done.peak_rss_kib)
}

/// Times `work` on a fresh server; its time, and the rows it leaves behind.
fn on_a_server(what: &str, mut work: impl FnMut(&Postgres)) -> (Duration, String) {
    let world = World::new();
    let server = Postgres::start(KIND, &world, &SETTINGS);
    let (time, ()) = timed(what, || work(&server));
    let selects = tpch::TABLES
        .map(|table| format!("SELECT '{table}', count(*) FROM public.{table}"))
        .join(" UNION ALL ");
    let rows = server.try_sql("app", &selects);
    (time, rows.unwrap_or_default())
}

fn load(server: &Postgres, dump: &Path) -> Finished {
    Tool::beside("load")
        .arg(dump)
        .args(["--into", "app"])
        .env("PILOTFISH_URL", server.url())
        .timeout(Duration::from_secs(1800))
        .run()
}

/// What a person can do who knows the data: rows split beforehand, by as many connections as there are parts, then
/// keys and references by four.
fn floor(server: &Postgres, files: &tpch::PostgresFiles) {
    let archive = files.archive();
    server.restore("app", &["--section=pre-data"], &archive);
    thread::scope(|scope| {
        for part in 0..tpch::PARTS {
            scope.spawn(move || {
                let mut client = server.client("app");
                // One after the other: tables begin with the largest.
                for table in tpch::TABLES.iter().rev() {
                    let rows = files.rows(table, part);
                    client.arg(format!(
                        "--command=\\copy public.{table} FROM '{}'",
                        rows.display()
                    ));
                }
                let output = client.stdin(Stdio::null()).output().expect("run psql");
                let words = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "COPY: {words}");
            });
        }
    });
    server.restore("app", &["--section=post-data", "--jobs=4"], &archive);
}
