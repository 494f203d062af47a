//! Real dumps of a database with every kind of object, loaded into a fresh server.

use pilotfish_harness::{Postgres, PostgresKind, World, canonical_dump, every_object};

use super::{assert_same, checksums, dump, left_behind, live, load, postgres, postgres_15};

/// A source that holds everything, and a server with the roles it names; base types, event triggers and much else
/// are a superuser's to make.
fn source_and_target(from: PostgresKind, to: PostgresKind, world: &World) -> [Postgres; 2] {
    let source = Postgres::start(from, world, &[]);
    every_object::create_on_postgres(&source, "app");
    let target = Postgres::start(to, world, &[]);
    every_object::create_roles(&target);
    target.sql("postgres", "ALTER ROLE pilotfish SUPERUSER");
    [source, target]
}

fn every_object_comes_back(kind: PostgresKind, swap: &str) {
    let world = World::new();
    let [source, target] = source_and_target(kind, kind, &world);
    for turn in ["into an empty database", "over a release"] {
        let path = dump(&world, &source, "app", "every_object.sql");
        let run = || {
            load(&target)
                .arg(&path)
                .args(["--owner=keep", swap, "--threads=4"])
                .run()
                .success()
        };
        let _ = run();
        assert_same(&checksums(&source, "app"), &checksums(&target, "app"), turn);
        let before = canonical_dump(&source.dump("app", &[]));
        assert_same(&before, &live(&target), turn);
        assert_eq!(left_behind(&target), "", "{turn}");
        // The same dump again is nothing to do, and says so.
        let done = run();
        assert!(done.stderr.contains("nothing to do"), "{turn}: {done}");
        source.sql(
            "app",
            "UPDATE app.texts SET c = 'changed' WHERE id = 3; INSERT INTO app.measured VALUES (99, '2024-05-05', 'a') ON CONFLICT DO NOTHING;
             SELECT nextval('app.used'); REFRESH MATERIALIZED VIEW app.z_summed",
        );
    }
}

#[test]
fn postgres_15_by_schemas_where_it_may() {
    every_object_comes_back(PostgresKind::Postgres15, "--swap=auto");
}

#[test]
fn postgres_18_by_schemas_where_it_may() {
    every_object_comes_back(PostgresKind::Postgres18, "--swap=auto");
}

#[test]
fn postgres_15_by_databases() {
    every_object_comes_back(PostgresKind::Postgres15, "--swap=database");
}

#[test]
fn postgres_18_by_databases() {
    every_object_comes_back(PostgresKind::Postgres18, "--swap=database");
}

#[test]
fn a_dump_of_15_comes_back_on_18() {
    let world = World::new();
    let kinds = [PostgresKind::Postgres15, PostgresKind::Postgres18];
    let [source, target] = source_and_target(kinds[0], kinds[1], &world);
    let path = dump(&world, &source, "app", "every_object.sql");
    let _ = load(&target).arg(&path).arg("--owner=keep").run().success();
    assert_same(
        &checksums(&source, "app"),
        &checksums(&target, "app"),
        "15 into 18",
    );
}

#[test]
fn what_15_cannot_take_of_18_is_named_and_nothing_is_changed() {
    let world = World::new();
    let kinds = [PostgresKind::Postgres18, PostgresKind::Postgres15];
    let [source, target] = source_and_target(kinds[0], kinds[1], &world);
    let path = dump(&world, &source, "app", "every_object.sql");
    let before = live(&target);
    // It has settings that 15 does not know in its first lines; those say nothing of the database.
    let refused = load(&target).arg(&path).arg("--owner=keep").run();
    let refused = refused.fails_with(65, "every_object.sql:");
    assert!(!refused.stderr.contains("transaction_timeout"), "{refused}");
    assert_eq!(live(&target), before);
    assert_eq!(left_behind(&target), "");
}

#[test]
fn an_alias_that_is_the_schemas_name_takes_the_database_swap() {
    for kind in PostgresKind::all() {
        let (world, server) = postgres(kind);
        server.create_database("source");
        every_object::create_alias(&server, "source");
        let path = dump(&world, &server, "source", "alias.sql");
        let run = |swap: &str| {
            let load = load(&server).arg(&path).arg("--owner=drop");
            load.arg(swap).run()
        };
        let refused = run("--swap=schema");
        assert!(matches!(refused.code, Some(65 | 78)), "{refused}");
        assert!(refused.stderr.contains("--swap"), "{refused}");
        server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
        let done = run("--swap=auto").success();
        assert!(done.stderr.contains("database"), "{done}");
        assert_eq!(server.sql("app", "SELECT id FROM app.seen"), "2\n");
    }
}

#[test]
fn large_objects_come_back_under_their_numbers() {
    let (world, server) = postgres_15();
    server.create_database("source");
    every_object::create_large_objects(&server, "source");
    server.sql("postgres", "ALTER ROLE pilotfish SUPERUSER");
    let path = dump(&world, &server, "source", "large.sql");
    for _ in 0..2 {
        let _ = load(&server).arg(&path).arg("--owner=keep").run().success();
        let seen = "SELECT id, length(lo_get(image)) FROM public.scans WHERE image IS NOT NULL ORDER BY id";
        assert_eq!(server.sql("app", seen), server.sql("source", seen));
        let comment = "SELECT obj_description(700003, 'pg_largeobject')";
        assert_eq!(server.sql("app", comment), "it's; large\n");
        server.sql(
            "source",
            "INSERT INTO public.scans SELECT max(id) + 1, 700001 FROM public.scans",
        );
        server.dump_to("source", &[], &path);
    }
}

#[test]
fn standard_input_is_loaded_and_unchanged_tables_are_not_loaded_again() {
    let (world, server) = postgres_15();
    let (first, second) = super::two_releases(&world, &server);
    let _ = load(&server).arg("-").stdin_file(&first).run().success();
    assert_eq!(super::release_no(&server), "1");
    let done = load(&server)
        .arg("-")
        .args(["--output=json"])
        .stdin_file(&second)
        .run()
        .success();
    assert_eq!(super::release_no(&server), "2");
    assert_eq!(
        done.json()["tables_loaded"],
        serde_json::json!(["a", "app.b"])
    );
    assert_eq!(done.json()["tables_unchanged"], serde_json::json!(["same"]));
}

#[test]
fn what_a_dump_drops_first_is_the_stages_and_not_what_is_live() {
    let (world, server) = postgres_15();
    let (first, second) = super::two_releases(&world, &server);
    server.create_database("dropping");
    server.sql(
        "dropping",
        "CREATE SCHEMA app; CREATE TABLE app.parent (id integer PRIMARY KEY);
         CREATE TABLE app.t (id serial PRIMARY KEY, parent integer REFERENCES app.parent, release_no integer DEFAULT 3);
         INSERT INTO app.parent VALUES (1); INSERT INTO app.t (parent) VALUES (1)",
    );
    let path = world.path().join("clean.sql");
    for args in [&["--clean"][..], &["--clean", "--if-exists"]] {
        server.dump_to("dropping", args, &path);
        let _ = load(&server).arg(&first).run().success();
        let _ = load(&server)
            .arg(&path)
            .args(["--swap=schema", "--owner=drop"])
            .run()
            .success();
        assert_eq!(
            server.sql("app", "SELECT id, release_no FROM app.t"),
            "1\t3\n"
        );
        let _ = load(&server).arg(&second).run().success();
        assert_eq!(super::release_no(&server), "2");
    }
}
