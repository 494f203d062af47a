use super::*;
use crate::postgres::load::extensions::Extensions;

fn schemas() -> Schemas {
    let mut schemas = Schemas::new(false, Extensions::default());
    schemas.add("app");
    schemas
}

fn of(text: &str) -> Step {
    step(text.as_bytes(), Mode::default(), &schemas()).unwrap()
}

#[test]
fn what_is_created_says_where() {
    for (text, schema) in [
        ("CREATE TABLE app.t (a public.x)", Some("app")),
        ("CREATE UNLOGGED TABLE app.t ()", Some("app")),
        ("CREATE TABLE IF NOT EXISTS t (a other.x)", None),
        (
            "CREATE OR REPLACE FUNCTION public.f() RETURNS int",
            Some("public"),
        ),
        ("CREATE MATERIALIZED VIEW new.v AS SELECT 1", Some("new")),
        ("CREATE OPERATOR app.+ (FUNCTION = app.f)", Some("app")),
        (
            "CREATE OPERATOR CLASS app.c FOR TYPE x USING btree",
            Some("app"),
        ),
        (
            "CREATE TEXT SEARCH CONFIGURATION app.c (PARSER = x)",
            Some("app"),
        ),
        ("CREATE FOREIGN TABLE app.t () SERVER s", Some("app")),
        ("CREATE TYPE type.type AS ENUM ()", Some("type")),
    ] {
        assert_eq!(of(text), Step::Create(schema.map(str::to_owned)), "{text}");
    }
}

#[test]
fn what_belongs_to_the_database_is_told_apart() {
    let first = Some("DROP PUBLICATION IF EXISTS p".to_owned());
    assert_eq!(
        of("CREATE PUBLICATION p FOR TABLE app.t"),
        Step::AtSwap {
            first,
            tolerant: false
        }
    );
    assert_eq!(
        of("ALTER PUBLICATION p ADD TABLE app.t"),
        Step::AtSwap {
            first: None,
            tolerant: false
        }
    );
    assert_eq!(
        of("CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public"),
        Step::Extension("hstore".to_owned())
    );
    assert_eq!(of("CREATE SERVER s FOREIGN DATA WRAPPER w"), Step::Share);
    assert_eq!(
        of("COMMENT ON SCHEMA public IS 'x'"),
        Step::Await("public".to_owned())
    );
    assert_eq!(of("GRANT USAGE ON SCHEMA app TO r"), Step::Run);
    assert_eq!(
        of("CREATE SCHEMA x AUTHORIZATION r"),
        Step::Schema {
            name: "x".to_owned(),
            owner: Some("r".to_owned())
        }
    );
    assert!(matches!(of("DROP TABLE public.t"), Step::Leave(_)));
    assert_eq!(of("DROP TABLE app.t"), Step::Run);
    assert_eq!(
        of("ALTER TABLE ONLY app.t ALTER COLUMN a SET DEFAULT 1"),
        Step::Run
    );
    assert_eq!(
        of("CREATE UNIQUE INDEX i ON app.t USING btree (a)"),
        Step::Run
    );
}

#[test]
fn nothing_live_is_reached() {
    for text in [
        "ALTER TABLE public.t OWNER TO x",
        "COMMENT ON TABLE public.t IS 'x'",
        "CREATE TRIGGER x BEFORE INSERT ON public.t",
    ] {
        assert!(
            step(text.as_bytes(), Mode::default(), &schemas()).is_err(),
            "{text}"
        );
    }
    for text in ["DO $$ BEGIN END $$", "CALL app.p()", "DELETE FROM public.t"] {
        assert!(
            refuse_code(text.as_bytes(), Mode::default(), &schemas()).is_err(),
            "{text}"
        );
    }
    assert!(refuse_code(b"UPDATE app.t SET a = 1", Mode::default(), &schemas()).is_ok());
}

#[test]
fn what_is_shared_can_be_unmade() {
    let undo = |text: &str| undo(text.as_bytes(), Mode::default()).unwrap_or_default();
    for (text, expected) in [
        (
            "CREATE SERVER s FOREIGN DATA WRAPPER w",
            "DROP SERVER IF EXISTS s",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER \"W\"",
            "DROP FOREIGN DATA WRAPPER IF EXISTS \"W\"",
        ),
        (
            "CREATE OR REPLACE PROCEDURAL LANGUAGE l HANDLER app.h",
            "DROP LANGUAGE IF EXISTS l",
        ),
        (
            "CREATE USER MAPPING FOR u SERVER s OPTIONS (x 'y')",
            "DROP USER MAPPING IF EXISTS FOR u SERVER s",
        ),
        (
            "CREATE CAST (text AS app.m) WITH INOUT",
            "DROP CAST IF EXISTS (text AS app.m)",
        ),
        (
            "CREATE TRANSFORM FOR app.t LANGUAGE sql (FROM SQL WITH FUNCTION f(internal))",
            "DROP TRANSFORM IF EXISTS FOR app.t LANGUAGE sql",
        ),
    ] {
        assert_eq!(undo(text), expected);
    }
}
