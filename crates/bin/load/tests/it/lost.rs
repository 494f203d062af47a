//! Connections that break in the middle, and replicas.

use pilotfish_harness::{
    Fault, PATIENCE, Proxy, Server, ServerKind, World, eventually, seeded, tool,
};
use rand::Rng as _;

use crate::{load, mariadb, release_no, two_releases};

fn through(server: &Server, proxy: &Proxy) -> pilotfish_harness::Tool {
    let url = server.url();
    let (head, _) = url.rsplit_once(':').expect("a port");
    tool!("load").args(["--url", &format!("{head}:{}", proxy.port())])
}

fn cut_at_random_points(kind: ServerKind) {
    let mut random = seeded("cut the connections of a load");
    let world = World::new();
    let server = Server::start(kind, &world, &["--local-infile=1"]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port()), Fault::None);
    let mut lost = 0;
    for _ in 0..10 {
        let before = release_no(&server);
        let dump = if before == "1" { &second } else { &first };
        // The greeting has about a hundred bytes, the control session's answers a few thousand.
        let bytes = random.random_range(20..6_000);
        proxy.set(Fault::Cut { bytes, times: 1 });
        let done = through(&server, &proxy)
            .arg(dump)
            .args(["--into=app", "--retry-for=0s", "--threads=2"])
            .run();
        let after = release_no(&server);
        assert!(after == "1" || after == "2", "a mix after {bytes}: {after}");
        match done.code {
            // Nothing was cut, or what was cut was not needed any more.
            Some(0) => assert_ne!(before, after, "cut at {bytes}: {done}"),
            code => {
                assert_eq!(code, Some(69), "cut at {bytes}: {done}");
                lost += 1;
            }
        }
        proxy.set(Fault::None);
        let _ = through(&server, &proxy)
            .arg(dump)
            .arg("--into=app")
            .run()
            .success();
        assert_ne!(release_no(&server), before, "cut at {bytes}");
        let stage = server.sql("SHOW DATABASES LIKE 'pilotfish\\_next%'");
        assert_eq!(stage, "", "cut at {bytes}");
    }
    assert!(lost > 0, "no connection was lost");
}

#[test]
fn a_lost_connection_ends_a_load_and_the_next_run_succeeds() {
    cut_at_random_points(ServerKind::MariaDb1011);
}

#[test]
fn a_lost_connection_to_mysql_ends_a_load_and_the_next_run_succeeds() {
    cut_at_random_points(ServerKind::MySql97);
}

#[test]
fn a_real_replica_is_left_alone_whether_it_can_be_written_to_or_not() {
    let world = World::new();
    let primary = Server::start(
        ServerKind::MariaDb1011,
        &world,
        &["--server-id=1", "--log-bin"],
    );
    let (first, second) = two_releases(&world, &primary);
    let replica = Server::start(ServerKind::MariaDb1011, &world, &["--server-id=2"]);
    primary.sql(
        "CREATE USER 'replica'@'127.0.0.1' IDENTIFIED BY 'secret'; \
         GRANT REPLICATION SLAVE ON *.* TO 'replica'@'127.0.0.1'",
    );
    replica.sql(&format!(
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={}, MASTER_USER='replica', \
         MASTER_PASSWORD='secret', MASTER_USE_GTID=slave_pos; START SLAVE",
        primary.port()
    ));
    let _ = load(&primary).arg(&first).arg("--into=app").run().success();
    let arrived = |number: &str| {
        let query = "SELECT DISTINCT release_no FROM app.a";
        eventually("the release on the replica", PATIENCE, || {
            (replica.try_sql(query).ok()?.trim() == number).then_some(())
        });
    };
    arrived("1");
    let refused = |words: &[&str]| {
        let done = tool!("load")
            .args(words)
            .args(["--url", &replica.url()])
            .run();
        let _ = done.fails_with(75, "the server is a replica: load on its primary");
    };
    let dump = second.display().to_string();
    for setup in [
        "SET GLOBAL read_only = OFF",
        "SET GLOBAL read_only = ON",
        "STOP SLAVE",
    ] {
        replica.sql(setup);
        refused(&[&dump, "--into=app"]);
        refused(&["rollback"]);
        assert_eq!(release_no(&replica), "1", "{setup}");
        assert_eq!(replica.sql("SHOW DATABASES LIKE 'pilotfish\\_next%'"), "");
    }
    // Who only looks may look: the ledger came with the rows.
    let status = tool!("load")
        .args(["status", "--output=json", "--url", &replica.url()])
        .run()
        .success();
    assert_eq!(status.json()[0]["database"], "app");
    replica.sql("START SLAVE");
    let _ = load(&primary)
        .arg(&second)
        .arg("--into=app")
        .run()
        .success();
    arrived("2");
    let log = replica.sql("SELECT COUNT(*) FROM pilotfish.live_app WHERE kind = 'todo'");
    assert_eq!(log.trim(), "0");
}

#[test]
fn a_server_that_is_killed_under_a_load_is_no_success_and_no_bug() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let mut loads = load(&server)
        .arg(&second)
        .args(["--into=app", "--check=SELECT SLEEP(60) = 0"])
        .spawn();
    let _ = loads.wait_for_stderr("loads");
    let asked = || {
        let query = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(60)%' AND id <> CONNECTION_ID()";
        (server.sql(query).trim() == "1").then_some(())
    };
    eventually("the check is under way", PATIENCE, asked);
    server.kill9();
    let done = loads.wait().fails_with(69, "reach the server");
    assert!(
        done.stderr.contains("the stage stays until the next load"),
        "{done}"
    );
    server.restart();
    assert_eq!(release_no(&server), "1");
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(release_no(&server), "2");
}
