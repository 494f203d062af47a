use super::*;

fn try_moved(text: &str) -> Result<String, Ambiguous> {
    let to = |schema: &str, object: Option<&str>| {
        let stays = object == Some("shared");
        (schema == "app" && !stays).then(|| "Next app".to_owned())
    };
    let moved = requalify(text.as_bytes(), Mode::default(), &to)?;
    Ok(String::from_utf8(moved.into_owned()).unwrap())
}

/// `@` stands for the new name.
fn check(pairs: &[(&str, &str)]) {
    for (text, expected) in pairs {
        let expected = expected.replace('@', "\"Next app\"");
        assert_eq!(try_moved(text).as_deref(), Ok(&*expected));
    }
}

fn stays(texts: &[&str]) {
    for text in texts {
        assert_eq!(try_moved(text).as_deref(), Ok(*text));
    }
}

#[test]
fn qualifiers() {
    check(&[
        (
            "CREATE TABLE APP.t (a \"app\".d)",
            "CREATE TABLE @.t (a @.d)",
        ),
        (
            "ALTER TABLE ONLY app.t ADD FOREIGN KEY (a) REFERENCES app . p(a)",
            "ALTER TABLE ONLY @.t ADD FOREIGN KEY (a) REFERENCES @ . p(a)",
        ),
        ("SELECT a OPERATOR(app.+) b", "SELECT a OPERATOR(@.+) b"),
        (
            "CREATE OPERATOR app.* (LEFTARG = app.d)",
            "CREATE OPERATOR @.* (LEFTARG = @.d)",
        ),
        (
            "ALTER SEQUENCE app.s OWNED BY app.t.id",
            "ALTER SEQUENCE @.s OWNED BY @.t.id",
        ),
        (
            "COMMENT ON COLUMN app.t.c IS 'app.t'",
            "COMMENT ON COLUMN @.t.c IS 'app.t'",
        ),
        (
            "GRANT SELECT(a) ON TABLE app.app TO app",
            "GRANT SELECT(a) ON TABLE @.app TO app",
        ),
        (
            "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql SET search_path TO 'app' AS $$ SELECT app.g() $$",
            "CREATE FUNCTION @.f() RETURNS int LANGUAGE sql SET search_path TO 'app' AS $$ SELECT app.g() $$",
        ),
    ]);
    stays(&[
        "SELECT 'app.t', $$app.t$$, \"app.t\" /* app.t */ -- app.t",
        "SELECT x.app.c, apple.t, \"App\".t, app, app.*",
        "COMMENT ON COLUMN app.c IS NULL",
        "ALTER SEQUENCE s OWNED BY app.id",
        "SELECT app.shared",
    ]);
}

#[test]
fn commands_about_schemas() {
    check(&[
        ("CREATE SCHEMA app", "CREATE SCHEMA @"),
        (
            "CREATE SCHEMA IF NOT EXISTS app AUTHORIZATION app",
            "CREATE SCHEMA IF NOT EXISTS @ AUTHORIZATION app",
        ),
        (
            "DROP SCHEMA IF EXISTS other, app CASCADE",
            "DROP SCHEMA IF EXISTS other, @ CASCADE",
        ),
        (
            "ALTER SCHEMA app OWNER TO app",
            "ALTER SCHEMA @ OWNER TO app",
        ),
        (
            "ALTER SCHEMA app RENAME TO \"app\"",
            "ALTER SCHEMA @ RENAME TO @",
        ),
        (
            "COMMENT ON SCHEMA app IS 'app'",
            "COMMENT ON SCHEMA @ IS 'app'",
        ),
        (
            "SECURITY LABEL FOR p ON SCHEMA app IS 'app'",
            "SECURITY LABEL FOR p ON SCHEMA @ IS 'app'",
        ),
        (
            "GRANT USAGE ON SCHEMA x, app TO app",
            "GRANT USAGE ON SCHEMA x, @ TO app",
        ),
        (
            "REVOKE ALL ON SCHEMA app FROM PUBLIC",
            "REVOKE ALL ON SCHEMA @ FROM PUBLIC",
        ),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA app GRANT SELECT ON TABLES TO app",
            "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA @ GRANT SELECT ON TABLES TO app",
        ),
        (
            "CREATE EXTENSION IF NOT EXISTS e WITH SCHEMA app",
            "CREATE EXTENSION IF NOT EXISTS e WITH SCHEMA @",
        ),
        (
            "ALTER TABLE app.t SET SCHEMA app",
            "ALTER TABLE @.t SET SCHEMA @",
        ),
    ]);
    stays(&[
        "CREATE SCHEMA AUTHORIZATION app",
        "SELECT current_schema FROM app",
        "CREATE VIEW v AS WITH schema app AS (SELECT 1) SELECT 1",
    ]);
}

#[test]
fn search_paths() {
    check(&[
        (
            "SET search_path = app, 'app', public",
            "SET search_path = @, 'Next app', public",
        ),
        ("SET LOCAL search_path TO app", "SET LOCAL search_path TO @"),
        ("SET SCHEMA 'app'", "SET SCHEMA 'Next app'"),
        (
            "SELECT pg_catalog.set_config('search_path', 'app, \"$user\"', false)",
            "SELECT pg_catalog.set_config('search_path', '@, \"$user\"', false)",
        ),
    ]);
    stays(&[
        "SET search_path TO DEFAULT",
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "SET application_name = 'app'",
        "ALTER ROLE r SET search_path = 'app'",
    ]);
}

#[test]
fn literals_that_name_something() {
    check(&[
        (
            "SELECT pg_catalog.setval('app.s', 5, true)",
            "SELECT pg_catalog.setval('@.s', 5, true)",
        ),
        (
            "ALTER TABLE app.t ALTER a SET DEFAULT nextval('\"app\".\"it''s\"'::regclass)",
            "ALTER TABLE @.t ALTER a SET DEFAULT nextval('@.\"it''s\"'::regclass)",
        ),
        (
            "SELECT 'app.f(app.d)'::pg_catalog.regprocedure",
            "SELECT '@.f(@.d)'::pg_catalog.regprocedure",
        ),
        (
            "SELECT CAST('app.t' AS regclass)",
            "SELECT CAST('@.t' AS regclass)",
        ),
        ("SELECT 'app'::regnamespace", "SELECT '@'::regnamespace"),
        ("SELECT E'app.\\x74'::regclass", "SELECT '@.t'::regclass"),
    ]);
    stays(&[
        "SELECT 'app.t'::text, own.setval('app.s', 1), 'app'::regrole",
        "SELECT lower('app.t')",
    ]);
}

#[test]
fn a_table_or_alias_named_as_its_schema() {
    for text in [
        "CREATE VIEW v AS SELECT app.id FROM app.app",
        "CREATE VIEW v AS SELECT app.id FROM x.t app",
        "CREATE POLICY p ON app.app USING ((EXISTS (SELECT 1 FROM x.t WHERE (t.id = app.id))))",
    ] {
        let refused = Ambiguous {
            schema: "app".into(),
        };
        assert_eq!(try_moved(text), Err(refused), "{text}");
    }
    check(&[
        (
            "CREATE VIEW v AS SELECT app.f(1) FROM app.app",
            "CREATE VIEW v AS SELECT @.f(1) FROM @.app",
        ),
        (
            "CREATE TRIGGER app AFTER INSERT OR UPDATE ON app.app FOR EACH ROW EXECUTE FUNCTION app.app()",
            "CREATE TRIGGER app AFTER INSERT OR UPDATE ON @.app FOR EACH ROW EXECUTE FUNCTION @.app()",
        ),
        (
            "INSERT INTO app.app VALUES (1)",
            "INSERT INTO @.app VALUES (1)",
        ),
        (
            "CREATE VIEW v AS SELECT app.t.id FROM app.t",
            "CREATE VIEW v AS SELECT @.t.id FROM @.t",
        ),
    ]);
}
