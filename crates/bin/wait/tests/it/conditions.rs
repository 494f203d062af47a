//! Conditions beyond an answer.

use pilotfish_harness::{Server, ServerKind, World};

use super::{server, wait};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The tool is content with the server.
#[track_caller]
fn ready(server: &Server, conditions: &[&str]) {
    let _ = wait()
        .args(["--url", &server.url()])
        .args(conditions)
        .run()
        .success();
}

/// The tool goes on waiting, and says why.
#[track_caller]
fn lacks(server: &Server, conditions: &[&str], why: &str) {
    let mut waiting = wait()
        .args(["--timeout=0s", "--url", &server.url()])
        .args(conditions)
        .spawn();
    waiting.wait_for_stderr(why);
    waiting.terminate();
    let _ = waiting.wait().fails_with(143, why);
}

#[test]
fn tables_and_their_rows() {
    let world = World::new();
    let server = server(&world, &[]);
    lacks(&server, &["--table=app.drugs"], "count rows of app.drugs");
    server.sql("CREATE DATABASE app; CREATE TABLE app.drugs (id INT)");
    ready(&server, &["--table=app.drugs"]);
    lacks(&server, &["--table=app.drugs:2"], "fewer rows than 2");
    server.sql("INSERT INTO app.drugs VALUES (1), (2)");
    ready(
        &server,
        &["--table=app.drugs:2", "--table=drugs", "--database=app"],
    );
    lacks(
        &server,
        &["--table=app.drugs", "--table=app.trials"],
        "app.trials",
    );
    server.sql("CREATE TABLE app.`a``b` (id INT)");
    ready(&server, &["--table=app.a`b"]);
}

#[test]
fn a_table_that_fills_while_it_waits() {
    let world = World::new();
    let server = server(&world, &[]);
    server.sql("CREATE DATABASE app; CREATE TABLE app.drugs (id INT)");
    let mut waiting = wait()
        .args(["--table=app.drugs:1", "--url", &server.url()])
        .spawn();
    waiting.wait_for_stderr("fewer rows than 1");
    server.sql("INSERT INTO app.drugs VALUES (1)");
    let _ = waiting.wait().success();
}

#[test]
fn queries_must_be_true() {
    let world = World::new();
    let server = server(&world, &[]);
    ready(&server, &["--query=SELECT 1", "--query=SELECT 'yes'"]);
    for sql in [
        "SELECT 0",
        "SELECT NULL",
        "SELECT 1 FROM DUAL WHERE FALSE",
        "DO 1",
    ] {
        let why = format!("the query is not true: {sql}");
        lacks(&server, &["--query", sql], &why);
    }
    lacks(&server, &["--query=SELECT 1+"], "run SELECT 1+: ");
}

#[test]
fn a_query_changes_nothing() {
    let world = World::new();
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let args = match kind.is_mariadb() {
            true => &[][..],
            false => &["--log-bin-trust-function-creators=1"],
        };
        let server = Server::start(kind, &world, args);
        server.sql("CREATE DATABASE app; USE app; CREATE TABLE zz (id INT); INSERT INTO zz VALUES (1), (2)");
        let function = world.write(
            "function.sql",
            "DELIMITER //\nCREATE FUNCTION emptied() RETURNS INT MODIFIES SQL DATA\n\
             BEGIN DELETE FROM zz; RETURN 1; END //\n",
        );
        server.sql_file("app", &function);
        for sql in [
            "delete from app.zz",
            "DROP TABLE app.zz",
            "TRUNCATE TABLE app.zz",
            "COMMIT; DELETE FROM app.zz",
            "SELECT 1; DELETE FROM app.zz",
            "/*!50000 DELETE FROM app.zz */",
            "WITH x AS (SELECT 1) DELETE FROM app.zz",
            "SELECT app.emptied()",
        ] {
            let done = wait()
                .args(["--fail-fast", "--timeout=5s", "--url", &server.url()])
                .args(["--query", sql])
                .run();
            let done = done.fails_with(78, "correct the SQL of --query");
            assert_eq!(
                server.sql("SELECT COUNT(*) FROM app.zz").trim(),
                "2",
                "{sql}: {done}"
            );
        }
        ready(&server, &["--query=SELECT COUNT(*) = 2 FROM app.zz"]);
    }
}

#[test]
fn sql_that_cannot_heal_is_not_waited_for_where_nobody_wants_to() {
    let world = World::new();
    let server = server(&world, &[]);
    let url = server.url();
    for sql in ["SELECT 1+", "SELECT CONCAT()", "SELEKT 1"] {
        let query = || wait().args(["--url", &url, "--query", sql]);
        let _ = query()
            .args(["--fail-fast", "--timeout=0s"])
            .run()
            .fails_with(78, "correct the SQL of --query");
        let _ = query()
            .arg("--timeout=2s")
            .run()
            .fails_with(124, "correct the SQL of --query");
    }
    let waiting = [
        "--query=SELECT COUNT(*) = 0 FROM app_later.t",
        "--query=SELECT COUNT(id) = 0 FROM app.t",
        "--query=SELECT app_later.is_filled()",
        // The name of a native function has an error number of its own.
        "--query=SELECT app_later.sum (1)",
        "--table=app.t",
        "--database=app_later",
    ]
    .map(|condition| {
        wait()
            .args(["--fail-fast", "--query=SELECT 1", "--url", &url, condition])
            .spawn()
    });
    let waiting = waiting.map(|mut waiting| {
        waiting.wait_for_stderr("not ready");
        waiting
    });
    server.sql("CREATE DATABASE app_later; CREATE TABLE app_later.t (id INT)");
    server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT)");
    for function in ["is_filled()", "sum (a INT)"] {
        server.sql(&format!(
            "CREATE FUNCTION app_later.{function} RETURNS INT DETERMINISTIC RETURN 1"
        ));
    }
    for waiting in waiting {
        let _ = waiting.wait().success();
    }
}

#[test]
fn writable_means_not_read_only() {
    let world = World::new();
    let server = server(&world, &["--read-only"]);
    ready(&server, &[]);
    lacks(&server, &["--writable"], "is read-only");
    server.sql("SET GLOBAL read_only = OFF");
    ready(&server, &["--writable"]);
}

#[test]
fn lag_of_a_primary_of_nobody_and_of_a_replica() {
    let world = World::new();
    let server = server(&world, &["--server-id=1"]);
    ready(&server, &["--max-lag=5s"]);
    server.sql("SET GLOBAL read_only = ON");
    lacks(&server, &["--max-lag=5s"], "replicates from nobody");
    server.sql("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='nobody'");
    lacks(&server, &["--max-lag=5s"], "replication does not run");
}

#[test]
fn a_replica_that_has_caught_up() {
    let world = World::new();
    let primary = server(&world, &["--server-id=1", "--log-bin"]);
    let replica = server(&world, &["--server-id=2"]);
    primary.sql(
        "CREATE USER 'replica'@'127.0.0.1' IDENTIFIED BY 'secret'; \
         GRANT REPLICATION SLAVE ON *.* TO 'replica'@'127.0.0.1'",
    );
    let port = primary.port();
    replica.sql(&format!(
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='replica', \
         MASTER_PASSWORD='secret'; START SLAVE"
    ));
    ready(&replica, &["--max-lag=5s"]);
    replica.sql("STOP SLAVE SQL_THREAD");
    lacks(&replica, &["--max-lag=5s"], "replication does not run");
}

#[test]
fn a_release_is_awaited_until_it_is_live_and_finished() {
    let world = World::new();
    let server = server(&world, &[]);
    lacks(&server, &["--release=0123456789ab"], "is not live");
    // The marker of the ledger as a load leaves it, with a view that is still to be made.
    server.sql(&format!(
        "CREATE DATABASE pilotfish; USE pilotfish; \
         CREATE TABLE rejected (db VARCHAR(64), digest CHAR(64), contents CHAR(64)); \
         CREATE TABLE live_app (kind VARCHAR(16), seq INT, name TEXT, detail LONGTEXT, body BLOB); \
         INSERT INTO live_app VALUES ('release', 0, '', \
           '{{\"database\":\"app\",\"digest\":\"{DIGEST}\",\"since\":1700000000}}', ''), \
           ('todo', 0, 'view v', '{{}}', 'CREATE VIEW v AS SELECT 1')"
    ));
    lacks(&server, &["--release=ffffffffffff"], "is not live");
    let mut waiting = wait()
        .args(["--release=0123456789ab", "--url", &server.url()])
        .spawn();
    waiting.wait_for_stderr("is being finished");
    server.sql("DELETE FROM pilotfish.live_app WHERE kind = 'todo'");
    let _ = waiting.wait().success();
    ready(&server, &["--release", DIGEST]);
    ready(&server, &["--release", DIGEST, "--database=app"]);
    server.sql("CREATE DATABASE other");
    lacks(
        &server,
        &["--release", DIGEST, "--database=other"],
        "is live in app, not in other",
    );
}

#[test]
fn a_release_whose_tables_are_gone_is_not_live() {
    let world = World::new();
    let server = server(&world, &[]);
    server.sql(&format!(
        "CREATE DATABASE pilotfish; USE pilotfish; \
         CREATE TABLE rejected (db VARCHAR(64), digest CHAR(64), contents CHAR(64)); \
         CREATE TABLE live_app (kind VARCHAR(16), seq INT, name TEXT, detail LONGTEXT, body BLOB); \
         INSERT INTO live_app VALUES ('release', 0, '', \
           '{{\"database\":\"app\",\"digest\":\"{DIGEST}\",\"since\":1700000000}}', ''), \
           ('table', 0, 'a', '{{}}', ''), ('table', 1, 'b', '{{}}', ''); \
         CREATE DATABASE app; CREATE TABLE app.a (id INT); CREATE TABLE app.b (id INT)"
    ));
    ready(&server, &["--release", DIGEST]);
    server.sql("DROP TABLE app.b");
    lacks(&server, &["--release", DIGEST], "is not live");
    server.sql("DROP DATABASE app");
    lacks(&server, &["--release", DIGEST], "is not live");
    // Who may read the ledger and nothing else sees no table, which says nothing.
    server.sql(
        "CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'x'; GRANT SELECT ON pilotfish.* TO reader@'127.0.0.1'",
    );
    let port = server.port().to_string();
    let seen = wait()
        .args([
            "--host=127.0.0.1",
            "--port",
            &port,
            "--user=reader",
            "--release",
            DIGEST,
        ])
        .env("PILOTFISH_PASSWORD", "x")
        .run();
    let _ = seen.success();
}

#[test]
fn a_table_that_the_account_may_not_see_is_not_gone() {
    let world = World::new();
    let server = server(&world, &[]);
    server.sql(&format!(
        "CREATE DATABASE pilotfish; USE pilotfish; \
         CREATE TABLE rejected (db VARCHAR(64), digest CHAR(64), contents CHAR(64)); \
         CREATE TABLE live_app (kind VARCHAR(16), seq INT, name TEXT, detail LONGTEXT, body BLOB); \
         INSERT INTO live_app VALUES ('release', 0, '', \
           '{{\"database\":\"app\",\"digest\":\"{DIGEST}\",\"since\":1700000000}}', ''), \
           ('table', 0, 'a', '{{}}', ''), ('table', 1, 'b', '{{}}', ''); \
         CREATE DATABASE app; CREATE TABLE app.a (id INT); CREATE TABLE app.b (id INT); \
         CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'x'; GRANT SELECT ON pilotfish.* TO reader@'127.0.0.1'; \
         GRANT SELECT ON app.a TO reader@'127.0.0.1'"
    ));
    let port = server.port().to_string();
    let waits = || {
        wait()
            .args(["--host=127.0.0.1", "--port", &port, "--user=reader"])
            .args(["--release", DIGEST, "--timeout=5s"])
            .env("PILOTFISH_PASSWORD", "x")
            .run()
    };
    let _ = waits().success();
    // One that it may see is missed.
    server.sql("DROP TABLE app.a");
    let _ = waits().fails_with(124, "is not live");
}

#[test]
fn a_release_whose_view_is_gone_is_not_live() {
    let world = World::new();
    let server = server(&world, &[]);
    server.sql(&format!(
        "CREATE DATABASE pilotfish; USE pilotfish; \
         CREATE TABLE rejected (db VARCHAR(64), digest CHAR(64), contents CHAR(64)); \
         CREATE TABLE live_app (kind VARCHAR(16), seq INT, name TEXT, detail LONGTEXT, body BLOB); \
         INSERT INTO live_app VALUES ('release', 0, '', \
           '{{\"database\":\"app\",\"digest\":\"{DIGEST}\",\"since\":1700000000}}', ''), \
           ('table', 0, 'a', '{{}}', ''), ('object', 0, 'view v', '{{}}', ''), \
           ('object', 1, 'procedure P', '{{}}', ''), ('object', 2, 'trigger t', '{{}}', ''), \
           ('object', 3, 'event e', '{{}}', ''); \
         CREATE DATABASE app; USE app; CREATE TABLE a (id INT); CREATE VIEW v AS SELECT id FROM a; \
         CREATE PROCEDURE p() SELECT 1; CREATE EVENT e ON SCHEDULE EVERY 9 YEAR DISABLE DO SELECT 1; \
         CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.id = 1"
    ));
    ready(&server, &["--release", DIGEST]);
    // Who may read the tables sees no routine and no trigger, which says nothing.
    server.sql(
        "CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'x'; GRANT SELECT ON pilotfish.* TO reader@'127.0.0.1'; \
         GRANT SELECT ON app.* TO reader@'127.0.0.1'; \
         CREATE USER stranger@'127.0.0.1' IDENTIFIED BY 'x'; GRANT SELECT ON pilotfish.* TO stranger@'127.0.0.1'",
    );
    let asks = |user: &str| {
        let port = server.port().to_string();
        wait()
            .args(["--host=127.0.0.1", "--timeout=3s", "--port", &port])
            .args(["--user", user, "--release", DIGEST])
            .env("PILOTFISH_PASSWORD", "x")
            .run()
    };
    let _ = asks("reader").success();
    let _ = asks("stranger").success();
    for (gone, back) in [
        ("DROP PROCEDURE p", "CREATE PROCEDURE p() SELECT 1"),
        (
            "DROP TRIGGER t",
            "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.id = 1",
        ),
    ] {
        server.sql(&format!("USE app; {gone}"));
        lacks(&server, &["--release", DIGEST], "is not live");
        let _ = asks("reader").success();
        server.sql(&format!("USE app; {back}"));
        ready(&server, &["--release", DIGEST]);
    }
    // An event that has run its time drops itself.
    server.sql("DROP EVENT app.e");
    ready(&server, &["--release", DIGEST]);
    // What a swap still makes is no loss, but it is not finished.
    server.sql(
        "DROP VIEW app.v; INSERT INTO pilotfish.live_app VALUES ('todo', 0, 'view v', '{}', '')",
    );
    lacks(&server, &["--release", DIGEST], "being finished");
    server.sql("DELETE FROM pilotfish.live_app WHERE kind = 'todo'");
    lacks(&server, &["--release", DIGEST], "is not live");
    let _ = asks("reader").fails_with(124, "is not live");
    let _ = asks("stranger").success();
}
