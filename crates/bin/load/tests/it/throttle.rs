//! A load that spares its server: it waits while that has enough to do, and while replicas cannot follow.

use std::process::{Child, Command, Stdio};

use pilotfish_harness::{
    Holder, PATIENCE, Postgres, PostgresKind, Running, Server, ServerKind, World, eventually,
};

use crate::{load, release_no, two_releases};

/// Sessions that run a statement, until they are dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn start(session: impl Fn() -> Command) -> Self {
        let quiet = |mut session: Command| {
            session.stdout(Stdio::null()).stderr(Stdio::null());
            session.spawn().expect("run the client")
        };
        Self((0..3).map(|_| quiet(session())).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for client in &mut self.0 {
            // The server may have ended it.
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

fn sleeping(server: &Server) -> Busy {
    let busy = Busy::start(|| {
        let mut client = server.client();
        client.args(["-e", "SELECT SLEEP(600) FROM (SELECT 1) AS busy"]);
        client
    });
    let running = || {
        let query =
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'";
        (server.sql(query).trim() == "3").then_some(())
    };
    eventually("three busy sessions", PATIENCE, running);
    busy
}

fn end_all(server: &Server) {
    let query = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'";
    for id in server.sql(query).lines() {
        server.sql(&format!("KILL {id}"));
    }
}

/// It waits, goes on once `relieve` is over, and tells how long it waited.
fn waits_until(mut load: Running, why: &str, relieve: impl FnOnce()) {
    let log = load.wait_for_stderr("waits for the server");
    assert!(log.contains(why), "{log}");
    assert!(load.is_running());
    relieve();
    let done = load.wait().success();
    let waited = done.json()["stages"]["waiting"].as_f64();
    assert!(waited.is_some_and(|seconds| seconds > 0.0), "{done}");
}

#[test]
fn a_load_waits_while_others_run_statements() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let (first, second) = two_releases(&world, &server);
        let _ = load(&server).arg(&first).arg("--into=app").run().success();
        let _busy = sleeping(&server);
        let throttled = |limits: &str| {
            load(&server)
                .arg(&second)
                .args(["--into=app", "--whole", "--output=json", limits])
        };
        let given_up = throttled("--throttle=running=1,wait=1s").run();
        let _ = given_up.fails_with(75, "other sessions run statements, more than 1");
        assert_eq!(release_no(&server), "1");
        let unknown = throttled("--throttle=running=off,replica=127.0.0.1:1,wait=1s").run();
        let _ = unknown.fails_with(75, "the lag of 127.0.0.1:1 is not known");
        let waiting = throttled("--throttle=running=1").spawn();
        waits_until(waiting, "other sessions run statements", || {
            assert_eq!(release_no(&server), "1");
            end_all(&server);
        });
        assert_eq!(release_no(&server), "2");
    }
}

#[test]
fn a_load_of_postgres_waits_while_others_run_statements() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &[]);
    server.sql(
        "app",
        "CREATE TABLE t (id integer); INSERT INTO t VALUES (1)",
    );
    let path = world.join("dump.sql");
    server.dump_to("app", &["--no-owner"], &path);
    server.sql("app", "DROP TABLE t; GRANT pg_monitor TO pilotfish");
    let _busy = Busy::start(|| {
        let mut client = server.client("app");
        client.args(["-c", "SELECT pg_sleep(600)"]);
        client
    });
    let running = || {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
        (server.sql("app", query).trim() == "3").then_some(())
    };
    eventually("three busy sessions", PATIENCE, running);
    let named = pilotfish_harness::tool!("load")
        .args([
            "--url",
            &server.url(),
            "--into=app",
            "--throttle=replica=db-1",
        ])
        .arg(&path)
        .run();
    let _ = named.fails_with(78, "replica= is for MariaDB and MySQL");
    let waiting = pilotfish_harness::tool!("load")
        .args(["--url", &server.url(), "--into=app", "--output=json"])
        .arg("--throttle=running=1")
        .arg(&path)
        .spawn();
    waits_until(waiting, "other sessions run statements", || {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
        server.sql("app", end);
    });
    assert_eq!(server.sql("app", "SELECT id FROM t"), "1\n");
}

/// The replica cannot alter a table while somebody reads it there.
#[test]
fn a_load_waits_for_a_replica() {
    let world = World::new();
    let primary = Server::start(
        ServerKind::MariaDb1011,
        &world,
        &["--server-id=1", "--log-bin"],
    );
    let (first, _) = two_releases(&world, &primary);
    let replica = Server::start(ServerKind::MariaDb1011, &world, &["--server-id=2"]);
    let at = primary.sql("SHOW MASTER STATUS");
    let mut at = at.split('\t');
    let (file, position) = (at.next().unwrap_or_default(), at.next().unwrap_or_default());
    primary.sql(
        "CREATE USER 'replica'@'127.0.0.1' IDENTIFIED BY 'secret'; \
         GRANT REPLICATION SLAVE ON *.* TO 'replica'@'127.0.0.1'",
    );
    replica.sql("GRANT REPLICA MONITOR ON *.* TO 'pilotfish'@'127.0.0.1'");
    let port = primary.port();
    replica.sql(&format!(
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='replica', \
         MASTER_PASSWORD='secret', MASTER_LOG_FILE='{file}', MASTER_LOG_POS={position}; START SLAVE"
    ));
    let behind = || {
        let state = replica.sql("SHOW SLAVE STATUS");
        // `Seconds_Behind_Master`.
        let lag = state.split('\t').nth(32)?.parse::<u64>().ok();
        lag.filter(|seconds| *seconds > 2).map(drop)
    };
    primary.sql("CREATE DATABASE other; CREATE TABLE other.t (id INT) ENGINE=InnoDB");
    eventually("the table on the replica", PATIENCE, || {
        replica.try_sql("SELECT * FROM other.t").ok()
    });
    let blocked = Holder::begin(&replica, "SELECT * FROM other.t");
    primary.sql("ALTER TABLE other.t ADD more INT");
    eventually("the replica to be behind", PATIENCE, behind);
    let waiting = load(&primary)
        .arg(&first)
        .args([
            "--into=app",
            "--output=json",
            &format!("--throttle=lag=2s,replica=127.0.0.1:{}", replica.port()),
        ])
        .spawn();
    waits_until(waiting, "replica 127.0.0.1:", || blocked.commit());
    assert_eq!(release_no(&primary), "1");
}
