//! What others made, wrote or hold in the live database, up to the last moment.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use pilotfish_harness::{Finished, PATIENCE, Running, Server, ServerKind, World, eventually, tool};

use crate::{Holder, dump, load, mariadb, release_no, two_releases};

fn rollback(server: &Server) -> Finished {
    tool!("load")
        .args(["rollback", "--url", &server.url()])
        .run()
}

#[test]
fn a_row_committed_while_a_rollback_waits_is_not_dropped() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    let writer = Holder::begin(&server, "INSERT INTO app.a VALUES (7777, 2, 'by hand')");
    let mut waits = tool!("load")
        .args(["rollback", "--log-level=debug", "--url", &server.url()])
        .spawn();
    let tries = || {
        server
            .sql("SELECT COUNT(*) FROM pilotfish.rejected")
            .trim()
            .parse::<u32>()
            .ok()
            .filter(|rejected| *rejected > 0)
    };
    eventually("the rollback looks for its moment", PATIENCE, tries);
    assert!(waits.is_running());
    writer.commit();
    let _ = waits.wait().fails_with(75, "somebody wrote to a");
    assert_eq!(
        server.sql("SELECT note FROM app.a WHERE id = 7777").trim(),
        "by hand"
    );
    let status = tool!("load")
        .args(["status", "--output=json", "--url", &server.url()])
        .run()
        .success();
    assert_eq!(status.json()[0]["rejected"], serde_json::json!([]));
    server.sql("DELETE FROM app.a WHERE id = 7777");
    let _ = rollback(&server).success();
    assert_eq!(release_no(&server), "1");
}

/// The moment in which others hold `app.a`: a loader stands still there until they let go.
fn swap_of(server: &Server, words: &[&str]) -> Running {
    let swap = tool!("load")
        .args(words)
        .args(["--url", &server.url()])
        .spawn();
    let renaming = || {
        let waits = server.sql(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'RENAME TABLE%`app`%' \
             AND time < 1 AND state LIKE 'Waiting%'",
        );
        (waits.trim() == "1").then_some(())
    };
    eventually("the RENAME waits on the server", PATIENCE, renaming);
    swap.signal("STOP");
    swap
}

#[test]
fn a_row_committed_while_a_swap_waited_is_told_by_the_next_run_after_a_kill() {
    let world = World::new();
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let writer = Holder::begin(&server, "INSERT INTO app.a VALUES (7777, 1, 'by hand')");
    let second_path = second.display().to_string();
    let killed = swap_of(&server, &[&second_path, "--into=app"]);
    writer.commit();
    let swapped = || (release_no(&server) == "2").then_some(());
    eventually("the swap", PATIENCE, swapped);
    killed.signal("KILL");
    assert_eq!(killed.wait().signal, Some(9));
    let next = load(&server)
        .arg(&second)
        .args(["--into=app", "--retry-for=10s"])
        .run()
        .success();
    assert!(next.stderr.contains("somebody wrote to a"), "{next}");
    let kept = server.sql("SELECT note FROM pilotfish_prev_app.a WHERE id = 7777");
    assert_eq!(kept.trim(), "by hand");
    // It is said once.
    let again = load(&server).arg(&second).arg("--into=app").run().success();
    assert!(!again.stderr.contains("somebody wrote"), "{again}");
}

/// MySQL waits a second for a lock, so that the RENAME of a loader that stands still goes on.
#[test]
fn a_row_committed_while_a_rollback_waited_survives_its_kill() {
    let world = World::new();
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    let writer = Holder::begin(&server, "INSERT INTO app.a VALUES (7777, 2, 'by hand')");
    let killed = swap_of(&server, &["rollback"]);
    writer.commit();
    let swapped = || (release_no(&server) == "1").then_some(());
    eventually("the rollback's swap", PATIENCE, swapped);
    killed.signal("KILL");
    assert_eq!(killed.wait().signal, Some(9));
    // The next loader sees what was written, and refuses to replace it.
    let next = load(&server)
        .arg(&first)
        .arg("--into=app")
        .arg("--retry-for=10s")
        .run()
        .fails_with(78, "written to");
    assert!(next.stderr.contains("it was turned back"), "{next}");
    let kept = server.sql("SELECT note FROM app.a WHERE id = 7777");
    assert_eq!(kept.trim(), "by hand");
    assert_eq!(release_no(&server), "2");
    assert_eq!(
        server.sql("SELECT COUNT(*) FROM pilotfish.rejected").trim(),
        "0"
    );
}

#[test]
fn a_row_committed_while_a_swap_waits_stays_with_the_previous_release() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let writer = Holder::begin(&server, "INSERT INTO app.a VALUES (7777, 1, 'by hand')");
    let waits = load(&server)
        .arg(&second)
        .args(["--into=app", "--keep-previous=false"])
        .spawn();
    // Made right before the RENAME, for what it takes out of the way.
    let there = || {
        let schema = server.sql("SHOW DATABASES LIKE 'pilotfish\\_gone\\_app'");
        (!schema.is_empty()).then_some(())
    };
    eventually("the swap looks for its moment", PATIENCE, there);
    writer.commit();
    let done = waits.wait().success();
    assert!(done.stderr.contains("somebody wrote to a"), "{done}");
    assert_eq!(release_no(&server), "2");
    let kept = server.sql("SELECT note FROM pilotfish_prev_app.a WHERE id = 7777");
    assert_eq!(kept.trim(), "by hand");
}

#[test]
fn a_rollback_that_is_stopped_while_it_waits_leaves_everything_as_it_was() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    server.sql("CREATE DATABASE app");
    server.sql_file("app", &first);
    server.sql("USE app; CREATE TABLE log (n INT); CREATE TRIGGER logged AFTER INSERT ON b FOR EACH ROW INSERT INTO log VALUES (1)");
    let first = dump(&world, &server, "app", "with_trigger.sql");
    server.sql("USE app; UPDATE a SET release_no = 2; UPDATE b SET release_no = 2");
    let second = dump(&world, &server, "app", "second.sql");
    server.sql("DROP DATABASE app");
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    let reader = Holder::begin(&server, "SELECT COUNT(*) FROM app.a");
    let waits = tool!("load")
        .args(["rollback", "--url", &server.url()])
        .spawn();
    let looks = || {
        let booked = server.sql("SELECT COUNT(*) FROM pilotfish.rejected");
        (booked.trim() == "1").then_some(())
    };
    eventually("the rollback looks for its moment", PATIENCE, looks);
    std::thread::sleep(Duration::from_millis(300));
    let triggers = || {
        server.sql(
            "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = 'app'",
        )
    };
    assert_eq!(triggers().trim(), "logged", "off while nothing can move");
    waits.terminate();
    let ended = waits.wait();
    assert_eq!(ended.code, Some(143), "{ended}");
    drop(reader);
    assert_eq!(triggers().trim(), "logged");
    assert_eq!(release_no(&server), "2");
    assert_eq!(
        server.sql("SELECT COUNT(*) FROM pilotfish.rejected").trim(),
        "0"
    );
}

#[test]
fn triggers_of_others_and_open_ends_survive_a_swap_that_finds_no_moment() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    server.sql(
        "USE app; CREATE TABLE audit (n INT);
         CREATE TRIGGER audited AFTER INSERT ON b FOR EACH ROW INSERT INTO audit VALUES (NEW.id);
         INSERT INTO pilotfish.live_app VALUES ('todo', 7, 'view v', '{}', 'CREATE VIEW v AS SELECT * FROM nowhere')",
    );
    let reader = Holder::begin(&server, "SELECT COUNT(*) FROM app.a");
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", "--overwrite-modified", "--swap-timeout=1s"])
        .run()
        .fails_with(75, "end connection ");
    drop(reader);
    let triggers = server
        .sql("SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = 'app'");
    assert_eq!(triggers.trim(), "audited");
    let open = server.sql("SELECT name FROM pilotfish.live_app WHERE kind = 'todo'");
    assert_eq!(open.trim(), "view v");
}

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
    let _ = done.fails_with(65, "READ ONLY");
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
fn triggers_keep_their_order_when_a_swap_finds_no_moment() {
    for (kind, args) in [
        (ServerKind::MariaDb1011, &[][..]),
        (
            ServerKind::MySql97,
            &["--log-bin-trust-function-creators=1"],
        ),
    ] {
        let world = World::new();
        let server = Server::start(kind, &world, args);
        let (first, second) = two_releases(&world, &server);
        let _ = load(&server).arg(&first).arg("--into=app").run().success();
        let _ = load(&server).arg(&second).arg("--into=app").run().success();
        server.sql(
            "CREATE USER 'maker'@'localhost'; GRANT ALL ON app.* TO 'maker'@'localhost';
             USE app; CREATE TABLE audit (n INT);
             CREATE DEFINER='maker'@'localhost' TRIGGER z BEFORE INSERT ON b FOR EACH ROW INSERT INTO audit VALUES (2);
             CREATE DEFINER='maker'@'localhost' TRIGGER y BEFORE INSERT ON b FOR EACH ROW INSERT INTO audit VALUES (3);
             CREATE DEFINER='maker'@'localhost' TRIGGER x BEFORE INSERT ON b FOR EACH ROW PRECEDES z INSERT INTO audit VALUES (1)",
        );
        let order = || {
            server.sql(
                "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = 'app' ORDER BY action_order",
            )
        };
        assert_eq!(order(), "x\nz\ny\n");
        // What the swap takes out of the way is not looked at before the triggers are off.
        let reader = Holder::begin(&server, "SELECT COUNT(*) FROM pilotfish_prev_app.a");
        let done = load(&server)
            .arg(&first)
            .args(["--into=app", "--overwrite-modified", "--swap-timeout=2s"])
            .run()
            .fails_with(75, "others held the tables");
        drop(reader);
        assert_eq!(order(), "x\nz\ny\n", "{done}");
    }
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
fn triggers_that_could_not_be_put_back_are_not_taken_off() {
    let world = World::new();
    let server = Server::start(
        ServerKind::MySql97,
        &world,
        &["--log-bin-trust-function-creators=1"],
    );
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    server.sql(
        "USE app; CREATE TABLE audit (n INT);
         CREATE TRIGGER audited AFTER INSERT ON b FOR EACH ROW INSERT INTO audit VALUES (NEW.id)",
    );
    let done = load(&server)
        .arg(&second)
        .args(["--into=app", "--overwrite-modified"])
        .run();
    let _ = done.fails_with(77, "in the name of `root`@`localhost`");
    let triggers = server
        .sql("SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = 'app'");
    assert_eq!(triggers.trim(), "audited");
    assert_eq!(release_no(&server), "1");
}
