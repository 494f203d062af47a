//! The ledger: nothing to do, what is loaded again, rollbacks and what they may not lose.

use std::path::PathBuf;

use pilotfish_harness::{Finished, Postgres, World};

use super::{live, load, postgres_15, release_no, two_releases, verb};

/// A server with both releases loaded, one after the other.
fn with_both(swap: &str) -> (World, Postgres, [PathBuf; 2]) {
    let (world, server) = postgres_15();
    server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
    let (first, second) = two_releases(&world, &server);
    for dump in [&first, &second] {
        let _ = load(&server).arg(dump).arg(swap).run().success();
    }
    (world, server, [first, second])
}

fn run(server: &Postgres, dump: &PathBuf, more: &[&str]) -> Finished {
    load(server).arg(dump).args(more).run()
}

#[test]
fn a_rollback_brings_the_previous_release_back_whole() {
    for swap in ["--swap=schema", "--swap=database"] {
        let (world, server) = postgres_15();
        server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
        let (first, second) = two_releases(&world, &server);
        let _ = run(&server, &first, &[swap]).success();
        let before = live(&server);
        let _ = run(&server, &second, &[swap]).success();
        assert_ne!(live(&server), before);
        let _ = verb(&server, &["rollback"]).success();
        assert_eq!(live(&server), before, "{swap}");
        // What was rolled back stays away until it is allowed again.
        let _ = run(&server, &second, &[swap]).fails_with(65, "rolled back");
        assert_eq!(release_no(&server), "1");
        let _ = verb(&server, &["resume"]).success();
        let _ = run(&server, &second, &[swap]).success();
        assert_eq!(release_no(&server), "2");
    }
}

#[test]
fn a_rollback_does_not_drop_rows_written_since_the_load() {
    let (_world, server, _) = with_both("--swap=schema");
    server.sql("app", "INSERT INTO public.a VALUES (7777, 2, 'by hand')");
    let _ = verb(&server, &["rollback"]).fails_with(78, "written to");
    let seen = "SELECT note FROM public.a WHERE id = 7777";
    assert_eq!(server.sql("app", seen), "by hand\n");
    let _ = verb(&server, &["rollback", "--overwrite-modified"]).success();
    assert_eq!(release_no(&server), "1");
}

#[test]
fn a_load_does_not_drop_rows_written_since_the_last_one() {
    let (_world, server, [first, _]) = with_both("--swap=schema");
    for change in [
        "INSERT INTO public.a VALUES (7777, 2, 'by hand')",
        "UPDATE public.a SET note = 'by hand' WHERE id = 1",
        "DELETE FROM app.b WHERE id = 1",
    ] {
        let _ = server.sql("app", change);
        let before = live(&server);
        let _ = run(&server, &first, &[]).fails_with(78, "--overwrite-modified");
        assert_eq!(live(&server), before, "{change}");
    }
    let _ = run(&server, &first, &["--overwrite-modified"]).success();
    assert_eq!(release_no(&server), "1");
}

#[test]
fn the_status_names_what_is_live_and_what_could_come_back() {
    let (_world, server, _) = with_both("--swap=schema");
    let status = verb(&server, &["status", "--output=json"]).success().json();
    assert_eq!(status[0]["database"], "app");
    assert_eq!(status[0]["finishing"], false);
    let newer = status[0]["digest"].as_str().expect("a digest").to_owned();
    let _ = verb(&server, &["rollback"]).success();
    let status = verb(&server, &["status", "--output=json"]).success().json();
    assert_eq!(status[0]["rejected"], serde_json::json!([newer]));
    let _ = verb(&server, &["rollback"]).fails_with(78, "no previous release");
}

#[test]
fn without_a_previous_release_nothing_is_kept_and_nothing_comes_back() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    for dump in [&first, &second] {
        let _ = run(&server, dump, &["--keep-previous=false"]).success();
    }
    let kept = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pilotfish\\_%'";
    assert_eq!(server.sql("app", kept), "0\n");
    let _ = verb(&server, &["rollback"]).fails_with(78, "no previous release");
    assert_eq!(release_no(&server), "2");
}

#[test]
fn the_same_digest_is_nothing_to_do_and_writes_nothing() {
    let (_world, server, [_, second]) = with_both("--swap=schema");
    let of_tables = "SELECT c.oid, relfilenode, relname FROM pg_class c WHERE relname IN ('a', 'b', 'same') ORDER BY 1";
    let before = server.sql("app", of_tables);
    let done = run(&server, &second, &[]).success();
    assert!(done.stderr.contains("nothing to do"), "{done}");
    assert_eq!(server.sql("app", of_tables), before);
}

#[test]
fn unchanged_tables_are_not_loaded_again_and_keep_their_rows_and_sequence() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = run(&server, &first, &[]).success();
    let before = server.sql("app", "SELECT id, text FROM public.same ORDER BY id");
    let done = run(&server, &second, &["--output=json"]).success();
    assert_eq!(
        done.json()["tables_loaded"],
        serde_json::json!(["a", "app.b"])
    );
    assert_eq!(done.json()["tables_unchanged"], serde_json::json!(["same"]));
    assert_eq!(
        server.sql("app", "SELECT id, text FROM public.same ORDER BY id"),
        before
    );
    let insert = "INSERT INTO public.same (text) VALUES ('three') RETURNING id";
    assert_eq!(server.sql("app", insert), "3\n");
}

#[test]
fn a_dry_run_changes_nothing() {
    let (world, server) = postgres_15();
    let (first, _) = two_releases(&world, &server);
    let before = server.sql("app", "SELECT count(*) FROM pg_class");
    let done = run(&server, &first, &["--dry-run"]).success();
    assert!(done.stdout.contains("load: a, app.b, same"), "{done}");
    assert_eq!(server.sql("app", "SELECT count(*) FROM pg_class"), before);
}

#[test]
fn a_view_that_alone_changed_or_was_dropped_comes_with_its_tables() {
    let (world, server) = postgres_15();
    let release = |name: &str, number: u32| {
        let body = format!(
            "CREATE TABLE public.t (id integer);\nCREATE VIEW public.v AS SELECT {number} AS n;\n\
             COPY public.t (id) FROM stdin;\n1\n\\.\n"
        );
        super::script(&world, name, &body)
    };
    let seen = || {
        server.sql(
            "app",
            "SELECT n, (SELECT count(*) FROM public.t) FROM public.v",
        )
    };
    let (first, second) = (release("v1.sql", 1), release("v2.sql", 2));
    let _ = run(&server, &first, &[]).success();
    let _ = run(&server, &second, &[]).success();
    assert_eq!(seen(), "2\t1\n");
    server.sql("app", "DROP VIEW public.v");
    let _ = run(&server, &second, &[]).success();
    assert_eq!(seen(), "2\t1\n");
    server.sql("app", "INSERT INTO public.t VALUES (7)");
    let _ = run(&server, &first, &[]).fails_with(78, "written to");
    assert_eq!(seen(), "2\t2\n");
}

#[test]
fn a_release_that_brought_a_publication_is_rolled_back_and_replaced() {
    let (world, server) = postgres_15();
    let release = |name: &str, number: u32, more: &str| {
        let body = format!(
            "CREATE TABLE public.t (id integer);\nCOPY public.t (id) FROM stdin;\n{number}\n\\.\n{more}"
        );
        super::script(&world, name, &body)
    };
    let feed = "CREATE PUBLICATION feed WITH (publish = 'insert');\nALTER PUBLICATION feed ADD TABLE ONLY public.t;\n";
    let plain = release("v1.sql", 1, "");
    let with_feed = release("v2.sql", 2, feed);
    let published = || server.sql("app", "SELECT tablename FROM pg_publication_tables");
    for dump in [&plain, &with_feed] {
        let _ = run(&server, dump, &["--swap=schema"]).success();
    }
    assert_eq!(published(), "t\n");
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(published(), "");
    assert_eq!(server.sql("app", "SELECT id FROM public.t"), "1\n");
    let _ = verb(&server, &["resume"]).success();
    let _ = run(&server, &with_feed, &["--swap=schema"]).success();
    let _ = run(&server, &release("v3.sql", 3, ""), &["--swap=schema"]).success();
    assert_eq!(published(), "");
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(published(), "t\n");
}

#[test]
fn tables_that_came_back_to_their_owner_are_not_taken_again_unasked() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    server.sql(
        "app",
        "SET ROLE pilotfish; CREATE TABLE public.a (mine integer); INSERT INTO public.a VALUES (7)",
    );
    let _ = run(&server, &first, &["--adopt"]).success();
    let _ = verb(&server, &["rollback"]).success();
    server.sql("app", "INSERT INTO public.a VALUES (8)");
    let _ = run(&server, &second, &[]).fails_with(78, "--adopt");
    assert_eq!(server.sql("app", "SELECT sum(mine) FROM public.a"), "15\n");
}

#[test]
fn rows_of_the_last_moment_outlive_a_rollback_that_was_killed_behind_its_swap() {
    let (_world, server, [first, _]) = with_both("--swap=schema");
    // What the swap's transaction of a rollback commits, with a row of the moment before it.
    server.sql(
        "app",
        "INSERT INTO public.a VALUES (7777, 2, 'by hand');
         ALTER SCHEMA public RENAME TO pilotfish_gone_public; ALTER SCHEMA app RENAME TO pilotfish_gone_app;
         ALTER SCHEMA pilotfish_prev_public RENAME TO public; ALTER SCHEMA pilotfish_prev_app RENAME TO app;
         UPDATE pilotfish.releases SET role = 'undone' WHERE role = 'live';
         UPDATE pilotfish.releases SET role = 'live' WHERE role = 'previous'",
    );
    let seen = "SELECT note FROM pilotfish_gone_public.a WHERE id = 7777";
    for _ in 0..2 {
        let done = run(&server, &first, &[]).success();
        assert!(done.stderr.contains("pilotfish_gone_public.a"), "{done}");
        assert_eq!(server.sql("app", seen), "by hand\n");
    }
    server.sql(
        "app",
        "SET client_min_messages = error; DROP SCHEMA pilotfish_gone_public CASCADE",
    );
    let done = run(&server, &first, &["--output=json"]).success();
    assert_eq!(
        done.json()["notes"],
        serde_json::json!(["dropped what the last swap had replaced"])
    );
    assert_eq!(release_no(&server), "1");
}
