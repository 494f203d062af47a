//! Conditions beyond an answer.

use pilotfish_harness::{Finished, Server, World};

use super::{server, wait};

/// One short wait with these conditions.
fn short(server: &Server, conditions: &[&str]) -> Finished {
    wait()
        .args(["--timeout=500ms", "--url", &server.url()])
        .args(conditions)
        .run()
}

#[test]
fn tables_and_their_rows() {
    let world = World::new();
    let server = server(&world, &[]);
    let _ = short(&server, &["--table=app.drugs"]).fails_with(124, "count rows of app.drugs");
    server.sql("CREATE DATABASE app; CREATE TABLE app.drugs (id INT)");
    let _ = short(&server, &["--table=app.drugs"]).success();
    let _ = short(&server, &["--table=app.drugs:2"]).fails_with(124, "fewer than 2 rows");
    server.sql("INSERT INTO app.drugs VALUES (1), (2)");
    let _ = short(
        &server,
        &["--table=app.drugs:2", "--table=drugs", "--database=app"],
    )
    .success();
    let _ =
        short(&server, &["--table=app.drugs", "--table=app.trials"]).fails_with(124, "app.trials");
    server.sql("CREATE TABLE app.`a``b` (id INT)");
    let _ = short(&server, &["--table=app.a`b"]).success();
}

#[test]
fn a_table_that_fills_while_it_waits() {
    let world = World::new();
    let server = server(&world, &[]);
    server.sql("CREATE DATABASE app; CREATE TABLE app.drugs (id INT)");
    let mut waiting = wait()
        .args(["--table=app.drugs:1", "--url", &server.url()])
        .spawn();
    waiting.wait_for_stderr("fewer than 1 rows");
    server.sql("INSERT INTO app.drugs VALUES (1)");
    let _ = waiting.wait().success();
}

#[test]
fn queries_must_be_true() {
    let world = World::new();
    let server = server(&world, &[]);
    let _ = short(&server, &["--query=SELECT 1", "--query=SELECT 'yes'"]).success();
    for sql in [
        "SELECT 0",
        "SELECT NULL",
        "SELECT 1 FROM DUAL WHERE FALSE",
        "DO 1",
        "SELECT 1+",
    ] {
        let _ = short(&server, &["--query", sql]).fails_with(124, sql);
    }
}

#[test]
fn writable_means_not_read_only() {
    let world = World::new();
    let server = server(&world, &["--read-only"]);
    let _ = short(&server, &[]).success();
    let _ = short(&server, &["--writable"]).fails_with(124, "is read-only");
    server.sql("SET GLOBAL read_only = OFF");
    let _ = short(&server, &["--writable"]).success();
}

#[test]
fn lag_of_a_primary_of_nobody_and_of_a_replica() {
    let world = World::new();
    let server = server(&world, &["--server-id=1"]);
    let _ = short(&server, &["--max-lag=5s"]).success();
    server.sql("SET GLOBAL read_only = ON");
    let _ = short(&server, &["--max-lag=5s"]).fails_with(124, "replicates from nobody");
    server.sql("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='nobody'");
    let _ = short(&server, &["--max-lag=5s"]).fails_with(124, "replication does not run");
}

#[test]
fn a_replica_that_has_caught_up() {
    let world = World::new();
    let primary = server(&world, &["--server-id=1", "--log-bin"]);
    let replica = server(&world, &["--server-id=2"]);
    primary.sql(
        "CREATE USER 'replica'@'127.0.0.1' IDENTIFIED BY 'secret';
                 GRANT REPLICATION SLAVE ON *.* TO 'replica'@'127.0.0.1'",
    );
    let port = primary.port();
    replica.sql(&format!(
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='replica', \
         MASTER_PASSWORD='secret'; START SLAVE"
    ));
    let _ = wait()
        .args(["--max-lag=5s", "--url", &replica.url()])
        .run()
        .success();
    replica.sql("STOP SLAVE SQL_THREAD");
    let _ = short(&replica, &["--max-lag=5s"]).fails_with(124, "replication does not run");
}

#[test]
fn a_release_that_nobody_loaded() {
    let world = World::new();
    let server = server(&world, &[]);
    let _ = short(&server, &["--release=0123456789ab"])
        .fails_with(124, "release 0123456789ab is not live");
}
