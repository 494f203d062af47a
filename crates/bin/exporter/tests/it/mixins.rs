//! The alerts that people have from both exporters' mixins, judged by a real Prometheus over ours; and our own.
//!
//! Some of theirs can never fire over their own exporter: a broken channel has no lag there, MySQL 8.4 and later other
//! names, PostgreSQL 17 no checkpoints. Over ours they do.

use std::collections::BTreeSet;

use pilotfish_harness::{
    Postgres, PostgresKind, Prometheus, ServerKind, Target, World, mysqld_mixin, plain_rules,
};

use super::scene::Replica;
use super::{Ours, role, role_url};

/// What the alerts of postgres_mixin ask, by its names of metrics and labels.
///
/// `PostgresTablesNotVaccumed` and `PostgreSQLSlowQueries` are here to be judged: neither can fire over any exporter. The
/// one compares times of samples that are as old as the scrape, the other takes the rate of a gauge of seconds.
const POSTGRES_MIXIN: &[(&str, &str)] = &[
    (
        "PostgreSQLMaxConnectionsReached",
        "sum by (instance) (pg_stat_activity_count) >= sum by (instance) (pg_settings_max_connections) \
         - sum by (instance) (pg_settings_superuser_reserved_connections)",
    ),
    (
        "PostgreSQLHighConnections",
        "sum by (instance) (pg_stat_activity_count) > 0.8 * (sum by (instance) (pg_settings_max_connections) \
         - sum by (instance) (pg_settings_superuser_reserved_connections))",
    ),
    ("PostgreSQLDown", "pg_up != 1"),
    (
        "PostgreSQLSlowQueries",
        "avg by (datname) (rate(pg_stat_activity_max_tx_duration{datname!~\"template.*\"}[2m])) > 120",
    ),
    (
        "PostgreSQLQPS",
        "avg by (datname) (irate(pg_stat_database_xact_commit[5m]) + irate(pg_stat_database_xact_rollback[5m])) > 10000",
    ),
    (
        "PostgreSQLCacheHitRatio",
        "avg by (datname) (rate(pg_stat_database_blks_hit[5m]) / (rate(pg_stat_database_blks_hit[5m]) \
         + rate(pg_stat_database_blks_read[5m]))) < 0.98",
    ),
    (
        "PostgresHasTooManyRollbacks",
        "avg without (pod) (rate(pg_stat_database_xact_rollback{datname!=\"\"}[5m]) \
         / (rate(pg_stat_database_xact_commit[5m]) + rate(pg_stat_database_xact_rollback[5m]))) > 0.1",
    ),
    (
        "PostgresHasHighDeadLocks",
        "max without (pod) (rate(pg_stat_database_deadlocks[5m]) * 60) > 5",
    ),
    (
        "PostgresAcquiredTooManyLocks",
        "max by (server, job, datname, instance) (pg_locks_count / on (instance, namespace) group_left (server) \
         (pg_settings_max_locks_per_transaction * pg_settings_max_connections)) > 0.2",
    ),
    // An hour there.
    (
        "PostgresReplicationLaggingMore1Hour",
        "pg_replication_lag > 3 and on (instance) pg_replication_is_replica == 1",
    ),
    (
        "PostgresHasReplicationSlotUsed",
        "pg_replication_slots_active == 0",
    ),
    (
        "PostgresReplicationRoleChanged",
        "pg_replication_is_replica and changes(pg_replication_is_replica[1m]) > 0",
    ),
    (
        "PostgresHasExporterErrors",
        "pg_exporter_last_scrape_error > 0",
    ),
    (
        "PostgresTablesNotVaccumed",
        "group without (pod) (timestamp(pg_stat_user_tables_n_dead_tup > pg_stat_user_tables_n_live_tup \
         * on (namespace, job, instance, server) group_left () pg_settings_autovacuum_vacuum_scale_factor \
         + on (namespace, job, instance, server) group_left () pg_settings_autovacuum_vacuum_threshold) < time() - 36000)",
    ),
    (
        "PostgresTooManyCheckpointsRequested",
        "rate(pg_stat_bgwriter_checkpoints_timed_total[5m]) / (rate(pg_stat_bgwriter_checkpoints_timed_total[5m]) \
         + rate(pg_stat_bgwriter_checkpoints_req_total[5m])) < 0.5",
    ),
];

/// A rules file without its times: an alert fires at once.
fn at_once(rules: &str) -> String {
    let is_time = |line: &&str| line.trim_start().starts_with("for: ");
    let mut hurried = String::new();
    for line in rules.lines().filter(|line| !is_time(line)) {
        // Lags of half a minute are waited for in the one alert, not in the test.
        hurried.push_str(&line.replace("_lag_seconds > 30)", "_lag_seconds > 3)"));
        hurried.push('\n');
    }
    hurried
}

/// The rules that are shipped, as a plain Prometheus has them.
fn shipped() -> String {
    at_once(&plain_rules(&super::named::manifests(
        "exporter-alerts/rules.yaml",
    )))
}

fn target(instance: &str, ours: &Ours) -> Target {
    Target {
        instance: instance.to_owned(),
        address: ours.address(),
    }
}

/// Every rule is judged without an error, and what the mixin's ask for is there, but for what begins like `absent`.
#[track_caller]
fn all_judged(prometheus: &Prometheus, absent: &[&str]) {
    let rules = prometheus.rules();
    let mut asked = BTreeSet::new();
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        let is_ours = rule["name"]
            .as_str()
            .expect("a name")
            .starts_with("Database");
        if !is_ours {
            // What its own rules record is no metric.
            let query = rule["query"].as_str().expect("a query");
            asked.extend(super::named::names(
                &query.replace("instance:", "recorded_"),
            ));
        }
    }
    let missing: Vec<_> = asked
        .iter()
        .filter(|name| !absent.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| prometheus.series(name).is_empty())
        .collect();
    assert!(
        asked.len() > 8 && missing.is_empty(),
        "{missing:?} of {asked:?}"
    );
}

#[test]
fn alerts_of_mysqlds_mixin_and_ours_see_a_broken_channel_and_a_dead_source() {
    let world = World::new();
    let kinds = [
        ServerKind::MariaDb1011,
        ServerKind::MariaDb118,
        ServerKind::MySql97,
    ];
    let scenes = kinds.map(|kind| (kind, Replica::of_two(&world, kind)));
    let mut exporters = Vec::new();
    let mut targets = Vec::new();
    for (kind, scene) in &scenes {
        for (url, part) in [(&scene.url, "replica"), (&scene.source_url, "source")] {
            scene_heartbeat(scene);
            let ours = Ours::start(url, &["--collect.heartbeat"]);
            targets.push(target(&format!("{}-{part}", kind.name()), &ours));
            exporters.push(ours);
        }
    }
    let [recorded, general, galera] = mysqld_mixin().map(|rules| at_once(&rules));
    let shipped = shipped();
    let rules = [&recorded, &general, &galera, &shipped].map(String::as_str);
    let prometheus = Prometheus::start(&world, &targets, &rules);
    for (kind, _) in &scenes {
        let replica = format!("instance=\"{}-replica\"", kind.name());
        // Its heartbeat was written at the scene's beginning.
        prometheus.wait_firing("MySQLHeartbeatLag", &replica);
    }
    all_judged(
        &prometheus,
        &[
            "mysql_global_status_wsrep_",
            "mysql_global_variables_wsrep_",
        ],
    );
    for quiet in ["MySQLReplicationNotRunning", "DatabaseReplicationBroken"] {
        let fires = prometheus.series(&format!("ALERTS{{alertname=\"{quiet}\"}}"));
        assert!(fires.is_empty(), "{fires:?}");
    }
    for (_, scene) in &scenes {
        scene.break_one();
        scene.sources[1].kill9();
    }
    for (kind, _) in &scenes {
        for (channel, side) in [("one", "applier"), ("two", "receiver")] {
            let name = match kind.is_mariadb() {
                true => "connection_name",
                false => "channel_name",
            };
            let replica = format!("instance=\"{}-replica\"", kind.name());
            let theirs = format!("{replica}, {name}=\"{channel}\"");
            prometheus.wait_firing("MySQLReplicationNotRunning", &theirs);
            prometheus.wait_firing("MySQLReplicationLag", &theirs);
            let ours = format!("{replica}, channel=\"{channel}\", side=\"{side}\"");
            prometheus.wait_firing("DatabaseReplicationBroken", &ours);
        }
    }
    for (kind, scene) in &scenes {
        scene.sources[0].kill9();
        let source = format!("instance=\"{}-source\"", kind.name());
        prometheus.wait_firing("MySQLDown", &source);
        prometheus.wait_firing("DatabaseDown", &source);
    }
}

/// The table of pt-heartbeat, written once.
fn scene_heartbeat(scene: &Replica) {
    for server in [&scene.sources[0], &scene.replica] {
        server.sql(
            "CREATE DATABASE IF NOT EXISTS heartbeat; \
             CREATE TABLE IF NOT EXISTS heartbeat.heartbeat (ts varchar(26), server_id int unsigned PRIMARY KEY); \
             REPLACE INTO heartbeat.heartbeat VALUES (NOW(6), 99)",
        );
    }
}

#[test]
fn alerts_of_postgres_mixin_and_ours_see_a_dead_primary() {
    let world = World::new();
    let mut rules = "groups: [{name: postgres, rules: [\n".to_owned();
    for (alert, expression) in POSTGRES_MIXIN {
        rules += &format!("  {{alert: {alert}, expr: '{expression}'}},\n");
    }
    rules += "]}]\n";
    let shipped = shipped();
    let mut exporters = Vec::new();
    let mut targets = Vec::new();
    let mut servers = Vec::new();
    for kind in PostgresKind::all() {
        let primary = Postgres::start(kind, &world, &[]);
        let url = role(&primary);
        primary.sql(
            "postgres",
            "SELECT pg_create_physical_replication_slot('unused')",
        );
        primary.sql("app", "CREATE TABLE t (id int)");
        let standby = Postgres::standby_of(&primary, &world);
        for (url, part) in [(&url, "primary"), (&role_url(&standby), "standby")] {
            let ours = Ours::start(url, &[]);
            targets.push(target(&format!("{}-{part}", kind.name()), &ours));
            exporters.push(ours);
        }
        servers.push((kind, primary, standby));
    }
    let prometheus = Prometheus::start(&world, &targets, &[&rules, &shipped]);
    for (kind, primary, _) in &servers {
        let instance = format!("instance=\"{}-primary\"", kind.name());
        prometheus.wait_firing("PostgresHasReplicationSlotUsed", &instance);
        primary.sql("app", "INSERT INTO t VALUES (1)");
        primary.sql("postgres", "CHECKPOINT");
        prometheus.wait_firing("PostgresTooManyCheckpointsRequested", &instance);
    }
    all_judged(&prometheus, &[]);
    let broken = prometheus.series("ALERTS{alertname=\"DatabaseReplicationBroken\"}");
    assert!(broken.is_empty(), "{broken:?}");
    for (_, primary, _) in &servers {
        primary.kill9();
    }
    for (kind, _, standby) in &servers {
        let instance = format!("instance=\"{}-primary\"", kind.name());
        for alert in [
            "PostgreSQLDown",
            "PostgresHasExporterErrors",
            "DatabaseDown",
        ] {
            prometheus.wait_firing(alert, &instance);
        }
        let instance = format!("instance=\"{}-standby\"", kind.name());
        for alert in [
            "PostgresReplicationLaggingMore1Hour",
            "DatabaseReplicationBroken",
        ] {
            prometheus.wait_firing(alert, &instance);
        }
        standby.sql("postgres", "SELECT pg_promote()");
        prometheus.wait_firing("PostgresReplicationRoleChanged", &instance);
    }
}
