//! Differences and their rollbacks while others are at work, and dumps that do more than insert.

use std::path::Path;

use pilotfish_harness::{Holder, PATIENCE, Server, ServerKind, World, tool};

use super::{dump, in_place, into_app, model, releases};
use crate::{checksums, load, mariadb, rollback};

/// Rows that somebody is writing to are waited for, and not changed over.
#[test]
fn a_write_that_is_under_way_is_not_changed_over() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let [(first, one), (second, _)] = releases(&world, &server);
        let _ = into_app(&server, &first);
        let holder = Holder::begin(&server, "UPDATE app.big SET note = 'held' WHERE id = 50");
        let running = load(&server).arg(&second).arg("--into=app").spawn();
        waits_for_a_row(&server);
        holder.commit();
        let _ = running.wait().fails_with(78, "written to");
        assert_eq!(
            server.sql("SELECT note FROM app.big WHERE id = 50").trim(),
            "held"
        );
        server.sql("UPDATE app.big SET note = 'n50' WHERE id = 50");
        assert_eq!(checksums(&server, "app"), one);

        // The same of a rollback.
        assert!(in_place(&into_app(&server, &second)));
        let holder = Holder::begin(&server, "UPDATE app.big SET note = 'held' WHERE id = 100");
        let running = tool!("load")
            .args(["rollback", "--url", &server.url()])
            .spawn();
        waits_for_a_row(&server);
        holder.commit();
        let _ = running
            .wait()
            .fails_with(75, "wrote to big right before the rollback");
        assert_eq!(
            server.sql("SELECT note FROM app.big WHERE id = 100").trim(),
            "held"
        );
        assert_eq!(
            server
                .sql("SELECT release_no FROM app.big WHERE id = 150")
                .trim(),
            "2"
        );
    }
}

/// Until the loader waits for a row that somebody else holds.
fn waits_for_a_row(server: &Server) {
    pilotfish_harness::eventually("the loader to wait for a row", PATIENCE, || {
        let waits = server.sql(
            "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
        );
        (waits.trim() != "0").then_some(())
    });
}

/// Marks say nothing of rows that the dump changes behind their INSERT.
#[test]
fn what_a_dump_changes_behind_its_rows_is_not_marked() {
    let (world, server) = mariadb(&[]);
    server.sql("CREATE DATABASE app; USE app; CREATE TABLE big (id INT PRIMARY KEY, a INT, b INT);
        INSERT INTO big SELECT n, n, 2 * n FROM (SELECT @n := @n + 1 AS n FROM information_schema.columns, (SELECT @n := 0) z LIMIT 900) s;");
    let plain = dump(&world, &server, "app", "plain.sql");
    server.sql("UPDATE app.big SET a = 7 WHERE id = 9");
    let other = dump(&world, &server, "app", "other.sql");
    server.sql("DROP DATABASE app");
    let text = |dump: &Path| std::fs::read_to_string(dump).expect("read the dump");
    let behind = |dump: &Path, sql: &str, name: &str| {
        let text = text(dump);
        let (rows, trailer) = text.split_at(text.rfind("UNLOCK TABLES").expect("an end of rows"));
        world.write(
            name,
            format!(
                "{rows}UNLOCK TABLES;\n{sql}\n{}",
                &trailer["UNLOCK TABLES;".len()..]
            )
            .as_bytes(),
        )
    };
    for (at, sql) in [
        "UPDATE big SET b = 0 WHERE id = 3;",
        "DELETE FROM big WHERE id = 3;",
        "ALTER TABLE big MODIFY b INT AFTER id;",
        "ALTER TABLE big DROP PRIMARY KEY, ADD PRIMARY KEY (b);",
    ]
    .iter()
    .enumerate()
    {
        let changed = [&plain, &other].map(|dump| behind(dump, sql, &format!("behind{at}.sql")));
        for dump in [&changed[0], &plain, &changed[1], &other] {
            let _ = load(&server).arg(dump).args(["--into=app"]).run().success();
            model(&server, dump);
            assert_eq!(
                checksums(&server, "app"),
                checksums(&server, "model"),
                "{sql}"
            );
        }
    }
}

/// A rollback leaves no row of others without its parent, and brings the counters back.
#[test]
fn a_rollback_of_a_difference_is_a_rollback() {
    let (world, server) = mariadb(&[]);
    let [(first, one), (second, _)] = releases(&world, &server);
    let _ = into_app(&server, &first);
    let next = || {
        server.sql("SELECT auto_increment FROM information_schema.tables WHERE table_schema = 'app' AND table_name = 'label'")
    };
    let before = next();
    let _ = into_app(&server, &second);
    assert_ne!(next(), before);
    server.sql("CREATE DATABASE others; CREATE TABLE others.child (big INT, FOREIGN KEY (big) REFERENCES app.big (id)); \
        INSERT INTO others.child VALUES (5000)");
    let _ = rollback(&server).fails_with(78, "others.child");
    server.sql("DROP DATABASE others; CREATE TRIGGER app.mine BEFORE INSERT ON app.big FOR EACH ROW SET NEW.note = 'fired'");
    let refused = rollback(&server);
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    server.sql("DROP TRIGGER app.mine");
    // Who may lose rows gets the rows of the previous release back, and keeps what others wrote elsewhere.
    server.sql(
        "DELETE FROM app.label WHERE id = 20; UPDATE app.big SET note = 'by hand' WHERE id = 3",
    );
    let _ = rollback(&server).fails_with(78, "written to");
    let _ = tool!("load")
        .args(["rollback", "--overwrite-modified", "--url", &server.url()])
        .run()
        .success();
    assert_eq!(
        server.sql("SELECT note FROM app.big WHERE id = 50").trim(),
        "n50"
    );
    assert_eq!(next(), before, "the counter");
    let _ = tool!("load")
        .args(["resume", "--url", &server.url()])
        .run()
        .success();
    let _ = load(&server)
        .arg(&first)
        .args(["--into=app", "--overwrite-modified"])
        .run()
        .success();
    assert_eq!(checksums(&server, "app"), one);
}

/// Transactions have the zone of the server's machine, sessions another one.
#[test]
fn a_server_in_another_zone_knows_who_wrote() {
    let (world, server) = mariadb(&["--default-time-zone=+09:00"]);
    let [(first, _), (second, two)] = releases(&world, &server);
    let _ = into_app(&server, &first);
    assert!(in_place(&into_app(&server, &second)));
    assert_eq!(checksums(&server, "app"), two);
    server.sql("UPDATE app.big SET note = 'by hand' WHERE id = 3");
    let _ = load(&server)
        .arg(&first)
        .arg("--into=app")
        .run()
        .fails_with(78, "written to");
}
