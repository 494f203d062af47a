//! What is refused is refused with its reason.

use std::fmt::Write as _;

use pilotfish_harness::{Server, ServerKind, World};

use crate::{checksums, load, mariadb};

#[test]
fn a_refusal_says_why_and_where() {
    let (world, server) = mariadb(&[]);
    for (name, text, reason) in [
        (
            "drops a foreign key",
            "CREATE TABLE p (id INT PRIMARY KEY);\n\
             CREATE TABLE c (id INT PRIMARY KEY, p INT, CONSTRAINT f FOREIGN KEY (p) REFERENCES p (id));\n\
             ALTER TABLE c DROP FOREIGN KEY f;",
            "makes foreign keys once all rows are in",
        ),
        (
            "alters an event",
            "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\n\
             CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM a;\nALTER EVENT e DISABLE;",
            "ALTER EVENT: a load makes views, routines and events as their CREATE says",
        ),
        (
            "ties what does not fit",
            "CREATE TABLE c (id INT PRIMARY KEY, p BIGINT, CONSTRAINT f FOREIGN KEY (p) REFERENCES p (id));\n\
             CREATE TABLE p (id INT PRIMARY KEY);",
            "table c, CONSTRAINT `f` FOREIGN KEY",
        ),
        (
            "fills a copy",
            "CREATE TABLE a (id INT PRIMARY KEY);\nCREATE TABLE w LIKE a;\nINSERT INTO w VALUES (1);",
            "not CREATE TABLE .. LIKE",
        ),
        (
            "fills a view",
            "CREATE TABLE a (id INT PRIMARY KEY);\nCREATE VIEW w AS SELECT * FROM a;\nINSERT INTO w VALUES (1);",
            "rows into a view",
        ),
    ] {
        let dump = world.write("dump.sql", text);
        let done = load(&server).arg(&dump).arg("--into=app").run();
        let done = done.fails_with(65, reason);
        assert!(!done.stderr.is_empty(), "{name}: {done}");
    }
}

#[test]
fn a_load_without_a_swap_says_that_the_dump_has_to_drop_what_is_there() {
    let (world, server) = mariadb(&[]);
    let dump = world.write(
        "dump.sql",
        "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\n",
    );
    let _ = load(&server).arg(&dump).arg("--into=app").run().success();
    let more = world.write(
        "more.sql",
        "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1),(2);\n",
    );
    let _ = load(&server)
        .arg(&more)
        .args(["--into=app", "--swap=none"])
        .run()
        .fails_with(65, "the dump itself has to drop what is there");
}

#[test]
fn what_a_dump_says_of_the_server_is_left_out_aloud() {
    let (world, server) = mariadb(&[]);
    let dump = world.write(
        "dump.sql",
        "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\n\
         CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'h', PASSWORD 'hush');\n\
         INSTALL SONAME 'ha_archive';\nFLUSH PRIVILEGES;\n",
    );
    let done = load(&server).arg(&dump).arg("--into=app").run().success();
    for named in [
        "CREATE SERVER s FOREIGN DATA",
        "dump.sql:3",
        "INSTALL SONAME",
        "dump.sql:4",
    ] {
        assert!(done.stderr.contains(named), "{named}: {done}");
    }
    let both = format!("{}{}", done.stdout, done.stderr);
    assert!(!both.contains("hush") && !both.contains("FLUSH"), "{done}");
}

#[test]
fn a_database_that_somebody_drops_during_a_load_condemns_no_dump() {
    let (world, server) = mariadb(&[]);
    let first = world.write(
        "first.sql",
        "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\n",
    );
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let mut text = "CREATE TABLE a (id INT PRIMARY KEY, v INT);\n".to_owned();
    for id in 1..=20 {
        writeln!(text, "INSERT INTO a VALUES ({id},SLEEP(0.2));").expect("write to memory");
    }
    let second = world.write("second.sql", text);
    let mut running = load(&server).arg(&second).arg("--into=app").spawn();
    running.wait_for_stderr("loads");
    server.sql("DROP DATABASE app");
    let _ = running.wait().fails_with(75, "somebody dropped");
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.a").trim(), "20");
}

#[test]
fn dumps_with_replace_and_insert_ignore_load_whatever_their_foreign_keys() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        // The child comes first, and two point at each other.
        server.sql(
            "CREATE DATABASE app; USE app; CREATE TABLE p (id INT PRIMARY KEY, c INT);
             CREATE TABLE c (id INT PRIMARY KEY, p INT, up INT,
               FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE,
               FOREIGN KEY (up) REFERENCES c (id) ON DELETE CASCADE);
             INSERT INTO p VALUES (1,NULL),(2,NULL); INSERT INTO c VALUES (1,1,NULL),(2,2,1);
             UPDATE p SET c = id; ALTER TABLE p ADD FOREIGN KEY (c) REFERENCES c (id) ON DELETE SET NULL;",
        );
        let sums = checksums(&server, "app");
        for option in ["--replace", "--insert-ignore"] {
            let path = world.join("dump.sql");
            server.dump_to("app", &[option, "--skip-extended-insert"], &path);
            server.sql("DROP DATABASE app; DROP DATABASE IF EXISTS pilotfish");
            let _ = load(&server).arg(&path).arg("--into=app").run().success();
            assert_eq!(checksums(&server, "app"), sums, "{option}");
        }
    }
}
