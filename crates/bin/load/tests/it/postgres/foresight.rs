//! What is refused before anything is staged: nobody waits hours to be told what was known at once.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use pilotfish_harness::{Finished, eventually, tool};

use super::{left_behind, live, load, postgres_15, release_no, script, two_releases};

/// Refused, and no row was read for it.
#[track_caller]
fn early(refused: Finished, code: i32, words: &str) -> Finished {
    let refused = refused.fails_with(code, words);
    // What a load says when it begins to fill a stage.
    assert!(!refused.stderr.contains("rows_by"), "{refused}");
    refused
}

#[test]
fn a_view_of_others_is_named_once_with_its_table_and_before_anything_is_staged() {
    let (world, server) = postgres_15();
    server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    server.sql(
        "app",
        "CREATE SCHEMA reports; CREATE VIEW reports.v AS SELECT a.id, note FROM public.a JOIN app.b USING (id)",
    );
    for swap in ["--swap=auto", "--swap=schema"] {
        for dry in [&["--dry-run"][..], &[]] {
            let refused = load(&server).arg(&second).arg(swap).args(dry).run();
            let refused = early(refused, 78, "view reports.v depends on table public.a");
            assert!(!refused.stderr.contains("begins again"), "{refused}");
            assert!(!refused.stderr.contains("pilotfish_prev"), "{refused}");
        }
    }
    // The account's own, in a swapped schema itself.
    server.sql(
        "app",
        "DROP SCHEMA reports CASCADE; SET ROLE pilotfish; CREATE VIEW public.report AS SELECT id FROM public.a;
         CREATE TABLE public.own (id serial PRIMARY KEY, up integer REFERENCES public.own);
         CREATE TABLE public.owns (list public.own[]);
         CREATE TYPE app.mood AS ENUM ('x'); CREATE TABLE app.moods (m app.mood[], n integer DEFAULT length('x'))",
    );
    let refused = load(&server).arg(&second).run();
    let refused = early(refused, 78, "view public.report depends on table public.a");
    assert!(
        !refused.stderr.contains("public.own") && !refused.stderr.contains("mood"),
        "{refused}"
    );
    server.sql("app", "DROP VIEW public.report");
    let _ = load(&server).arg(&second).run().success();
    assert_eq!(release_no(&server), "2");
}

#[test]
fn somebodys_temporary_table_is_waited_for_and_named() {
    let (world, server) = postgres_15();
    let release = |name: &str, number: u32| {
        let body = format!(
            "CREATE TYPE public.mood AS ENUM ('ok');\nCREATE TABLE public.t (id integer, m public.mood);\n\
             COPY public.t (id, m) FROM stdin;\n{number}\tok\n\\.\n"
        );
        script(&world, name, &body)
    };
    let _ = load(&server).arg(release("v1.sql", 1)).run().success();
    let mut session = server.client("app");
    let mut session = session.stdin(Stdio::piped()).spawn().expect("run psql");
    let mut to = session.stdin.take().expect("stdin");
    to.write_all(b"CREATE TEMP TABLE mine AS SELECT * FROM public.t;\n")
        .expect("write");
    let made = "SELECT count(*) FROM pg_class WHERE relname = 'mine'";
    eventually("the temporary table", Duration::from_secs(30), || {
        (server.sql("app", made) == "1\n").then_some(())
    });
    let second = release("v2.sql", 2);
    let held = load(&server).arg(&second).arg("--swap-timeout=2s").run();
    let held = held.fails_with(75, "mine");
    assert_eq!(
        server.sql("app", "SELECT id FROM public.t"),
        "1\n",
        "{held}"
    );
    drop(to);
    assert!(session.wait().expect("wait for psql").success());
    let _ = load(&server).arg(&second).run().success();
}

#[test]
fn a_table_that_others_own_in_a_swapped_schema_is_named_before_anything_is_staged() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    server.sql("app", "CREATE TABLE public.theirs (id integer)");
    let _ = early(load(&server).arg(&first).run(), 78, "theirs (of postgres)");
    server.sql("app", "DROP TABLE public.theirs");
    let _ = load(&server).arg(&first).run().success();
    server.sql("app", "CREATE TYPE app.theirs AS ENUM ('x')");
    let refused = early(
        load(&server).arg(&second).run(),
        78,
        "app.theirs (of postgres)",
    );
    assert_eq!(left_behind(&server), "", "{refused}");
    server.sql("app", "ALTER TYPE app.theirs OWNER TO pilotfish");
    let _ = load(&server).arg(&second).run().success();
    assert_eq!(server.sql("app", "SELECT 'x'::app.theirs"), "x\n");
}

#[test]
fn a_first_load_is_told_of_tables_in_its_way_before_anything_is_staged() {
    let (world, server) = postgres_15();
    let (first, _) = two_releases(&world, &server);
    server.sql(
        "app",
        "CREATE TABLE public.a (mine integer); ALTER TABLE public.a OWNER TO pilotfish",
    );
    let before = live(&server);
    for owner in ["--owner=keep", "--owner=drop"] {
        let refused = load(&server).arg(&first).arg(owner).run();
        let _ = early(refused, 78, "--adopt");
        assert_eq!(live(&server), before);
    }
}

#[test]
fn owners_to_whom_the_account_may_give_nothing_are_named_all_at_once() {
    let (world, server) = postgres_15();
    server.sql(
        "postgres",
        "CREATE ROLE shop; CREATE ROLE clerk; CREATE ROLE reader",
    );
    let dump = script(
        &world,
        "owned.sql",
        "CREATE TABLE public.t (id integer);\nALTER TABLE public.t OWNER TO shop;\n\
         CREATE TABLE public.u (id integer);\nALTER TABLE public.u OWNER TO clerk;\n\
         GRANT SELECT ON TABLE public.u TO reader;\n\
         COPY public.t (id) FROM stdin;\n1\n\\.\n",
    );
    let refused = load(&server).arg(&dump).arg("--owner=keep").run();
    let refused = early(refused, 78, "clerk, shop");
    assert!(refused.stderr.contains("--owner drop"), "{refused}");
    assert!(!refused.stderr.contains("reader"), "{refused}");
    server.sql(
        "postgres",
        "GRANT shop, clerk TO pilotfish; GRANT ALL ON SCHEMA public TO shop, clerk",
    );
    server.sql("app", "GRANT ALL ON SCHEMA public TO shop, clerk");
    let _ = load(&server).arg(&dump).arg("--owner=keep").run().success();
    assert_eq!(server.sql("app", "SELECT id FROM public.t"), "1\n");
}

#[test]
fn a_part_of_a_dump_is_refused_at_once() {
    let (world, server) = postgres_15();
    let (first, _) = two_releases(&world, &server);
    let refused = load(&server).arg(&first).arg("--only=a").run();
    let _ = early(refused, 64, "--only");
}

#[test]
fn a_dump_of_another_kind_of_server_is_called_by_its_name() {
    let (world, server) = postgres_15();
    for head in [
        "-- MySQL dump 10.13  Distrib 8.0.36\n--\n",
        "-- MariaDB dump 10.19\n",
        "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\n",
    ] {
        let dump = world.write(
            "theirs.sql",
            format!("{head}CREATE TABLE `t` (`id` int);\n"),
        );
        let refused = load(&server)
            .arg(&dump)
            .run()
            .fails_with(65, "MariaDB or MySQL");
        assert!(refused.stderr.contains("PostgreSQL"), "{refused}");
    }
}

#[test]
fn a_database_that_is_missing_is_a_matter_of_settings() {
    let (world, server) = postgres_15();
    let (first, _) = two_releases(&world, &server);
    let url = server.url().replace("/app", "/nowhere");
    let refused = tool!("load").arg(&first).args(["--url", &url]).run();
    let _ = refused.fails_with(78, "nowhere");
}

#[test]
fn what_a_dump_of_several_databases_has_beside_the_chosen_one_is_said() {
    let (world, server) = postgres_15();
    let part = |database: &str| {
        format!(
            "\\connect {database}\n\n--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.{database}_t (id integer);\n\n\
             --\n-- PostgreSQL database dump complete\n--\n\n"
        )
    };
    let cluster = |parts: &str| {
        format!(
            "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE someone;\n\n{parts}\
             --\n-- PostgreSQL database cluster dump complete\n--\n\n"
        )
    };
    let whole = world.write("all.sql", cluster(&(part("app") + &part("other"))));
    let done = load(&server)
        .arg(&whole)
        .arg("--output=json")
        .run()
        .success();
    let notes = done.json()["notes"].to_string();
    assert!(notes.contains("the database other"), "{notes}");
    let roles = world.write("globals.sql", cluster(""));
    let _ = load(&server)
        .arg(&roles)
        .run()
        .fails_with(65, "roles and tablespaces alone");
}

#[test]
fn what_belongs_to_a_replaced_database_is_not_lost_with_it() {
    let (world, server) = postgres_15();
    server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
    let (first, second) = two_releases(&world, &server);
    let swap = |dump| load(&server).arg(dump).arg("--swap=database").run();
    let _ = swap(&first).success();
    // Trusted: the account may make it in the next database, too.
    server.sql("app", "CREATE EXTENSION citext");
    let _ = swap(&second).success();
    let extensions = "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'";
    assert_eq!(server.sql("app", extensions), "citext\n");
    for (make, unmake, name) in [
        (
            "CREATE PUBLICATION feed",
            "DROP PUBLICATION feed",
            "publication feed",
        ),
        (
            "CREATE EXTENSION pageinspect",
            "DROP EXTENSION pageinspect",
            "extension pageinspect",
        ),
    ] {
        server.sql("app", make);
        let refused = swap(&first).fails_with(78, name);
        assert_eq!(release_no(&server), "2", "{refused}");
        assert_eq!(left_behind(&server), "", "{refused}");
        server.sql("app", unmake);
    }
    let _ = swap(&first).success();
    assert_eq!(release_no(&server), "1");
}

#[test]
fn a_publication_of_others_is_named_before_anything_is_staged() {
    let (world, server) = postgres_15();
    server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    server.sql("app", "CREATE PUBLICATION feed FOR TABLE app.b");
    let refused = load(&server).arg(&second).run();
    let _ = early(refused, 78, "publication feed");
    server.sql("app", "DROP PUBLICATION feed");
    let _ = load(&server).arg(&second).run().success();
    assert_eq!(release_no(&server), "2");
}
