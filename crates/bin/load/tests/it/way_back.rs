//! Rollbacks: what they may not lose, what they must bring back, and which releases stay away.

use std::path::{Path, PathBuf};
use std::process::Command;

use pilotfish_harness::{Finished, PATIENCE, Server, ServerKind, World, eventually, tool};

use super::{Holder, dump, load, mariadb, release_no, two_releases};

fn verb(server: &Server, words: &[&str]) -> Finished {
    tool!("load")
        .args(words)
        .args(["--url", &server.url()])
        .run()
}

#[test]
fn a_rollback_does_not_drop_rows_written_since_the_load() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    server.sql("INSERT INTO app.a VALUES (7777, 2, 'by hand')");
    let _ = verb(&server, &["rollback"]).fails_with(78, "written to");
    assert_eq!(
        server.sql("SELECT note FROM app.a WHERE id = 7777").trim(),
        "by hand"
    );
    // Rows of a table that both releases share are not in danger.
    server.sql("DELETE FROM app.a WHERE id = 7777; INSERT INTO app.same VALUES (3, 'three')");
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(release_no(&server), "1");
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.same").trim(), "3");
}

#[test]
fn a_rollback_over_written_rows_is_possible_when_asked_for() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    server.sql("INSERT INTO app.a VALUES (7777, 2, 'by hand')");
    let _ = verb(&server, &["rollback", "--overwrite-modified"]).success();
    assert_eq!(release_no(&server), "1");
}

/// Loads a release in which `x` is a table, one in which it is a view, and goes back and forth.
fn change_places(kind: ServerKind) {
    let world = World::new();
    let server = Server::start(kind, &world, &[]);
    server.sql(
        "CREATE DATABASE app; USE app; CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1);
         CREATE TABLE x (id INT PRIMARY KEY); INSERT INTO x VALUES (10);",
    );
    let table = dump(&world, &server, "app", "table.sql");
    server.sql("USE app; DROP TABLE x; CREATE VIEW x AS SELECT id + 100 AS id FROM a;");
    let view = dump(&world, &server, "app", "view.sql");
    server.sql("DROP DATABASE app");
    let x = || server.sql("SELECT id FROM app.x").trim().to_owned();
    let steps: [(&Path, &str); 3] = [(&table, "10"), (&view, "101"), (&table, "10")];
    for (dump, expected) in steps {
        let _ = load(&server).arg(dump).arg("--into=app").run().success();
        assert_eq!(x(), expected);
    }
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(x(), "101");
    let _ = verb(&server, &["resume"]).success();
    let _ = load(&server).arg(&table).arg("--into=app").run().success();
    let _ = verb(&server, &["resume"]);
    let _ = load(&server).arg(&view).arg("--into=app").run().success();
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(x(), "10");
    let left = server.sql(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'app' AND table_name \
         LIKE 'pilotfish%'",
    );
    assert_eq!(
        left.trim(),
        "0",
        "a view that stepped aside was not dropped"
    );
}

#[test]
fn a_table_and_a_view_change_places_and_back_on_mariadb() {
    change_places(ServerKind::MariaDb1011);
}

#[test]
fn a_table_and_a_view_change_places_and_back_on_mysql() {
    change_places(ServerKind::MySql97);
}

#[test]
fn a_release_that_replicas_never_saw_is_rolled_back_without_them() {
    let (world, server) = mariadb(&["--log-bin", "--server-id=1"]);
    server.sql("GRANT BINLOG ADMIN ON *.* TO 'pilotfish'@'127.0.0.1'");
    let (first, second) = two_releases(&world, &server);
    let swaps = || {
        let mut swaps = 0;
        for log in server.sql("SHOW BINARY LOGS").lines() {
            let name = log.split('\t').next().unwrap_or_default();
            let events = server.sql(&format!("SHOW BINLOG EVENTS IN '{name}'"));
            swaps += events.matches("RENAME TABLE").count();
        }
        swaps
    };
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    assert_eq!(swaps(), 1);
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", "--no-binlog"])
        .run()
        .success();
    assert_eq!(swaps(), 1);
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!((release_no(&server).as_str(), swaps()), ("1", 1));
    // Two in a row: what puts the first one right does not let the second one into the log.
    let _ = verb(&server, &["resume"]).success();
    for (dump, expected) in [(&second, "2"), (&first, "1")] {
        let _ = load(&server)
            .arg(dump)
            .args(["--into=app", "--no-binlog"])
            .run()
            .success();
        assert_eq!((release_no(&server).as_str(), swaps()), (expected, 1));
    }
}

/// The dump, stored otherwise.
fn compressed(dump: &Path) -> PathBuf {
    let done = Command::new("gzip").arg("-k").arg(dump).status();
    assert!(done.expect("run gzip").success());
    dump.with_extension("sql.gz")
}

#[test]
fn a_rejected_release_does_not_come_back_under_another_name() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let stored = compressed(&second);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    let _ = verb(&server, &["rollback"]).success();
    for way in [&stored, &second] {
        let _ = load(&server)
            .arg(way)
            .arg("--into=app")
            .run()
            .fails_with(65, "rolled back");
    }
    let _ = load(&server)
        .args(["-", "--into=app"])
        .stdin_file(&stored)
        .run()
        .fails_with(65, "rolled back");
    assert_eq!(release_no(&server), "1");
    let _ = verb(&server, &["resume"]).success();
    let _ = load(&server).arg(&stored).arg("--into=app").run().success();
    assert_eq!(release_no(&server), "2");
}

#[test]
fn the_same_content_again_leaves_the_way_back_alone() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let stored = compressed(&second);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    // Each has another digest, and no table changes.
    for twin in [&stored, &second, &stored] {
        let _ = load(&server).arg(twin).arg("--into=app").run().success();
    }
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(release_no(&server), "1");
    let _ = load(&server)
        .arg(&second)
        .arg("--into=app")
        .run()
        .fails_with(65, "rolled back");
}

#[test]
fn sequences_that_stay_as_they_are_leave_the_way_back_alone() {
    let (world, server) = mariadb(&[]);
    let release = |name: &str, number: u32| {
        let text = format!(
            "CREATE SEQUENCE s START WITH 5;\nDO SETVAL(s, 7, 0);\n\
             CREATE TABLE a (id INT PRIMARY KEY, release_no INT);\nINSERT INTO a VALUES (1,{number});\n\
             -- made as {name}\n"
        );
        let dump = world.write(name, text);
        let _ = load(&server).arg(dump).arg("--into=app").run().success();
    };
    release("first.sql", 1);
    assert_eq!(server.sql("SELECT NEXTVAL(app.s)").trim(), "7");
    release("second.sql", 2);
    release("twin.sql", 2);
    // It went on where it was, since no table draws from it.
    assert_eq!(server.sql("SELECT NEXTVAL(app.s)").trim(), "8");
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(server.sql("SELECT release_no FROM app.a").trim(), "1");
    server.sql("DROP SEQUENCE app.s");
    release("again.sql", 1);
    assert_eq!(server.sql("SELECT NEXTVAL(app.s)").trim(), "7");
}

#[test]
fn a_repair_with_the_same_release_leaves_the_way_back_alone() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let (first, second) = two_releases(&world, &server);
        let repair = |dump: &Path, more: &[&str]| {
            let done = load(&server).arg(dump).arg("--into=app").args(more);
            done.run().success()
        };
        let _ = repair(&first, &[]);
        let _ = repair(&second, &[]);
        server.sql("INSERT INTO app.a VALUES (7777, 2, 'by hand')");
        let done = repair(&second, &["--overwrite-modified"]);
        assert_eq!(
            server
                .sql("SELECT COUNT(*) FROM app.a WHERE id = 7777")
                .trim(),
            "0"
        );
        // What was overruled waits until the next swap.
        assert!(done.stderr.contains("pilotfish_kept_app"), "{done}");
        let kept = server.sql("SELECT note FROM pilotfish_kept_app.a WHERE id = 7777");
        assert_eq!(kept.trim(), "by hand");
        // A table that both releases share, and the same dump stored otherwise.
        server.sql("DELETE FROM app.same");
        let _ = repair(&compressed(&second), &["--overwrite-modified"]);
        let _ = repair(&second, &["--overwrite-modified"]);
        assert_eq!(server.sql("SHOW TABLES FROM pilotfish_kept_app"), "same\n");
        let _ = verb(&server, &["rollback"]).success();
        assert_eq!(release_no(&server), "1");
        assert_eq!(server.sql("SELECT COUNT(*) FROM app.same").trim(), "2");
        let again = load(&server).arg(&second).arg("--into=app").run();
        let _ = again.fails_with(65, "rolled back");
        let _ = verb(&server, &["resume"]).success();
        let _ = repair(&second, &[]);
        assert_eq!(server.sql("SHOW DATABASES LIKE 'pilotfish\\_kept%'"), "");
    }
}

#[test]
fn a_repair_with_a_dump_that_is_loaded_whole_leaves_the_way_back_alone() {
    let (world, server) = mariadb(&[]);
    let release = |name: &str, number: u32| {
        let text = format!(
            "CREATE TABLE a (id INT PRIMARY KEY, release_no INT);\nINSERT INTO a VALUES (1,0);\n\
             UPDATE a SET release_no = {number};\n-- Dump completed on 2026-11-28  4:00:00\n"
        );
        world.write(name, text)
    };
    let (first, second) = (release("first.sql", 1), release("second.sql", 2));
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    for _ in 0..3 {
        let repair = load(&server)
            .arg(&second)
            .args(["--into=app", "--overwrite-modified"]);
        let _ = repair.run().success();
    }
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(server.sql("SELECT release_no FROM app.a").trim(), "1");
}

#[test]
fn a_table_that_was_repaired_with_another_time_was_not_written_to() {
    let (world, server) = mariadb(&[]);
    let release = |name: &str, number: u32| {
        let text = format!(
            "CREATE TABLE a (id INT PRIMARY KEY, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);\nINSERT INTO a (id) VALUES (1);\n\
             CREATE TABLE b (id INT PRIMARY KEY);\nINSERT INTO b VALUES ({number});\n-- Dump completed on 2026-11-28  4:00:00\n"
        );
        let dump = world.write(name, text);
        let _ = load(&server).arg(&dump).arg("--into=app").run().success();
    };
    release("first.sql", 1);
    release("second.sql", 2);
    server.sql("DROP TABLE app.a");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    release("second.sql", 2);
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(server.sql("SELECT id FROM app.b").trim(), "1");
    release("third.sql", 3);
    assert_eq!(server.sql("SELECT id FROM app.b").trim(), "3");
}

#[test]
fn a_rollback_that_waited_for_a_load_undoes_nothing_else() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    let third = world.write(
        "third.sql",
        "CREATE TABLE a (id INT PRIMARY KEY, release_no INT);\nINSERT INTO a VALUES (1,3);\n\
         CREATE TABLE b (id INT PRIMARY KEY, release_no INT);\nINSERT INTO b VALUES (1,3);\n-- Dump completed on 2026-11-28  4:00:00\n",
    );
    let reader = Holder::begin(&server, "SELECT COUNT(*) FROM app.a");
    let swaps = load(&server).arg(&third).arg("--into=app").spawn();
    let there = || {
        let schema = server.sql("SHOW DATABASES LIKE 'pilotfish\\_gone\\_app'");
        (!schema.is_empty()).then_some(())
    };
    eventually("the swap looks for its moment", PATIENCE, there);
    let undoes = tool!("load")
        .args(["rollback", "--url", &server.url()])
        .spawn();
    let waits = || {
        let locks = server.sql(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%GET_LOCK%' AND info NOT LIKE '%processlist%'",
        );
        (locks.trim() != "0").then_some(())
    };
    eventually("the rollback waits for the loader's lock", PATIENCE, waits);
    drop(reader);
    let _ = swaps.wait().success();
    let _ = undoes.wait().fails_with(75, "another release is live");
    assert_eq!(release_no(&server), "3");
}

#[test]
fn a_release_stays_rejected_whatever_part_of_it_came_after_it() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let run =
        |dump: &Path, more: &[&str]| load(&server).arg(dump).arg("--into=app").args(more).run();
    let _ = run(&first, &[]).success();
    let _ = run(&second, &[]).success();
    let _ = run(&second, &["--only=same"]).success();
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(release_no(&server), "1");
    let _ = run(&second, &[]).fails_with(65, "rolled back");
    let _ = run(&second, &["--only=same"]).fails_with(65, "rolled back");
    let _ = verb(&server, &["resume"]).success();
    let _ = run(&second, &[]).success();
}
