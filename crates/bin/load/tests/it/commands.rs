//! status, rollback, resume, dry runs and what decides about the live tables.

use pilotfish_harness::{Server, ServerKind, World};

use crate::{dump, load, mariadb, release_no, two_releases};

fn databases(server: &Server) -> String {
    server.sql("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'pilotfish%' OR schema_name = 'app' ORDER BY 1")
}

#[test]
fn the_result_says_where_the_time_went() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let done = load(&server)
        .arg(&first)
        .args(["--into=app", "--output=json"])
        .run()
        .success();
    let stages = &done.json()["stages"];
    for work in [
        "staging",
        "keys",
        "unpacking",
        "framing",
        "converting",
        "storing",
        "building",
        "proving",
    ] {
        let seconds = stages[work].as_f64();
        assert!(
            seconds.is_some_and(|seconds| seconds > 0.0),
            "{work}: {stages}"
        );
    }
}

#[test]
fn only_changed_tables_are_loaded_and_a_rollback_brings_them_back() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let done = load(&server)
        .arg(&first)
        .args(["--into=app", "--output=json"])
        .run()
        .success();
    assert_eq!(
        done.json()["tables_loaded"].as_array().map(Vec::len),
        Some(3)
    );
    let done = load(&server)
        .arg(&second)
        .args(["--into=app", "--output=json"])
        .run()
        .success();
    assert_eq!(done.json()["tables_loaded"], serde_json::json!(["a", "b"]));
    assert_eq!(done.json()["tables_unchanged"], serde_json::json!(["same"]));
    assert_eq!(release_no(&server), "2");

    let status = load_verb(&server, &["status", "--output=json"]).json();
    assert_eq!(status[0]["database"], "app");
    assert_eq!(status[0]["finishing"], false);
    let other = load_verb(&server, &["status", "--into=other", "--output=json"]).json();
    assert_eq!(other, serde_json::json!([]));
    let same = load_verb(&server, &["status", "--into=app", "--output=json"]).json();
    assert_eq!(same, status);
    let newer = status[0]["digest"].as_str().expect("a digest").to_owned();

    let _ = load_verb(&server, &["rollback"]);
    assert_eq!(release_no(&server), "1");
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.same").trim(), "2");
    let status = load_verb(&server, &["status", "--output=json"]).json();
    assert_eq!(status[0]["rejected"], serde_json::json!([newer]));

    // The rejected release is left alone until it is allowed again.
    let _ = load(&server)
        .arg(&second)
        .arg("--into=app")
        .run()
        .fails_with(65, "rolled back");
    let _ = load_verb(&server, &["resume", &newer[..12]]);
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(release_no(&server), "2");
    // A second rollback has nothing to go back to once the first was used up and replaced.
    let _ = load_verb(&server, &["rollback"]);
    let _ = verb(&server, &["rollback"])
        .run()
        .fails_with(78, "no previous release");
}

fn verb(server: &Server, args: &[&str]) -> pilotfish_harness::Tool {
    let (verb, rest) = args.split_first().expect("a verb");
    pilotfish_harness::tool!("load")
        .arg(verb)
        .args(["--url", &server.url()])
        .args(rest)
}

fn load_verb(server: &Server, args: &[&str]) -> pilotfish_harness::Finished {
    verb(server, args).run().success()
}

#[test]
fn a_dry_run_changes_nothing() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let done = load(&server)
        .arg(&first)
        .args(["--into=app", "--dry-run"])
        .run()
        .success();
    assert!(done.stdout.contains("load: a, b, same"), "{done}");
    assert_eq!(databases(&server), "");
}

#[test]
fn tables_of_others_need_adopt_and_modified_ones_a_word() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    server.sql(
        "CREATE DATABASE app; CREATE TABLE app.a (mine INT); CREATE TABLE app.theirs (id INT)",
    );
    let _ = load(&server)
        .arg(&first)
        .arg("--into=app")
        .run()
        .fails_with(78, "--adopt");
    assert_eq!(
        server.sql("SHOW COLUMNS FROM app.a").split('\t').next(),
        Some("mine")
    );
    let _ = load(&server)
        .arg(&first)
        .args(["--into=app", "--adopt"])
        .run()
        .success();
    assert_eq!(release_no(&server), "1");

    server.sql("UPDATE app.a SET note = 'by hand' WHERE id = 1");
    let _ = load(&server)
        .arg(&second)
        .arg("--into=app")
        .run()
        .fails_with(78, "--overwrite-modified");
    assert_eq!(release_no(&server), "1");
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", "--overwrite-modified"])
        .run()
        .success();
    assert_eq!(release_no(&server), "2");
    // What no release brought is never retired.
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.theirs").trim(), "0");
}

#[test]
fn a_dump_without_a_row_does_not_empty_what_is_live_unasked() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let tables = "CREATE TABLE a (id INT PRIMARY KEY, release_no INT, note VARCHAR(20));\n\
        CREATE SEQUENCE s;\nCREATE TABLE same (id INT PRIMARY KEY);\nCREATE TABLE b (id INT PRIMARY KEY, release_no INT);\n\
        -- Dump completed on 2026-11-28  4:00:00\n";
    let empty = world.write("no-data.sql", tables);
    let run = |more: &[&str]| load(&server).arg(&empty).arg("--into=app").args(more).run();
    let _ = run(&["--dry-run"]).fails_with(65, "no row at all");
    let _ = run(&[]).fails_with(65, "--no-data");
    assert_eq!(release_no(&server), "1");
    let _ = run(&["--max-shrink=100"]).success();
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.a").trim(), "0");
}

#[test]
fn checks_and_max_shrink_stop_before_the_swap() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let check = "--check=SELECT COUNT(*) > 100000 FROM a";
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", check])
        .run()
        .fails_with(65, "--check gave 0");
    // Unchanged tables, which are not staged, can be asked too.
    let check = "--check=SELECT (SELECT COUNT(*) FROM same) = 2 AND (SELECT COUNT(*) FROM a) = 501";
    let small = world.write("small.sql", "CREATE TABLE a (id INT PRIMARY KEY, release_no INT, note VARCHAR(20)); INSERT INTO a VALUES (1, 3, 'x'); CREATE TABLE b (id INT PRIMARY KEY, release_no INT); INSERT INTO b VALUES (1, 3);");
    let _ = load(&server)
        .arg(&small)
        .args(["--into=app", "--max-shrink=20"])
        .run()
        .fails_with(65, "--max-shrink");
    assert_eq!(release_no(&server), "1");
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", "--max-shrink=20", check])
        .run()
        .success();
    assert_eq!(release_no(&server), "2");
    let done = load(&server)
        .arg(&small)
        .args(["--into=app", "--keep-previous=false", "--no-trailer"])
        .run()
        .success();
    assert!(done.stderr.contains("1 retired"), "{done}");
    assert_eq!(databases(&server), "app\npilotfish\n");
}

#[test]
fn only_and_skip_leave_the_rest_alone() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", "--only=b"])
        .run()
        .success();
    assert_eq!(
        server.sql("SELECT DISTINCT release_no FROM app.b").trim(),
        "2"
    );
    assert_eq!(
        server.sql("SELECT DISTINCT release_no FROM app.a").trim(),
        "1"
    );
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", "--skip=a"])
        .run()
        .success();
    assert_eq!(
        server.sql("SELECT DISTINCT release_no FROM app.a").trim(),
        "1"
    );
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(release_no(&server), "2");
}

#[test]
fn without_a_swap_the_rows_go_straight_in() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server)
        .arg(&first)
        .args(["--into=app", "--swap=none"])
        .run()
        .success();
    assert_eq!(release_no(&server), "1");
    assert!(load_verb(&server, &["status"]).stdout.contains("app"));
}

#[test]
fn triggers_views_and_foreign_keys_follow_a_second_release() {
    let (world, server) = mariadb(&[]);
    server.sql(
        "CREATE DATABASE app; USE app;
         CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(10));
         CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id));
         CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20));
         INSERT INTO parent VALUES (1, 'old'); INSERT INTO child VALUES (1, 1);
         CREATE TRIGGER logged AFTER INSERT ON parent FOR EACH ROW INSERT INTO log (what) VALUES (NEW.name);
         CREATE VIEW names AS SELECT name FROM parent; CREATE VIEW upper_names AS SELECT UPPER(name) AS name FROM names;",
    );
    let first = dump(&world, &server, "app", "f1.sql");
    server.sql("USE app; UPDATE parent SET name = 'new'; DROP VIEW upper_names; DROP VIEW names; CREATE VIEW names AS SELECT id, name FROM parent");
    let second = dump(&world, &server, "app", "f2.sql");
    server.sql("DROP DATABASE app");
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    assert_eq!(server.sql("SELECT name FROM app.upper_names").trim(), "OLD");
    let done = load(&server)
        .arg(&second)
        .args(["--into=app", "--output=json"])
        .run()
        .success();
    // The child did not change, but its foreign key ties it to the parent.
    assert_eq!(
        done.json()["tables_loaded"],
        serde_json::json!(["child", "parent"])
    );
    assert_eq!(
        server.sql("SELECT id, name FROM app.names").trim(),
        "1\tnew"
    );
    assert!(server.try_sql("SELECT * FROM app.upper_names").is_err());
    server.sql("INSERT INTO app.parent VALUES (2, 'logged'); INSERT INTO app.child VALUES (2, 2)");
    assert_eq!(server.sql("SELECT what FROM app.log").trim(), "logged");
    assert!(
        server
            .try_sql("INSERT INTO app.child VALUES (3, 99)")
            .is_err()
    );
    server.sql(
        "DELETE FROM app.child WHERE id = 2; DELETE FROM app.parent WHERE id = 2; TRUNCATE app.log",
    );
    let _ = load_verb(&server, &["rollback"]);
    assert_eq!(server.sql("SELECT name FROM app.upper_names").trim(), "OLD");
    server.sql("INSERT INTO app.parent VALUES (3, 'again')");
    assert_eq!(server.sql("SELECT what FROM app.log").trim(), "again");
}

/// Two dumps of the same rows, whose tables count on from another number: what the stock client makes of
/// the second one, without loading a row.
fn counters_are_applied_to_tables_that_stay(kind: ServerKind) {
    let world = World::new();
    let server = Server::start(kind, &world, &[]);
    let versioned = if kind.is_mariadb() {
        "CREATE TABLE past (id INT PRIMARY KEY AUTO_INCREMENT) AUTO_INCREMENT={n} WITH SYSTEM VERSIONING;\nINSERT INTO past VALUES (1);\n"
    } else {
        ""
    };
    let dump = |number: u32, other: u32| {
        let text = format!(
            "CREATE TABLE t (id INT NOT NULL, KEY k (id)) ENGINE=InnoDB;\nINSERT INTO t VALUES (1),(2);\n\
             ALTER TABLE t MODIFY id INT NOT NULL AUTO_INCREMENT, AUTO_INCREMENT={number};\n\
             CREATE TABLE u (id INT PRIMARY KEY AUTO_INCREMENT) AUTO_INCREMENT={number};\nINSERT INTO u VALUES (7);\n\
             CREATE TABLE other (n INT PRIMARY KEY);\nINSERT INTO other VALUES ({other});\n{}",
            versioned.replace("{n}", &number.to_string())
        );
        world.write(format!("{number}-{other}.sql"), text)
    };
    let into = |path| {
        let done = load(&server)
            .arg(&path)
            .args(["--into=app", "--no-trailer"])
            .run();
        done.success()
    };
    let counter = |table: &str| {
        let definition = server.sql(&format!("SHOW CREATE TABLE app.{table}"));
        let (_, counter) = definition.split_once("AUTO_INCREMENT=").expect("a counter");
        let digits: String = counter.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().expect("a number")
    };
    let tables: &[&str] = if kind.is_mariadb() {
        &["t", "u", "past"]
    } else {
        &["t", "u"]
    };
    let all = |number: u32| {
        for table in tables {
            let least = if *table == "u" { 8 } else { 0 };
            assert_eq!(counter(table), number.max(least), "{table}");
        }
    };
    let _ = into(dump(10, 1));
    all(10);
    // Beside a table that changed, alone, and back.
    for (number, other) in [(50, 2), (60, 2), (5, 2)] {
        let done = into(dump(number, other));
        assert!(!done.stderr.contains("nothing to do"), "{done}");
        all(number);
    }
    assert_eq!(
        server.sql("SELECT * FROM app.t; SELECT * FROM app.u"),
        "1\n2\n7\n"
    );
    let _ = verb(&server, &["rollback"]).run().success();
    assert_eq!(server.sql("SELECT * FROM app.other").trim(), "1");
}

#[test]
fn counters_are_applied_to_tables_that_stay_on_mariadb() {
    counters_are_applied_to_tables_that_stay(ServerKind::MariaDb1011);
    counters_are_applied_to_tables_that_stay(ServerKind::MariaDb118);
}

#[test]
fn counters_are_applied_to_tables_that_stay_on_mysql() {
    counters_are_applied_to_tables_that_stay(ServerKind::MySql97);
}
