use pilotfish_sql::postgres::{Mode, tokens};

use super::*;

/// A class in one line.
fn told(text: &str) -> String {
    let tokens: Vec<_> = tokens(text.as_bytes(), Mode::default()).collect();
    let names = |names: &[Name]| {
        let names: Vec<_> = names.iter().map(|name| name.name.as_str()).collect();
        names.join(" ")
    };
    match classify(&tokens, &Session::default()) {
        Class::CreateTable { name, .. } => format!("table {}", name.name),
        Class::DropTable { names: gone } => format!("drop {}", names(&gone)),
        Class::Key { tables, shared } => {
            format!("key{} {}", if shared { "s" } else { "" }, names(&tables))
        }
        Class::Other { .. } => "other".to_owned(),
        class => format!("{class:?}"),
    }
}

fn check(pairs: &[(&str, &str)]) {
    for (text, expected) in pairs {
        assert_eq!(told(text).trim_end(), *expected, "{text}");
    }
}

#[test]
fn tables_and_keys() {
    check(&[
        (
            "CREATE TABLE app.t (a int GENERATED ALWAYS AS (b) STORED)",
            "table app.t",
        ),
        ("CREATE UNLOGGED TABLE IF NOT EXISTS T (a int)", "table t"),
        ("CREATE FOREIGN TABLE app.f (a int) SERVER s", "table app.f"),
        (
            "CREATE TABLE app.p PARTITION OF app.t FOR VALUES IN (1)",
            "table app.p",
        ),
        ("CREATE TABLE x AS SELECT 1", "other"),
        ("CREATE TEMP TABLE x (a int)", "other"),
        (
            "DROP TABLE IF EXISTS app.t, \"U\" CASCADE",
            "drop app.t \"U\"",
        ),
        (
            "CREATE UNIQUE INDEX i ON ONLY app.t USING btree (a)",
            "keys app.t",
        ),
        (
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
            "keys t",
        ),
        (
            "ALTER TABLE ONLY app.t ADD CONSTRAINT k PRIMARY KEY (a)",
            "key app.t",
        ),
        ("ALTER TABLE app.t ADD CHECK (a > 0) NOT VALID", "key app.t"),
        (
            "ALTER TABLE ONLY app.t ADD CONSTRAINT f FOREIGN KEY (a, b) REFERENCES app.p(a, b) ON DELETE CASCADE",
            "key app.t app.p",
        ),
        ("ALTER TABLE app.t CLUSTER ON i", "key app.t"),
        ("ALTER TABLE ONLY app.t REPLICA IDENTITY FULL", "key app.t"),
        ("ALTER INDEX app.i ATTACH PARTITION app.j", "key"),
        ("COMMENT ON CONSTRAINT c ON app.t IS 'x'", "key"),
        ("COMMENT ON INDEX app.i IS 'x'", "key"),
    ]);
}

#[test]
fn definitions() {
    for text in [
        "ALTER TABLE app.t OWNER TO o",
        "ALTER TABLE ONLY app.t ALTER COLUMN a SET DEFAULT 1",
        "ALTER TABLE app.t ALTER COLUMN a ADD GENERATED ALWAYS AS IDENTITY (START WITH 1)",
        "ALTER TABLE ONLY app.t ATTACH PARTITION app.p DEFAULT",
        "ALTER TABLE app.t ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE app.t ADD COLUMN a int, ADD PRIMARY KEY (a)",
        "ALTER TABLE IF EXISTS ONLY app.t DROP CONSTRAINT IF EXISTS k",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE VIEW v AS SELECT 1",
        "CREATE SCHEMA app",
        "CREATE USER MAPPING FOR u SERVER s",
        "GRANT ALL ON TABLE t TO u",
        "ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT SELECT ON TABLES TO u",
        "COMMENT ON TABLE t IS 'x'",
        "SECURITY LABEL FOR p ON TABLE t IS 'x'",
        "SELECT pg_catalog.setval('app.s', f())",
        "REFRESH MATERIALIZED VIEW app.m",
        "DROP VIEW IF EXISTS v",
    ] {
        assert_eq!(told(text), "Definition", "{text}");
    }
}

#[test]
fn everything_else() {
    check(&[
        ("SET x = 1", "Session"),
        ("RESET ALL", "Session"),
        (
            "SELECT pg_catalog.set_config('search_path', '', false)",
            "Session",
        ),
        ("SELECT set_config('a', 'b', f) FROM t", "other"),
        (
            "SELECT pg_catalog.setval('app.s', 5, true)",
            "SequenceValue",
        ),
        ("SELECT setval('s', -5)", "SequenceValue"),
        ("SELECT app.setval('s', 1)", "other"),
        ("SELECT setval('s', max(a)) FROM t", "other"),
        ("SELECT pg_catalog.lo_create('16400')", "LargeObject"),
        ("SELECT pg_catalog.lowrite(0, '\\x00')", "LargeObject"),
        ("ALTER LARGE OBJECT 16400 OWNER TO o", "LargeObject"),
        ("GRANT SELECT ON LARGE OBJECT 1 TO u", "LargeObject"),
        ("BEGIN", "Transaction"),
        ("START TRANSACTION", "Transaction"),
        (
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "Transaction",
        ),
        (
            "CREATE DATABASE app WITH TEMPLATE = template0",
            "CreateDatabase(\"app\")",
        ),
        ("DROP DATABASE IF EXISTS \"App\"", "DropDatabase(\"App\")"),
        ("ALTER DATABASE app OWNER TO o", "AlterDatabase(\"app\")"),
        (
            "GRANT CONNECT ON DATABASE app TO u",
            "AlterDatabase(\"app\")",
        ),
        ("COMMENT ON DATABASE app IS 'x'", "AlterDatabase(\"app\")"),
        ("CREATE ROLE r", "Account"),
        ("ALTER USER r PASSWORD 'x'", "Account"),
        ("GRANT a TO b", "Account"),
        ("CREATE TABLESPACE t LOCATION '/d'", "ServerState"),
    ]);
    for text in [
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "INSERT INTO t SELECT 1",
        "DO $$ BEGIN END $$",
        "CALL p()",
        "SELECT app.f()",
        "SELECT 1",
        "TRUNCATE t",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        "ANALYZE",
        "nonsense",
    ] {
        assert_eq!(told(text), "other", "{text}");
    }
}

#[test]
fn what_is_there_already() {
    for (text, expected) in [
        ("CREATE TABLE IF NOT EXISTS t (a int)", Existing::Keep),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", Existing::Replace),
        ("CREATE TABLE t (a int)", Existing::Refuse),
        ("DROP TABLE IF EXISTS t", Existing::Refuse),
    ] {
        let tokens: Vec<_> = tokens(text.as_bytes(), Mode::default()).collect();
        assert_eq!(existing(&tokens), expected, "{text}");
    }
}

#[test]
fn primary_keys() {
    let of = |text: &str| {
        let tokens: Vec<_> = tokens(text.as_bytes(), Mode::default()).collect();
        primary_key(&tokens, &Session::default())
    };
    let found = of("ALTER TABLE ONLY app.t ADD CONSTRAINT k PRIMARY KEY (a, \"B\") INCLUDE (c)");
    let key = vec!["a".to_owned(), "B".to_owned()];
    assert_eq!(found, Some(("app.t".to_owned(), key)));
    for none in [
        "ALTER TABLE ONLY app.t ADD CONSTRAINT k UNIQUE (a)",
        "ALTER TABLE app.t ADD CONSTRAINT k PRIMARY KEY USING INDEX i",
        "ALTER INDEX app.t ATTACH PARTITION k",
    ] {
        assert_eq!(of(none), None, "{none}");
    }
}
