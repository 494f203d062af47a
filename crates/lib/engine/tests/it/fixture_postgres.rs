//! What PostgreSQL brings to the conformance suites.

use std::any::Any;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::sync::Arc;

use pilotfish_engine::conformance::{Fixture, Row};
use pilotfish_engine::load::ObjectKind;
use pilotfish_engine::{Engine, open};
use pilotfish_harness::{PATIENCE, Postgres, PostgresKind, World, eventually};

use super::fixture::{Held, row};
use super::settings;

/// A new session answers with what it was told at its start.
const READ_ONLY_IS_KNOWN: &str = "SHOW default_transaction_read_only";

/// A fresh server whose account may make databases.
pub(crate) struct PostgresFixture {
    engine: Box<dyn Engine>,
    server: Postgres,
    _world: World,
}

impl PostgresFixture {
    pub(crate) async fn start(kind: PostgresKind) -> Arc<dyn Fixture> {
        let world = World::new();
        let server = Postgres::start(kind, &world, &[]);
        server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
        let flags = ["--url", &server.url(), "--connect-timeout=60s"];
        let engine = open(&settings(&flags)).await.unwrap();
        Arc::new(Self {
            engine,
            server,
            _world: world,
        })
    }

    /// Runs SQL as the account, to which everything that is loaded belongs.
    fn as_account(&self, database: &str, sql: &str) -> Result<String, String> {
        self.server
            .try_sql(database, &format!("SET ROLE pilotfish; {sql}"))
    }

    fn list(&self, database: &str, sql: &str) -> BTreeSet<String> {
        self.server
            .sql(database, sql)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// All that can be connected to, but the server's own.
    fn all_databases(&self) -> BTreeSet<String> {
        self.list(
            "postgres",
            "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres'",
        )
    }
}

/// The database and the schema that a name of the suites means: `db`, or `db/schema` of what the engine keeps
/// beside.
fn place(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or((name, "public"))
}

impl Fixture for PostgresFixture {
    fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    fn ask(&self, database: Option<&str>, sql: &str) -> Result<String, String> {
        let (database, schema) = place(database.unwrap_or("postgres"));
        self.as_account(database, &format!("SET search_path = {schema}; {sql}"))
    }

    fn rows(&self, database: &str, table: &str) -> Result<Vec<Row>, String> {
        let (database, schema) = place(database);
        let sql = format!(
            "SELECT id, coalesce(encode(convert_to(word, 'UTF8'), 'hex'), 'NULL') FROM {schema}.{table} ORDER BY id"
        );
        let lines = self.as_account(database, &sql)?;
        Ok(lines.lines().map(row).collect())
    }

    fn epochs(&self, database: &str, table: &str) -> Vec<i64> {
        let (database, schema) = place(database);
        let sql = format!(
            "SELECT floor(extract(epoch FROM at))::bigint FROM {schema}.{table} ORDER BY id"
        );
        let lines = self.server.sql(database, &sql);
        lines.lines().map(|line| line.parse().unwrap()).collect()
    }

    fn databases(&self) -> BTreeSet<String> {
        let mut all = self.all_databases();
        for database in all.clone() {
            let kept = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pilotfish%'";
            let kept = self.list(&database, kept);
            all.extend(kept.iter().map(|schema| format!("{database}/{schema}")));
        }
        all
    }

    fn tables(&self, database: &str) -> BTreeSet<String> {
        let (database, schema) = place(database);
        if !self.all_databases().contains(database) {
            return BTreeSet::new();
        }
        self.list(
            database,
            &format!(
                "SELECT relname FROM pg_class WHERE relnamespace = \
                 (SELECT oid FROM pg_namespace WHERE nspname = '{schema}') AND relkind IN ('r', 'p', 'v', 'm', 'f')"
            ),
        )
    }

    fn keys(&self, database: &str, table: &str) -> BTreeSet<String> {
        let (database, schema) = place(database);
        // With the schema in the search path its name is in no definition.
        self.list(
            database,
            &format!(
                "SET search_path = {schema}; \
                 SELECT conname || ' ' || pg_get_constraintdef(oid) || ' ' || convalidated \
                 FROM pg_constraint WHERE conrelid = '{table}'::regclass; \
                 SELECT pg_get_indexdef(indexrelid, 0, true) || ' ' || indisvalid \
                 FROM pg_index WHERE indrelid = '{table}'::regclass"
            ),
        )
    }

    fn hold(&self, database: &str, table: &str) -> Box<dyn Any> {
        let (database, schema) = place(database);
        let mut client = self.server.client(database);
        let mut client = client
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ask = client.stdin.take().unwrap();
        let answer = client.stdout.take().unwrap();
        writeln!(ask, "BEGIN; SELECT count(*) FROM {schema}.{table};").unwrap();
        // Its answer says that the transaction has the table.
        let mut line = String::new();
        BufReader::new(answer).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the reader could not read {table}");
        Box::new(Held::new(client, ask))
    }

    fn end_loader(&self, database: &str) {
        let (database, _) = place(database);
        let holders = || {
            let sql = "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                 WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ExclusiveLock'";
            self.list("postgres", &format!("{sql} AND d.datname = '{database}'"))
        };
        let ended = holders();
        assert_eq!(ended.len(), 1, "one session holds the lock of {database}");
        for pid in &ended {
            self.server
                .sql("postgres", &format!("SELECT pg_terminate_backend({pid})"));
        }
        eventually("the lock is gone", PATIENCE, || {
            holders().is_disjoint(&ended).then_some(())
        });
    }

    fn read_only(&self, on: bool) {
        let set = format!("ALTER SYSTEM SET default_transaction_read_only = {on}");
        self.server.sql("postgres", &set);
        self.server.sql("postgres", "SELECT pg_reload_conf()");
        let wanted = if on { "on\n" } else { "off\n" };
        eventually("new sessions know it", PATIENCE, || {
            (self.server.sql("postgres", READ_ONLY_IS_KNOWN) == wanted).then_some(())
        });
    }

    fn restart(&self) {
        self.server.restart();
    }

    fn table(&self, name: &str) -> String {
        format!(
            "CREATE TABLE {name} (id integer PRIMARY KEY, word character varying(20) COLLATE \"C\" UNIQUE, \
             UNIQUE (word, id))"
        )
    }

    fn child(&self, name: &str, parent: &str) -> String {
        format!(
            "CREATE TABLE {name} (id integer PRIMARY KEY, word character varying(20) COLLATE \"C\", \
             UNIQUE (word, id), CONSTRAINT {name}_word FOREIGN KEY (word) REFERENCES {parent} (word))"
        )
    }

    fn moments(&self, name: &str) -> String {
        format!("CREATE TABLE {name} (id integer PRIMARY KEY, at timestamp with time zone)")
    }

    fn tuples(&self, rows: &[Row]) -> String {
        // As pg_dump --inserts writes a string: standard_conforming_strings is on.
        let tuple = |(id, word): &Row| match word {
            None => format!("({id},NULL)"),
            Some(word) => format!("({id},'{}')", word.replace('\'', "''")),
        };
        rows.iter().map(tuple).collect::<Vec<_>>().join(",")
    }

    fn odd_tuples(&self) -> &'static [&'static str] {
        &[
            "(1,'it''s')",
            r"(2,E'it\'s \\ \t \x41 \u00e9')",
            "(3,$$dollar 'quoted'$$)",
            "(4,$tag$a $$ b$tag$)",
            r"(5,U&'\00e9 \+01F41F')",
            "(6,NULL)",
            "(-7,'')",
            "('8','a quoted number')",
            "(9.4,'rounded')",
            "(1e1,'a float')",
            "(+11,'plus')",
            "(12::bigint,'cast'::text)",
            "(B'1101'::integer,'bits')",
            "(14,B'101')",
            "(15,X'1F')",
            "(16,'two'\n' parts')",
            "( 17 , /* a /* nested */ comment */ 'spaces ' )",
            "(18,'☃ 🐟')",
            "(20 - 1,lower('COMPUTED'))",
            "(0,'zero')",
            r"(20,'\N')",
            r"(21,'\.')",
            "(22,'a\tb\nc\rd')",
            "(23,N'national')",
            "(24,true)",
            "(25,DEFAULT)",
            "(CAST('26' AS integer),-1.50)",
            r"(27,'back\slash \\ \')",
        ]
    }

    fn view(&self, name: &str, table: &str) -> String {
        format!("CREATE VIEW {name} AS SELECT id, word FROM {table}")
    }

    fn trigger(&self, name: &str, table: &str) -> Vec<(ObjectKind, String, String)> {
        let body = format!("{name}_body");
        let function = format!(
            "CREATE FUNCTION {body}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.word := upper(new.word); \
             RETURN new; END $$"
        );
        let trigger = format!(
            "CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {body}()"
        );
        vec![
            (ObjectKind::Function, body, function),
            (ObjectKind::Trigger, name.to_owned(), trigger),
        ]
    }

    fn time_zone(&self, hours: i8) -> String {
        format!("SET TIME ZONE {hours}")
    }

    fn strict(&self) -> Option<&'static str> {
        None
    }

    fn reach(&self, database: &str, table: &str) -> String {
        format!("DELETE FROM {database}.public.{table}")
    }

    fn upsert(&self) -> &'static str {
        "ON CONFLICT (id) DO UPDATE SET word = excluded.word"
    }

    fn verbs(&self) -> &'static [&'static str] {
        &[]
    }
}
