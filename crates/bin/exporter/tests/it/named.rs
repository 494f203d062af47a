//! Whatever a rule or a panel asks for is shown by a server that is alive.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pilotfish_harness::{Exposition, Postgres, PostgresKind, Server, ServerKind, World, http};

use super::scene::{Replica, with_certificate};
use super::{Ours, account, role, role_url};

/// What takes more than a server: the beginning of its names, and what it takes.
const SITUATIONS: &[(&str, &str)] = &[
    ("mysql_galera_", "a Galera cluster"),
    ("mysql_global_status_wsrep_", "a Galera cluster"),
    ("mysql_info_schema_query_response_time_", "a plugin"),
    ("pg_stat_progress_vacuum_", "a vacuum under way"),
    ("pg_stat_statements_", "an extension"),
    ("pg_stat_subscription_", "a subscription"),
    ("pilotfish_container_", "a container"),
    ("pilotfish_release_", "a release"),
];

/// Collectors that manifests/exporter turns on.
pub(crate) const OF_MYSQL: &[&str] = &[
    "--collect.info_schema.innodb_metrics",
    "--collect.info_schema.processlist",
    "--collect.perf_schema.eventsstatementssum",
    "--collect.binlog_size",
];
pub(crate) const OF_POSTGRES: &[&str] = &[
    "--collector.database_wraparound",
    "--collector.postmaster",
    "--collector.stat_wal_receiver",
];

pub(crate) fn manifests(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../manifests");
    fs::read_to_string(root.join(file)).expect("a manifest")
}

/// Names of metrics in the expressions of rules, and in the queries of panels and variables.
pub(crate) fn names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut is_annotation = false;
    for line in text.lines().map(str::trim) {
        is_annotation = (is_annotation || line == "annotations:") && !line.starts_with("- alert:");
        let is_query = !line.starts_with('"')
            || line.starts_with("\"expr\"")
            || line.starts_with("\"definition\"");
        if is_annotation || line.starts_with('#') || !is_query {
            continue;
        }
        let words = line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let prefixes = ["mysql_", "pg_", "pilotfish_", "process_"];
        let is_name = |word: &&str| prefixes.iter().any(|prefix| word.starts_with(prefix));
        names.extend(words.filter(is_name).map(str::to_owned));
    }
    names
}

/// All series' names of several scrapes.
fn shown(scrapes: &[Exposition]) -> BTreeSet<String> {
    let families = scrapes.iter().flat_map(|scrape| scrape.families.values());
    let lines = families.flat_map(|family| &family.series);
    lines.map(|(name, ..)| name.clone()).collect()
}

/// Nothing but situations is missing.
#[track_caller]
fn all_there(asked: &BTreeSet<String>, shown: &BTreeSet<String>, whose: &str) {
    assert!(
        asked.len() > 20,
        "{whose}: only {} names were found",
        asked.len()
    );
    let usual = |name: &&String| {
        !SITUATIONS
            .iter()
            .any(|(prefix, _)| name.starts_with(prefix))
    };
    let missing: Vec<_> = asked.difference(shown).filter(usual).collect();
    assert!(missing.is_empty(), "{whose}: {missing:?}");
}

/// Scrapes with the flags of the manifest, and a volume.
fn scrape(url: &str, flags: &[&str]) -> Exposition {
    let mut flags = flags.to_vec();
    flags.push("--volume=/");
    let ours = Ours::start(url, &flags);
    // Rates of the exporter itself need a scrape before.
    let _ = ours.scrape();
    ours.scrape()
}

fn is_not_of(prefix: &'static str) -> impl Fn(&&String) -> bool {
    move |name| !name.starts_with(prefix)
}

#[test]
fn what_rules_and_panels_ask_of_mariadb_and_mysql_is_shown() {
    let world = World::new();
    let rules = names(&manifests("exporter-alerts/rules.yaml"));
    let mut asked = names(&manifests("exporter-dashboards/mysql.json"));
    asked.extend(rules.iter().filter(is_not_of("pg_")).cloned());
    let mut scrapes = Vec::new();
    for kind in [
        ServerKind::MariaDb1011,
        ServerKind::MariaDb118,
        ServerKind::MySql97,
    ] {
        let scene = Replica::of_two(&world, kind);
        for url in [&scene.source_url, &scene.url] {
            scrapes.push(scrape(url, OF_MYSQL));
        }
    }
    all_there(&asked, &shown(&scrapes), "MariaDB and MySQL");
}

#[test]
fn what_rules_and_panels_ask_of_postgres_is_shown() {
    let world = World::new();
    let rules = names(&manifests("exporter-alerts/rules.yaml"));
    let mut asked = names(&manifests("exporter-dashboards/postgres.json"));
    asked.extend(rules.iter().filter(is_not_of("mysql_")).cloned());
    let mut scrapes = Vec::new();
    for kind in PostgresKind::all() {
        let settings = with_certificate(&world);
        let primary = Postgres::start(kind, &world, &settings.each_ref().map(String::as_str));
        let url = role(&primary);
        primary.sql(
            "app",
            "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)",
        );
        primary.sql(
            "postgres",
            "SELECT pg_create_physical_replication_slot('s', true)",
        );
        let standby = Postgres::standby_of(&primary, &world);
        scrapes.extend([&url, &role_url(&standby)].map(|url| scrape(url, OF_POSTGRES)));
        scrapes.push(scrape(&url, &["--tls-mode=require"]));
    }
    // Some are there since 16 or 17 only.
    all_there(&asked, &shown(&scrapes), "PostgreSQL");
    let failed = |scrape: &Exposition| {
        scrape.families["pg_scrape_collector_success"]
            .series
            .clone()
    };
    for (_, labels, success) in scrapes.iter().flat_map(failed) {
        assert!(success == 1.0, "{labels:?} fails");
    }
}

#[test]
fn the_end_of_the_servers_certificate_is_shown() {
    let world = World::new();
    let end = "pilotfish_server_certificate_end_timestamp_seconds";
    for kind in PostgresKind::all() {
        let settings = with_certificate(&world);
        let server = Postgres::start(kind, &world, &settings.each_ref().map(String::as_str));
        let url = role(&server);
        // At the end of the year 4095.
        let found = Ours::start(&url, &["--tls-mode=require"]).scrape();
        assert_eq!(found.value(end, &[]), Some(67_090_118_400.0));
        let plain = Ours::start(&url, &[]).scrape();
        assert_eq!(plain.value(end, &[]), None);
    }
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let found = Ours::start(&account(&server), &["--tls-mode=require"]).scrape();
    let legacy = found.value("mysql_global_status_ssl_server_not_after", &[]);
    assert!(legacy > Some(1.7e9), "{legacy:?}");
    assert_eq!(found.value(end, &[]), legacy);
}

/// Prometheus' own judge has nothing to say of the names that are ours.
#[test]
fn names_of_our_own_are_as_prometheus_wants_them() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres18, &world, &[]);
    let ours = Ours::start(&role(&server), &["--volume=/"]);
    let _ = ours.scrape();
    let text = http::get(&ours.url("/metrics")).expect("an answer").body;
    let mut own = String::new();
    for line in text.lines() {
        let name = line
            .trim_start_matches("# HELP ")
            .trim_start_matches("# TYPE ");
        if name.starts_with("pilotfish_") {
            own.push_str(line);
            own.push('\n');
        }
    }
    assert!(own.lines().count() > 20, "{own}");
    let judge = |input: &str| {
        let path: PathBuf = world.write("metrics.txt", input);
        let file = fs::File::open(path).expect("the metrics");
        Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::from(file))
            .output()
            .expect("promtool, which `./x setup` installs")
    };
    let said = judge(&own);
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && words.is_empty(), "{words}");
    assert!(
        !judge("# TYPE a counter\na 1\n").status.success(),
        "it sees mistakes"
    );
}
