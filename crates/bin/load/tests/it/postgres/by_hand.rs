//! What people did to live tables and to the release before, and what a load, the same load and a rollback make of it.

use std::path::PathBuf;

use pilotfish_harness::{World, tool};

use super::{left_behind, load, postgres_15, release_no, script, two_releases, verb};

/// What hangs on a table and changes what people see or may do.
const ATTACHED: &[(&str, &str)] = &[
    (
        "CREATE POLICY mine ON public.a USING (id > 7)",
        "policy mine on a",
    ),
    (
        "ALTER TABLE app.b ENABLE ROW LEVEL SECURITY",
        "row level security on app.b",
    ),
    (
        "CREATE FUNCTION aside.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER t BEFORE INSERT ON app.b EXECUTE FUNCTION aside.f()",
        "trigger t on app.b",
    ),
    (
        "CREATE RULE r AS ON DELETE TO public.a DO INSTEAD NOTHING",
        "rule r on a",
    ),
    (
        "ALTER TABLE public.a ADD CONSTRAINT positive CHECK (id > 0)",
        "constraint positive on a",
    ),
    (
        "ALTER TABLE app.b ADD COLUMN mine int",
        "column mine on app.b",
    ),
];

#[test]
fn what_people_made_on_a_swapped_table_is_not_dropped_unasked() {
    for swap in ["--swap=schema", "--swap=database"] {
        let (world, server) = postgres_15();
        server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
        let (first, second) = two_releases(&world, &server);
        for (create, name) in ATTACHED {
            let _ = load(&server)
                .arg(&first)
                .args([swap, "--adopt", "--overwrite-modified"])
                .run()
                .success();
            server.sql(
                "app",
                &format!("SET ROLE pilotfish; CREATE SCHEMA aside; {create}"),
            );
            let refused = load(&server).arg(&second).args([swap, "--adopt"]).run();
            let refused = refused.fails_with(78, name);
            assert!(refused.stderr.contains("--overwrite-modified"), "{refused}");
            assert!(
                !refused.stderr.contains("rows_by"),
                "before the stage: {refused}"
            );
            assert_eq!(release_no(&server), "1");
            server.sql(
                "app",
                "SET client_min_messages = error; DROP SCHEMA aside CASCADE",
            );
            // The same release again has nothing to replace.
            let same = load(&server).arg(&first).arg(swap).run().success();
            assert!(same.stderr.contains("nothing to do"), "{same}");
        }
        let _ = load(&server)
            .arg(&second)
            .args([swap, "--overwrite-modified"])
            .run()
            .success();
        assert_eq!(release_no(&server), "2");
        server.sql("app", "CREATE POLICY mine ON public.a USING (true)");
        let _ = verb(&server, &["rollback"]).fails_with(78, "policy mine on a");
        assert_eq!(release_no(&server), "2");
    }
}

#[test]
fn an_index_that_people_made_is_named_when_it_goes() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    server.sql(
        "app",
        "SET ROLE pilotfish; CREATE INDEX fast ON public.a (release_no);
         CREATE STATISTICS app.pairs ON id, release_no FROM app.b",
    );
    let done = load(&server)
        .arg(&second)
        .arg("--output=json")
        .run()
        .success();
    let notes = done.json()["notes"].to_string();
    for name in ["index fast on a", "statistics pairs on app.b"] {
        assert!(notes.contains(name), "{notes}");
    }
    assert!(!notes.contains("a_note"), "the dump's own: {notes}");
    // From now on there is nothing to name.
    let done = load(&server)
        .arg(&first)
        .arg("--output=json")
        .run()
        .success();
    assert_eq!(done.json()["notes"], serde_json::json!([]));
}

#[test]
fn a_table_that_somebody_emptied_is_told_also_by_the_same_dump() {
    let (world, server) = postgres_15();
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    server.sql("app", "TRUNCATE app.b");
    let refused = load(&server).arg(&first).run();
    let refused = refused.fails_with(78, "app.b (0 of 500 rows are left)");
    assert!(refused.stderr.contains("--overwrite-modified"), "{refused}");
    let _ = load(&server)
        .arg(&first)
        .arg("--overwrite-modified")
        .run()
        .success();
    assert_eq!(server.sql("app", "SELECT count(*) FROM app.b"), "500\n");
}

#[test]
fn a_rollback_does_not_bring_a_damaged_release_back_unasked() {
    for (damage, how) in [
        (
            "TRUNCATE pilotfish_prev_app.b",
            "app.b (0 of 500 rows are left)",
        ),
        (
            "DELETE FROM pilotfish_prev_app.b WHERE id < 11",
            "app.b (490 of 500 rows are left)",
        ),
        ("DROP TABLE pilotfish_prev_app.b CASCADE", "app.b (gone)"),
    ] {
        let (world, server) = postgres_15();
        let (first, second) = two_releases(&world, &server);
        for dump in [&first, &second] {
            let _ = load(&server).arg(dump).arg("--swap=schema").run().success();
        }
        server.sql("app", &format!("SET client_min_messages = error; {damage}"));
        let refused = verb(&server, &["rollback"]).fails_with(78, how);
        assert_eq!(release_no(&server), "2", "{refused}");
        let status = verb(&server, &["status", "--output=json"]).success().json();
        assert_eq!(status[0]["rejected"], serde_json::json!([]));
    }
}

/// Two releases of a table that a policy guards, with a view and a function that only its owner may call.
fn guarded(world: &World) -> [PathBuf; 2] {
    [1, 2].map(|number| {
        let body = format!(
            "CREATE TABLE public.secret (id integer);\n\
             CREATE FUNCTION public.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER RETURN 1;\n\
             REVOKE ALL ON FUNCTION public.peek() FROM PUBLIC;\n\
             CREATE VIEW public.v AS SELECT id FROM public.secret;\n\
             COPY public.secret (id) FROM stdin;\n{number}\n\\.\n\
             ALTER TABLE public.secret ENABLE ROW LEVEL SECURITY;\n\
             CREATE POLICY s ON public.secret USING ((id > 0));\n"
        );
        script(world, &format!("v{number}.sql"), &body)
    })
}

#[test]
fn a_policy_that_somebody_altered_is_not_replaced_unasked_and_one_that_is_gone_comes_back() {
    let (world, server) = postgres_15();
    let [first, second] = guarded(&world);
    let _ = load(&server).arg(&first).run().success();
    let seen = "SELECT qual FROM pg_policies WHERE policyname = 's' AND schemaname = 'public'";
    server.sql("app", "ALTER POLICY s ON public.secret USING (false)");
    let refused = load(&server).arg(&second).run();
    let _ = refused.fails_with(78, "policy s on secret, which somebody altered");
    assert_eq!(server.sql("app", seen), "false\n");
    server.sql("app", "DROP POLICY s ON public.secret");
    let repaired = load(&server).arg(&first).run().success();
    assert_eq!(server.sql("app", seen), "(id > 0)\n", "{repaired}");
    let same = load(&server).arg(&first).run().success();
    assert!(same.stderr.contains("nothing to do"), "{same}");
    let _ = load(&server).arg(&second).run().success();
    for damage in [
        "ALTER POLICY s ON pilotfish_prev_public.secret USING (true)",
        "DROP POLICY s ON pilotfish_prev_public.secret",
        "DROP VIEW pilotfish_prev_public.v",
    ] {
        server.sql("app", damage);
        let refused = verb(&server, &["rollback"]).fails_with(78, "is not as it was");
        assert_eq!(
            server.sql("app", "SELECT id FROM public.secret"),
            "2\n",
            "{refused}"
        );
    }
}

#[test]
fn what_a_dump_closes_to_everybody_is_closed_also_without_its_owners() {
    for swap in ["--swap=schema", "--swap=database"] {
        let (world, server) = postgres_15();
        server.sql(
            "postgres",
            "ALTER ROLE pilotfish CREATEDB; CREATE ROLE reader",
        );
        server.sql("app", "GRANT USAGE ON SCHEMA public TO reader");
        for dump in guarded(&world) {
            let load = load(&server).arg(&dump).args(["--owner=drop", swap]);
            let _ = load.run().success();
            let open = "SELECT has_function_privilege('reader', 'public.peek()', 'EXECUTE')";
            assert_eq!(server.sql("app", open), "f\n", "{swap}");
        }
    }
}

#[test]
fn a_rollback_leaves_people_the_rights_that_they_have() {
    for swap in ["--swap=schema", "--swap=database"] {
        let (world, server) = postgres_15();
        server.sql(
            "postgres",
            "ALTER ROLE pilotfish CREATEDB; CREATE ROLE reader; CREATE ROLE other",
        );
        let (first, second) = two_releases(&world, &server);
        let run = |dump| {
            let load = load(&server).arg(dump).args(["--owner=drop", swap]);
            let _ = load.run().success();
        };
        run(&first);
        server.sql(
            "app",
            "SET ROLE pilotfish; GRANT SELECT ON public.a, app.b TO reader",
        );
        run(&second);
        server.sql(
            "app",
            "SET ROLE pilotfish; REVOKE SELECT ON public.a FROM reader; GRANT SELECT ON public.same TO other",
        );
        let _ = verb(&server, &["rollback"]).success();
        let rights = "SELECT has_table_privilege('reader', 'public.a', 'SELECT'), has_table_privilege('reader', 'app.b', 'SELECT'),
             has_table_privilege('other', 'public.same', 'SELECT')";
        assert_eq!(server.sql("app", rights), "f\tt\tt\n", "{swap}");
    }
}

#[test]
fn a_repair_keeps_the_release_before() {
    for swap in ["--swap=schema", "--swap=database"] {
        let (world, server) = postgres_15();
        server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
        let (first, second) = two_releases(&world, &server);
        for dump in [&first, &second] {
            let _ = load(&server).arg(dump).arg(swap).run().success();
        }
        server.sql(
            "app",
            "SET client_min_messages = error; DROP TABLE app.b CASCADE",
        );
        let _ = load(&server).arg(&second).arg(swap).run().success();
        assert_eq!(release_no(&server), "2");
        assert_eq!(left_behind(&server), "");
        let _ = verb(&server, &["rollback"]).success();
        assert_eq!(release_no(&server), "1", "{swap}");
    }
}

#[test]
fn tables_and_views_that_stand_there_are_taken_over() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    server.sql("postgres", "ALTER DATABASE app OWNER TO pilotfish");
    server.sql_file("app", &first);
    let refused = load(&server).arg(&first).run().fails_with(78, "--adopt");
    assert!(!refused.stderr.contains("depends on"), "{refused}");
    let _ = load(&server)
        .arg(&second)
        .args(["--adopt", "--swap=schema"])
        .run()
        .success();
    assert_eq!(release_no(&server), "2");
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(release_no(&server), "1");
}

#[test]
fn what_the_account_made_beside_the_ledger_unawares_is_named() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    // "$user" comes first in its search path, and the schema of the ledger is called so.
    server.sql(
        "app",
        "SET ROLE pilotfish; CREATE VIEW stale AS SELECT count(*) FROM public.a",
    );
    let _ = load(&server)
        .arg(&second)
        .run()
        .fails_with(78, "pilotfish.stale");
    assert_eq!(release_no(&server), "1");
}

#[test]
fn who_may_not_read_the_ledger_is_told_so() {
    let (world, server) = postgres_15();
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    server.sql("postgres", "CREATE ROLE nobody LOGIN PASSWORD 'secret'");
    let url = server.url().replace("pilotfish:secret", "nobody:secret");
    for words in ["status", "rollback"] {
        let refused = tool!("load").args([words, "--url", &url]).run();
        let _ = refused.fails_with(77, "ledger");
    }
}

#[test]
fn a_rollback_takes_the_database_of_the_address_where_several_have_releases() {
    let (world, server) = postgres_15();
    server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
    let (first, second) = two_releases(&world, &server);
    for database in ["app", "shop"] {
        for dump in [&first, &second] {
            let load = tool!("load").arg(dump).args(["--into", database]);
            let _ = load.args(["--url", &server.url()]).run().success();
        }
    }
    // The address of the tests names `app`.
    let done = verb(&server, &["rollback", "--output=json"]).success();
    assert_eq!(done.json()["database"], "app");
    assert_eq!(release_no(&server), "1");
    let in_shop = "SELECT DISTINCT release_no FROM public.a";
    assert_eq!(server.sql("shop", in_shop), "2\n");
    // Not even where it alone has releases.
    server.sql(
        "app",
        "SET client_min_messages = error; DROP SCHEMA pilotfish CASCADE",
    );
    let refused = verb(&server, &["rollback"]).fails_with(78, "into app");
    assert!(refused.stderr.contains("shop"), "{refused}");
    assert_eq!(server.sql("shop", in_shop), "2\n");
}
