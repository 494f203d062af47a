//! Promises of the reader of PostgreSQL's dumps as a whole: which database is read, what is said of it, what
//! digests say.

#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows #[test] functions, not their helpers

use std::io::Write as _;

use pilotfish_dump::{Class, Error, Item, Options, Reader, Source, Summary, Trailer};
use pilotfish_sql::Dialect;

fn read_as(text: &[u8], options: Options) -> Result<(Vec<Item>, Summary), Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.sql");
    std::fs::write(&path, text).unwrap();
    let mut reader = Reader::open(&Source::Path(path), options)?;
    let mut items = Vec::new();
    while let Some(item) = reader.next()? {
        items.push(item);
    }
    Ok((items, reader.finish()?))
}

fn options() -> Options {
    Options::new(Dialect::Postgres { version: 150_004 })
}

fn summary(text: &str) -> Summary {
    read_as(text.as_bytes(), options()).unwrap().1
}

const CLUSTER: &str = "\
-- PostgreSQL database cluster dump
CREATE ROLE r;
ALTER ROLE r LOGIN;
\\connect template1
CREATE DATABASE a ENCODING = 'LATIN1';
\\connect a
CREATE TABLE t (i int);
COPY t FROM stdin;
1
\\.
UPDATE t SET i = 2;
CREATE DATABASE b LOCALE_PROVIDER = libc LOCALE = 'C';
\\connect b
SET search_path = app;
CREATE TABLE u (i int);
ALTER TABLE u OWNER TO o;
-- PostgreSQL database cluster dump complete
";

#[test]
fn one_database_of_several() {
    let error = read_as(CLUSTER.as_bytes(), options())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("a and b") && error.contains("--into"),
        "{error}"
    );
    for (name, tables, opaque) in [("a", "t", true), ("b", "app.u", false)] {
        let options = Options {
            database: Some(name.to_owned()),
            ..options()
        };
        let (items, summary) = read_as(CLUSTER.as_bytes(), options).unwrap();
        let named: Vec<_> = items
            .iter()
            .filter_map(|item| match item {
                Item::Statement(statement) => match &statement.class {
                    Class::CreateDatabase(name) | Class::UseDatabase(name) => Some(name.as_str()),
                    _ => None,
                },
                Item::Rows(_) | Item::Marks(_) => None,
            })
            .collect();
        assert_eq!(named, [name, name]);
        assert_eq!(summary.tables.keys().collect::<Vec<_>>(), [tables]);
        assert_eq!(summary.opaque, opaque, "{name}");
        let other = if name == "a" { "b" } else { "a" };
        assert_eq!(
            summary.left_out,
            [
                "2 statements about roles and tablespaces of the whole cluster".to_owned(),
                format!("what the dump has in the database {other}"),
            ]
        );
        assert_eq!(summary.trailer, Trailer::Present);
    }
    let other = Options {
        database: Some("c".to_owned()),
        ..options()
    };
    let error = read_as(CLUSTER.as_bytes(), other).unwrap_err().to_string();
    assert!(
        error.contains("other databases than c: it has a, b"),
        "{error}"
    );
}

#[test]
fn the_database_and_its_locale_are_known_early() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.sql");
    std::fs::write(&path, CLUSTER).unwrap();
    let options = Options {
        database: Some("b".to_owned()),
        ..options()
    };
    let mut reader = Reader::open(&Source::Path(path), options).unwrap();
    assert_eq!(reader.database().unwrap().as_deref(), Some("b"));
    assert_eq!(
        reader.database_charset().as_deref(),
        Some("LOCALE_PROVIDER = 'libc' LOCALE = 'C'")
    );
}

#[test]
fn the_same_rows_in_another_order_and_cut_are_the_same() {
    let copy = |rows: &str| {
        let text = format!("CREATE TABLE t (i int);\nCOPY t (i) FROM stdin;\n{rows}\\.\n");
        summary(&text).tables["t"].digest.clone()
    };
    let digest = copy("1\n2\n3\n");
    assert_eq!(copy("3\n1\n2\n"), digest);
    assert_eq!(
        copy("3\n1\n\\.\n\n-- x\nCOPY t (i) FROM stdin;\n2\n"),
        digest
    );
    assert_ne!(copy("3\n1\n"), digest);
    assert_ne!(copy("3\n1\n2\n2\n"), digest);
    let latin = summary(
        "SET client_encoding = 'LATIN1';\nCREATE TABLE t (i int);\nCOPY t (i) FROM stdin;\n1\n2\n3\n\\.\n",
    );
    assert_ne!(latin.tables["t"].digest, digest);
}

#[test]
fn what_is_not_understood_makes_all_tables_doubtful() {
    let plain = summary("CREATE TABLE t (i int);\nCREATE INDEX i ON t (i);\n");
    assert!(!plain.opaque && !plain.large_objects);
    let other = summary("CREATE TABLE t (i int);\nUPDATE t SET i = 1;\n");
    assert!(other.opaque);
    assert_ne!(other.tables["t"].digest, plain.tables["t"].digest);
    let large = summary("CREATE TABLE t (i int);\nSELECT pg_catalog.lo_create('1');\n");
    assert!(large.opaque && large.large_objects);
}

#[test]
fn statistics_are_left_out() {
    let text = "CREATE TABLE t (i int);\nSELECT * FROM pg_catalog.pg_restore_relation_stats(\n\t'version', '180000'::integer,\n\t'relname', 't'\n);\n";
    let (items, summary) = read_as(text.as_bytes(), options()).unwrap();
    assert_eq!(items.len(), 1);
    assert!(
        summary.left_out[0].contains("ANALYZE"),
        "{:?}",
        summary.left_out
    );
}

#[test]
fn compressed_and_cut_off() {
    let rows = "1\tx\n".repeat(20_000);
    let text = format!(
        "-- PostgreSQL database dump\nCREATE TABLE t (i int, x text);\nCOPY t FROM stdin;\n{rows}\\.\n-- PostgreSQL database dump complete\n"
    );
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let (_, summary) = read_as(&packed, options()).unwrap();
    assert_eq!(summary.tables["t"].rows, 20_000);
    assert_eq!(summary.trailer, Trailer::Present);
    let error = read_as(&packed[..packed.len() / 2], options()).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    let error = read_as(b"PGDMP\x01\x0e\x00", options()).unwrap_err();
    assert!(error.to_string().contains("cut off"), "{error}");
    assert!(error.to_string().contains("table of contents"), "{error}");
}
