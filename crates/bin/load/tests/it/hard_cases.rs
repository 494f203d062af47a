//! Cases in which a loader that trusts what it sees loses rows, mixes releases or gets stuck.

use pilotfish_harness::{Server, ServerKind, World, tool};

use crate::{Holder, dump, load, mariadb, release_no, rollback, two_releases};

#[test]
fn a_rollback_never_claims_rows_that_are_gone() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", "--swap=none"])
        .run()
        .success();
    assert_eq!(release_no(&server), "2");
    let _ = rollback(&server).fails_with(78, "no previous release");
    assert_eq!(release_no(&server), "2");
}

#[test]
fn tables_taken_over_come_back_with_a_rollback() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    server.sql("CREATE DATABASE app; CREATE TABLE app.a (mine INT); INSERT INTO app.a VALUES (7)");
    let _ = load(&server)
        .arg(&first)
        .args(["--into=app", "--adopt"])
        .run()
        .success();
    let _ = rollback(&server).success();
    assert_eq!(server.sql("SELECT mine FROM app.a").trim(), "7");
}

#[test]
fn other_databases_are_out_of_reach() {
    let (world, server) = mariadb(&[]);
    server.sql("CREATE DATABASE apple; CREATE TABLE apple.users (id INT); INSERT INTO apple.users VALUES (1)");
    let reaches = [
        "CREATE TABLE t (id INT);\nDROP TABLE IF EXISTS `apple`.`users`;\n",
        "CREATE TABLE t (id INT);\nDELETE FROM apple.users;\n",
        "CREATE TABLE t (id INT);\nINSERT INTO apple.users SELECT 2;\n",
        "CREATE TABLE t (id INT);\nSHUTDOWN;\n",
    ];
    for text in reaches {
        let path = world.write("reaches.sql", text);
        let _ = load(&server)
            .arg(&path)
            .arg("--into=app")
            .run()
            .fails_with(65, "reaches.sql:2");
    }
    assert_eq!(server.sql("SELECT * FROM apple.users").trim(), "1");
    server.sql("CREATE DATABASE app_prod; CREATE FUNCTION apple.f() RETURNS INT DETERMINISTIC NO SQL RETURN 7; CREATE FUNCTION app_prod.f() RETURNS INT DETERMINISTIC NO SQL RETURN 7");
    let calls = [
        "INSERT INTO t VALUES (apple.f());",
        "INSERT INTO t VALUES (1),(1 + `app_prod`.f());",
        "SET @x = apple . f();",
        "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE id = apple.f();",
    ];
    for call in calls {
        let text = format!(
            "CREATE DATABASE app;\nUSE app;\nCREATE TABLE t (id INT PRIMARY KEY);\n{call}\n"
        );
        let path = world.write("calls.sql", text);
        let done = load(&server).arg(&path).arg("--into=app_prod").run();
        let _ = done.fails_with(65, "reaches into the database");
    }
    let path = world.write("system.sql", "CREATE TABLE t (id INT);\n");
    let _ = load(&server)
        .arg(&path)
        .arg("--into=mysql")
        .run()
        .fails_with(65, "belongs to the server");
}

#[test]
fn what_cannot_be_followed_is_refused_and_not_lost() {
    let (world, server) = mariadb(&[]);
    let like = world.write(
        "like.sql",
        "CREATE TABLE a (id INT);\nCREATE TABLE x LIKE a;\nINSERT INTO a VALUES (1);\n",
    );
    let _ = load(&server)
        .arg(&like)
        .arg("--into=app")
        .run()
        .fails_with(65, "makes the table x");
    let first = world.write(
        "first.sql",
        "CREATE TABLE a (id INT);\nINSERT INTO a VALUES (1);\n",
    );
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let empty = world.write("empty.sql", "SET NAMES utf8mb4;\n");
    let _ = load(&server)
        .arg(&empty)
        .arg("--into=app")
        .run()
        .fails_with(65, "no table at all");
    let _ = load(&server)
        .arg(&first)
        .args(["--into=app", "--only=tpyo"])
        .run()
        .fails_with(78, "tpyo");
    assert_eq!(server.sql("SELECT * FROM app.a").trim(), "1");
}

#[test]
fn definitions_may_come_before_all_rows() {
    let (world, server) = mariadb(&["--local-infile=1"]);
    let path = world.write(
        "schema_first.sql",
        "CREATE TABLE a (id INT PRIMARY KEY, n INT, KEY n (n));\nCREATE TABLE b (id INT PRIMARY KEY);\n\
         CREATE TABLE c (id INT PRIMARY KEY, n INT);\nINSERT INTO a VALUES (1,1),(2,2);\nINSERT INTO b VALUES (1);\n\
         REPLACE INTO c VALUES (1,1),(1,2);\nINSERT INTO a VALUES (3,3);\n\
         INSERT INTO c VALUES (1,9),(2,9) ON DUPLICATE KEY UPDATE n = n + 1;\nUPDATE a SET n = 30 WHERE id = 3;\n",
    );
    for _ in 0..3 {
        let _ = load(&server).arg(&path).arg("--into=app").run().success();
        assert_eq!(server.sql("SELECT SUM(n) FROM app.a").trim(), "33");
        assert_eq!(server.sql("SELECT * FROM app.c"), "1\t3\n2\t9\n");
        server.sql("DROP TABLE app.b");
    }
}

#[test]
fn rows_with_a_question_see_every_row_before_them() {
    const ROWS: usize = 60_000;
    let (world, server) = mariadb(&["--local-infile=1"]);
    let mut text = "CREATE TABLE a (id INT PRIMARY KEY, v INT, pad VARCHAR(200), KEY v (v));\n\
                    CREATE TABLE b (id INT PRIMARY KEY, v INT);\nINSERT INTO b VALUES (2,0);\n"
        .to_owned();
    for first in (1..=ROWS).step_by(1000) {
        let rows: Vec<String> = (first..first + 1000)
            .map(|id| format!("({id},{id},'{}')", "x".repeat(150)))
            .collect();
        text += &format!("INSERT INTO a VALUES {};\n", rows.join(","));
    }
    text += "INSERT INTO b VALUES (1,(SELECT MAX(v) FROM a));\n\
             INSERT INTO a VALUES (60001,60001,'');\n\
             INSERT INTO b VALUES (2,0) ON DUPLICATE KEY UPDATE v = (SELECT COUNT(*) FROM a);\n";
    let path = world.write("asks.sql", text);
    let done = load(&server).arg(&path).args(["--into=app", "--threads=4"]);
    let _ = done.run().success();
    assert_eq!(server.sql("SELECT * FROM app.b"), "1\t60000\n2\t60001\n");
}

#[test]
fn rows_that_decide_by_their_keys_find_them() {
    let (world, server) = mariadb(&["--local-infile=1"]);
    let rows: Vec<String> = (1..=4000)
        .map(|id| format!("({id},{id},'{}')", "x".repeat(100)))
        .collect();
    let path = world.write(
        "keys.sql",
        format!(
            "CREATE TABLE t (id INT PRIMARY KEY, u INT, v VARCHAR(200), UNIQUE KEY u (u), KEY v (v));\n\
             INSERT INTO t VALUES {};\n\
             INSERT IGNORE INTO t VALUES (5001,5,NOW());\n\
             REPLACE INTO t VALUES (1,6000,NOW()),(6,7,NOW());\n\
             UPDATE IGNORE t SET u = 9 WHERE id = 8;\nDROP INDEX v ON t;\n",
            rows.join(",")
        ),
    );
    let _ = load(&server).arg(&path).arg("--into=app").run().success();
    let found =
        server.sql("SELECT COUNT(*), COUNT(DISTINCT u), MAX(id), SUM(id IN (7, 5001)) FROM app.t");
    assert_eq!(found, "3999\t3999\t4000\t0\n");
    let keys = server.sql("SELECT GROUP_CONCAT(index_name ORDER BY index_name) FROM information_schema.statistics WHERE table_schema = 'app'");
    assert_eq!(keys, "PRIMARY,u\n");
}

#[test]
fn a_table_that_somebody_dropped_comes_back() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    server.sql("DROP TABLE app.same");
    let status = tool!("load")
        .args(["status", "--url", &server.url()])
        .run()
        .success();
    assert!(status.stdout.contains("parts gone"), "{status}");
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.same").trim(), "2");
    server.sql("DROP TABLE app.same");
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.same").trim(), "2");
}

#[test]
fn an_object_that_cannot_be_made_stops_before_the_swap() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let broken = world.write(
        "broken.sql",
        "CREATE TABLE a (id INT PRIMARY KEY, release_no INT);\nINSERT INTO a VALUES (1,5);\n\
         CREATE TABLE b (id INT PRIMARY KEY, release_no INT);\nINSERT INTO b VALUES (1,5);\n\
         CREATE VIEW v AS SELECT * FROM nowhere;\n",
    );
    let done = load(&server)
        .arg(&broken)
        .args(["--into=app", "--no-trailer"])
        .run()
        .fails_with(65, "make view v");
    assert!(done.stderr.contains("broken.sql:5"), "{done}");
    assert_eq!(release_no(&server), "1");
}

#[test]
fn a_swap_without_a_moment_leaves_release_triggers_and_rollback_whole() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    server.sql("CREATE DATABASE app");
    server.sql_file("app", &first);
    server.sql("USE app; CREATE TABLE log (n INT); CREATE TRIGGER logged AFTER INSERT ON b FOR EACH ROW INSERT INTO log VALUES (1)");
    let first = dump(&world, &server, "app", "with_trigger.sql");
    server.sql("DROP DATABASE app");
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    let _ = load(&server).arg(&first).arg("--into=app").run().success();

    let reader = Holder::begin(&server, "SELECT COUNT(*) FROM app.a");
    let done = load(&server)
        .arg(&second)
        .args(["--into=app", "--swap-timeout=1s"])
        .run();
    let _ = done.fails_with(75, "end connection ");
    assert_eq!(release_no(&server), "1");
    drop(reader);
    server.sql("INSERT INTO app.b VALUES (9999, 1)");
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.log").trim(), "1");
    server.sql("DELETE FROM app.b WHERE id = 9999; DELETE FROM app.log");
    // What was kept for a rollback before the attempt is still there.
    let _ = rollback(&server).success();
    assert_eq!(release_no(&server), "2");
}

#[test]
fn a_dump_in_ansi_quotes_stays_on_its_stage() {
    let (world, server) = mariadb(&[]);
    let path = world.write(
        "ansi.sql",
        "SET sql_mode='ANSI_QUOTES';\nCREATE DATABASE \"app\";\nUSE \"app\";\nCREATE TABLE \"t\" (\"id\" INT);\n\
         INSERT INTO \"t\" VALUES (1);\nUPDATE \"app\".\"t\" SET \"id\" = 2;\n",
    );
    let _ = load(&server).arg(&path).run().success();
    assert_eq!(server.sql("SELECT id FROM app.t").trim(), "2");
    let _ = load(&server)
        .arg(&path)
        .arg("--into=app_other")
        .run()
        .success();
    assert_eq!(server.sql("SELECT id FROM app_other.t").trim(), "2");
}

#[test]
fn a_failed_load_leaves_no_stage_behind() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let broken = world.write(
        "broken.sql",
        "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES (1);\n",
    );
    let _ = load(&server)
        .arg(&broken)
        .arg("--into=app")
        .run()
        .fails_with(65, "Duplicate");
    assert_eq!(server.sql("SHOW DATABASES LIKE 'pilotfish\\_next%'"), "");
    assert_eq!(release_no(&server), "1");
}

#[test]
fn rows_without_their_parents_do_not_go_live_unasked() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let path = world.write(
            "orphans.sql",
            "CREATE TABLE child (id INT PRIMARY KEY, p INT, q INT, KEY (p, q),\n\
             CONSTRAINT of_parent FOREIGN KEY (p, q) REFERENCES parent (p, q));\n\
             CREATE TABLE parent (p INT NOT NULL, q INT NOT NULL, PRIMARY KEY (p, q));\n\
             INSERT INTO parent VALUES (1,1);\n\
             INSERT INTO child VALUES (1,1,1),(2,NULL,5),(3,1,2),(4,7,7);\n",
        );
        let _ = load(&server)
            .arg(&path)
            .arg("--into=app")
            .run()
            .fails_with(65, "2 rows break the foreign key of child (of_parent)");
        let _ = load(&server)
            .arg(&path)
            .args(["--into=app", "--allow-orphans"])
            .run()
            .success();
        assert_eq!(server.sql("SELECT COUNT(*) FROM app.child").trim(), "4");
    }
}

#[test]
fn a_parent_that_leaves_the_release_takes_no_child_with_it() {
    let (world, server) = mariadb(&[]);
    let parent = "CREATE TABLE p (id INT PRIMARY KEY);\nINSERT INTO p VALUES (1),(2);\n";
    let child = "CREATE TABLE c (id INT PRIMARY KEY, p INT, CONSTRAINT of_p FOREIGN KEY (p) REFERENCES p (id));\n\
                 INSERT INTO c VALUES (1,1);\n";
    let both = world.write("both.sql", format!("{parent}{child}"));
    let _ = load(&server).arg(both).arg("--into=app").run().success();
    // The child as it was, and another one.
    for rows in ["", "INSERT INTO c VALUES (2,2);\n"] {
        let alone = world.write("alone.sql", format!("{child}{rows}"));
        let _ = load(&server)
            .arg(alone)
            .arg("--into=app")
            .run()
            .fails_with(65, "the parent of a foreign key of c is not in the dump: p");
    }
    assert_eq!(
        server.sql(
            "INSERT INTO app.c VALUES (3,2); SELECT COUNT(*) FROM app.c JOIN app.p ON c.p = p.id"
        ),
        "2\n"
    );
}

#[test]
fn an_assertion_that_does_not_parse_ends_before_the_load() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let done = load(&server)
        .arg(&first)
        .args(["--into=app", "--check", "SELEKT 1"])
        .run();
    let _ = done.fails_with(78, "--check SELEKT 1");
    assert_eq!(server.sql("SHOW DATABASES LIKE 'pilotfish\\_next%'"), "");
    let _ = load(&server)
        .arg(&first)
        .args(["--into=app", "--check", "SELECT COUNT(*) > 5 FROM a"])
        .args([
            "--check",
            "SELECT COUNT(*) = 0 FROM a WHERE note LIKE 'a\\\\_b'",
        ])
        .run()
        .success();
}

#[test]
fn a_first_load_without_swap_that_broke_off_is_taken_up_again() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let broken = world.write(
        "broken.sql",
        "CREATE TABLE a (id INT PRIMARY KEY, release_no INT);\nINSERT INTO a VALUES (1,5);\n\
         INSERT INTO a VALUES (1,5);\n",
    );
    let _ = load(&server)
        .arg(&broken)
        .args(["--into=app", "--swap=none"])
        .run()
        .fails_with(65, "Duplicate");
    let status = tool!("load")
        .args(["status", "--url", &server.url()])
        .run()
        .success();
    assert!(status.stdout.contains("being rewritten"), "{status}");
    let _ = load(&server)
        .arg(&first)
        .args(["--into=app", "--swap=none"])
        .run()
        .success();
    assert_eq!(release_no(&server), "1");
}

#[test]
fn a_default_around_a_sequence_stays_whole() {
    let (world, server) = mariadb(&[]);
    for release in 1..3 {
        let text = format!(
            "CREATE SEQUENCE s;\nCREATE TABLE t (id INT PRIMARY KEY, code VARCHAR(20) DEFAULT (concat('A',nextval(s))));\n\
             INSERT INTO t VALUES ({release},'x');\n"
        );
        let path = world.write("sequence.sql", text);
        let _ = load(&server).arg(&path).arg("--into=app").run().success();
        let made = server.sql("SHOW CREATE TABLE app.t");
        assert!(made.contains("concat('A',nextval(`app`.`s`))"), "{made}");
        assert!(!made.contains("pilotfish"), "{made}");
    }
}

#[test]
fn a_server_without_backslash_escapes_keeps_its_books() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let args = ["--sql-mode=NO_BACKSLASH_ESCAPES", "--local-infile=1"];
        let server = Server::start(kind, &world, &args);
        let (first, second) = two_releases(&world, &server);
        let _ = load(&server).arg(&first).arg("--into=app").run().success();
        let _ = load(&server).arg(&second).arg("--into=app").run().success();
        let status = tool!("load")
            .args(["status", "--output=json", "--url", &server.url()])
            .run()
            .success();
        assert_eq!(status.json()[0]["database"], "app", "{status}");
        let _ = rollback(&server).success();
        assert_eq!(release_no(&server), "1");
        let bare = world.write(
            "bare.sql",
            "CREATE TABLE a (id INT PRIMARY KEY, note VARCHAR(20));\nINSERT INTO a VALUES (1,'a\\'),(2,'\\n');\n",
        );
        let _ = load(&server)
            .arg(&bare)
            .args(["--into=app_bare"])
            .run()
            .success();
        assert_eq!(
            server.sql("SELECT HEX(note) FROM app_bare.a ORDER BY id"),
            "615C\n5C6E\n"
        );
    }
}

#[test]
fn a_limit_for_statements_of_others_stops_no_load() {
    for (kind, limit) in [
        (ServerKind::MariaDb1011, "max_statement_time = 0.05"),
        (ServerKind::MySql97, "max_execution_time = 50"),
    ] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        server.sql(
            "CREATE DATABASE app; USE app; CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(40), b VARCHAR(40));
             INSERT INTO t (a, b) VALUES (UUID(), UUID()), (UUID(), UUID()), (UUID(), UUID()), (UUID(), UUID())",
        );
        for _ in 0..17 {
            server.sql("INSERT INTO app.t (a, b) SELECT a, b FROM app.t");
        }
        let big = dump(&world, &server, "app", "big.sql");
        server.sql("DROP DATABASE app");
        server.sql(&format!("SET GLOBAL {limit}"));
        let done = load(&server)
            .arg(&big)
            .args(["--into=app", "--check=SELECT SUM(LENGTH(a)) > 0 FROM t"]);
        let _ = done.run().success();
    }
}

/// Its keys are set aside with the foreign key, and MySQL gives another checksum each time once they are back.
#[test]
fn a_multi_valued_key_beside_a_foreign_key_is_proven() {
    let world = World::new();
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let release = |name: &str, number: u32| {
        let text = format!(
            "CREATE TABLE `p` (`id` int NOT NULL, PRIMARY KEY (`id`));\n\
             INSERT INTO `p` VALUES (1),(2);\n\
             CREATE TABLE `c` (`id` int NOT NULL, `p` int, `many` json, `no` int, PRIMARY KEY (`id`), \
             KEY `m` ((cast(`many` as unsigned array))), KEY `p` (`p`), CONSTRAINT `f` FOREIGN KEY (`p`) REFERENCES `p` (`id`));\n\
             INSERT INTO `c` VALUES (1,1,'[1, 2, 3]',{number}),(2,2,'[4]',{number});\n\
             -- Dump completed on 1\n"
        );
        world.write(name, text)
    };
    for number in 1..=3 {
        let dump = release(&format!("{number}.sql"), number);
        let _ = load(&server).arg(&dump).arg("--into=app").run().success();
        assert_eq!(
            server.sql("SELECT DISTINCT no FROM app.c"),
            format!("{number}\n")
        );
        // It knows of no write any more, so that the next load looks at the rows.
        server.restart();
    }
}
