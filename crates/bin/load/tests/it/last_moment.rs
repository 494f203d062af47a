//! The last moment of a swap or a rollback: what others commit, hold and keep while it waits for it.

use std::path::Path;
use std::time::Duration;

use pilotfish_harness::{PATIENCE, Running, Server, ServerKind, World, eventually, tool};

use crate::{Holder, dump, load, mariadb, release_no, rollback, two_releases};

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
        // MySQL refuses to show a statement with bytes of no text (3854), such as one that brings marks.
        let waits = server.try_sql(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'RENAME TABLE%`app`%' \
             AND time < 1 AND state LIKE 'Waiting%'",
        );
        waits.is_ok_and(|waits| waits.trim() == "1").then_some(())
    };
    eventually("the RENAME waits on the server", PATIENCE, renaming);
    swap.signal("STOP");
    swap
}

/// The second release is live, a row came into `app.a` right before, and its loader was killed behind the RENAME.
fn killed_behind_its_rename(server: &Server, second: &Path) {
    let writer = Holder::begin(server, "INSERT INTO app.a VALUES (7777, 1, 'by hand')");
    let killed = swap_of(server, &[&second.display().to_string(), "--into=app"]);
    writer.commit();
    let swapped = || (release_no(server) == "2").then_some(());
    eventually("the swap", PATIENCE, swapped);
    killed.signal("KILL");
    assert_eq!(killed.wait().signal, Some(9));
}

#[test]
fn a_row_committed_while_a_swap_waited_is_told_by_the_next_run_after_a_kill() {
    let world = World::new();
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    killed_behind_its_rename(&server, &second);
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

#[test]
fn the_run_that_tells_of_a_row_does_not_drop_it() {
    let world = World::new();
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    killed_behind_its_rename(&server, &second);
    let other = load(&server)
        .arg(&first)
        .args(["--into=app", "--retry-for=10s"])
        .run()
        .success();
    assert!(other.stderr.contains("pilotfish_kept_app"), "{other}");
    assert_eq!(release_no(&server), "1");
    let kept = server.sql("SELECT note FROM pilotfish_kept_app.a WHERE id = 7777");
    assert_eq!(kept.trim(), "by hand");
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(server.sql("SHOW DATABASES LIKE 'pilotfish\\_kept%'"), "");
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

#[test]
fn a_row_that_a_killed_swap_left_outlives_failed_and_idle_runs() {
    let world = World::new();
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let (first, second) = two_releases(&world, &server);
    let run = |dump: &Path, more: &[&str]| load(&server).arg(dump).arg("--into=app").args(more);
    let _ = run(&first, &[]).run().success();
    killed_behind_its_rename(&server, &second);
    let by_hand = |schema: &str| {
        let row = format!("SELECT note FROM {schema}.a WHERE id = 7777");
        server.sql(&row).trim().to_owned()
    };
    let reader = Holder::begin(&server, "SELECT COUNT(*) FROM app.b");
    let busy = run(&first, &["--swap-timeout=1s"]).run();
    let busy = busy.fails_with(75, "--swap-timeout");
    assert!(busy.stderr.contains("somebody wrote to a"), "{busy}");
    drop(reader);
    assert_eq!(by_hand("pilotfish_prev_app"), "by hand");
    // The one after it does not know of the row from its own eyes.
    let next = run(&first, &["--keep-previous=false"]).run().success();
    assert!(next.stderr.contains("pilotfish_kept_app"), "{next}");
    assert_eq!(by_hand("pilotfish_kept_app"), "by hand");
    let _ = run(&first, &[]).run().success();
    assert_eq!(by_hand("pilotfish_kept_app"), "by hand");
    let reader = Holder::begin(&server, "SELECT COUNT(*) FROM app.b");
    let busy = run(&second, &["--swap-timeout=1s"]).run();
    let _ = busy.fails_with(75, "--swap-timeout");
    drop(reader);
    assert_eq!(by_hand("pilotfish_kept_app"), "by hand");
    let _ = run(&second, &[]).run().success();
    assert_eq!(server.sql("SHOW DATABASES LIKE 'pilotfish\\_kept%'"), "");
    assert_eq!(release_no(&server), "2");
}

#[test]
fn a_row_that_a_killed_swap_left_outlives_a_load_without_swap() {
    let world = World::new();
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    killed_behind_its_rename(&server, &second);
    let straight = load(&server)
        .arg(&first)
        .args(["--into=app", "--swap=none"]);
    let _ = straight.run().success();
    let row = "SELECT note FROM pilotfish_kept_app.a WHERE id = 7777";
    assert_eq!(server.sql(row).trim(), "by hand");
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(server.sql("SHOW DATABASES LIKE 'pilotfish\\_kept%'"), "");
}

#[test]
fn a_row_that_a_killed_swap_left_outlives_a_load_without_swap_that_is_killed_too() {
    let world = World::new();
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    killed_behind_its_rename(&server, &second);
    let told = load(&server).arg(&second).arg("--into=app").run();
    let _ = told.success();
    // It stands still right behind the move of the rows, before it says that it rewrites anything.
    let reader = Holder::begin(&server, "SELECT COUNT(*) FROM pilotfish.prev_app");
    let killed = load(&server)
        .arg(&first)
        .args(["--into=app", "--swap=none"])
        .spawn();
    let moved = || {
        let row = "SELECT note FROM pilotfish_kept_app.a WHERE id = 7777";
        server.try_sql(row).ok()
    };
    eventually("the rows are out of the way", PATIENCE, moved);
    killed.signal("KILL");
    assert_eq!(killed.wait().signal, Some(9));
    drop(reader);
    let next = load(&server)
        .arg(&first)
        .args(["--into=app", "--retry-for=10s"])
        .run()
        .success();
    assert!(next.stderr.contains("pilotfish_kept_app"), "{next}");
    let row = server.sql("SELECT note FROM pilotfish_kept_app.a WHERE id = 7777");
    assert_eq!(row.trim(), "by hand");
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(server.sql("SHOW DATABASES LIKE 'pilotfish\\_kept%'"), "");
}

#[test]
fn rows_that_wait_outlive_a_repair_that_finds_no_moment() {
    let world = World::new();
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let (first, second) = two_releases(&world, &server);
    let run = |dump: &Path, more: &[&str]| load(&server).arg(dump).arg("--into=app").args(more);
    let _ = run(&first, &[]).run().success();
    killed_behind_its_rename(&server, &second);
    let _ = run(&first, &["--retry-for=10s"]).run().success();
    let waiting = || {
        let row = "SELECT note FROM pilotfish_kept_app.a WHERE id = 7777";
        server.sql(row).trim().to_owned()
    };
    assert_eq!(waiting(), "by hand");
    server.sql("UPDATE app.a SET note = 'overruled' WHERE id = 1");
    let reader = Holder::begin(&server, "SELECT COUNT(*) FROM app.a");
    let repair = ["--overwrite-modified", "--swap-timeout=1s"];
    let _ = run(&first, &repair).run().fails_with(75, "--swap-timeout");
    drop(reader);
    assert_eq!(waiting(), "by hand");
    let _ = run(&first, &repair).run().success();
    assert_eq!(
        waiting(),
        "",
        "through: what the repair replaced waits in its place"
    );
    let row = server.sql("SELECT note FROM pilotfish_kept_app.a WHERE id = 1");
    assert_eq!(row.trim(), "overruled");
}

#[test]
fn a_foreign_key_of_others_made_while_a_repair_waits_keeps_its_parent() {
    let (world, server) = mariadb(&[]);
    // The update has it loaded whole also where nothing changed.
    let dump = world.write(
        "dump.sql",
        "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\nCREATE TABLE b (id INT PRIMARY KEY);\n\
         INSERT INTO b VALUES (1);\nUPDATE b SET id = 2;\n-- Dump completed on 2026-11-28  4:00:00\n",
    );
    let _ = load(&server).arg(&dump).arg("--into=app").run().success();
    server.sql("CREATE DATABASE other; CREATE TABLE other.child (id INT)");
    let reader = Holder::begin(&server, "SELECT COUNT(*) FROM app.b");
    let repair = load(&server)
        .arg(&dump)
        .args(["--into=app", "--overwrite-modified"])
        .spawn();
    let there = || {
        let schema = server.sql("SHOW DATABASES LIKE 'pilotfish\\_gone\\_app'");
        (!schema.is_empty()).then_some(())
    };
    eventually("the swap looks for its moment", PATIENCE, there);
    server.sql("ALTER TABLE other.child ADD FOREIGN KEY theirs (id) REFERENCES app.a (id)");
    drop(reader);
    let done = repair.wait().success();
    assert!(done.stderr.contains("other.child"), "{done}");
    server.sql("INSERT INTO other.child VALUES (1)");
}
