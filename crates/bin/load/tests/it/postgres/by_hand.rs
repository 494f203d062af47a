//! What people did to live tables and to the release before, and what a load, the same load and a rollback make of it.

use pilotfish_harness::tool;

use super::{load, postgres_15, release_no, two_releases, verb};

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
}
