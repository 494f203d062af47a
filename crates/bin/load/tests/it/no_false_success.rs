//! What would end with 0 although the data is not what the dump, or the user, says.

use pilotfish_harness::{Server, ServerKind, World};

use crate::{load, mariadb, release_no, rollback, two_releases};

const TRAILER: &str = "-- Dump completed on 2026-11-28  4:00:00\n";

#[test]
fn text_that_moves_into_the_next_column_was_written_by_somebody() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let dump = |name: &str, more: &str| {
            let rows = format!("INSERT INTO t VALUES (1,'ab','c',NULL){more};\n");
            let table =
                "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9), b VARCHAR(9), c TEXT);\n";
            world.write(name, format!("{table}{rows}{TRAILER}"))
        };
        let (first, second) = (dump("1.sql", ""), dump("2.sql", ",(2,'x','y','z')"));
        let run = |dump: &std::path::Path, more: &[&str]| {
            load(&server).arg(dump).arg("--into=app").args(more).run()
        };
        let _ = run(&first, &[]).success();
        server.sql("UPDATE app.t SET a = 'a', b = 'bc' WHERE id = 1");
        let _ = run(&second, &[]).fails_with(78, "--overwrite-modified");
        let _ = run(&second, &["--overwrite-modified"]).success();
        assert_eq!(server.sql("SELECT a FROM app.t WHERE id = 1").trim(), "ab");
    }
}

#[test]
fn a_sequence_that_stays_stays_without_a_swap_too() {
    let (world, server) = mariadb(&[]);
    let dump = |release: u8| {
        let sequence = "DROP SEQUENCE IF EXISTS s;\nCREATE SEQUENCE s START WITH 10;\nDO SETVAL(s, 5010, 0);\n\
             ALTER SEQUENCE s INCREMENT BY 2;\n";
        let table = format!(
            "DROP TABLE IF EXISTS t;\nCREATE TABLE t (a INT PRIMARY KEY);\nINSERT INTO t VALUES ({release});\n"
        );
        world.write(
            format!("{release}.sql"),
            format!("{sequence}{table}{TRAILER}"),
        )
    };
    for (release, swap) in [
        (1, "none"),
        (2, "none"),
        (3, "rename"),
        (4, "rename"),
        (5, "none"),
    ] {
        let swap = format!("--swap={swap}");
        let done = load(&server)
            .arg(dump(release))
            .args(["--into=app", &swap])
            .run();
        let _ = done.success();
        let seen = server.sql("SELECT a FROM app.t; SELECT NEXTVAL(app.s) >= 5010");
        assert_eq!(seen, format!("{release}\n1\n"), "release {release}");
    }
}

#[test]
fn who_may_overrule_others_repairs_with_the_same_dump() {
    let (world, server) = mariadb(&[]);
    let objects = "CREATE TABLE t (id INT PRIMARY KEY, v INT);\nINSERT INTO t VALUES (1,1),(2,2);\n\
         CREATE VIEW w AS SELECT id FROM t;\nDELIMITER ;;\nCREATE FUNCTION f() RETURNS INT RETURN 1;;\nDELIMITER ;\n";
    let dump = world.write("dump.sql", format!("{objects}{TRAILER}"));
    let run = |more: &[&str]| load(&server).arg(&dump).arg("--into=app").args(more).run();
    let _ = run(&[]).success();
    server.sql(
        "USE app; DELETE FROM t WHERE id = 2; CREATE OR REPLACE VIEW w AS SELECT 7 AS id; \
         CREATE OR REPLACE FUNCTION f() RETURNS INT RETURN 7",
    );
    let _ = run(&["--overwrite-modified"]).success();
    let whole = "USE app; SELECT COUNT(*) FROM t; SELECT MAX(id) FROM w; SELECT f()";
    assert_eq!(server.sql(whole), "2\n2\n1\n");
}

#[test]
fn an_assertion_that_names_the_live_database_asks_the_new_release() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let tables = "CREATE TABLE a (id INT PRIMARY KEY, release_no INT);\nINSERT INTO a VALUES (1,2);\n\
         CREATE TABLE b (id INT PRIMARY KEY, release_no INT);\n";
    let hollow = world.write("hollow.sql", format!("{tables}{TRAILER}"));
    let check = "--check=SELECT COUNT(*) > 0 FROM app.b";
    let done = load(&server).arg(&hollow).args(["--into=app", check]).run();
    let _ = done.fails_with(65, "--check gave 0");
    assert_eq!(release_no(&server), "1");
}

#[test]
fn a_plan_refuses_what_a_load_refuses() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let plan = |text: &str, more: &[&str]| {
        let dump = world.write("plan.sql", format!("{text}{TRAILER}"));
        load(&server)
            .arg(&dump)
            .args(["--into=app", "--dry-run"])
            .args(more)
            .run()
    };
    let two = "CREATE DATABASE x;\nUSE x;\nCREATE TABLE a (id INT);\nCREATE DATABASE y;\nUSE y;\nCREATE TABLE b (id INT);\n";
    let _ = plan(two, &[]).fails_with(65, "one load fills one");
    let less = "CREATE TABLE a (id INT PRIMARY KEY, release_no INT, note VARCHAR(20));\nINSERT INTO a VALUES (1,3,'x');\n\
         CREATE TABLE b (id INT PRIMARY KEY, release_no INT);\nINSERT INTO b VALUES (1,3);\nCREATE TABLE same (id INT);\n";
    let _ = plan(less, &["--max-shrink=20"]).fails_with(65, "--max-shrink");
}

#[test]
fn a_dump_that_brings_nothing_is_no_release() {
    let (world, server) = mariadb(&[]);
    let run = |text: &str, more: &[&str]| {
        let dump = world.write("nothing.sql", format!("{text}{TRAILER}"));
        load(&server).arg(&dump).arg("--into=app").args(more).run()
    };
    let _ = run("SET NAMES utf8mb4;\n", &[]).fails_with(65, "no table");
    let one = "CREATE TABLE t (id INT);\nINSERT INTO t VALUES (1);\n";
    let _ = run(one, &["--only=t", "--skip=t"]).fails_with(65, "--skip");
    // The rows of a dump by --tab are in files of their own.
    let tables = world.write("tab/t.sql", format!("CREATE TABLE t (id INT);\n{TRAILER}"));
    world.write("tab/t.txt", "1\n");
    let folder = tables.parent().expect("a folder");
    let done = load(&server).arg(folder).arg("--into=app").run();
    let _ = done.fails_with(65, "--tab");
}

#[test]
fn a_text_beside_a_dump_with_rows_is_no_dump_by_tab() {
    let (world, server) = mariadb(&[]);
    let table = "CREATE TABLE drugs (id INT);\nINSERT INTO drugs VALUES (1);\n";
    let dump = world.write("folder/drugs.sql", format!("{table}{TRAILER}"));
    let folder = dump.parent().expect("a folder");
    let run = |more: &[&str]| load(&server).arg(folder).arg("--into=app").args(more).run();
    world.write("folder/drugs.txt", "where these rows come from\n");
    let done = run(&[]).success();
    assert!(done.stderr.contains("not read: drugs.txt"), "{done}");
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.drugs").trim(), "1");
    // Of two tables one has its rows elsewhere.
    world.write(
        "folder/trials.sql",
        format!("CREATE TABLE trials (id INT);\n{TRAILER}"),
    );
    world.write("folder/trials.txt", "1\n");
    for more in [&[][..], &["--dry-run"], &["--swap=none"]] {
        let _ = run(more).fails_with(65, "trials.txt has the rows");
    }
    let _ = run(&["--skip=trials"]).success();
    let nothing = "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'trials'";
    assert_eq!(server.sql(nothing).trim(), "0");
}

#[test]
fn tables_that_were_gone_are_nothing_to_go_back_to() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    for _ in 0..2 {
        server.sql("DROP DATABASE app");
        let _ = load(&server).arg(&first).arg("--into=app").run().success();
        let _ = rollback(&server).fails_with(78, "no previous release");
    }
    // The release before the one that was loaded once more is.
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    server.sql("DROP DATABASE app");
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(release_no(&server), "2");
    let _ = rollback(&server).success();
    assert_eq!(release_no(&server), "1");
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.same").trim(), "2");
    // An older version left the live release as its own previous one.
    let _ = load(&server).arg(&second).arg("--into=app").run();
    server.sql(
        "CREATE TABLE pilotfish.prev_app LIKE pilotfish.live_app; INSERT INTO pilotfish.prev_app SELECT * FROM pilotfish.live_app; \
         CREATE DATABASE pilotfish_prev_app; CREATE TABLE pilotfish_prev_app.a LIKE app.a",
    );
    let _ = rollback(&server).fails_with(78, "nothing to go back to");
    assert_eq!(release_no(&server), "1");
}

#[test]
fn a_choice_of_no_table_is_no_release() {
    let (world, server) = mariadb(&[]);
    let text =
        "CREATE TABLE t (id INT);\nINSERT INTO t VALUES (1);\nCREATE VIEW v AS SELECT id FROM t;\n";
    let dump = world.write("dump.sql", format!("{text}{TRAILER}"));
    for more in [&[][..], &["--dry-run"]] {
        let done = load(&server).arg(&dump).args(["--into=app", "--skip=t"]);
        let _ = done.args(more).run().fails_with(65, "leave no table");
    }
    assert_eq!(server.sql("SHOW TABLES FROM pilotfish LIKE 'live%'"), "");
    // Views alone are a release, where all of it is meant.
    let views = world.write(
        "views.sql",
        format!("CREATE VIEW v AS SELECT 1 AS id;\n{TRAILER}"),
    );
    let _ = load(&server).arg(&views).arg("--into=app").run().success();
    assert_eq!(server.sql("SELECT id FROM app.v").trim(), "1");
    // Also beside tables that are live.
    let _ = load(&server).arg(&dump).arg("--into=app").run().success();
    let done = load(&server).arg(&dump);
    let done = done.args(["--into=app", "--only=t", "--skip=t"]).run();
    let _ = done.fails_with(65, "leave no table");
}

/// The proofs of an older version have no lengths.
#[test]
fn a_table_with_an_older_proof_was_not_written_to() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let dump = |name: &str, row: &str| {
            let table = "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9), b VARCHAR(9));\n";
            world.write(
                name,
                format!("{table}INSERT INTO t VALUES {row};\n{TRAILER}"),
            )
        };
        let (first, second) = (dump("1.sql", "(1,'ab','c')"), dump("2.sql", "(1,'x','y')"));
        let run = |dump: &std::path::Path| load(&server).arg(dump).arg("--into=app").run();
        let as_before = "UPDATE pilotfish.live_app SET detail = \
             REPLACE(detail, SUBSTRING_INDEX(SUBSTRING(detail, LOCATE(' lengths ', detail)), '\"', 1), '') \
             WHERE kind = 'table' AND detail LIKE '% lengths %'";
        let _ = run(&first).success();
        server.sql(as_before);
        let record = server.sql("SELECT detail FROM pilotfish.live_app WHERE kind = 'table'");
        assert!(
            record.contains("checksum") && !record.contains("lengths"),
            "{record}"
        );
        let done = run(&second).success();
        assert!(!done.stderr.contains("somebody wrote"), "{done}");
        server.sql(as_before);
        server.sql("UPDATE app.t SET a = 'z'");
        let _ = run(&first).fails_with(78, "written to");
    }
}

#[test]
fn of_several_names_in_one_drop_those_that_stay_stay() {
    let (world, server) = mariadb(&[]);
    let dump = |name: &str, start: u32| {
        let text = format!(
            "DROP SEQUENCE IF EXISTS a, b;\nCREATE SEQUENCE a START WITH {start};\nCREATE SEQUENCE b START WITH 5;\n\
             DROP TABLE IF EXISTS t, u;\nCREATE TABLE t (id INT PRIMARY KEY);\nINSERT INTO t VALUES ({start});\n\
             CREATE TABLE IF NOT EXISTS u (id INT PRIMARY KEY);\nINSERT INTO u VALUES (1);\n{TRAILER}"
        );
        world.write(name, text)
    };
    let _ = load(&server)
        .arg(dump("1.sql", 10))
        .arg("--into=app")
        .run()
        .success();
    assert_eq!(server.sql("SELECT NEXTVAL(app.b)").trim(), "5");
    for (start, swap) in [(20, "--swap=none"), (30, "--swap=rename")] {
        let next = dump(&format!("{start}.sql"), start);
        let _ = load(&server)
            .arg(next)
            .args(["--into=app", swap])
            .run()
            .success();
        assert_eq!(
            server.sql("SELECT id FROM app.t; SELECT NEXTVAL(app.a)"),
            format!("{start}\n{start}\n")
        );
    }
    assert_eq!(
        server.sql("SELECT id FROM app.u; SELECT NEXTVAL(app.b) > 5"),
        "1\n1\n"
    );
}
