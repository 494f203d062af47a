//! Everything that the peers show of a server is in ours, under the same names and labels, of the same type, and equal
//! where it stands still.

use pilotfish_harness::{
    Build, Exposition, Peer, Postgres, PostgresKind, Server, ServerKind, World,
};

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

/// Labels that are not compared, by the family's prefix, and why.
const LABELS: &[(&str, &str, &str)] = &[(
    "pg_stat_replication_",
    "slot_name",
    "theirs is the number of a process by mistake",
)];

/// Compares three scrapes: ours, theirs, and ours again, which says what stands still.
fn compare(build: Build, theirs: &Exposition, ours: [&Exposition; 2], who: &str) {
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
        for (line, labels, value) in &family.series {
            let labels: Vec<(&str, &str)> = labels
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .filter(|(label, _)| {
                    let mut except = LABELS.iter();
                    // The older build had the server's address in every family.
                    let address = build == Build::Debian && *label == "server";
                    let excepted =
                        except.any(|(prefix, one, _)| name.starts_with(prefix) && one == label);
                    !address && !excepted
                })
                .collect();
            let [before, after] = ours.map(|ours| ours.value(line, &labels));
            let same = |one: f64, other: f64| one == other || (one.is_nan() && other.is_nan());
            // Sessions of whoever looks; and the row of what databases share, which has been left out since 0.13.
            if labels.contains(&("usename", ACCOUNT.0)) || labels.contains(&("datid", "0")) {
                continue;
            }
            let moves = OF_THE_LOOK.iter().any(|prefix| name.starts_with(prefix));
            if build == Build::Debian && OLDER.iter().any(|(family, _)| family == name) {
                continue;
            }
            match (before, after) {
                (Some(_), Some(_)) if moves => {}
                (None, None) => wrong.push(format!("{line}{labels:?} is missing")),
                (Some(before), Some(after)) if same(before, after) && !same(before, *value) => {
                    wrong.push(format!("{line}{labels:?} is {before}, theirs {value}"));
                }
                _ => {}
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{who}: {}\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Both builds of mysqld_exporter, and ours.
fn mysqld(world: &World, server: &Server, url: &str, args: &[&str]) {
    let ours = Ours::start(url, args);
    for build in Build::ALL {
        let peer = Peer::mysqld(build, world, server, ACCOUNT, args);
        let _ = (peer.scrape(), ours.scrape());
        let before = ours.scrape();
        let theirs = peer.scrape();
        let after = ours.scrape();
        let who = format!("{} {build:?}", server.kind().name());
        compare(build, &theirs, [&before, &after], &who);
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
        mysqld(&world, &server, &url, &[]);
    }
}

#[test]
fn all_that_postgres_exporter_shows_by_itself() {
    let world = World::new();
    for kind in PostgresKind::all() {
        let primary = Postgres::start(kind, &world, &[]);
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
        for (server, role) in [(&primary, "primary"), (&standby, "standby")] {
            let url = if role == "primary" {
                url.clone()
            } else {
                role_url(server)
            };
            let ours = Ours::start(&url, &[]);
            for build in Build::ALL {
                let peer = Peer::postgres(build, &world, &url, &[]);
                let _ = (peer.scrape(), ours.scrape());
                let before = ours.scrape();
                let theirs = peer.scrape();
                let after = ours.scrape();
                let who = format!("{} {role} {build:?}", kind.name());
                compare(build, &theirs, [&before, &after], &who);
            }
        }
    }
}
