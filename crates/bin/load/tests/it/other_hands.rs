//! What others made, wrote or hold in the live database.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;

use pilotfish_harness::{PATIENCE, Server, ServerKind, World, eventually, tool};

use crate::{Holder, dump, load, mariadb, release_no, rollback, two_releases};

#[test]
fn a_release_that_cannot_be_finished_is_no_success_however_often_it_is_loaded() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    server.sql("INSERT INTO pilotfish.live_app VALUES ('todo', 7, 'view v', '{}', 'CREATE VIEW v AS SELECT * FROM nowhere')");
    for _ in 0..2 {
        let _ = load(&server)
            .arg(&first)
            .arg("--into=app")
            .run()
            .fails_with(65, "make view v");
    }
    server.sql("USE app; CREATE TABLE nowhere (n INT)");
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.v").trim(), "0");
}

#[test]
fn routines_and_tables_of_others_are_not_replaced_unasked() {
    let (world, server) = mariadb(&[]);
    let path = world.write(
        "objects.sql",
        "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\n\
         CREATE VIEW report AS SELECT id FROM a;\nDELIMITER ;;\nCREATE PROCEDURE p() SELECT 'theirs';;\n",
    );
    server.sql("CREATE DATABASE app; USE app; CREATE PROCEDURE p() SELECT 'ours'");
    let refused = load(&server).arg(&path).arg("--into=app").run();
    let _ = refused.fails_with(78, "procedure p that no release brought");
    assert_eq!(server.sql("CALL app.p()").trim(), "ours");
    server.sql("USE app; DROP PROCEDURE p; CREATE TABLE report (id INT)");
    let refused = load(&server).arg(&path).arg("--into=app").run();
    let _ = refused.fails_with(78, "a table report");
    server.sql("DROP TABLE app.report");
    let _ = load(&server).arg(&path).arg("--into=app").run().success();
    assert_eq!(server.sql("CALL app.p()").trim(), "theirs");
}

#[test]
fn a_part_of_a_dump_leaves_no_child_with_the_old_parent() {
    let (world, server) = mariadb(&[]);
    let both = world.write(
        "both.sql",
        "CREATE TABLE p (id INT PRIMARY KEY);\nINSERT INTO p VALUES (1);\n\
         CREATE TABLE c (id INT PRIMARY KEY, p INT, CONSTRAINT f FOREIGN KEY (p) REFERENCES p (id));\n\
         INSERT INTO c VALUES (1,1);\n",
    );
    let parent = world.write(
        "parent.sql",
        "CREATE TABLE p (id INT PRIMARY KEY);\nINSERT INTO p VALUES (1),(2);\n",
    );
    let _ = load(&server).arg(&both).arg("--into=app").run().success();
    let _ = load(&server)
        .arg(&parent)
        .args(["--into=app", "--only=p"])
        .run()
        .fails_with(78, "not to be loaded to those that are: c");
    server.sql("INSERT INTO app.c VALUES (2, 1)");
}

#[test]
fn an_assertion_can_change_nothing() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let function = world.write(
        "function.sql",
        "DELIMITER //\nCREATE FUNCTION emptied() RETURNS INT MODIFIES SQL DATA\n\
         BEGIN DELETE FROM same; RETURN 1; END //\n",
    );
    server.sql_file("app", &function);
    for check in ["DROP TABLE app.same", "DELETE FROM same"] {
        let done = load(&server)
            .arg(&second)
            .args(["--into=app", "--check", check])
            .run();
        let _ = done.fails_with(78, "begins with SELECT");
    }
    let done = load(&server)
        .arg(&second)
        .args(["--into=app", "--check", "SELECT app.emptied()"])
        .run();
    let _ = done.fails_with(78, "stored function");
    // The session could not write either.
    server.sql("CREATE DATABASE app_other; CREATE SEQUENCE app_other.s");
    let done = load(&server)
        .arg(&second)
        .args(["--into=app", "--check", "SELECT NEXTVAL(app_other.s)"])
        .run();
    let _ = done.fails_with(65, "READ ONLY");
    assert_eq!(server.sql("SELECT NEXTVAL(app_other.s)").trim(), "1");
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.same").trim(), "2");
    assert_eq!(release_no(&server), "1");
}

#[test]
fn a_wrong_digest_is_refused_also_where_the_dump_is_live() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let wrong = "b".repeat(64);
    let done = load(&server)
        .arg(&first)
        .args(["--into=app", "--sha256", &wrong])
        .run();
    let _ = done.fails_with(65, "--sha256 says bbbb");
}

#[test]
fn a_trigger_of_others_comes_back_with_its_table() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    server.sql(
        "USE app; CREATE TABLE audit (n INT);
         CREATE TRIGGER audited AFTER INSERT ON b FOR EACH ROW INSERT INTO audit VALUES (NEW.id)",
    );
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", "--overwrite-modified"])
        .run()
        .success();
    let triggers = || {
        server.sql(
            "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = 'app'",
        )
    };
    assert_eq!(triggers().trim(), "");
    let _ = rollback(&server).success();
    assert_eq!(triggers().trim(), "audited");
}

#[test]
fn a_foreign_key_of_others_is_not_left_behind_by_a_rollback() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    server.sql(
        "CREATE DATABASE app_other; USE app_other;
         CREATE TABLE child (id INT, FOREIGN KEY theirs (id) REFERENCES app.a (id))",
    );
    let _ = rollback(&server).fails_with(78, "foreign key");
    assert_eq!(release_no(&server), "2");
    server.sql("DROP TABLE app_other.child");
    let _ = rollback(&server).success();
    assert_eq!(release_no(&server), "1");
}

#[test]
fn a_foreign_key_of_a_database_without_rights_is_not_left_behind() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let (first, second) = two_releases(&world, &server);
        let _ = load(&server).arg(&first).arg("--into=app").run().success();
        server.sql(
            "CREATE DATABASE `crm-1`; USE `crm-1`;
             CREATE TABLE `child$` (id INT, FOREIGN KEY (id) REFERENCES app.a (id))",
        );
        let done = load(&server).arg(&second).arg("--into=app").run();
        let _ = done.fails_with(78, "crm-1.child$");
        assert_eq!(release_no(&server), "1");
        server.sql("DROP DATABASE `crm-1`");
        let _ = load(&server).arg(&second).arg("--into=app").run().success();
        assert_eq!(release_no(&server), "2");
    }
}

#[test]
fn views_and_routines_that_somebody_dropped_come_back() {
    let (world, server) = mariadb(&[]);
    let dump = world.write(
        "objects.sql",
        "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\n\
         CREATE VIEW report AS SELECT id FROM a;\nDELIMITER ;;\nCREATE PROCEDURE p() SELECT 'here';;\n",
    );
    let again = || {
        load(&server)
            .arg(&dump)
            .args(["--into=app", "--no-trailer"])
            .run()
            .success()
    };
    let whole = || server.sql("SELECT id FROM app.report; CALL app.p()");
    let before = world.write(
        "before.sql",
        "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (0);\n",
    );
    let _ = load(&server)
        .arg(&before)
        .args(["--into=app", "--no-trailer"])
        .run()
        .success();
    let _ = again();
    assert_eq!(whole(), "1\nhere\n");
    server.sql("DROP VIEW app.report; DROP PROCEDURE app.p");
    let status = tool!("load")
        .args(["status", "--url", &server.url()])
        .run()
        .success();
    assert!(status.stdout.contains("parts gone"), "{status}");
    let _ = again();
    assert_eq!(whole(), "1\nhere\n");
    // The way back is still there.
    let _ = rollback(&server).success();
    assert_eq!(server.sql("SELECT id FROM app.a").trim(), "0");
    let _ = tool!("load")
        .args(["resume", "--url", &server.url()])
        .run()
        .success();
    server.sql("DROP DATABASE app");
    let _ = again();
    assert_eq!(whole(), "1\nhere\n");
}

#[test]
fn half_written_tables_are_nothing_to_go_back_to() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let broken = world.write(
        "broken.sql",
        "DROP TABLE IF EXISTS a;\nCREATE TABLE a (id INT PRIMARY KEY, release_no INT, note VARCHAR(20));\n\
         INSERT INTO a VALUES (1, 9, 'half');\nINSERT INTO a VALUES (1, 9, 'again');\n",
    );
    let _ = load(&server)
        .arg(&broken)
        .args(["--into=app", "--no-trailer", "--swap=none"])
        .run()
        .fails_with(65, "Duplicate");
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(release_no(&server), "2");
    let _ = rollback(&server).fails_with(78, "no previous release");
    assert_eq!(release_no(&server), "2");
}

#[test]
fn a_loader_whose_lock_was_taken_away_writes_nothing_more() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let dump = std::fs::read_to_string(&first).expect("read the dump");
    let half = dump.find("INSERT INTO `b`").expect("rows of b");
    taken_away(&world, &server, &dump[..half], &dump[half..]);
    assert_eq!(server.sql("SHOW TABLES FROM app").trim(), "");
}

#[test]
fn a_loader_whose_lock_was_taken_away_stores_no_row_with_an_expression() {
    let (world, server) = mariadb(&[]);
    let tables = "CREATE TABLE a (id INT PRIMARY KEY, v INT);\nCREATE TABLE b (id INT PRIMARY KEY, v INT);\n";
    let comment = "-- more of the dump\n".repeat(10_000);
    for rows in [
        "INSERT INTO a VALUES (1,1 + 1);\n",
        "REPLACE INTO a VALUES (1,1 + 1);\n",
        "INSERT INTO a VALUES (1,1) ON DUPLICATE KEY UPDATE v = (SELECT 1);\n",
    ] {
        taken_away(&world, &server, &format!("{tables}{comment}"), rows);
        let staged = server.sql("SELECT COUNT(*) FROM pilotfish_next_app.a");
        assert_eq!(staged.trim(), "0", "{rows}");
        server.sql("DROP DATABASE pilotfish_next_app");
    }
}

/// Loads `before`, a dump's beginning that makes two tables; ends the session that holds the loader's lock,
/// and sees what becomes of `after`.
fn taken_away(world: &World, server: &Server, before: &str, after: &str) {
    let pipe = world.join("pipe");
    let _ = std::fs::remove_file(&pipe);
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("run mkfifo").success());
    // Both ends, or each would wait for the other.
    let feed = OpenOptions::new().read(true).write(true).open(&pipe);
    let mut feed = feed.expect("open the pipe");
    let holder = || {
        let id = server.sql("SELECT IS_USED_LOCK('pilotfish.app')");
        id.trim().parse::<u32>().ok()
    };
    eventually("no loader", PATIENCE, || holder().is_none().then_some(()));
    let loader = load(server)
        .args(["-", "--into=app", "--no-trailer"])
        .stdin_file(&pipe)
        .spawn();
    feed.write_all(before.as_bytes()).expect("feed");
    let id = eventually("the loader's lock", PATIENCE, holder);
    let staged = || {
        let tables = server.sql(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'pilotfish_next_app'",
        );
        (tables.trim() == "2").then_some(())
    };
    eventually("both tables on the stage", PATIENCE, staged);
    server.sql(&format!("KILL {id}"));
    eventually("the lock gone", PATIENCE, || {
        holder().is_none().then_some(())
    });
    feed.write_all(after.as_bytes()).expect("feed");
    drop(feed);
    let _ = loader.wait().fails_with(75, "load again");
}

#[test]
fn routines_of_others_are_found_in_any_case() {
    let (world, server) = mariadb(&[]);
    let dump = |name: &str, text: &str| {
        let text = format!(
            "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\n\
             CREATE PROCEDURE {name}() SELECT '{text}';\n"
        );
        let path = world.write("dump.sql", text);
        load(&server).arg(path).arg("--into=app").run()
    };
    server.sql("CREATE DATABASE app; USE app; CREATE PROCEDURE P() SELECT 'ours'");
    let _ = dump("p", "theirs").fails_with(78, "procedure p that no release brought");
    assert_eq!(server.sql("CALL app.p()").trim(), "ours");
    server.sql("DROP PROCEDURE app.p");
    let _ = dump("p", "theirs").success();
    // The release's own is the same in another case.
    let _ = dump("P", "again").success();
    assert_eq!(server.sql("CALL app.p()").trim(), "again");
}

#[test]
fn a_table_that_somebody_holds_was_not_written_to() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let holder = Holder::lock(&server, "app", "a");
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", "--swap-timeout=3s"])
        .run()
        .fails_with(75, "somebody holds app.a");
    drop(holder);
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(release_no(&server), "2");
}

#[test]
fn a_foreign_key_within_a_database_of_another_case_is_none_of_ours() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let (first, second) = two_releases(&world, &server);
        server.sql(
            "CREATE DATABASE `App`; USE `App`; CREATE TABLE a (id INT PRIMARY KEY);
             CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES a (id))",
        );
        let _ = load(&server).arg(&first).arg("--into=app").run().success();
        let _ = load(&server).arg(&second).arg("--into=app").run().success();
        assert_eq!(release_no(&server), "2");
        let _ = rollback(&server).success();
        assert_eq!(release_no(&server), "1");
        server.sql("USE `App`; CREATE TABLE ours (id INT, FOREIGN KEY (id) REFERENCES app.a (id))");
        let other = load(&server)
            .arg(&second)
            .args(["--into=app", "--max-shrink=100"]);
        let _ = other.run().fails_with(65, "rolled back");
        let _ = tool!("load")
            .args(["resume", "--url", &server.url()])
            .run()
            .success();
        let _ = load(&server)
            .arg(&second)
            .arg("--into=app")
            .run()
            .fails_with(78, "App.ours");
    }
}

#[test]
fn who_may_overrule_others_touches_nothing_that_is_as_it_was_loaded() {
    for (kind, args) in [
        (ServerKind::MariaDb1011, &["--event-scheduler=ON"][..]),
        (
            ServerKind::MySql97,
            &["--log-bin-trust-function-creators=1"],
        ),
    ] {
        let world = World::new();
        let server = Server::start(kind, &world, args);
        server.sql(
            "CREATE DATABASE app; USE app; CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1);
             CREATE VIEW w AS SELECT t.id, t.v + 1 AS more FROM t;
             CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1;
             CREATE PROCEDURE p(x INT) SELECT v + x FROM t;
             CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.v = NEW.v + f();
             CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2020-01-01 00:00:00' DO DELETE FROM t WHERE id = 0",
        );
        let whole = dump(&world, &server, "app", "whole.sql");
        server.sql("DROP DATABASE app");
        let run = |more: &[&str]| load(&server).arg(&whole).arg("--into=app").args(more).run();
        let _ = run(&[]).success();
        let made = || {
            server.sql(
                "SELECT created FROM information_schema.routines WHERE routine_schema = 'app' UNION ALL \
                 SELECT created FROM information_schema.triggers WHERE trigger_schema = 'app' UNION ALL \
                 SELECT created FROM information_schema.events WHERE event_schema = 'app'",
            )
        };
        let before = made();
        assert_eq!(before.lines().count(), 4);
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let _ = run(&["--overwrite-modified"]).success();
        assert_eq!(made(), before, "they were made again");
        // One that somebody changed is.
        server.sql(
            "CREATE USER 'maker'@'localhost'; GRANT ALL ON app.* TO 'maker'@'localhost';
             USE app; DROP FUNCTION f; DROP VIEW w;
             CREATE DEFINER='maker'@'localhost' FUNCTION f() RETURNS INT DETERMINISTIC RETURN 2;
             CREATE DEFINER='maker'@'localhost' VIEW w AS SELECT t.id, t.v + 2 AS more FROM t",
        );
        // A part of a dump leaves it, and what else it does not bring.
        let _ = run(&["--only=t", "--overwrite-modified"]).success();
        assert_eq!(
            server.sql("USE app; SELECT f(), more FROM w").trim(),
            "2\t3"
        );
        let _ = run(&["--overwrite-modified"]).success();
        assert_eq!(
            server.sql("USE app; SELECT f(), more FROM w").trim(),
            "1\t2"
        );
        let after = made();
        assert_eq!(after.lines().skip(1).count(), 3);
        assert_ne!(after, before);
    }
}

/// An older version wrote the name as it was given.
#[test]
fn a_ledger_in_another_case_is_taken_over() {
    let (world, server) = mariadb(&["--lower-case-table-names=1"]);
    let (first, second) = two_releases(&world, &server);
    let run = |dump: &std::path::Path| load(&server).arg(dump).arg("--into=app").run();
    let verb = |words: &[&str]| {
        let tool = tool!("load").args(words).args(["--into=app", "--url"]);
        tool.arg(server.url()).run()
    };
    let as_given = || {
        server.sql(
            "UPDATE pilotfish.live_app SET detail = REPLACE(detail, '\"app\"', '\"App\"') WHERE kind = 'release';
             UPDATE pilotfish.rejected SET db = 'App'",
        )
    };
    let _ = run(&first).success();
    let _ = run(&second).success();
    as_given();
    let _ = verb(&["rollback"]).success();
    assert_eq!(release_no(&server), "1");
    as_given();
    let _ = run(&second).fails_with(65, "rolled back");
    as_given();
    let _ = verb(&["resume"]).success();
    let _ = run(&second).success();
    assert_eq!(release_no(&server), "2");
}
