//! The documented grants, taken away one by one: nothing half, nothing silent.

use pilotfish_harness::{Server, ServerKind, World};

use crate::{dump, load};

/// Two releases that need every right: keys, foreign keys, a view, a trigger, routines, an event.
fn releases(world: &World, server: &Server) -> [std::path::PathBuf; 2] {
    server.sql(
        "CREATE DATABASE app; USE app;
         CREATE TABLE a (id INT PRIMARY KEY, release_no INT NOT NULL, note VARCHAR(20), KEY note (note));
         CREATE TABLE b (id INT PRIMARY KEY, release_no INT NOT NULL, CONSTRAINT of_a FOREIGN KEY (id) REFERENCES a (id));
         CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20));
         INSERT INTO a VALUES (1, 1, 'one'), (2, 1, 'two'); INSERT INTO b VALUES (1, 1);
         CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1;
         CREATE PROCEDURE p() SELECT 1;
         CREATE TRIGGER logged AFTER INSERT ON b FOR EACH ROW INSERT INTO log (what) VALUES ('one');
         CREATE EVENT e ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01 00:00:00' DO DELETE FROM log WHERE id = 1;
         CREATE VIEW v AS SELECT id, f() AS n FROM a WHERE id < 1;",
    );
    let first = dump(world, server, "app", "v1.sql");
    server.sql(
        "USE app; UPDATE a SET release_no = 2; UPDATE b SET release_no = 2;
         DROP PROCEDURE p; CREATE PROCEDURE p() SELECT 2;
         DROP TRIGGER logged; CREATE TRIGGER logged AFTER INSERT ON b FOR EACH ROW INSERT INTO log (what) VALUES ('two');
         DROP EVENT e; CREATE EVENT e ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01 00:00:00' DO DELETE FROM log WHERE id = 2;
         DROP VIEW v; CREATE VIEW v AS SELECT id, f() AS n FROM a WHERE id < 2;",
    );
    let second = dump(world, server, "app", "v2.sql");
    server.sql("DROP DATABASE app");
    [first, second]
}

const GRANTS: &str = include_str!("../../../../../manifests/account/grants.sql");

/// Every right the account has on this server: what, and on what.
fn grants(kind: ServerKind) -> Vec<(String, String)> {
    let lines = GRANTS.lines().filter(|line| !line.starts_with("-- "));
    let text = lines.collect::<Vec<_>>().join(" ");
    let mut all = Vec::new();
    for statement in text.split(';') {
        let theirs = if kind.is_mariadb() { "/*!80" } else { "/*M!" };
        let Some(grant) = statement
            .split_once("GRANT ")
            .filter(|(before, _)| !before.contains(theirs))
        else {
            continue;
        };
        let (rights, rest) = grant.1.split_once(" ON ").expect("what it is on");
        let (on, _) = rest.split_once(" TO ").expect("whom it is for");
        all.extend(
            rights
                .split(',')
                .map(|right| (right.trim().to_owned(), on.to_owned())),
        );
    }
    all
}

/// All that readers and the next loader see.
fn seen(world: &World, server: &Server) -> String {
    let path = dump(world, server, "app", "seen.sql");
    let ledger =
        server.sql("SELECT kind, seq, name, body FROM pilotfish.live_app ORDER BY 1, 2, 3");
    crate::canonical(&path) + &ledger
}

fn each_is_needed_or_not(kind: ServerKind, args: &[&str], taken: Vec<(String, String)>) {
    let world = World::new();
    let server = Server::start(kind, &world, args);
    let [first, second] = releases(&world, &server);
    let load = |dump| load(&server).arg(dump).arg("--into=app").run();
    let _ = load(&second).success();
    let whole = seen(&world, &server);
    let _ = load(&first).success();
    let before = seen(&world, &server);
    let seen = || seen(&world, &server);
    let mut refused = 0;
    for (right, on) in taken {
        server.sql(&format!(
            "REVOKE {right} ON {on} FROM 'pilotfish'@'127.0.0.1'"
        ));
        let done = load(&second);
        // Views of the account do not work without its rights.
        server.sql(&format!("GRANT {right} ON {on} TO 'pilotfish'@'127.0.0.1'"));
        let what = format!("without {right} on {on}: {done}");
        if done.code == Some(0) {
            assert!(seen() == whole, "not the whole release {what}");
            let _ = load(&first).success();
        } else if right == "EXECUTE" && on == "`app%`.*" {
            // Rights on each routine would do as well, so that nobody can tell before.
            let done = done.fails_with(77, "whose rows are live already");
            assert!(done.stderr.contains("execute command denied"), "{what}");
            let _ = load(&second).success();
            assert!(seen() == whole, "not finished {what}");
            let _ = load(&first).success();
        } else {
            assert_eq!(done.code, Some(77), "{what}");
            assert!(seen() == before, "something live changed {what}");
            let (lower, database) = (done.stderr.to_lowercase(), on.trim_matches('`'));
            let database = database.split(['%', '`', '\\']).next().expect("a name");
            let named = lower.contains(&right.to_lowercase())
                || right == "SLAVE MONITOR" && lower.contains("replica monitor")
                || lower.contains("to database") && lower.contains(database);
            assert!(named && lower.contains("grant"), "unnamed {what}");
            refused += 1;
        }
    }
    assert!(refused > 10, "only {refused} of the rights are needed");
    assert!(seen() == before, "the first release is not back");
}

#[test]
fn mariadb_refuses_before_anything_live_changes_when_a_grant_is_missing() {
    let kind = ServerKind::MariaDb1011;
    each_is_needed_or_not(kind, &[], grants(kind));
}

#[test]
fn mysql_refuses_before_anything_live_changes_when_a_grant_is_missing() {
    let kind = ServerKind::MySql97;
    let trust = "--log-bin-trust-function-creators=1";
    // Those on the ledger are of one flavour with MariaDB's.
    let mut taken = grants(kind);
    taken.retain(|(_, on)| on != "`pilotfish`.*");
    each_is_needed_or_not(kind, &[trust], taken);
}
