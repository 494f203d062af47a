//! Dumps of which few rows differ: changed in place, with the very rows that a load of whole tables leaves.

mod others;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pilotfish_harness::{Finished, Server, ServerKind, World, seeded, short_or_long, tool};
use rand::Rng as _;
use serde_json::Value;

use crate::{checksums, load, mariadb, rollback};

/// Tables of many kinds, tied by foreign keys; `big` has enough rows that what follows is little.
const SHOP: &str = "CREATE DATABASE app; USE app;
    CREATE TABLE big (id INT PRIMARY KEY, release_no INT NOT NULL, note VARCHAR(40), KEY note (note));
    CREATE TABLE line (big INT NOT NULL, no SMALLINT NOT NULL, price DECIMAL(9,2), at TIMESTAMP NULL, raw VARBINARY(20),
        body TEXT, twice DECIMAL(11,2) AS (price * 2) STORED, release_no INT NOT NULL, PRIMARY KEY (big, no),
        CONSTRAINT line_big FOREIGN KEY (big) REFERENCES big (id));
    CREATE TABLE label (id BIGINT AUTO_INCREMENT PRIMARY KEY, slug VARCHAR(20) NOT NULL UNIQUE, text VARCHAR(20)
        CHARACTER SET latin1);
    CREATE TABLE plain (word VARCHAR(10) PRIMARY KEY);
    INSERT INTO big SELECT n, 1, CONCAT('n', n) FROM (SELECT @n := @n + 1 AS n FROM information_schema.columns,
        (SELECT @n := -3) z LIMIT 1200) s;
    INSERT INTO line (big, no, price, at, raw, body, release_no) SELECT id, 1, id / 3, '2026-03-29 02:30:00', UNHEX(HEX(id)),
        CONCAT('it''s\\ttab ', id), 1 FROM big;
    INSERT INTO line (big, no, price, release_no) SELECT id, -2, NULL, 1 FROM big WHERE id % 2 = 0;
    SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO';
    INSERT INTO label VALUES (0, 'zero', 'Zürich'), (1, 'a', 'x'), (2, 'b', NULL), (9, 'c', 'é');
    INSERT INTO plain VALUES ('one'), ('two');";

/// Some rows change, go and come, in every table with a key of integers; unique values change places.
const NEXT: &str = "USE app; SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO', foreign_key_checks=0;
    UPDATE big SET release_no = 2, note = 'neu' WHERE id % 50 = 0;
    DELETE FROM line WHERE big = 7; DELETE FROM big WHERE id = 7;
    INSERT INTO big VALUES (-90, 2, 'vor allen'), (5000, 2, NULL);
    INSERT INTO line (big, no, price, body, release_no) VALUES (-90, 5, 1.5, 'new\\nline', 2), (5000, -5, NULL, NULL, 2);
    UPDATE line SET price = price + 1, raw = UNHEX('00FF27'), release_no = 2 WHERE big % 60 = 0;
    UPDATE label SET slug = CASE slug WHEN 'a' THEN 'tmp' ELSE slug END; UPDATE label SET slug = 'a' WHERE slug = 'b';
    UPDATE label SET slug = 'b' WHERE slug = 'tmp'; DELETE FROM label WHERE id = 9;
    UPDATE label SET text = 'Genève' WHERE id = 0; INSERT INTO label VALUES (20, 'd', 'ö');";

/// A dump that the stock client can load beside its source, too.
fn dump(world: &World, server: &Server, database: &str, name: &str) -> PathBuf {
    let path = world.join(name);
    let gtids: &[&str] = match server.kind().is_mariadb() {
        true => &["--triggers"],
        false => &["--triggers", "--set-gtid-purged=OFF"],
    };
    server.dump_to(database, gtids, &path);
    path
}

/// One dump more, after the changes of `sql`.
fn next(world: &World, server: &Server, sql: &str, name: &str) -> PathBuf {
    server.sql(sql);
    dump(world, server, "app", name)
}

/// The two releases of the shop, and what each leaves in a database of its own when its tables are loaded whole.
fn releases(world: &World, server: &Server) -> [(PathBuf, String); 2] {
    server.sql(SHOP);
    let first = dump(world, server, "app", "first.sql");
    let second = next(world, server, NEXT, "second.sql");
    server.sql("DROP DATABASE app");
    [first, second].map(|dump| {
        model(server, &dump);
        let sums = checksums(server, "model");
        (dump, sums)
    })
}

/// The rows of a dump as the stock client leaves them, in a database of their own.
fn model(server: &Server, dump: &Path) {
    server.sql("DROP DATABASE IF EXISTS model; CREATE DATABASE model");
    server.sql_file("model", dump);
}

fn into_app(server: &Server, dump: &Path) -> Value {
    let finished = load(server)
        .arg(dump)
        .args(["--into=app", "--output=json"])
        .run();
    finished.success().json()
}

fn in_place(report: &Value) -> bool {
    report["in_place"].as_bool().expect("the report says how")
}

fn there_and_back(kind: ServerKind, args: &[&str]) {
    let world = World::new();
    let server = Server::start(kind, &world, args);
    let [(first, one), (second, two)] = releases(&world, &server);
    assert!(!in_place(&into_app(&server, &first)));
    let report = into_app(&server, &second);
    assert!(in_place(&report), "{report}");
    assert_eq!(
        report["tables_loaded"],
        serde_json::json!(["big", "label", "line"])
    );
    assert_eq!(checksums(&server, "app"), two);
    // The ledger's own proof is the server's word: it adds up.
    let checksum = server.sql("CHECKSUM TABLE app.big");
    let checksum = checksum.split_whitespace().last().expect("a checksum");
    let recorded = server.sql("SELECT detail FROM pilotfish.live_app WHERE name = 'big'");
    assert!(
        recorded.contains(&format!("checksum {checksum}\"")),
        "{recorded}"
    );
    assert_eq!(into_app(&server, &second)["outcome"], "nothing_to_do");
    let _ = rollback(&server).success();
    assert_eq!(checksums(&server, "app"), one);
    let _ = load(&server)
        .arg(&second)
        .arg("--into=app")
        .run()
        .fails_with(65, "rolled back");
    let _ = tool!("load")
        .args(["resume", "--url", &server.url()])
        .run()
        .success();
    assert!(in_place(&into_app(&server, &second)));
    assert!(in_place(&into_app(&server, &first)));
    assert_eq!(checksums(&server, "app"), one);
    // A swap over a difference, and the way back from it.
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", "--whole"])
        .run()
        .success();
    assert_eq!(checksums(&server, "app"), two);
    let _ = rollback(&server).success();
    assert_eq!(checksums(&server, "app"), one);
    let left = server.sql("SELECT table_name FROM information_schema.tables WHERE table_schema LIKE 'pilotfish%undo%'");
    assert_eq!(left, "", "what undid a difference stays");
}

#[test]
fn mariadb_there_and_back() {
    there_and_back(ServerKind::MariaDb1011, &[]);
}

#[test]
fn mariadb_118_there_and_back_with_a_binary_log() {
    there_and_back(
        ServerKind::MariaDb118,
        &["--log-bin", "--server-id=1", "--binlog-format=MIXED"],
    );
}

#[test]
fn mysql_there_and_back_by_insert() {
    there_and_back(ServerKind::MySql97, &["--local-infile=OFF"]);
}

#[test]
fn mysql_there_and_back_by_load_data() {
    there_and_back(ServerKind::MySql97, &["--local-infile=ON"]);
}

/// Differences over differences; at last too many of them, and everything is marked anew.
#[test]
fn one_difference_after_the_other() {
    let (world, server) = mariadb(&[]);
    let [(first, _), (second, _)] = releases(&world, &server);
    let _ = into_app(&server, &first);
    let mut swaps = 0;
    for turn in 0..12 {
        let sql = format!(
            "USE model; UPDATE big SET note = 'turn {turn}' WHERE id % 100 = {turn}; UPDATE big SET note = NULL WHERE id = {};",
            turn + 1
        );
        server.sql(&sql);
        let dump = dump(&world, &server, "model", &format!("turn{turn}.sql"));
        swaps += i32::from(!in_place(&into_app(&server, &dump)));
        assert_eq!(
            checksums(&server, "app"),
            checksums(&server, "model"),
            "turn {turn}"
        );
    }
    assert_eq!(
        swaps, 1,
        "eight layers beside the first one, then a load of whole tables"
    );
    let _ = into_app(&server, &second);
}

#[test]
fn what_somebody_wrote_is_not_changed_over() {
    let (world, server) = mariadb(&[]);
    let [(first, _), (second, two)] = releases(&world, &server);
    let _ = into_app(&server, &first);
    // A row that the dump does not change, and one that it does.
    for id in [3, 50] {
        server.sql(&format!(
            "UPDATE app.big SET note = 'by hand' WHERE id = {id}"
        ));
        let _ = load(&server)
            .arg(&second)
            .arg("--into=app")
            .run()
            .fails_with(78, "written to");
        server.sql(&format!(
            "UPDATE app.big SET note = 'n{id}' WHERE id = {id}"
        ));
    }
    server.sql("UPDATE app.big SET note = 'by hand' WHERE id = 3");
    let overruled = load(&server)
        .arg(&second)
        .args(["--into=app", "--overwrite-modified", "--output=json"])
        .run();
    assert!(!in_place(&overruled.success().json()));
    assert_eq!(checksums(&server, "app"), two);
    server.sql("UPDATE app.big SET note = 'by hand' WHERE id = 3");
    let _ = rollback(&server).fails_with(78, "written to");
}

/// A rollback that would lose what somebody wrote to rows of the difference.
#[test]
fn a_rollback_of_a_difference_looks_first() {
    let (world, server) = mariadb(&[]);
    let [(first, one), (second, _)] = releases(&world, &server);
    let _ = into_app(&server, &first);
    let _ = into_app(&server, &second);
    server.sql("UPDATE app.big SET note = 'by hand' WHERE id = 50");
    let _ = rollback(&server).fails_with(78, "written to");
    server.sql("UPDATE app.big SET note = 'neu' WHERE id = 50");
    let _ = rollback(&server).success();
    assert_eq!(checksums(&server, "app"), one);
}

/// What is no small change of rows is loaded whole, and says why.
#[test]
fn what_is_not_changed_in_place() {
    let (world, server) = mariadb(&[]);
    server.sql(SHOP);
    let first = dump(&world, &server, "app", "first.sql");
    let few = "USE app; UPDATE big SET note = 'few' WHERE id < 3;";
    let cases = [
        (
            "USE app; UPDATE big SET note = 'many' WHERE id % 2 = 0;",
            "differs by more than some rows",
        ),
        (
            "USE app; ALTER TABLE big ADD COLUMN more INT;",
            "differs by more than some rows",
        ),
        (
            "USE app; CREATE TABLE another (id INT PRIMARY KEY);",
            "tables come or go",
        ),
        (
            "USE app; CREATE VIEW seen AS SELECT id FROM big; UPDATE big SET note = 'x' WHERE id = 3;",
            "views, triggers",
        ),
        (
            "USE app; INSERT INTO plain VALUES ('three');",
            "plain differs",
        ),
    ];
    for (at, (sql, why)) in cases.iter().enumerate() {
        let second = next(&world, &server, sql, &format!("case{at}.sql"));
        server.sql("DROP DATABASE app");
        let _ = load(&server)
            .arg(&first)
            .args(["--into=app", "--whole"])
            .run()
            .success();
        let finished = load(&server)
            .arg(&second)
            .args(["--into=app", "--output=json"])
            .run()
            .success();
        assert!(!in_place(&finished.json()), "{sql}");
        assert!(finished.stderr.contains(why), "{sql}: {}", finished.stderr);
        model(&server, &second);
        assert_eq!(
            checksums(&server, "app"),
            checksums(&server, "model"),
            "{sql}"
        );
        server.sql("DROP DATABASE app; DROP DATABASE pilotfish");
        server.sql(SHOP);
    }
    // A trigger would fire.
    server
        .sql("USE app; CREATE TRIGGER t BEFORE UPDATE ON big FOR EACH ROW SET NEW.note = 'fired';");
    let first = dump(&world, &server, "app", "triggers.sql");
    server.sql("DROP TRIGGER app.t");
    server.sql(few);
    server
        .sql("USE app; CREATE TRIGGER t BEFORE UPDATE ON big FOR EACH ROW SET NEW.note = 'fired';");
    let second = dump(&world, &server, "app", "triggers2.sql");
    server.sql("DROP DATABASE app");
    let _ = load(&server)
        .arg(&first)
        .args(["--into=app"])
        .run()
        .success();
    let finished = load(&server)
        .arg(&second)
        .args(["--into=app", "--output=json"])
        .run()
        .success();
    assert!(
        !in_place(&finished.json()) && finished.stderr.contains("have triggers"),
        "{}",
        finished.stderr
    );
}

/// Rows without parents are refused as in a load of whole tables.
#[test]
fn a_difference_leaves_no_orphans() {
    let (world, server) = mariadb(&[]);
    let [(first, one), _] = releases(&world, &server);
    let _ = into_app(&server, &first);
    for (at, sql) in [
        "DELETE FROM model.big WHERE id = 8;",
        "INSERT INTO model.line (big, no, release_no) VALUES (4242, 1, 1);",
        "UPDATE model.line SET big = 4343 WHERE big = 9;",
    ]
    .iter()
    .enumerate()
    {
        model(&server, &first);
        server.sql(&format!("SET foreign_key_checks=0; {sql}"));
        let dump = dump(&world, &server, "model", &format!("orphans{at}.sql"));
        let _ = load(&server)
            .arg(&dump)
            .arg("--into=app")
            .run()
            .fails_with(65, "parent is not there");
        assert_eq!(checksums(&server, "app"), one, "{sql}");
    }
}

/// Readers of one transaction see one release, whole.
#[test]
fn readers_see_one_instant() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let [(first, _), (second, _)] = releases(&world, &server);
        let _ = into_app(&server, &first);
        let sql = "START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT SUM(release_no = 2) > 0 INTO @a FROM app.line; \
                   SELECT SUM(release_no = 2) > 0 INTO @b FROM app.big; COMMIT; \
                   SELECT IF(@a = @b, 'one', 'MIX'); \
                   SELECT IF(MAX(l) = MAX(b), 'one', 'MIX') FROM (SELECT SUM(release_no = 2) > 0 AS l, NULL AS b FROM app.line \
                   UNION ALL SELECT NULL, SUM(release_no = 2) > 0 FROM app.big) x;";
        let stop = std::sync::atomic::AtomicBool::new(false);
        let (reads, swap) = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let mut reads = 0;
                        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                            let answer = server.sql(&sql.repeat(20));
                            assert!(answer.lines().all(|line| line == "one"), "{answer}");
                            reads += answer.lines().count();
                        }
                        reads
                    })
                })
                .collect();
            let turns =
                (0..short_or_long(8, 200)).map(|turn| if turn % 2 == 0 { &second } else { &first });
            let swap = turns
                .map(|dump| into_app(&server, dump))
                .find(|report| !in_place(report));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            let reads = readers
                .into_iter()
                .map(|reader| reader.join().expect("a reader"));
            (reads.sum::<usize>(), swap)
        });
        assert_eq!(swap, None);
        assert!(reads > 100, "{reads} reads");
    }
}

/// Killed anywhere, the live rows are one whole release, the ledger knows which, and the next run succeeds.
fn killed(kind: ServerKind, what: &str, kill: impl Fn(&Server, pilotfish_harness::Running)) {
    let mut random = seeded(what);
    let world = World::new();
    let server = Server::start(kind, &world, &[]);
    let [first, second] = releases(&world, &server);
    let _ = into_app(&server, &first.0);
    let started = Instant::now();
    assert!(in_place(&into_app(&server, &second.0)));
    let span = u64::try_from(started.elapsed().as_micros()).expect("a short time");
    for point in 0..short_or_long(10, 60) {
        let seen = checksums(&server, "app");
        let (dump, _) = if seen == first.1 { &second } else { &first };
        let running = load(&server).arg(dump).arg("--into=app").spawn();
        std::thread::sleep(Duration::from_micros(random.random_range(0..span)));
        kill(&server, running);
        let seen = checksums(&server, "app");
        assert!(
            seen == first.1 || seen == second.1,
            "point {point}: no whole release"
        );
        // Whatever is live, the ledger holds it for what was loaded: nothing is refused as written to.
        let report = into_app(&server, dump);
        assert!(
            report["outcome"] == "nothing_to_do" || in_place(&report),
            "point {point}: {report}"
        );
        let sums = if *dump == first.0 {
            &first.1
        } else {
            &second.1
        };
        assert_eq!(&checksums(&server, "app"), sums, "point {point}");
    }
    // Repeated kills leave a way back.
    let _ = rollback(&server).success();
    let seen = checksums(&server, "app");
    assert!(seen == first.1 || seen == second.1);
}

#[test]
fn the_loader_is_killed_in_a_difference() {
    killed(
        ServerKind::MariaDb1011,
        "kill -9 in a difference",
        |_, running| {
            running.signal("KILL");
            let _: Finished = running.wait();
        },
    );
}

#[test]
fn the_server_is_killed_in_a_difference() {
    killed(
        ServerKind::MySql97,
        "kill -9 of the server in a difference",
        |server, running| {
            server.kill9();
            let _: Finished = running.wait();
            server.restart();
        },
    );
}
