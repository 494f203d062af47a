//! `pilotfish-load` and PostgreSQL: the promises of MariaDB and MySQL, and what is this server's own.

mod archives;
mod by_hand;
mod crash;
mod damage;
mod difference;
mod foresight;
mod locks;
mod neighbours;
mod readers;
mod rights;
mod round_trip;
mod signals;
mod sizes;
mod staging;
mod way_back;

use std::path::{Path, PathBuf};

use pilotfish_harness::{Finished, Postgres, PostgresKind, Tool, World, canonical_dump, tool};

/// The tool, aimed at the database `app`.
fn load(server: &Postgres) -> Tool {
    tool!("load").args(["--url", &server.url(), "--into=app"])
}

/// A verb of the ledger.
fn verb(server: &Postgres, words: &[&str]) -> Finished {
    tool!("load")
        .args(words)
        .args(["--url", &server.url()])
        .run()
}

fn postgres(kind: PostgresKind) -> (World, Postgres) {
    let world = World::new();
    let server = Postgres::start(kind, &world, &[]);
    (world, server)
}

/// Of a test to which the version makes no difference.
fn postgres_15() -> (World, Postgres) {
    postgres(PostgresKind::Postgres15)
}

/// A real dump of `database` as a file.
fn dump(world: &World, server: &Postgres, database: &str, name: &str) -> PathBuf {
    let path = world.join(name);
    server.dump_to(database, &[], &path);
    path
}

/// The lines before the body of [`script`].
const HEAD: &str = "--\n-- PostgreSQL database dump\n--\n\n\
    SET standard_conforming_strings = on;\nSELECT pg_catalog.set_config('search_path', '', false);\n";

/// A dump with this body, whole as pg_dump's are.
fn script(world: &World, name: &str, body: &str) -> PathBuf {
    world.write(
        name,
        format!("{HEAD}{body}\n--\n-- PostgreSQL database dump complete\n--\n\n"),
    )
}

/// Where a line of the body is in the file.
fn line_of(path: &Path, text: &str) -> String {
    let content = std::fs::read(path).expect("read the dump");
    let content = String::from_utf8_lossy(&content);
    let line = content.lines().position(|line| line.starts_with(text));
    let name = path.file_name().and_then(|name| name.to_str());
    format!(
        "{}:{}",
        name.expect("a name"),
        line.expect("the line is there") + 1
    )
}

/// Two releases of a small shop in two schemas, which belong to the tools' account; `a`, `b` and what is derived
/// from them always tell the same release number.
fn two_releases(world: &World, server: &Postgres) -> (PathBuf, PathBuf) {
    server.create_database("source");
    server.sql(
        "source",
        "SET ROLE pilotfish;
         CREATE SCHEMA app;
         CREATE TABLE public.a (id integer PRIMARY KEY, release_no integer NOT NULL, note text);
         CREATE TABLE app.b (id integer PRIMARY KEY REFERENCES public.a, release_no integer NOT NULL);
         CREATE TABLE public.same (id serial PRIMARY KEY, text character varying(20));
         CREATE INDEX a_note ON public.a (note);
         CREATE VIEW app.both_of_them AS SELECT a.id, a.release_no AS in_a, b.release_no AS in_b FROM public.a JOIN app.b USING (id);
         INSERT INTO public.a SELECT n, 1, 'n' || n FROM generate_series(1, 500) n;
         INSERT INTO app.b SELECT id, 1 FROM public.a;
         INSERT INTO public.same (text) VALUES ('one'), ('two');
         CREATE MATERIALIZED VIEW app.summed AS SELECT release_no, count(*) FROM public.a GROUP BY release_no;",
    );
    let first = dump(world, server, "source", "v1.sql");
    server.sql(
        "source",
        "UPDATE public.a SET release_no = 2; UPDATE app.b SET release_no = 2;
         INSERT INTO public.a VALUES (1000, 2, 'new'); REFRESH MATERIALIZED VIEW app.summed;",
    );
    let second = dump(world, server, "source", "v2.sql");
    (first, second)
}

/// The release numbers that readers of `app` see: one of them, unless releases are mixed.
fn release_no(server: &Postgres) -> String {
    let seen = "SELECT string_agg(DISTINCT n::text, ',') FROM (
         SELECT release_no AS n FROM public.a UNION ALL SELECT release_no FROM app.b
         UNION ALL SELECT release_no FROM app.summed UNION ALL SELECT in_a FROM app.both_of_them) x";
    server.sql("app", seen).trim().to_owned()
}

/// All that is live in `app`, definitions and rows, without what the loader keeps beside.
fn live(server: &Postgres) -> String {
    canonical_dump(&server.dump("app", &["--exclude-schema=pilotfish*"]))
}

/// The rows of every table and materialised view of a database, as checksums.
fn checksums(server: &Postgres, database: &str) -> String {
    let each = "SELECT format('SELECT %L, count(*), md5(string_agg(t::text, E''\\n'' ORDER BY t::text COLLATE \"C\")) FROM ONLY %I.%I t',
             nspname || '.' || relname, nspname, relname)
         FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
         WHERE relkind IN ('r', 'm') AND relispopulated AND nspname !~ '^(pg_|information_schema|pilotfish)'
         ORDER BY nspname COLLATE \"C\", relname COLLATE \"C\"";
    let each = server.sql(database, each);
    let each: Vec<&str> = each.lines().collect();
    let rows = server.sql(
        database,
        &format!("SET timezone = 'UTC'; {}", each.join(" UNION ALL ")),
    );
    // Several processes answer at once from PostgreSQL 16 on.
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    rows.join("\n")
}

/// What a load has not cleared away: staged schemas and databases.
fn left_behind(server: &Postgres) -> String {
    let schemas = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pilotfish\\_next%'";
    let databases = "SELECT datname FROM pg_database WHERE datname ~ '__pilotfish_(next|gone)$'";
    server.sql("app", &format!("{schemas} UNION ALL {databases}"))
}

/// Asserts line by line: a whole dump in an assertion message helps nobody.
#[track_caller]
fn assert_same(left: &str, right: &str, what: &str) {
    let differs = left
        .lines()
        .zip(right.lines())
        .find(|(one, other)| one != other);
    assert_eq!(differs, None, "{what}");
    assert_eq!(left.lines().count(), right.lines().count(), "{what}");
}
