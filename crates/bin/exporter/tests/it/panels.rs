//! Every panel of the dashboards shows something, of servers where everything is that panels are about.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pilotfish_harness::{
    PATIENCE, Postgres, PostgresKind, Prometheus, Server, ServerKind, Target, World, panel_queries,
};

use super::named::{OF_MYSQL, OF_POSTGRES, manifests};
use super::scene::{Replica, with_certificate};
use super::{Ours, role, role_url};

/// What is not here: a part of the query, and what it takes.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "pilotfish_release_",
        "a release; the example's story has one",
    ),
    (
        "pilotfish_container_",
        "a container with control groups of version 2",
    ),
    (
        "query_response_time",
        "a plugin that the servers of the tests do not have",
    ),
    ("connection_errors_total", "trouble"),
    ("_success{", "trouble"),
];

/// What the panels of a dashboard ask.
fn queries(dashboard: &str) -> Vec<String> {
    let queries = panel_queries(&manifests(&format!("exporter-dashboards/{dashboard}")));
    assert!(queries.len() > 40, "only {} queries", queries.len());
    queries
}

/// Waits until each has shown something; `stir` is called again and again.
fn all_show_something(dashboard: &str, exporters: &[Ours], world: &World, stir: impl Fn()) {
    let targets: Vec<_> = exporters.iter().map(target).collect();
    let prometheus = Prometheus::start(world, &targets, &[]);
    let mut empty = queries(dashboard);
    empty.retain(|query| !ELSEWHERE.iter().any(|(part, _)| query.contains(part)));
    let begin = Instant::now();
    while !empty.is_empty() {
        assert!(begin.elapsed() < PATIENCE, "empty: {empty:#?}");
        stir();
        empty.retain(|query| prometheus.series(query).is_empty());
    }
}

fn target(ours: &Ours) -> Target {
    Target {
        instance: ours.address(),
        address: ours.address(),
    }
}

/// A session at a client of the server's own, for as long as the value lives.
struct Session(Child);

impl Session {
    /// With a flag and a statement each.
    fn start(mut client: Command, flag: &str, sql: &[&str]) -> Self {
        for sql in sql {
            client.args([flag, sql]);
        }
        client.stdin(Stdio::null());
        client.stdout(Stdio::null()).stderr(Stdio::null());
        Self(client.spawn().expect("a client"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One holds a row and a table, others wait for them, for as long as the value lives.
fn waiting(server: &Server) -> [Session; 4] {
    let session = |sql: &str| Session::start(server.client(), "-e", &[sql]);
    let held = "BEGIN; UPDATE app.t SET id = id; SELECT SLEEP(3)";
    let waits = "SET innodb_lock_wait_timeout = 1; SELECT SLEEP(0.5); UPDATE app.t SET id = id";
    let locked = "LOCK TABLES app.locked WRITE; SELECT SLEEP(3)";
    [
        held,
        waits,
        locked,
        "SELECT SLEEP(0.5); SELECT * FROM app.locked",
    ]
    .map(session)
}

/// One holds a table, another waits for it, a third vacuums slowly.
fn vacuuming(server: &Postgres) -> [Session; 3] {
    let session = |sql: &[&str]| Session::start(server.client("app"), "-c", sql);
    let held: &[&str] = &["BEGIN", "LOCK TABLE locked", "SELECT pg_sleep(3)"];
    let waits: &[&str] = &["SELECT pg_sleep(0.5)", "SELECT * FROM locked"];
    let vacuums: &[&str] = &[
        "SET vacuum_cost_delay = 100",
        "SET vacuum_cost_limit = 1",
        "VACUUM t",
    ];
    [held, waits, vacuums].map(session)
}

#[test]
fn every_panel_of_mariadb_and_mysql_shows_something() {
    let world = World::new();
    let scenes =
        [ServerKind::MariaDb118, ServerKind::MySql97].map(|kind| Replica::of_two(&world, kind));
    let flags = [OF_MYSQL, &["--tls-mode=require", "--volume=/"]].concat();
    let mut exporters = Vec::new();
    for scene in &scenes {
        scene.sources[0].sql("INSERT INTO app.t VALUES (1); CREATE TABLE app.locked (id INT)");
        for url in [&scene.url, &scene.source_url] {
            exporters.push(Ours::start(url, &flags));
        }
    }
    all_show_something("mysql.json", &exporters, &world, || {
        let _sessions: Vec<_> = scenes
            .iter()
            .map(|scene| waiting(&scene.sources[0]))
            .collect();
        thread::sleep(Duration::from_secs(2));
    });
}

#[test]
fn every_panel_of_postgres_shows_something() {
    let world = World::new();
    let [ssl, certificate, key] = &with_certificate(&world);
    let settings = [
        "shared_preload_libraries=pg_stat_statements",
        "track_io_timing=on",
        ssl,
        certificate,
        key,
    ];
    let mut exporters = Vec::new();
    let mut servers = Vec::new();
    let flags = [
        OF_POSTGRES,
        &[
            "--collector.stat_statements",
            "--collector.stat_progress_vacuum",
            "--volume=/",
        ],
    ]
    .concat();
    for kind in PostgresKind::all() {
        let primary = Postgres::start(kind, &world, &settings);
        let url = role(&primary);
        primary.sql(
            "app",
            "CREATE EXTENSION pg_stat_statements; CREATE TABLE locked (id int); CREATE TABLE t AS SELECT generate_series(1, 300000) AS id; DELETE FROM t WHERE id % 2 = 0",
        );
        primary.sql(
            "postgres",
            "SELECT pg_create_physical_replication_slot('s', true)",
        );
        let standby = Postgres::standby_of(&primary, &world);
        for url in [&url, &role_url(&standby)] {
            exporters.push(Ours::start(url, &flags));
        }
        exporters.push(Ours::start(&url, &["--tls-mode=require"]));
        servers.push((primary, standby));
    }
    all_show_something("postgres.json", &exporters, &world, || {
        let _sessions: Vec<_> = servers
            .iter()
            .map(|(primary, _)| vacuuming(primary))
            .collect();
        thread::sleep(Duration::from_secs(2));
        for (primary, _) in &servers {
            primary.sql(
                "app",
                "UPDATE t SET id = id WHERE id < 10; INSERT INTO t VALUES (0); CHECKPOINT",
            );
        }
    });
}
