//! What readers feel of a load, with `--throttle` and without.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts};
use pilotfish_harness::{Server, ServerKind, Tool, World, tpch};
use rand::Rng as _;
use tokio::task::JoinSet;

use crate::figures::Figures;
use crate::load::redo_log;
use crate::reload::ONE_PERCENT;

const SETTINGS: [&str; 2] = ["--innodb-buffer-pool-size=2G", "--local-infile=ON"];
const READERS: usize = 4;
/// Between two questions of one reader.
const THINKS: Duration = Duration::from_millis(5);
/// Without any load.
const QUIET: Duration = Duration::from_secs(10);
/// An order with its lines, as a shop shows it.
const READ: &str = "SELECT COUNT(*), SUM(l_extendedprice) FROM app.orders JOIN app.lineitem ON l_orderkey = o_orderkey \
    WHERE o_orderkey = ";

pub(crate) fn run(kind: ServerKind, engine: &str, scale: &str) {
    eprintln!(
        "== throttle: TPC-H at scale {scale} into {}, {READERS} readers",
        kind.name()
    );
    let first = tpch::dump(kind, scale);
    let second = tpch::amended(kind, scale, ONE_PERCENT);
    let world = World::new();
    let args: Vec<_> = SETTINGS.into_iter().chain([redo_log(kind)]).collect();
    let server = Server::start(kind, &world, &args);
    load(&server, &first, &[]);
    let mut figures = Figures::default();
    let mut measure = |name: &str, work: &dyn Fn()| {
        let (seconds, waits) = read_during(&server, work);
        let at = |share: f64| {
            let index = (waits.len().saturating_sub(1)) as f64 * share;
            waits[index as usize].as_secs_f64() * 1000.0
        };
        let mut add = |what: &str, value: f64, unit: &'static str| {
            figures.add(format!("throttle.{engine}.{name}_{what}"), value, unit);
        };
        add("p50_ms", at(0.5), "ms");
        add("p99_ms", at(0.99), "ms");
        add("longest_ms", at(1.0), "ms");
        add("reads_per_second", waits.len() as f64 / seconds, "reads/s");
        add("seconds", seconds, "s");
    };
    measure("quiet", &|| std::thread::sleep(QUIET));
    measure("load", &|| load(&server, &second, &["--whole"]));
    load(&server, &first, &["--whole"]);
    measure("throttled", &|| {
        load(&server, &second, &["--whole", "--throttle"]);
    });
    figures.write("throttle");
}

fn load(server: &Server, dump: &Path, more: &[&str]) {
    let tool = Tool::beside("load")
        .arg(dump)
        .args(["--into", "app"])
        .args(more)
        .env("PILOTFISH_URL", server.url());
    let _ = tool.timeout(Duration::from_secs(3600)).run().success();
}

/// How long `work` took, and how long each read waited meanwhile, the shortest first.
fn read_during(server: &Server, work: &dyn Fn()) -> (f64, Vec<Duration>) {
    let stop = Arc::new(AtomicBool::new(false));
    let url = server.url();
    let readers = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let mut readers = JoinSet::new();
                for _ in 0..READERS {
                    readers.spawn(read(url.clone(), Arc::clone(&stop)));
                }
                readers.join_all().await.concat()
            })
        }
    });
    let begun = Instant::now();
    work();
    let seconds = begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let mut waits = readers.join().expect("the readers");
    waits.sort();
    (seconds, waits)
}

async fn read(url: String, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let options = Opts::from_url(&url).expect("the server's URL");
    let mut conn = Conn::new(options).await.expect("reach the server");
    let mut waits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        // Keys of orders have holes: a quarter of them is there.
        let order = rand::rng().random_range(1..1_000_000_u32);
        let begun = Instant::now();
        let read: Option<(u64, Option<String>)> = conn
            .query_first(format!("{READ}{order}"))
            .await
            .expect("readers see no error");
        waits.push(begun.elapsed());
        assert!(read.is_some(), "an answer");
        tokio::time::sleep(THINKS).await;
    }
    conn.disconnect().await.expect("say goodbye");
    waits
}
