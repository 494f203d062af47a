//! What lives beside a release in its database: extensions, schemas of others, replication.

use std::path::PathBuf;

use pilotfish_harness::{Postgres, PostgresKind, World};

use super::{dump, left_behind, live, load, postgres_15, release_no, two_releases, verb};

/// Two releases of a table whose column's type an extension in the same schema brings.
fn with_extension(world: &World, server: &Postgres) -> [PathBuf; 2] {
    server.create_database("source");
    server.sql(
        "source",
        "SET ROLE pilotfish; CREATE EXTENSION hstore SCHEMA public;
         CREATE TABLE public.t (id integer PRIMARY KEY, h public.hstore);
         INSERT INTO public.t VALUES (1, 'release=>1');",
    );
    let first = dump(world, server, "source", "v1.sql");
    server.sql("source", "UPDATE public.t SET h = 'release=>2'");
    [first, dump(world, server, "source", "v2.sql")]
}

const RELEASE: &str = "SELECT h OPERATOR(public.->) 'release' FROM public.t";

#[test]
fn an_extension_in_a_swapped_schema_moves_with_it() {
    for kind in PostgresKind::all() {
        let (world, server) = super::postgres(kind);
        // Who moves an extension owns all that it brought.
        server.sql("postgres", "ALTER ROLE pilotfish SUPERUSER");
        let dumps = with_extension(&world, &server);
        for (dump, expected) in dumps.iter().zip(["1\n", "2\n"]) {
            let _ = load(&server).arg(dump).arg("--swap=schema").run().success();
            assert_eq!(server.sql("app", RELEASE), expected);
            let place =
                "SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'hstore'";
            assert_eq!(server.sql("app", place), "public\n");
        }
        let _ = verb(&server, &["rollback"]).success();
        assert_eq!(server.sql("app", RELEASE), "1\n");
    }
}

#[test]
fn an_extension_that_is_there_already_is_kept() {
    let (world, server) = postgres_15();
    // No superuser: the extension cannot be moved, so that the database is swapped.
    server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
    server.sql("app", "CREATE EXTENSION hstore SCHEMA public");
    let dumps = with_extension(&world, &server);
    for (dump, expected) in dumps.iter().zip(["1\n", "2\n"]) {
        let _ = load(&server).arg(dump).run().success();
        assert_eq!(server.sql("app", RELEASE), expected);
    }
}

/// Objects of others that the swap would leave with the old tables.
const OF_OTHERS: &[(&str, &str)] = &[
    (
        "CREATE VIEW reports.v AS SELECT id FROM public.a",
        "reports.v",
    ),
    (
        "CREATE MATERIALIZED VIEW reports.m AS SELECT id FROM app.b",
        "reports.m",
    ),
    (
        "CREATE TABLE reports.t (id integer REFERENCES public.a)",
        "reports.t",
    ),
    (
        "CREATE TABLE reports.d (id integer DEFAULT nextval('public.same_id_seq'))",
        "reports.d",
    ),
    ("CREATE TABLE reports.c (r public.a)", "reports.c"),
    (
        "CREATE FUNCTION reports.f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM app.b; END",
        "reports.f",
    ),
];

#[test]
fn objects_of_others_that_depend_on_swapped_tables_are_named_and_nothing_is_swapped() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    for (create, name) in OF_OTHERS {
        server.sql("app", &format!("CREATE SCHEMA reports; {create}"));
        let before = live(&server);
        let refused = load(&server).arg(&second).arg("--swap=schema").run();
        let refused = refused.fails_with(78, name);
        assert_eq!(live(&server), before, "{refused}");
        assert_eq!(left_behind(&server), "", "{refused}");
        server.sql("app", "DROP SCHEMA reports CASCADE");
    }
    let _ = load(&server)
        .arg(&second)
        .arg("--swap=schema")
        .run()
        .success();
    assert_eq!(release_no(&server), "2");
}

#[test]
fn what_others_made_of_the_previous_release_is_not_dropped_with_it() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    for dump in [&first, &second] {
        let _ = load(&server).arg(dump).arg("--swap=schema").run().success();
    }
    server.sql(
        "app",
        "CREATE SCHEMA reports; CREATE VIEW reports.before AS SELECT count(*) FROM pilotfish_prev_public.a",
    );
    // The next swap wants its place.
    let third = load(&server).arg(&first).arg("--swap=schema").run();
    let seen = server.sql("app", "SELECT * FROM reports.before");
    assert_eq!(seen, "500\n", "{third}");
    if third.code != Some(0) {
        let _ = third.fails_with(78, "reports.before");
        assert_eq!(release_no(&server), "2");
    }
}

#[test]
fn tables_of_others_in_a_swapped_schema_need_a_word() {
    let (world, server) = postgres_15();
    let (first, _) = two_releases(&world, &server);
    server.sql(
        "app",
        "CREATE TABLE public.a (mine integer); CREATE TABLE public.theirs (id integer); INSERT INTO public.theirs VALUES (7)",
    );
    let _ = load(&server).arg(&first).run().fails_with(78, "--adopt");
    assert_eq!(server.sql("app", "SELECT id FROM public.theirs"), "7\n");
    server.sql(
        "app",
        "ALTER TABLE public.a OWNER TO pilotfish; ALTER TABLE public.theirs OWNER TO pilotfish",
    );
    let _ = load(&server).arg(&first).arg("--adopt").run().success();
    assert_eq!(release_no(&server), "1");
    assert_eq!(
        server.sql("app", "SELECT id FROM public.theirs"),
        "7\n",
        "a table that the dump does not know stays"
    );
}

#[test]
fn a_database_with_a_logical_slot_is_not_swapped() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &["wal_level=logical"]);
    server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server)
        .arg(&first)
        .arg("--swap=database")
        .run()
        .success();
    server.sql(
        "app",
        "SELECT pg_create_logical_replication_slot('feed', 'pgoutput')",
    );
    let refused = load(&server).arg(&second).arg("--swap=database").run();
    let _ = refused.fails_with(78, "feed");
    assert_eq!(release_no(&server), "1");
    assert_eq!(left_behind(&server), "");
    server.sql("app", "SELECT pg_drop_replication_slot('feed')");
    server.sql(
        "app",
        "CREATE SUBSCRIPTION listens CONNECTION 'host=nowhere.invalid' PUBLICATION p WITH (connect = false, slot_name = NONE)",
    );
    let refused = load(&server).arg(&second).arg("--swap=database").run();
    let _ = refused.fails_with(78, "listens");
    assert_eq!(release_no(&server), "1");
}

#[test]
fn settings_of_the_database_outlive_a_swap() {
    for swap in ["--swap=schema", "--swap=database"] {
        let (world, server) = postgres_15();
        server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
        let (first, second) = two_releases(&world, &server);
        let _ = load(&server).arg(&first).arg(swap).run().success();
        let fast = world.join("fast");
        std::fs::create_dir(&fast).expect("make a folder");
        server.sql(
            "postgres",
            &format!("CREATE TABLESPACE fast LOCATION '{}'", fast.display()),
        );
        server.sql(
            "postgres",
            "GRANT CREATE ON TABLESPACE fast TO pilotfish; ALTER DATABASE app SET TABLESPACE fast",
        );
        server.sql(
            "app",
            "ALTER DATABASE app SET search_path = app, public; ALTER DATABASE app SET work_mem = '7MB';
             ALTER ROLE pilotfish IN DATABASE app SET search_path = '';
             ALTER ROLE pilotfish IN DATABASE app SET statement_timeout = '1h'; ALTER DATABASE app CONNECTION LIMIT 90;
             GRANT CONNECT ON DATABASE app TO pg_monitor; COMMENT ON DATABASE app IS 'the shop'",
        );
        let settings = || {
            server.sql(
                "app",
                "SHOW search_path; SHOW work_mem;
                 SELECT datconnlimit, datacl, pg_get_userbyid(datdba), shobj_description(d.oid, 'pg_database'), datallowconn, spcname
                 FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = 'app';
                 SELECT setconfig, setrole::regrole FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase
                 WHERE datname = 'app' ORDER BY setrole",
            )
        };
        let before = settings();
        let _ = load(&server).arg(&second).arg(swap).run().success();
        assert_eq!(settings(), before, "{swap}");
        assert_eq!(release_no(&server), "2");
    }
}

#[test]
fn what_others_made_stays_theirs_also_where_only_the_dumps_name_changed() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    server.sql(
        "app",
        "SET ROLE pilotfish; CREATE TABLE public.notes (id integer); INSERT INTO public.notes VALUES (1)",
    );
    let again = world.path().join("again.sql");
    let text = std::fs::read_to_string(&first).expect("read the dump");
    std::fs::write(&again, text.replacen("\n\n", "\n-- again\n\n", 1)).expect("write the dump");
    for dump in [&again, &second] {
        let _ = load(&server)
            .arg(dump)
            .arg("--keep-previous=false")
            .run()
            .success();
        assert_eq!(server.sql("app", "SELECT id FROM public.notes"), "1\n");
    }
}

#[test]
fn whoever_was_at_work_at_the_swap_is_seen_to_have_written() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::Stdio;
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    // Who may not see snapshots waits for whoever is at work.
    server.sql("postgres", "GRANT pg_read_all_stats TO pilotfish");
    server.sql(
        "app",
        "CREATE SCHEMA beside; CREATE TABLE beside.log (id integer)",
    );
    let mut client = server
        .client("app")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start psql");
    let mut ask = client.stdin.take().expect("a pipe");
    let mut answers = BufReader::new(client.stdout.take().expect("a pipe")).lines();
    let mut answer = |sql: &str| {
        writeln!(ask, "{sql};").expect("ask");
        answers.next().expect("an answer").expect("an answer")
    };
    // Its number is older than the swap's.
    assert_eq!(
        answer("BEGIN; INSERT INTO beside.log VALUES (1) RETURNING id"),
        "1"
    );
    let _ = load(&server)
        .arg(&second)
        .arg("--swap=schema")
        .run()
        .success();
    let update = "UPDATE public.a SET release_no = release_no WHERE id = 1 RETURNING id";
    assert_eq!(answer(update), "1");
    assert_eq!(answer("COMMIT; SELECT 7"), "7");
    drop(ask);
    client.wait().expect("end psql");
    let refused = load(&server).arg(&first).run();
    let _ = refused.fails_with(78, "written");
    assert_eq!(release_no(&server), "2");
}

#[test]
fn objects_of_others_of_every_kind_stay_where_they_are() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    server.sql(
        "app",
        "CREATE OPERATOR FAMILY public.mine USING btree; ALTER OPERATOR FAMILY public.mine USING btree OWNER TO pilotfish;
         SET ROLE pilotfish;
         CREATE FUNCTION public.minus(integer, integer) RETURNS integer LANGUAGE sql RETURN $1 - $2;
         CREATE OPERATOR public.<-> (FUNCTION = public.minus, LEFTARG = integer, RIGHTARG = integer);
         CREATE COLLATION public.mine FROM \"C\";
         CREATE DEFAULT CONVERSION public.mine FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
         CREATE TEXT SEARCH DICTIONARY public.mine (TEMPLATE = simple);
         CREATE TEXT SEARCH CONFIGURATION public.mine (PARSER = default);
         CREATE TABLE public.theirs (a integer, b integer);
         CREATE STATISTICS public.mine ON a, b FROM public.theirs",
    );
    let theirs = "SELECT type, identity FROM (
         SELECT 'pg_operator'::regclass AS class, oid FROM pg_operator UNION ALL SELECT 'pg_opfamily'::regclass, oid FROM pg_opfamily
         UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation UNION ALL SELECT 'pg_conversion'::regclass, oid FROM pg_conversion
         UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config
         UNION ALL SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
         ) AS o, pg_identify_object(class, oid, 0) WHERE oid >= 16384 AND schema <> 'pilotfish' ORDER BY 1, 2";
    let before = server.sql("app", theirs);
    assert_eq!(before.matches("public.").count(), 8, "{before}");
    for dump in [&second, &first] {
        let _ = load(&server)
            .arg(dump)
            .arg("--keep-previous=false")
            .run()
            .success();
        assert_eq!(server.sql("app", theirs), before);
    }
}

#[test]
fn what_others_keep_from_being_dropped_is_named_when_its_place_is_needed() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    for dump in [&first, &second] {
        let _ = load(&server).arg(dump).run().success();
    }
    server.sql(
        "app",
        "CREATE SCHEMA pilotfish_gone_public; ALTER SCHEMA pilotfish_gone_public OWNER TO pilotfish;
         CREATE TABLE pilotfish_gone_public.t (id integer);
         CREATE SCHEMA reports; CREATE VIEW reports.old AS SELECT id FROM pilotfish_gone_public.t",
    );
    let _ = load(&server)
        .arg(&first)
        .run()
        .fails_with(78, "pilotfish_gone_public");
    assert_eq!(release_no(&server), "2");
    server.sql("app", "DROP SCHEMA pilotfish_gone_public CASCADE");
    let _ = load(&server).arg(&first).run().success();
    assert_eq!(release_no(&server), "1");
}

#[test]
fn a_table_that_somebody_dropped_is_no_reason_to_stop() {
    for swap in ["--swap=schema", "--swap=database"] {
        let (world, server) = postgres_15();
        server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
        let (first, second) = two_releases(&world, &server);
        let _ = load(&server).arg(&first).arg(swap).run().success();
        server.sql("app", "DROP TABLE public.same");
        for dump in [&second, &first] {
            let _ = load(&server).arg(dump).arg(swap).run().success();
        }
        assert_eq!(release_no(&server), "1", "{swap}");
    }
}

#[test]
fn routines_of_others_follow_the_tables_and_types_that_they_take() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    server.sql(
        "app",
        "SET ROLE pilotfish; CREATE TABLE public.people (name text); INSERT INTO public.people VALUES ('Ada');
         CREATE TYPE public.mood AS ENUM ('ok');
         CREATE FUNCTION public.aloud(public.people) RETURNS text LANGUAGE sql RETURN $1.name || '!';
         CREATE FUNCTION public.zeal(public.mood[], public.people) RETURNS integer LANGUAGE sql RETURN 1",
    );
    let _ = load(&server).arg(&second).run().success();
    let title = "SELECT p.aloud, public.zeal('{ok}', p) FROM public.people p";
    assert_eq!(server.sql("app", title), "Ada!\t1\n");
}

#[test]
fn replication_of_what_would_leave_is_named_and_nothing_is_swapped() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    server.sql("app", "CREATE PUBLICATION feed FOR TABLES IN SCHEMA app");
    let _ = load(&server).arg(&second).run().fails_with(78, "feed");
    assert_eq!(release_no(&server), "1");
    server.sql(
        "app",
        "DROP PUBLICATION feed; CREATE SUBSCRIPTION listens CONNECTION 'host=nowhere.invalid' PUBLICATION p
         WITH (connect = false, slot_name = NONE)",
    );
    server.sql(
        "app",
        "INSERT INTO pg_subscription_rel SELECT s.oid, 'app.b'::regclass, 'r', NULL FROM pg_subscription s",
    );
    let _ = load(&server)
        .arg(&second)
        .run()
        .fails_with(78, "subscription fills the table b");
    assert_eq!(release_no(&server), "1");
}

/// An extension with a table to which people add rows, which pg_dump then dumps: so does PostGIS.
const CODES: [(&str, &str); 2] = [
    (
        "codes.control",
        "default_version = '1'\nrelocatable = false\nschema = public\n",
    ),
    (
        "codes--1.sql",
        "CREATE TABLE codes (id integer PRIMARY KEY, label text);
         INSERT INTO codes VALUES (1, 'of the extension');
         SELECT pg_catalog.pg_extension_config_dump('codes', 'WHERE id > 100');",
    ),
];

#[test]
fn rows_that_people_added_to_a_table_of_an_extension_come_along() {
    let world = World::new();
    for (name, text) in CODES {
        let _ = world.write(format!("extension/{name}"), text);
    }
    let path = format!("extension_control_path={}:$system", world.path().display());
    let server = Postgres::start(PostgresKind::Postgres18, &world, &[&path]);
    server.sql("postgres", "ALTER ROLE pilotfish SUPERUSER");
    server.create_database("source");
    server.sql(
        "source",
        "SET ROLE pilotfish; CREATE EXTENSION codes; CREATE TABLE public.t (id integer REFERENCES codes); INSERT INTO public.t VALUES (1)",
    );
    let codes = "SELECT string_agg(id || ' ' || label, ', ' ORDER BY id) FROM public.codes";
    let none = dump(&world, &server, "source", "none.sql");
    server.sql("source", "INSERT INTO codes VALUES (101, 'ours')");
    let first = dump(&world, &server, "source", "v1.sql");
    server.sql(
        "source",
        "UPDATE codes SET label = 'ours, too' WHERE id = 101; INSERT INTO public.t VALUES (101)",
    );
    let second = dump(&world, &server, "source", "v2.sql");
    for (dump, expected) in [
        (&none, "1 of the extension\n"),
        (&first, "1 of the extension, 101 ours\n"),
        (&second, "1 of the extension, 101 ours, too\n"),
    ] {
        let _ = load(&server)
            .arg(dump)
            .arg("--swap=database")
            .run()
            .success();
        assert_eq!(server.sql("app", codes), expected);
    }
    assert_eq!(server.sql("app", "SELECT count(*) FROM public.t"), "2\n");
    let _ = verb(&server, &["rollback"]).success();
    assert_eq!(server.sql("app", codes), "1 of the extension, 101 ours\n");
}
