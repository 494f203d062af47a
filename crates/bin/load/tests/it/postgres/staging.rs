//! What staging may not touch: live sequences, defaults, and what functions see while it goes on.

use std::path::PathBuf;

use pilotfish_harness::{Postgres, World};

use super::{left_behind, load, postgres_15, script};

/// A table whose numbers come from a sequence, in pg_dump's own spelling: `setval` and a default that is a literal.
fn with_sequence(world: &World, name: &str, rows: u32) -> PathBuf {
    let lines: String = (1..=rows).map(|id| format!("{id}\tw{id}\n")).collect();
    script(
        world,
        name,
        &format!(
            "CREATE SCHEMA app;\n\
             CREATE TABLE app.t (id integer NOT NULL, word text DEFAULT 'app.t_id_seq'::text);\n\
             CREATE SEQUENCE app.t_id_seq AS integer START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1;\n\
             ALTER SEQUENCE app.t_id_seq OWNED BY app.t.id;\n\
             ALTER TABLE ONLY app.t ALTER COLUMN id SET DEFAULT nextval('app.t_id_seq'::regclass);\n\
             COMMENT ON TABLE app.t IS 'SELECT setval(''app.t_id_seq'', 5); ''app.t''::regclass';\n\
             COPY app.t (id, word) FROM stdin;\n{lines}\\.\n\
             SELECT pg_catalog.setval('app.t_id_seq', {rows}, true);\n\
             ALTER TABLE ONLY app.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);\n"
        ),
    )
}

fn last_value(server: &Postgres) -> String {
    let sql = "SELECT last_value FROM app.t_id_seq";
    server.sql("app", sql).trim().to_owned()
}

#[test]
fn a_live_sequence_is_not_moved_before_the_swap() {
    let (world, server) = postgres_15();
    let _ = load(&server)
        .arg(with_sequence(&world, "first.sql", 50))
        .run()
        .success();
    assert_eq!(last_value(&server), "50");
    // The dump's setval and its rows are on the stage by then.
    let refused = load(&server)
        .arg(with_sequence(&world, "second.sql", 5))
        .args(["--check", "SELECT count(*) = 0 FROM app.t"])
        .run();
    assert_ne!(refused.code, Some(0), "{refused}");
    assert_eq!(last_value(&server), "50", "staging moved the live sequence");
    assert_eq!(left_behind(&server), "");
}

#[test]
fn a_new_default_draws_from_the_new_sequence_and_outlives_the_old_schema() {
    let (world, server) = postgres_15();
    for (name, rows, keep) in [("first.sql", 50, "true"), ("second.sql", 5, "false")] {
        let _ = load(&server)
            .arg(with_sequence(&world, name, rows))
            .arg(format!("--keep-previous={keep}"))
            .run()
            .success();
    }
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pilotfish\\_prev%'";
    assert_eq!(server.sql("app", schemas), "0\n");
    assert_eq!(
        server.sql(
            "app",
            "INSERT INTO app.t (word) VALUES ('new') RETURNING id"
        ),
        "6\n"
    );
    let owned = "SELECT pg_get_serial_sequence('app.t', 'id'), obj_description('app.t'::regclass)";
    assert_eq!(
        server.sql("app", owned),
        "app.t_id_seq\tSELECT setval('app.t_id_seq', 5); 'app.t'::regclass\n"
    );
    // A text is no name, whatever it looks like.
    let default = "INSERT INTO app.t DEFAULT VALUES RETURNING word";
    assert_eq!(server.sql("app", default), "app.t_id_seq\n");
}

/// A materialised view that counts by a function whose body is a text, and so many rows.
fn with_opaque_function(world: &World, name: &str, rows: u32, language: &str) -> PathBuf {
    let lines: String = (1..=rows).map(|id| format!("{id}\n")).collect();
    let body = match language {
        "sql" => "select count(*) from app.t",
        _ => "begin return (select count(*) from app.t); end",
    };
    script(
        world,
        name,
        &format!(
            "CREATE SCHEMA app;\n\
             CREATE TABLE app.t (id integer);\n\
             CREATE FUNCTION app.tot() RETURNS bigint LANGUAGE {language} AS $$ {body} $$;\n\
             CREATE MATERIALIZED VIEW app.m AS SELECT app.tot() AS tot WITH NO DATA;\n\
             COPY app.t (id) FROM stdin;\n{lines}\\.\n\
             REFRESH MATERIALIZED VIEW app.m;\n"
        ),
    )
}

#[test]
fn a_function_that_would_see_live_rows_while_staging_takes_the_database_swap() {
    for language in ["sql", "plpgsql"] {
        let (world, server) = postgres_15();
        server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
        let first = with_opaque_function(&world, "first.sql", 3, language);
        let _ = load(&server).arg(&first).run().success();
        let counted = || server.sql("app", "SELECT tot, app.tot() FROM app.m");
        assert_eq!(counted(), "3\t3\n");
        let second = with_opaque_function(&world, "second.sql", 7, language);
        let refused = load(&server).arg(&second).arg("--swap=schema").run();
        assert!(matches!(refused.code, Some(65 | 78)), "{refused}");
        assert!(refused.stderr.contains("app.tot"), "{refused}");
        assert_eq!(counted(), "3\t3\n");
        let done = load(&server)
            .arg(&second)
            .arg("--swap=auto")
            .run()
            .success();
        assert!(done.stderr.contains("app.tot"), "{done}");
        assert!(done.stderr.contains("database"), "{done}");
        assert_eq!(counted(), "7\t7\n", "the live count was stored");
        assert_eq!(left_behind(&server), "");
    }
}

#[test]
fn a_function_whose_body_is_parsed_is_staged_with_its_schema() {
    let (world, server) = postgres_15();
    for rows in [3, 7] {
        let lines: String = (1..=rows).map(|id| format!("{id}\n")).collect();
        let body = format!(
            "CREATE SCHEMA app;\nCREATE TABLE app.t (id integer);\n\
             CREATE FUNCTION app.tot() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM app.t; END;\n\
             CREATE MATERIALIZED VIEW app.m AS SELECT app.tot() AS tot WITH NO DATA;\n\
             COPY app.t (id) FROM stdin;\n{lines}\\.\nREFRESH MATERIALIZED VIEW app.m;\n"
        );
        let path = script(&world, "atomic.sql", &body);
        let _ = load(&server)
            .arg(&path)
            .arg("--swap=schema")
            .run()
            .success();
        let seen = server.sql("app", "SELECT tot, app.tot() FROM app.m");
        assert_eq!(seen, format!("{rows}\t{rows}\n"));
    }
}

#[test]
fn checks_indexes_and_generated_columns_reach_opaque_functions_too() {
    let body = |user: &str| {
        format!(
            "CREATE SCHEMA app;\nCREATE TABLE app.limits (most integer);\n\
             CREATE FUNCTION app.most() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ select max(most) from app.limits $$;\n\
             COPY app.limits (most) FROM stdin;\n9\n\\.\n{user}\n"
        )
    };
    let users = [
        "CREATE TABLE app.t (id integer, CONSTRAINT low CHECK (id <= app.most()));",
        "CREATE TABLE app.t (id integer, room integer GENERATED ALWAYS AS (app.most() - id) STORED);",
        "CREATE TABLE app.t (id integer); CREATE INDEX room ON app.t ((app.most() - id));",
        "CREATE DOMAIN app.low AS integer CHECK (VALUE <= app.most()); CREATE TABLE app.t (id app.low);",
    ];
    for user in users {
        let (world, server) = postgres_15();
        let path = script(&world, "reaches.sql", &body(user));
        let refused = load(&server).arg(&path).arg("--swap=schema").run();
        assert!(matches!(refused.code, Some(65 | 78)), "{user}: {refused}");
        assert!(refused.stderr.contains("app.most"), "{user}: {refused}");
        assert_eq!(left_behind(&server), "", "{user}");
    }
}

/// COPY FREEZE wants the table emptied first.
#[test]
fn rows_that_came_another_way_outlive_a_copy() {
    let (world, server) = postgres_15();
    let path = script(
        &world,
        "ways.sql",
        "CREATE TABLE public.t (id integer);\n\
         INSERT INTO public.t SELECT pg_catalog.generate_series(1, 3);\n\
         COPY public.t (id) FROM stdin;\n4\n\\.\n",
    );
    let _ = load(&server).arg(&path).run().success();
    assert_eq!(server.sql("app", "SELECT count(*) FROM public.t"), "4\n");
    // Two ways into one partition: none of its rows is lost, and a count that cannot be right is told.
    let path = script(
        &world,
        "partitions.sql",
        "CREATE TABLE public.p (id integer) PARTITION BY RANGE (id);\n\
         CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES FROM (0) TO (100);\n\
         COPY public.p (id) FROM stdin;\n1\n2\n\\.\n\
         COPY public.p1 (id) FROM stdin;\n3\n\\.\n",
    );
    let _ = load(&server).arg(&path).run().fails_with(65, "counts 3");
    assert_eq!(server.sql("app", "SELECT count(*) FROM public.t"), "4\n");
}

#[test]
fn keys_of_what_is_not_the_dumps_are_refused() {
    let (world, server) = postgres_15();
    server.sql(
        "app",
        "SET ROLE pilotfish; CREATE SCHEMA others; CREATE TABLE others.users (id integer PRIMARY KEY, email text)",
    );
    let indexes =
        "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'others.users'::regclass;
        SELECT tgname FROM pg_trigger WHERE tgrelid = 'others.users'::regclass";
    let before = server.sql("app", indexes);
    for key in [
        "CREATE INDEX i ON others.users (email);",
        "ALTER TABLE others.users ADD CONSTRAINT u UNIQUE (email);",
        "ALTER INDEX others.users_pkey RENAME TO x;",
        "ALTER TABLE public.t ADD FOREIGN KEY (id) REFERENCES others.users;",
    ] {
        let path = script(
            &world,
            "keys.sql",
            &format!(
                "CREATE TABLE public.t (id integer);\nCOPY public.t (id) FROM stdin;\n\\.\n{key}\n"
            ),
        );
        let refused = load(&server).arg(&path).arg("--swap=schema").run();
        assert_ne!(refused.code, Some(0), "{key}: {refused}");
        assert!(refused.stderr.contains("others"), "{key}: {refused}");
        assert_eq!(server.sql("app", indexes), before, "{key}");
        assert_eq!(left_behind(&server), "", "{key}");
    }
}

#[test]
fn a_failed_load_unmakes_nothing_that_was_there() {
    let (world, server) = postgres_15();
    server.sql(
        "app",
        "CREATE FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN DATA WRAPPER w TO pilotfish; SET ROLE pilotfish;
         CREATE SERVER erp FOREIGN DATA WRAPPER w; CREATE USER MAPPING FOR pilotfish SERVER erp OPTIONS (password 'x')",
    );
    let path = script(
        &world,
        "fails.sql",
        "CREATE SERVER IF NOT EXISTS erp FOREIGN DATA WRAPPER w;\n\
         CREATE USER MAPPING IF NOT EXISTS FOR pilotfish SERVER erp OPTIONS (password 'y');\n\
         CREATE SERVER IF NOT EXISTS fresh FOREIGN DATA WRAPPER w;\n\
         CREATE TABLE public.t (id integer);\nCOPY public.t (id) FROM stdin;\nno number\n\\.\n",
    );
    let failed = load(&server).arg(&path).arg("--swap=schema").run();
    assert_eq!(failed.code, Some(65), "{failed}");
    let there = "SELECT srvname, umoptions FROM pg_foreign_server s LEFT JOIN pg_user_mapping m ON m.umserver = s.oid";
    assert_eq!(server.sql("app", there), "erp\t{password=x}\n");
}
