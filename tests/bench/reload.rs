//! A release after the first one: a hundredth of the rows differ, one small table does, nothing does.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pilotfish_harness::{Postgres, PostgresKind, Server, Tool, World, tpch};
use sha2::{Digest as _, Sha256};

use crate::Engine;
use crate::figures::{Figures, median, timed};
use crate::load::redo_log;

/// All data and keys fit into memory, durability as shipped.
const SETTINGS: [&str; 2] = ["--innodb-buffer-pool-size=2G", "--local-infile=ON"];

/// One row in a hundred of the two large tables, spread at random.
pub(crate) const ONE_PERCENT: &str = "UPDATE orders SET o_shippriority = o_shippriority + 1 WHERE CRC32(o_orderkey) % 100 = 0; \
    UPDATE lineitem SET l_quantity = l_quantity + 1 WHERE CRC32(CONCAT(l_orderkey, '/', l_linenumber)) % 100 = 0;";
/// The same for PostgreSQL, which puts a changed row behind all others.
const ONE_PERCENT_OF_POSTGRES: &str = "UPDATE orders SET o_shippriority = o_shippriority + 1 WHERE abs(hashint8(o_orderkey)) % 100 = 0; \
    UPDATE lineitem SET l_quantity = l_quantity + 1 WHERE abs(hashint8(l_orderkey * 8 + l_linenumber)) % 100 = 0;";
const SMALL_TABLE: &str =
    "UPDATE region SET r_comment = CONCAT('new ', LEFT(r_comment, 100)) WHERE r_regionkey = 2;";

const POSTGRES: PostgresKind = PostgresKind::Postgres15;
const SETTINGS_OF_POSTGRES: [&str; 3] = ["fsync=on", "shared_buffers=1GB", "max_wal_size=4GB"];

#[derive(Debug, Default)]
struct Times {
    first: Vec<Duration>,
    whole: Vec<Duration>,
    one_percent: Vec<Duration>,
    small_table: Vec<Duration>,
    nothing: Vec<Duration>,
    hash: Vec<Duration>,
    peak_kib: u64,
}

pub(crate) fn run(engine: Engine, scale: &str, rounds: usize) {
    eprintln!("== reload: TPC-H at scale {scale} into {engine:?}");
    let [first, one_percent, small_table] = dumps(engine, scale);
    let mut times = Times::default();
    for round in 1..=rounds.max(1) {
        eprintln!("   round {round} of {rounds}");
        // All of them are read from memory.
        for dump in [&first, &one_percent, &small_table] {
            let _ = hashed(dump);
        }
        // A server for each: what the other left behind would be measured too.
        with_first(engine, &first, &mut times, |side, times| {
            let hash = hashed(&first);
            times.hash.push(hash);
            let nothing = load(side, &first, "nothing differs", times);
            assert_eq!(nothing.1["outcome"], "nothing_to_do");
            times.nothing.push(nothing.0);
            let changed = load(side, &one_percent, "one percent differs", times);
            assert_eq!(changed.1["in_place"], true, "{}", changed.1);
            times.one_percent.push(changed.0);
            side.same_as_whole(&one_percent);
        });
        with_first(engine, &first, &mut times, |side, times| {
            let changed = load(side, &small_table, "one small table differs", times);
            assert_eq!(changed.1["in_place"], true, "{}", changed.1);
            times.small_table.push(changed.0);
            let whole = load_with(
                side,
                &one_percent,
                &["--whole"],
                "the same as whole tables",
                times,
            );
            times.whole.push(whole.0);
        });
    }
    let mut figures = Figures::default();
    let (whole, first) = (median(&times.whole), median(&times.first));
    let [one_percent, small_table, nothing, hash] = [
        &times.one_percent,
        &times.small_table,
        &times.nothing,
        &times.hash,
    ]
    .map(|times| median(times));
    let name = |figure: &str| match engine {
        Engine::Mariadb => format!("reload.{figure}"),
        Engine::Mysql => format!("reload.mysql.{figure}"),
        Engine::Postgres => format!("reload.postgres.{figure}"),
    };
    figures.add(name("one_percent_ratio"), whole / one_percent, "times");
    figures.add(name("small_table_ratio"), whole / small_table, "times");
    figures.add(name("nothing_vs_hash"), nothing / hash, "times");
    figures.add(
        name("one_percent_vs_first_load"),
        first / one_percent,
        "times",
    );
    figures.add(name("first_load_seconds"), first, "s");
    figures.add(name("whole_seconds"), whole, "s");
    figures.add(name("one_percent_seconds"), one_percent, "s");
    figures.add(name("small_table_seconds"), small_table, "s");
    figures.add(name("nothing_seconds"), nothing, "s");
    figures.add(name("peak_rss_mib"), times.peak_kib as f64 / 1024.0, "MiB");
    figures.write("reload");
}

/// The first release, one with a hundredth of its rows changed, one with a small table changed.
fn dumps(engine: Engine, scale: &str) -> [PathBuf; 3] {
    match engine.family() {
        Some((kind, _)) => {
            ["", ONE_PERCENT, SMALL_TABLE].map(|sql| tpch::amended(kind, scale, sql))
        }
        None => [
            tpch::for_postgres(POSTGRES, scale).plain(),
            tpch::amended_for_postgres(POSTGRES, scale, ONE_PERCENT_OF_POSTGRES),
            tpch::amended_for_postgres(POSTGRES, scale, SMALL_TABLE),
        ],
    }
}

/// A server with the first release, whose load is timed.
fn with_first(
    engine: Engine,
    first: &Path,
    times: &mut Times,
    work: impl FnOnce(&Side, &mut Times),
) {
    let world = World::new();
    let side = Side::start(engine, &world);
    let loaded = load(&side, first, "the first release", times);
    times.first.push(loaded.0);
    work(&side, times);
}

/// A server that is loaded.
enum Side {
    Family(Server),
    Postgres(Postgres),
}

impl Side {
    fn start(engine: Engine, world: &World) -> Self {
        let Some((kind, _)) = engine.family() else {
            return Self::Postgres(Postgres::start(POSTGRES, world, &SETTINGS_OF_POSTGRES));
        };
        let args: Vec<_> = SETTINGS.into_iter().chain([redo_log(kind)]).collect();
        let server = Server::start(kind, world, &args);
        server.sql("CREATE DATABASE app");
        Self::Family(server)
    }

    fn url(&self) -> String {
        match self {
            Self::Family(server) => server.url(),
            Self::Postgres(server) => server.url(),
        }
    }

    /// The live rows are those that a load of whole tables leaves.
    fn same_as_whole(&self, dump: &Path) {
        let [app, model] = match self {
            Self::Family(server) => {
                server.sql("CREATE DATABASE model");
                server.sql_file("model", dump);
                ["app", "model"].map(|database| {
                    let tables = tpch::TABLES.map(|table| format!("{database}.{table}"));
                    let sums = server.sql(&format!("CHECKSUM TABLE {}", tables.join(", ")));
                    sums.replace(&format!("{database}."), "")
                })
            }
            Self::Postgres(server) => {
                server.create_database("model");
                server.sql_file("model", dump);
                ["app", "model"].map(|database| {
                    let sum = "count(*), sum(pg_catalog.hashtextextended(t::text, 0)::numeric)";
                    let sums = tpch::TABLES.map(|table| {
                        server.sql(database, &format!("SELECT {sum} FROM public.{table} t"))
                    });
                    sums.concat()
                })
            }
        };
        assert_eq!(app, model, "other rows than the stock client leaves");
    }
}

fn load(side: &Side, dump: &Path, what: &str, times: &mut Times) -> (Duration, serde_json::Value) {
    load_with(side, dump, &[], what, times)
}

fn load_with(
    side: &Side,
    dump: &Path,
    args: &[&str],
    what: &str,
    times: &mut Times,
) -> (Duration, serde_json::Value) {
    let tool = Tool::beside("load")
        .arg(dump)
        .args(["--into", "app", "--output", "json"])
        .args(args)
        .env("PILOTFISH_URL", side.url())
        .timeout(Duration::from_secs(1800));
    let (time, finished) = timed(what, || tool.run().success());
    times.peak_kib = times.peak_kib.max(finished.peak_rss_kib);
    (time, finished.json())
}

/// What a load has to do at least: to read the dump, and to know it.
fn hashed(dump: &Path) -> Duration {
    let (time, _) = timed("read and hash", || {
        let mut hash = Sha256::new();
        let mut file = File::open(dump).expect("open the dump");
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = std::io::Read::read(&mut file, &mut buffer).expect("read the dump");
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
        }
        hash.finalize()
    });
    time
}
