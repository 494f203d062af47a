//! Scrapes: ours beside mysqld_exporter and postgres_exporter, on the same server, of the same families.

use std::fs;
use std::time::{Duration, Instant};

use pilotfish_harness::{
    Build, Peer, Port, Postgres, PostgresKind, Running, Server, ServerKind, Tool, World,
    eventually, http,
};

use crate::figures::Figures;

/// As many as ten minutes of a Prometheus that asks every three seconds.
const SCRAPES: usize = 200;
/// What Prometheus sends along.
const HEADERS: [(&str, &str); 3] = [
    (
        "accept",
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
    ),
    ("accept-encoding", "gzip"),
    ("x-prometheus-scrape-timeout-seconds", "10"),
];
/// Collectors that only ours has, off for a fair comparison.
const OURS_ALONE_OF_MYSQL: [&str; 1] = ["--no-collect.releases"];
const OURS_ALONE_OF_POSTGRES: [&str; 6] = [
    "--no-collector.releases",
    "--no-collector.stat_checkpointer",
    "--no-collector.stat_io",
    "--no-collector.stat_slru",
    "--no-collector.stat_subscription",
    "--no-collector.stat_wal",
];

/// One exporter.
struct Side {
    url: String,
    pid: u32,
    times: Vec<Duration>,
    client: Duration,
    server: Duration,
}

pub(crate) fn run() {
    let mut figures = Figures::default();
    let world = World::new();
    mysql(&world, &mut figures);
    postgres(&world, &mut figures);
    figures.write("exporter");
}

fn mysql(world: &World, figures: &mut Figures) {
    let server = Server::start(ServerKind::MariaDb1011, world, &[]);
    server.sql(
        "CREATE USER 'exporter'@'127.0.0.1' IDENTIFIED BY 'secret'; \
         GRANT SLAVE MONITOR, PROCESS, REPLICATION CLIENT, SELECT ON *.* TO 'exporter'@'127.0.0.1'",
    );
    let peer = Peer::mysqld(Build::Upstream, world, &server, ("exporter", "secret"), &[]);
    let url = format!("mysql://exporter:secret@127.0.0.1:{}", server.port());
    let (ours, process) = start(&url, &OURS_ALONE_OF_MYSQL);
    let theirs = Side::new(peer.url(), peer.pid());
    measure("mysql", server.pid(), ours, theirs, figures);
    drop(process);
}

fn postgres(world: &World, figures: &mut Figures) {
    let server = Postgres::start(PostgresKind::Postgres15, world, &[]);
    server.sql(
        "postgres",
        "CREATE ROLE exporter LOGIN PASSWORD 'secret'; GRANT pg_monitor TO exporter",
    );
    let url = format!("postgres://exporter:secret@127.0.0.1:{}/app", server.port());
    let peer = Peer::postgres(Build::Upstream, world, &url, &[]);
    let (ours, process) = start(&url, &OURS_ALONE_OF_POSTGRES);
    let theirs = Side::new(peer.url(), peer.pid());
    measure("postgres", server.pid(), ours, theirs, figures);
    drop(process);
}

fn start(url: &str, args: &[&str]) -> (Side, Running) {
    let port = Port::free();
    let process = Tool::beside("exporter")
        .args(["--url", url, "--listen", &format!("127.0.0.1:{port}")])
        .args(args)
        .timeout(Duration::from_secs(3600))
        .spawn();
    let url = format!("http://127.0.0.1:{port}/metrics");
    eventually("the exporter", Duration::from_secs(20), || {
        http::get(&url).map(drop)
    });
    (Side::new(url, process.pid()), process)
}

impl Side {
    fn new(url: String, pid: u32) -> Self {
        Self {
            url,
            pid,
            times: Vec::new(),
            client: Duration::ZERO,
            server: Duration::ZERO,
        }
    }

    fn scrape(&mut self, server: u32) {
        let (client, of_server) = (cpu_of(self.pid), cpu_of_all(server));
        let started = Instant::now();
        let answer = http::request("GET", &self.url, &HEADERS, "").expect("an answer");
        self.times.push(started.elapsed());
        assert_eq!(answer.status, 200);
        // What is put off until after the answer counts too: a session that is closed, garbage.
        std::thread::sleep(Duration::from_millis(20));
        self.client += cpu_of(self.pid).saturating_sub(client);
        self.server += cpu_of_all(server).saturating_sub(of_server);
    }

    fn percentile(&mut self, percent: usize) -> f64 {
        self.times.sort_unstable();
        let index = (self.times.len() * percent / 100).min(self.times.len() - 1);
        self.times[index].as_secs_f64()
    }
}

fn measure(name: &str, server: u32, mut ours: Side, mut theirs: Side, figures: &mut Figures) {
    eprintln!("== exporter: {SCRAPES} scrapes each of {name}, one after the other");
    for side in [&mut ours, &mut theirs] {
        for _ in 0..5 {
            side.scrape(server);
        }
        (side.client, side.server) = (Duration::ZERO, Duration::ZERO);
        side.times.clear();
    }
    for _ in 0..SCRAPES {
        ours.scrape(server);
        theirs.scrape(server);
    }
    let mut both = |figure: &str, unit: &str, ours: f64, theirs: f64| {
        figures.add(format!("{name}.{figure}_ratio"), ours / theirs, "times");
        figures.add(format!("{name}.ours_{figure}"), ours, unit);
        figures.add(format!("{name}.theirs_{figure}"), theirs, unit);
    };
    for (figure, percent) in [("p50", 50), ("p99", 99)] {
        let [ours, theirs] = [&mut ours, &mut theirs].map(|side| side.percentile(percent) * 1e3);
        both(figure, "ms", ours, theirs);
    }
    let per_scrape = |time: Duration| time.as_secs_f64() * 1e3 / SCRAPES as f64;
    both(
        "cpu",
        "ms",
        per_scrape(ours.client),
        per_scrape(theirs.client),
    );
    both(
        "server_cpu",
        "ms",
        per_scrape(ours.server),
        per_scrape(theirs.server),
    );
    both("rss", "MiB", rss(ours.pid), rss(theirs.pid));
}

/// Processor time of a process, from the scheduler: its ticks are too coarse for a scrape.
fn cpu_of(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let nanos = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Of a server with all its processes; of those that ended what their parent knows.
fn cpu_of_all(pid: u32) -> Duration {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let alive = children
        .split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok());
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let field = |number: usize| -> u64 {
        let text = after_name.split_ascii_whitespace().nth(number - 3);
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    // A tick is a hundredth of a second on every Linux; `cutime` and `cstime` are fields 16 and 17.
    let ended = Duration::from_millis((field(16) + field(17)) * 10);
    cpu_of(pid) + ended + alive.map(cpu_of).sum::<Duration>()
}

/// Resident memory, in MiB.
fn rss(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    kib.unwrap_or(0.0) / 1024.0
}
