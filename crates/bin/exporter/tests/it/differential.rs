//! Everything that the peers show of a server is in ours, under the same names and labels, of the same type, and equal
//! where it stands still.

use pilotfish_harness::{
    Build, Exposition, Family, Peer, Postgres, PostgresKind, Server, ServerKind, World,
};

use super::scene::Replica;
use super::{ACCOUNT, Ours, account, role, role_url};

/// What is theirs alone, and why.
const EXCEPT: &[(&str, &str)] = &[
    ("go_", "the state of Go's runtime"),
    ("promhttp_", "Go's HTTP handler"),
    ("mysqld_exporter_build_info", "who they are"),
    ("postgres_exporter_build_info", "who they are"),
    ("postgres_exporter_config_", "a file that ours has none of"),
    (
        "process_virtual_memory_max_bytes",
        "a limit that nobody sets",
    ),
    ("process_network_", "of the whole pod, not of the process"),
    (
        "mysql_exporter_",
        "of a scrape, not of the server: compared by name of collector",
    ),
    ("pg_exporter_", "of a scrape, not of the server"),
    (
        "pg_scrape_collector_duration",
        "of a scrape, not of the server",
    ),
];

/// What every exporter moves by looking, or is about itself: there on both sides, and never equal.
const OF_THE_LOOK: &[&str] = &[
    "process_",
    "mysql_info_schema_client_statistics_",
    "mysql_info_schema_processlist_",
    "mysql_info_schema_user_statistics_",
    "mysql_perf_schema_",
    "mysql_sys_",
    "mysql_global_status_threads_",
    "mysql_global_status_memory_used",
    "pg_stat_database_numbackends",
    // Their driver sets it for its own sessions.
    "pg_settings_extra_float_digits",
];

/// Where Debian's older build shows something else than the newer one, which ours follows.
const OLDER: &[(&str, &str)] = &[
    (
        "pg_scrape_collector_success",
        "collectors have other names since",
    ),
    (
        "pg_stat_activity_count",
        "has more labels since, and so other sums",
    ),
    ("pg_stat_activity_max_tx_duration", "the same"),
    (
        "pg_stat_database_stats_reset",
        "was no number where it is 0 since",
    ),
];

/// Series of whoever looks; and of what databases share, which have been left out since 0.13.
const OF_NOBODY: &[(&str, &str)] = &[("usename", ACCOUNT.0), ("datid", "0")];

/// Labels that are not compared, by the family's prefix, and why.
const LABELS: &[(&str, &str, &str)] = &[(
    "pg_stat_replication_",
    "slot_name",
    "theirs is the number of a process by mistake",
)];

/// How often a difference must be seen: a counter that moves between two looks is none.
const LOOKS: usize = 4;

/// Ours and theirs beside one server.
struct Pair<'a> {
    ours: &'a Ours,
    peer: Peer,
    build: Build,
}

impl Pair<'_> {
    /// All of theirs is in ours.
    #[track_caller]
    fn agrees(&self, who: &str) {
        let _ = (self.peer.scrape(), self.ours.scrape());
        let mut wrong = Vec::new();
        for _ in 0..LOOKS {
            let before = self.ours.scrape();
            let theirs = self.peer.scrape();
            let after = self.ours.scrape();
            wrong = self.differences(&theirs, [&before, &after]);
            if wrong.is_empty() {
                return;
            }
        }
        let (build, count) = (self.build, wrong.len());
        assert!(
            wrong.is_empty(),
            "{who} {build:?}: {count}\n{}",
            wrong.join("\n")
        );
    }

    /// Of three scrapes: theirs between two of ours, which say what stands still.
    fn differences(&self, theirs: &Exposition, ours: [&Exposition; 2]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, family) in &theirs.families {
            if EXCEPT.iter().any(|(prefix, _)| name.starts_with(prefix)) {
                continue;
            }
            let Some(found) = ours[0].families.get(name) else {
                wrong.push(format!("{name} ({}) is missing", family.kind));
                continue;
            };
            if found.kind != family.kind {
                wrong.push(format!("{name} is {}, theirs {}", found.kind, family.kind));
            }
            let is_older = OLDER.iter().any(|(family, _)| family == name);
            if self.build == Build::Upstream || !is_older {
                wrong.extend(self.series(name, family, ours));
            }
        }
        wrong
    }

    fn series(&self, name: &str, family: &Family, ours: [&Exposition; 2]) -> Vec<String> {
        let same = |one: f64, other: f64| one == other || (one.is_nan() && other.is_nan());
        let moves = OF_THE_LOOK.iter().any(|prefix| name.starts_with(prefix));
        let mut wrong = Vec::new();
        for (line, labels, value) in &family.series {
            let labels = labels
                .iter()
                .map(|(label, value)| (label.as_str(), value.as_str()));
            let labels: Vec<_> = labels
                .filter(|(label, _)| self.counts(name, label))
                .collect();
            if OF_NOBODY.iter().any(|label| labels.contains(label)) {
                continue;
            }
            match ours.map(|ours| ours.value(line, &labels)) {
                [None, None] => wrong.push(format!("{line}{labels:?} is missing")),
                [Some(before), Some(after)]
                    if !moves && same(before, after) && !same(before, *value) =>
                {
                    wrong.push(format!("{line}{labels:?} is {before}, theirs {value}"));
                }
                _ => {}
            }
        }
        wrong
    }

    /// Whether a label is compared.
    fn counts(&self, name: &str, label: &str) -> bool {
        let mut except = LABELS.iter();
        let excepted = except.any(|(prefix, one, _)| name.starts_with(prefix) && *one == label);
        // The older build had it in every family.
        let address = self.build == Build::Debian && label == "server";
        !excepted && !address
    }
}

/// Both builds of mysqld_exporter, and ours, with the same flags.
fn mysqld(world: &World, server: &Server, url: &str, args: &[&str], who: &str) {
    let ours = Ours::start(url, args);
    for build in Build::ALL {
        let peer = Peer::mysqld(build, world, server, ACCOUNT, args);
        let pair = Pair {
            ours: &ours,
            peer,
            build,
        };
        pair.agrees(&format!("{} {who}", server.kind().name()));
    }
}

/// Both builds of postgres_exporter, and ours.
fn postgres(world: &World, server: &Postgres, url: &str, who: &str) {
    let ours = Ours::start(url, &[]);
    for build in Build::ALL {
        let peer = Peer::postgres(build, world, url, &[]);
        let pair = Pair {
            ours: &ours,
            peer,
            build,
        };
        pair.agrees(&format!("{} {who}", server.kind().name()));
    }
}

#[test]
fn all_that_mysqld_exporter_shows_by_itself() {
    let world = World::new();
    for kind in [
        ServerKind::MariaDb1011,
        ServerKind::MariaDb118,
        ServerKind::MySql97,
    ] {
        let server = Server::start(kind, &world, &[]);
        let url = account(&server);
        mysqld(&world, &server, &url, &[], "alone");
    }
}

#[test]
fn all_that_mysqld_exporter_shows_of_a_primary_and_its_replica() {
    let world = World::new();
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let scene = Replica::of_two(&world, kind);
        mysqld(&world, &scene.sources[0], &scene.source_url, &[], "primary");
        mysqld(&world, &scene.replica, &scene.url, &[], "replica of two");
        scene.break_one();
        mysqld(&world, &scene.replica, &scene.url, &[], "replica, broken");
        scene.sources[1].kill9();
        mysqld(
            &world,
            &scene.replica,
            &scene.url,
            &[],
            "replica, a primary dead",
        );
    }
}

/// Collectors of mysqld_exporter that run where they are turned on.
const OPT_IN: &[&str] = &[
    "auto_increment.columns",
    "binlog_size",
    "engine_innodb_status",
    "info_schema.clientstats",
    "info_schema.innodb_metrics",
    "info_schema.innodb_tablespaces",
    "info_schema.processlist",
    "info_schema.schemastats",
    "info_schema.tables",
    "info_schema.tablestats",
    "info_schema.userstats",
    "mysql.user",
    "perf_schema.eventsstatements",
    "perf_schema.eventsstatementssum",
    "perf_schema.eventswaits",
    "perf_schema.file_events",
    "perf_schema.file_instances",
    "perf_schema.indexiowaits",
    "perf_schema.memory_events",
    "perf_schema.tableiowaits",
    "perf_schema.tablelocks",
    "slave_hosts",
    "sys.user_summary",
];

#[test]
fn all_that_mysqld_exporter_shows_when_it_is_asked() {
    let world = World::new();
    let flags: Vec<String> = OPT_IN
        .iter()
        .map(|name| format!("--collect.{name}"))
        .collect();
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.push("--collect.mysql.user.privileges");
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let mut options = vec!["--log-bin", "--server-id=1", "--performance-schema=ON"];
        if kind.is_mariadb() {
            options.push("--userstat=ON");
        }
        let server = Server::start(kind, &world, &options);
        let url = account(&server);
        server.sql(
            "CREATE DATABASE app; CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, n INT, KEY (n)); \
             INSERT INTO app.t (n) VALUES (1), (2), (3)",
        );
        if kind.is_mariadb() {
            server.sql("GRANT REPLICATION MASTER ADMIN ON *.* TO 'exporter'@'127.0.0.1'");
        } else {
            server.sql("GRANT REPLICATION SLAVE, EXECUTE ON *.* TO 'exporter'@'127.0.0.1'");
        }
        let ours = Ours::start(&url, &flags);
        let peer = Peer::mysqld(Build::Upstream, &world, &server, ACCOUNT, &flags);
        let pair = Pair {
            ours: &ours,
            peer,
            build: Build::Upstream,
        };
        pair.agrees(&format!("{} asked", server.kind().name()));
        let failed = ours.scrape().all("mysql_exporter_collector_success", &[]);
        assert!(failed.iter().all(|success| *success == 1.0), "{failed:?}");
    }
}

#[test]
fn all_that_postgres_exporter_shows_when_it_is_asked() {
    let flags = [
        "--collector.database_wraparound",
        "--collector.long_running_transactions",
        "--collector.postmaster",
        "--collector.stat_activity_autovacuum",
        "--collector.stat_statements",
        "--collector.stat_wal_receiver",
        "--collector.statio_user_indexes",
    ];
    let world = World::new();
    for kind in PostgresKind::all() {
        let options = ["shared_preload_libraries=pg_stat_statements"];
        let server = Postgres::start(kind, &world, &options);
        let url = role(&server);
        server.sql(
            "app",
            "CREATE EXTENSION pg_stat_statements; CREATE TABLE t (id int PRIMARY KEY)",
        );
        let ours = Ours::start(&url, &flags);
        let peer = Peer::postgres(Build::Upstream, &world, &url, &flags);
        let pair = Pair {
            ours: &ours,
            peer,
            build: Build::Upstream,
        };
        pair.agrees(&format!("{} asked", kind.name()));
    }
}

#[test]
fn all_that_postgres_exporter_shows_by_itself() {
    let world = World::new();
    for kind in PostgresKind::all() {
        let primary = Postgres::start(kind, &world, &[]);
        let url = role(&primary);
        let table = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)";
        primary.sql("app", table);
        let slot = "SELECT pg_create_physical_replication_slot('s', true)";
        primary.sql("postgres", slot);
        let standby = Postgres::standby_of(&primary, &world);
        postgres(&world, &primary, &url, "primary");
        postgres(&world, &standby, &role_url(&standby), "standby");
        primary.kill9();
        postgres(
            &world,
            &standby,
            &role_url(&standby),
            "standby, the primary dead",
        );
    }
}
