//! Owners and grants: those of the dump or the account's, and never a role that is not there.

use std::io::Write as _;
use std::time::Duration;

use pilotfish_harness::{Postgres, World, eventually};

use super::{dump, left_behind, live, load, postgres_15};

/// A dump in which much belongs to others, and the roles are on this server.
fn of_several_roles(world: &World, server: &Postgres) -> std::path::PathBuf {
    server.create_database("source");
    server.sql(
        "source",
        "CREATE ROLE shop; CREATE ROLE clerk; CREATE ROLE \"Odd; role\";
         CREATE SCHEMA app AUTHORIZATION shop;
         CREATE TABLE app.t (id integer PRIMARY KEY, secret text);
         ALTER TABLE app.t OWNER TO shop;
         GRANT SELECT (id) ON app.t TO clerk;
         GRANT USAGE ON SCHEMA app TO clerk;
         CREATE VIEW app.v AS SELECT id FROM app.t;
         ALTER VIEW app.v OWNER TO \"Odd; role\";
         GRANT SELECT ON app.v TO PUBLIC;
         CREATE FUNCTION app.f() RETURNS integer LANGUAGE sql RETURN 1;
         REVOKE ALL ON FUNCTION app.f() FROM PUBLIC;
         ALTER TABLE app.t ENABLE ROW LEVEL SECURITY;
         CREATE POLICY mine ON app.t TO clerk USING (id > 0);
         ALTER DEFAULT PRIVILEGES FOR ROLE shop IN SCHEMA app GRANT SELECT ON TABLES TO clerk;
         INSERT INTO app.t VALUES (1, 'x');",
    );
    dump(world, server, "source", "roles.sql")
}

/// Who owns what, and who else may do what, in `app`.
fn rights(server: &Postgres, database: &str) -> String {
    server.sql(
        database,
        "SELECT nspname, pg_get_userbyid(nspowner), nspacl FROM pg_namespace WHERE nspname = 'app';
         SELECT relname, pg_get_userbyid(relowner), relacl FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'v') ORDER BY 1;
         SELECT attname, attacl FROM pg_attribute WHERE attrelid = 'app.t'::regclass AND attnum > 0 ORDER BY 1;
         SELECT proname, pg_get_userbyid(proowner), proacl FROM pg_proc WHERE pronamespace = 'app'::regnamespace;
         SELECT defaclobjtype, pg_get_userbyid(defaclrole), defaclnamespace::regnamespace, defaclacl FROM pg_default_acl WHERE defaclnamespace::regnamespace::text !~ '^pilotfish' ORDER BY 1;
         SELECT polname, polroles::regrole[] FROM pg_policy WHERE polrelid::regclass::text !~ '^pilotfish'",
    )
}

#[test]
fn owners_and_grants_of_the_dump_are_kept() {
    for swap in ["--swap=schema", "--swap=database"] {
        let (world, server) = postgres_15();
        let path = of_several_roles(&world, &server);
        server.sql("postgres", "ALTER ROLE pilotfish SUPERUSER");
        for turn in 0..2 {
            let done = load(&server).arg(&path).args(["--owner=keep", swap]).run();
            let _ = done.success();
            assert_eq!(
                rights(&server, "app"),
                rights(&server, "source"),
                "{swap} {turn}"
            );
            let more = format!("INSERT INTO app.t VALUES ({}, 'y')", turn + 2);
            server.sql("source", &more);
            server.dump_to("source", &[], &path);
        }
        let clerk = "SET ROLE clerk; SELECT id FROM app.t ORDER BY id";
        assert_eq!(server.sql("app", clerk), "1\n2\n");
        assert!(
            server
                .try_sql("app", "SET ROLE clerk; SELECT secret FROM app.t")
                .is_err()
        );
    }
}

#[test]
fn without_its_owners_all_belongs_to_the_account() {
    let (world, server) = postgres_15();
    let path = of_several_roles(&world, &server);
    let _ = load(&server).arg(&path).arg("--owner=drop").run().success();
    let owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'app'::regnamespace";
    assert_eq!(server.sql("app", owners), "pilotfish\n");
    assert_eq!(server.sql("app", "SELECT id FROM app.t"), "1\n");
}

#[test]
fn roles_that_are_missing_are_named_all_at_once_and_before_anything() {
    let (world, source) = postgres_15();
    let path = of_several_roles(&world, &source);
    let server = Postgres::start(source.kind(), &world, &[]);
    server.sql("postgres", "ALTER ROLE pilotfish SUPERUSER");
    let before = live(&server);
    for dry in [true, false] {
        let load = load(&server).arg(&path).arg("--owner=keep");
        let refused = if dry { load.arg("--dry-run") } else { load }.run();
        assert!(matches!(refused.code, Some(65 | 78)), "{refused}");
        for role in ["shop", "clerk", "Odd; role"] {
            assert!(refused.stderr.contains(role), "no {role}: {refused}");
        }
        assert!(refused.stderr.contains("--owner"), "{refused}");
        assert_eq!(live(&server), before);
        assert_eq!(left_behind(&server), "");
        let ledger = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pilotfish\\_%'";
        assert_eq!(server.sql("app", ledger), "0\n");
    }
    server.sql("postgres", "CREATE ROLE shop; CREATE ROLE \"Odd; role\"");
    let refused = load(&server).arg(&path).arg("--owner=keep").run();
    assert!(refused.stderr.contains("clerk"), "{refused}");
    assert!(!refused.stderr.contains("Odd; role"), "{refused}");
    server.sql("postgres", "CREATE ROLE clerk");
    let _ = load(&server).arg(&path).arg("--owner=keep").run().success();
    assert_eq!(rights(&server, "app"), rights(&source, "source"));
}

#[test]
fn an_account_that_may_not_give_things_away_is_told_before_the_swap() {
    let (world, server) = postgres_15();
    let path = of_several_roles(&world, &server);
    let before = live(&server);
    let refused = load(&server).arg(&path).arg("--owner=keep").run();
    assert!(matches!(refused.code, Some(77 | 78)), "{refused}");
    assert!(refused.stderr.contains("shop"), "{refused}");
    assert_eq!(live(&server), before);
    assert_eq!(left_behind(&server), "");
}

#[test]
fn rights_that_people_granted_outlive_a_swap_that_leaves_the_dumps_out() {
    for swap in ["--swap=schema", "--swap=database"] {
        let (world, server) = postgres_15();
        server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
        let path = of_several_roles(&world, &server);
        let run = || {
            let load = load(&server).arg(&path).args(["--owner=drop", swap]);
            load.run().success()
        };
        let _ = run();
        server.sql(
            "app",
            "SET ROLE pilotfish;
             GRANT USAGE ON SCHEMA app TO clerk; GRANT SELECT (id) ON app.t TO clerk; GRANT SELECT ON app.v TO clerk;
             REVOKE ALL ON FUNCTION app.f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION app.f() TO clerk;
             ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO clerk",
        );
        let before = rights(&server, "app");
        assert!(before.contains("clerk"), "{before}");
        server.sql("source", "INSERT INTO app.t VALUES (2, 'y')");
        server.dump_to("source", &[], &path);
        let _ = run();
        assert_eq!(rights(&server, "app"), before, "{swap}");
        let clerk = "SET ROLE clerk; SELECT id FROM app.t ORDER BY id";
        assert!(server.try_sql("app", clerk).is_ok());
    }
}

#[test]
fn rights_on_types_and_on_routines_that_take_them_outlive_a_swap() {
    let (world, server) = postgres_15();
    server.sql("postgres", "CREATE ROLE clerk; CREATE DATABASE source");
    server.sql(
        "source",
        "CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('ok'); CREATE DOMAIN app.name AS text;
         CREATE TABLE app.t (id integer); INSERT INTO app.t VALUES (1);
         CREATE FUNCTION app.f(app.mood[], app.name) RETURNS integer LANGUAGE sql RETURN 1;
         CREATE FUNCTION app.f(app.mood) RETURNS integer LANGUAGE sql RETURN 1",
    );
    let path = world.path().join("types.sql");
    let run = || {
        server.dump_to("source", &[], &path);
        let load = load(&server)
            .arg(&path)
            .args(["--owner=drop", "--swap=schema"]);
        let _ = load.run().success();
    };
    run();
    server.sql(
        "app",
        "SET ROLE pilotfish; REVOKE ALL ON TYPE app.mood FROM PUBLIC; GRANT USAGE ON TYPE app.mood TO clerk;
         REVOKE ALL ON FUNCTION app.f(app.mood[], app.name) FROM PUBLIC;
         GRANT EXECUTE ON FUNCTION app.f(app.mood[], app.name) TO clerk",
    );
    let rights = "SELECT oid::regprocedure, proacl FROM pg_proc WHERE pronamespace = 'app'::regnamespace
         UNION ALL SELECT oid::regtype, typacl FROM pg_type WHERE typnamespace = 'app'::regnamespace AND typtype <> 'b'
         ORDER BY 1";
    let rights = rights
        .replace("::regprocedure", "::regprocedure::text")
        .replace("::regtype", "::regtype::text");
    let before = server.sql("app", &rights);
    assert_eq!(before.matches("clerk").count(), 2, "{before}");
    server.sql("source", "INSERT INTO app.t VALUES (2)");
    run();
    assert_eq!(server.sql("app", &rights), before);
}

#[test]
fn rows_on_a_stage_are_not_shown_by_default_privileges_before_their_policies_are_there() {
    for swap in ["--swap=schema", "--swap=database"] {
        let (world, server) = postgres_15();
        server.sql(
            "postgres",
            "ALTER ROLE pilotfish CREATEDB; CREATE ROLE tenant",
        );
        server.sql(
            "app",
            "ALTER DEFAULT PRIVILEGES FOR ROLE pilotfish GRANT SELECT ON TABLES TO tenant; GRANT USAGE ON SCHEMA public TO tenant",
        );
        let made =
            "CREATE TABLE public.t (id integer);\nCOPY public.t (id) FROM stdin;\n1\n2\n\\.\n";
        let guarded = "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;\n\
             CREATE POLICY p ON public.t USING ((id = 1));\n\n\
             --\n-- PostgreSQL database dump complete\n--\n\n";
        let pipe = world.join("pipe");
        let fifo = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(fifo.expect("run mkfifo").success());
        let feed = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&pipe);
        let mut feed = feed.expect("open the pipe");
        let loader = load(&server)
            .args(["-", "--no-trailer", swap])
            .stdin_file(&pipe)
            .spawn();
        // A file's kind is told from its first bytes, so that there must be some.
        let beginning = format!("{}-- {}\n{made}", super::HEAD, "x".repeat(1000));
        feed.write_all(beginning.as_bytes()).expect("feed");
        let (database, place) = match swap {
            "--swap=schema" => ("app", "pilotfish_next_public"),
            _ => ("app__pilotfish_next", "public"),
        };
        let may = format!("SELECT has_table_privilege('tenant', '{place}.t', 'SELECT')");
        // The moment between a table and what is taken from it has no rows.
        eventually("a table that is not shown", Duration::from_secs(60), || {
            let seen = server.try_sql(database, &may);
            (seen == Ok("f\n".to_owned())).then_some(())
        });
        feed.write_all(guarded.as_bytes()).expect("feed");
        drop(feed);
        let _ = loader.wait().success();
        let rows = "SET ROLE tenant; SELECT string_agg(id::text, ',') FROM public.t";
        assert_eq!(server.sql("app", rows), "1\n", "{swap}");
    }
}

#[test]
fn rights_that_people_took_away_stay_away() {
    for swap in ["--swap=schema", "--swap=database"] {
        let (world, server) = postgres_15();
        server.sql(
            "postgres",
            "ALTER ROLE pilotfish CREATEDB; CREATE ROLE clerk",
        );
        server.sql(
            "app",
            "ALTER DEFAULT PRIVILEGES FOR ROLE pilotfish GRANT SELECT ON TABLES TO clerk; GRANT USAGE ON SCHEMA public TO clerk",
        );
        let release = |name: &str, number: u32, more: &str| {
            let body = format!(
                "CREATE TABLE public.salaries (id integer, amount integer);\n{more}\
                 COPY public.salaries (id, amount) FROM stdin;\n{number}\t7\n\\.\n"
            );
            super::script(&world, name, &body)
        };
        let run = |dump| {
            let load = load(&server).arg(dump).args([swap, "--owner=drop"]);
            let _ = load.run().success();
        };
        run(release("v1.sql", 1, ""));
        let may = |what: &str| server.try_sql("app", &format!("SET ROLE clerk; {what}"));
        assert!(may("SELECT * FROM public.salaries").is_ok());
        server.sql(
            "app",
            "SET ROLE pilotfish; REVOKE SELECT ON public.salaries FROM clerk; GRANT SELECT (id) ON public.salaries TO clerk",
        );
        run(release(
            "v2.sql",
            2,
            "CREATE TABLE public.fresh (id integer);\n",
        ));
        assert_eq!(
            may("SELECT id FROM public.salaries"),
            Ok("2\n".to_owned()),
            "{swap}"
        );
        assert!(may("SELECT * FROM public.salaries").is_err(), "{swap}");
        assert!(
            may("SELECT * FROM public.fresh").is_ok(),
            "{swap}: a new table has the defaults"
        );
    }
}

#[test]
fn an_account_that_would_be_bound_by_policies_is_told_before_the_swap() {
    let (world, server) = postgres_15();
    let body = "CREATE TABLE public.t (id integer);\nCOPY public.t (id) FROM stdin;\n1\n\\.\n\
         ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;\nALTER TABLE ONLY public.t FORCE ROW LEVEL SECURITY;\n";
    let first = super::script(&world, "v1.sql", body);
    let _ = load(&server).arg(&first).run().fails_with(78, "BYPASSRLS");
    assert_eq!(left_behind(&server), "");
    server.sql("postgres", "ALTER ROLE pilotfish BYPASSRLS");
    let second = super::script(&world, "v2.sql", &body.replace("\n1\n", "\n2\n"));
    for dump in [&first, &second] {
        let _ = load(&server).arg(dump).run().success();
    }
    assert_eq!(server.sql("app", "SELECT id FROM public.t"), "2\n");
}
