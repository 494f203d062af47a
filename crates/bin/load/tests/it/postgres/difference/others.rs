//! People who write, read and drop beside a change in place, and a server that crashes behind it.

use std::time::Duration;

use pilotfish_harness::{Holder, eventually};

use super::super::{load, postgres_15, verb};
use super::{Dumped, SHOP, in_place, loaded, releases, run};

/// What went in place is nobody else's to read, whatever new tables are open to by default.
#[test]
fn rows_that_went_are_hidden() {
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    server.sql(
        "app",
        "CREATE ROLE curious; ALTER DEFAULT PRIVILEGES FOR ROLE pilotfish GRANT SELECT ON TABLES TO curious;
         ALTER DEFAULT PRIVILEGES FOR ROLE pilotfish GRANT USAGE ON SCHEMAS TO curious",
    );
    let _ = loaded(&server, &first.dump);
    assert!(in_place(&loaded(&server, &second.dump)));
    let tables = "SELECT 'pilotfish_back.' || relname FROM pg_class WHERE relnamespace = 'pilotfish_back'::regnamespace";
    let tables = server.sql("app", tables);
    assert_eq!(tables.lines().count(), 8, "{tables}");
    for table in tables.lines().chain(["pilotfish.marks"]) {
        let asked = server.try_sql(
            "app",
            &format!("SET ROLE curious; SELECT count(*) FROM {table}"),
        );
        let denied = asked.expect_err("it is open to all");
        assert!(denied.contains("permission denied"), "{denied}");
    }
}

/// A row that others write behind a savepoint of a transaction that was at work, and one beside a row that goes.
#[test]
fn whoever_is_at_work_is_not_overlooked() {
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    server.sql("app", "CREATE TABLE public.other (n integer)");
    let writer = Holder::begin_on(
        &server,
        "app",
        "INSERT INTO public.other VALUES (1); SAVEPOINT deep; INSERT INTO public.other VALUES (2)",
    );
    assert!(in_place(&loaded(&server, &second.dump)));
    writer.commit_after("UPDATE app.big SET note = 'behind a savepoint' WHERE id = 3");
    let _ = run(&server, &first.dump, &[]).fails_with(78, "written to");
}

/// A row of others that would follow one that goes is not there yet when its transaction is still at work.
#[test]
fn rows_of_others_do_not_follow_those_that_go() {
    let (world, server) = postgres_15();
    server.create_database("source");
    server.sql("source", SHOP);
    server.sql(
        "source",
        "SET ROLE pilotfish; INSERT INTO app.big VALUES (6000, 1, NULL, NULL);
         CREATE TABLE app.remark (id integer PRIMARY KEY, big integer REFERENCES app.big ON DELETE CASCADE);
         CREATE INDEX remark_big ON app.remark (big); INSERT INTO app.remark VALUES (1, 8)",
    );
    let first = Dumped::of(&world, &server, "first.sql");
    server.sql("source", "DELETE FROM app.big WHERE id = 6000");
    let second = Dumped::of(&world, &server, "second.sql");
    let _ = loaded(&server, &first.dump);
    let writer = Holder::begin_on(&server, "app", "INSERT INTO app.remark VALUES (2, 6000)");
    let running = load(&server).arg(&second.dump).spawn();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    eventually("the load waits", Duration::from_secs(30), || {
        (server.sql("app", waits) != "0\n").then_some(())
    });
    writer.commit();
    let _ = running.wait().fails_with(78, "app.remark");
    let seen = "SELECT count(*) FROM app.remark WHERE big = 6000";
    assert_eq!(server.sql("app", seen), "1\n");
}

/// What a crash of the server leaves booked speaks of no other rows.
#[test]
fn marks_that_a_crash_took_are_not_mistaken() {
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    server.kill9();
    server.restart();
    assert!(!in_place(&loaded(&server, &second.dump)));
    let _ = verb(&server, &["rollback"]).success();
    let _ = verb(&server, &["resume"]).success();
    // The marks that are there are those of the second release.
    let _ = loaded(&server, &second.dump);
    second.assert_live(&server, "after a crash");
    assert!(in_place(&loaded(&server, &first.dump)));
    first.assert_live(&server, "marked anew");
}

/// A repair makes the live tables anew: what undoes the change before is given up, and stands in nobody's way.
#[test]
fn a_repair_gives_the_way_back_up() {
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    assert!(in_place(&loaded(&server, &second.dump)));
    for _ in 0..2 {
        server.sql("app", "DROP VIEW app.seen");
        assert!(!in_place(&loaded(&server, &second.dump)));
        second.assert_live(&server, "repaired");
    }
    let _ = verb(&server, &["rollback"]).fails_with(78, "no previous release");
    assert!(in_place(&loaded(&server, &first.dump)));
}

/// Whoever reads what undoes a change is not waited for, and what he made on it stays.
#[test]
fn readers_of_the_way_back_hold_nobody_up() {
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    assert!(in_place(&loaded(&server, &second.dump)));
    let rows = "SELECT string_agg(format('%I.%I', nspname, relname), ', ') FROM pg_class c \
         JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'pilotfish_back'";
    let rows = server.sql("app", rows).trim().to_owned();
    let reader = Holder::begin_on(
        &server,
        "app",
        &format!("LOCK TABLE {rows} IN ACCESS SHARE MODE"),
    );
    assert!(in_place(&loaded(&server, &first.dump)));
    first.assert_live(&server, "a reader was there");
    drop(reader);
    assert!(in_place(&loaded(&server, &second.dump)));
    let _ = verb(&server, &["rollback"]).success();
    first.assert_live(&server, "undone");
}

#[test]
fn a_way_back_that_somebody_dropped_is_told() {
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    let _ = loaded(&server, &second.dump);
    let drop = "DO $$ DECLARE t text; BEGIN SELECT relname INTO t FROM pg_class WHERE relname LIKE 'rows\\_%\\_0';
         EXECUTE 'DROP TABLE pilotfish_back.' || t; END $$";
    server.sql("app", drop);
    let _ = verb(&server, &["rollback"]).fails_with(78, "app.big");
    second.assert_live(&server, "nothing was undone");
}

#[test]
fn what_somebody_wrote_is_not_changed_over() {
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    // A row that the dump does not change, and one that it does.
    for id in [3, 50] {
        let by_hand = format!("UPDATE app.big SET note = 'by hand' WHERE id = {id}");
        server.sql("app", &by_hand);
        let _ = run(&server, &second.dump, &[]).fails_with(78, "written to");
    }
    let overruled = run(&server, &second.dump, &["--overwrite-modified"]).success();
    assert!(!in_place(&overruled.json()));
    second.assert_live(&server, "overruled");
}

/// A rollback that would lose what somebody wrote since the difference, to tables that it changed or did not.
#[test]
fn a_rollback_of_a_difference_looks_first() {
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    let _ = loaded(&server, &second.dump);
    server.sql("app", "UPDATE app.big SET note = 'by hand' WHERE id = 51");
    let _ = verb(&server, &["rollback"]).fails_with(78, "written to");
    let _ = verb(&server, &["rollback", "--overwrite-modified"]).success();
    let note = "SELECT note FROM app.big WHERE id IN (50, 51) ORDER BY id";
    // What is undone is the difference, and nothing else.
    assert_eq!(server.sql("app", note), "n50\nby hand\n");
    assert_eq!(
        server.sql("app", "SELECT count(*) FROM app.big WHERE id = 7"),
        "1\n"
    );
}

/// Who is at work is waited for, and nobody queues behind the load meanwhile; after that it says who it was.
#[test]
fn writers_do_not_queue_behind_a_load_that_waits() {
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    assert!(in_place(&loaded(&server, &second.dump)));
    let writer = Holder::begin_on(
        &server,
        "app",
        "UPDATE app.big SET note = note WHERE id = 3",
    );
    let rolling = pilotfish_harness::tool!("load")
        .args(["rollback", "--url", &server.url()])
        .spawn();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    eventually("the rollback waits", Duration::from_secs(30), || {
        (server.sql("app", waits) != "0\n").then_some(())
    });
    for _ in 0..5 {
        let quick = "SET statement_timeout = '2s'; BEGIN; UPDATE app.line SET note = note WHERE big = 4; ROLLBACK";
        server.sql("app", quick);
    }
    let _ = rolling.wait().fails_with(75, "has written to app.big");
    drop(writer);
    let _ = verb(&server, &["rollback"]).success();
    first.assert_live(&server, "undone");
}

#[test]
fn a_rollback_that_waits_for_a_writer_can_be_stopped() {
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    assert!(in_place(&loaded(&server, &second.dump)));
    let writer = Holder::begin_on(
        &server,
        "app",
        "UPDATE app.big SET note = note WHERE id = 3",
    );
    let rolling = pilotfish_harness::tool!("load")
        .args(["rollback", "--url", &server.url()])
        .spawn();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    eventually("the rollback waits", Duration::from_secs(30), || {
        (server.sql("app", waits) != "0\n").then_some(())
    });
    rolling.terminate();
    let done = rolling.wait();
    assert_eq!(done.code, Some(143), "{done}");
    drop(writer);
    second.assert_live(&server, "nothing was undone");
}
