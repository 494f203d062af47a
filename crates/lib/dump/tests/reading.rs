//! Promises of the reader as a whole: how the input is cut does not show, memory limits hold, digests
//! say the same of the same content, stored forms and directories are told apart by content.

#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows #[test] functions, not their helpers

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use pilotfish_dump::{
    Error, Item, Options, Reader, RowOrder, Rows, Source, Summary, Trailer, identify,
};
use pilotfish_failure::{Classify, Kind};
use pilotfish_sql::{Dialect, Flavour, MySql};
use tempfile::TempDir;

const MARIA: Flavour = Flavour {
    mariadb: true,
    version: 101_119,
};

struct World(TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn open(path: &Path, options: &Options) -> Reader {
    Reader::open(&Source::Path(path.to_owned()), options.clone()).unwrap()
}

fn read(path: &Path, options: &Options) -> Result<(Vec<Item>, Summary), Error> {
    let mut reader = Reader::open(&Source::Path(path.to_owned()), options.clone())?;
    let mut items = Vec::new();
    while let Some(item) = reader.next()? {
        items.push(item);
    }
    Ok((items, reader.finish()?))
}

fn read_text(text: impl AsRef<[u8]>, options: &Options) -> Result<(Vec<Item>, Summary), Error> {
    let world = World::new();
    read(&world.file("dump.sql", text), options)
}

fn summary(text: &str) -> Summary {
    read_text(text, &Options::new(MARIA)).unwrap().1
}

fn rows(items: &[Item]) -> Vec<&Rows> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Rows(rows) => Some(rows),
            Item::Statement(_) | Item::Marks(_) => None,
        })
        .collect()
}

fn long_insert(rows: usize) -> String {
    let tuples: Vec<_> = (0..rows)
        .map(|row| format!("({row},'it''s row {row}, (\\'{row}\\');')"))
        .collect();
    format!("INSERT INTO t VALUES {};\n", tuples.join(","))
}

#[test]
fn a_long_insert_comes_in_chunks_of_whole_tuples() {
    let options = Options {
        chunk_bytes: 4096,
        statement_limit: 16_384,
        ..Options::new(MARIA)
    };
    let (items, summary) = read_text(long_insert(20_000), &options).unwrap();
    let chunks = rows(&items);
    assert!(chunks.len() > 100);
    assert!(chunks.iter().all(|chunk| chunk.tuples.len() <= 4096 + 1024));
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk.tuples.starts_with(b"(") && chunk.tuples.ends_with(b"')"))
    );
    assert_eq!(chunks.iter().map(|chunk| chunk.count).sum::<u64>(), 20_000);
    assert_eq!(summary.tables["t"].rows, 20_000);
    let joined = chunks
        .iter()
        .map(|chunk| chunk.tuples.as_ref())
        .collect::<Vec<_>>()
        .join(&b","[..]);
    let text = long_insert(20_000);
    assert_eq!(
        joined,
        &text.as_bytes()["INSERT INTO t VALUES ".len()..text.len() - 2]
    );
}

#[test]
fn positions_of_chunks_are_those_of_their_first_tuples() {
    let tuples: Vec<_> = (0..3000).map(|row| format!("({row})")).collect();
    let text = format!("-- x\nINSERT INTO t VALUES\n{};\n", tuples.join(",\n"));
    let options = Options {
        chunk_bytes: 100,
        ..Options::new(MARIA)
    };
    let (items, _) = read_text(&text, &options).unwrap();
    for chunk in rows(&items) {
        let at = usize::try_from(chunk.position.byte).unwrap();
        assert!(text.as_bytes()[at..].starts_with(&chunk.tuples[..3]));
        let line = text[..at].matches('\n').count() as u64 + 1;
        assert_eq!(chunk.position.line, line);
    }
}

#[test]
fn small_inserts_are_joined_while_nothing_changes() {
    let inserts: String = (0..1000)
        .map(|row| format!("INSERT INTO t VALUES ({row});\n"))
        .collect();
    let text = format!("{inserts}SET time_zone='+01:00';\n{inserts}INSERT INTO t (a) VALUES (1);");
    let (items, _) = read_text(&text, &Options::new(MARIA)).unwrap();
    let counts: Vec<_> = rows(&items).iter().map(|chunk| chunk.count).collect();
    assert_eq!(counts, [1000, 1000, 1]);
}

#[test]
fn what_follows_the_rows_is_known_before_they_go_out() {
    let long = long_insert(2000).replace(";\n", " ON DUPLICATE KEY UPDATE a = 1;");
    let options = Options {
        chunk_bytes: 4096,
        ..Options::new(MARIA)
    };
    let (items, summary) = read_text(&long, &options).unwrap();
    let chunks = rows(&items);
    assert!(chunks.len() > 5);
    for chunk in &chunks {
        assert_eq!(
            chunk.head.tail.as_deref(),
            Some(&b"ON DUPLICATE KEY UPDATE a = 1"[..])
        );
        assert_eq!(chunk.order, RowOrder::Ordered("ON DUPLICATE KEY UPDATE"));
    }
    assert_eq!(summary.tables["t"].rows, 2000);

    let options = Options {
        statement_limit: 10_000,
        ..options
    };
    let error = read_text(&long, &options).unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
}

#[test]
fn limits_are_errors_that_name_the_place() {
    let options = Options {
        statement_limit: 1000,
        ..Options::new(MARIA)
    };
    let text = format!(
        "DELETE FROM t;\nDELETE FROM t WHERE a = '{}';",
        "x".repeat(200_000)
    );
    let error = read_text(text, &options).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("dump.sql:2 (byte 15): a statement is longer than 1000 bytes"),
        "{error}"
    );
    assert_eq!(Classify::kind(&error), Kind::BadData);
    // One row may be longer than a statement: the servers' packets set its limit.
    let text = format!("INSERT INTO t VALUES (1,'{}');", "x".repeat(200_000));
    assert_eq!(rows(&read_text(text, &options).unwrap().0).len(), 1);
}

#[test]
fn digests_do_not_see_how_the_dump_was_written() {
    let base = summary("CREATE TABLE t (a int);\nINSERT INTO t VALUES (1),(2),(3);\n");
    let same = summary(
        "-- MariaDB dump 10.19\nCREATE TABLE t (a   int) /* x */;\nLOCK TABLES t WRITE;\nINSERT INTO t VALUES (3);\n\
         INSERT INTO t VALUES\n(2),\n(1);\nUNLOCK TABLES;\n-- Dump completed on 2026-11-21\n",
    );
    assert_eq!(base.tables, same.tables);
    assert_eq!(same.trailer, Trailer::Present);
    for other in [
        "CREATE TABLE t (a bigint);\nINSERT INTO t VALUES (1),(2),(3);",
        "CREATE TABLE t (a int);\nINSERT INTO t VALUES (1),(2);",
        "CREATE TABLE t (a int);\nINSERT INTO t VALUES (1),(2),(2),(3);",
        "CREATE TABLE t (a int);\nINSERT INTO t VALUES (1),(2),(4);",
        "CREATE TABLE t (a int);\nINSERT INTO t (a) VALUES (1),(2),(3);",
        "CREATE TABLE t (a int);\nSET time_zone='+00:00';\nINSERT INTO t VALUES (1),(2),(3);",
        "CREATE TABLE t (a int);\nINSERT INTO t VALUES (1),(2),(3);\nALTER TABLE t ADD KEY (a);",
        "CREATE TABLE t (a int);\nINSERT INTO t VALUES (1),(2),(3);\nDELETE FROM u;",
    ] {
        assert_ne!(
            summary(other).tables["t"].digest,
            base.tables["t"].digest,
            "{other}"
        );
    }
}

#[test]
fn a_last_line_proves_what_stands_before_it() {
    let dump = "-- MySQL dump 10.13\nCREATE TABLE t (a int);\n-- Dump completed on 2026-11-21\n";
    let trailer = |more: &str| summary(&format!("{dump}{more}")).trailer;
    assert_eq!(trailer(""), Trailer::Present);
    assert_eq!(trailer("UNLOCK TABLES;\n"), Trailer::Present);
    assert_eq!(trailer(dump), Trailer::Present);
    // Another dump that was made without comments, and may have broken off.
    assert_eq!(trailer("INSERT INTO t VALUES (1);\n"), Trailer::Absent);
    assert_eq!(trailer("DROP TABLE t;\n"), Trailer::Absent);
}

#[test]
fn digests_see_the_order_where_it_decides() {
    let replace = |rows: &str| {
        summary(&format!("REPLACE INTO t VALUES {rows};")).tables["t"]
            .digest
            .clone()
    };
    assert_ne!(replace("(1,2),(1,3)"), replace("(1,3),(1,2)"));
    let update = |rows: &str| {
        let text = format!("INSERT INTO t VALUES {rows} ON DUPLICATE KEY UPDATE a = 1;");
        summary(&text).tables["t"].digest.clone()
    };
    assert_ne!(update("(1,2),(1,3)"), update("(1,3),(1,2)"));
    let numbered = |rows: &str| {
        let text = format!(
            "CREATE TABLE t (id int AUTO_INCREMENT, a int); INSERT INTO t (a) VALUES {rows};"
        );
        summary(&text).tables["t"].digest.clone()
    };
    assert_ne!(numbered("(2),(3)"), numbered("(3),(2)"));
}

#[test]
fn counters_of_tables_are_no_change() {
    let table = |counter| {
        summary(&format!(
            "CREATE TABLE t (id int AUTO_INCREMENT COMMENT 'AUTO_INCREMENT=9') AUTO_INCREMENT={counter};"
        ))
        .tables
        .remove("t")
        .unwrap()
    };
    assert_eq!(table(5).digest, table(6).digest);
    assert_eq!((table(5).counter, table(6).counter), (Some(5), Some(6)));
}

#[test]
fn the_database_that_a_dump_names() {
    let world = World::new();
    for (text, expected) in [
        (
            "SET NAMES utf8mb4;\nCREATE DATABASE `a`;\nUSE `b`;\n",
            Some("a"),
        ),
        ("SET NAMES utf8mb4;\nUSE `b`;\n", Some("b")),
        ("CREATE TABLE c.t (a int);\n", Some("c")),
        ("INSERT INTO d.t VALUES (1);\n", Some("d")),
        ("CREATE TABLE t (a int);\nUSE b;\n", None),
        ("SET NAMES utf8mb4;\n", None),
    ] {
        let path = world.file("dump.sql", text);
        let mut reader = open(&path, &Options::new(MARIA));
        assert_eq!(reader.database().unwrap().as_deref(), expected, "{text}");
        let mut items = 0;
        while reader.next().unwrap().is_some() {
            items += 1;
        }
        assert_eq!(
            items,
            text.matches(';').count(),
            "nothing is lost by looking ahead"
        );
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn stored_forms_are_told_by_content() {
    let world = World::new();
    let text = long_insert(1000);
    let plain = read(&world.file("plain.sql.gz", &text), &Options::new(MARIA))
        .unwrap()
        .1;
    let path = world.file("packed.sql", gzip(text.as_bytes()));
    let mut reader = open(&path, &Options::new(MARIA));
    let (count, total) = (reader.read_bytes(), reader.total_bytes());
    while reader.next().unwrap().is_some() {}
    let packed = reader.finish().unwrap();
    assert_eq!(plain.tables, packed.tables);
    assert_ne!(plain.sha256, packed.sha256);
    assert_eq!(packed.sha256, identify(&path).unwrap());
    assert_eq!(
        Some(count.load(std::sync::atomic::Ordering::Relaxed)),
        total
    );
}

#[test]
fn a_stream_that_breaks_off_is_cut_off() {
    let world = World::new();
    let packed = gzip(long_insert(10_000).as_bytes());
    let path = world.file("dump.sql.gz", &packed[..packed.len() / 2]);
    let error = read(&path, &Options::new(MARIA)).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    let mut damaged = packed.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0x55);
    let error = read(&world.file("dump.sql.gz", damaged), &Options::new(MARIA)).unwrap_err();
    assert!(
        matches!(error, Error::Corrupt { .. } | Error::Truncated { .. }),
        "{error:?}"
    );
    assert_eq!(Classify::kind(&error), Kind::BadData);
}

#[test]
fn directories_are_read_in_the_order_of_the_stock_images() {
    let world = World::new();
    world.file("b.sql", "SET sql_mode='NO_BACKSLASH_ESCAPES';\nINSERT INTO t VALUES ('\\');\nDELIMITER //\nDELETE FROM t//\n");
    world.file(
        "B.sql.gz",
        gzip(b"USE x;\nINSERT INTO t VALUES ('first');\n"),
    );
    world.file(
        "c.sql",
        "INSERT INTO t VALUES ('a\\'b');\nSET @OLD_X=@@X;\nSET x=@OLD_X;\n",
    );
    world.file("d.SQL", "INSERT INTO t VALUES ('loud');\n");
    world.file("readme.txt", "not read");
    world.file(".hidden.sql", "not read");
    fs::create_dir(world.0.path().join("deep.sql")).unwrap();
    let (items, summary) = read(world.0.path(), &Options::new(MARIA)).unwrap();
    let tuples: Vec<_> = rows(&items)
        .iter()
        .map(|rows| rows.tuples.clone())
        .collect();
    assert_eq!(
        tuples,
        [
            &b"('first')"[..],
            &br"('\')"[..],
            &br"('a\'b')"[..],
            b"('loud')"
        ]
    );
    let source = Source::Path(world.0.path().to_owned());
    let reader = Reader::open(&source, Options::new(MARIA)).unwrap();
    assert_eq!(reader.ignored(), ["deep.sql", "readme.txt"]);
    assert_eq!(summary.sha256, identify(world.0.path()).unwrap());
    assert_eq!(summary.trailer, Trailer::Absent);
    assert_eq!(summary.tables["t"].rows, 4);
    let files = summary.files.iter().map(|(name, _)| name.as_str());
    assert_eq!(
        files.collect::<Vec<_>>(),
        ["B.sql.gz", "b.sql", "c.sql", "d.SQL"]
    );
}

#[test]
fn each_file_of_a_directory_is_judged_alone() {
    let world = World::new();
    world.file("1.sql", "-- MariaDB dump 10.19\nDELETE FROM t;\n");
    world.file("2.sql", "DELETE FROM t;\n-- Dump completed\n");
    let error = read(world.0.path(), &Options::new(MARIA)).unwrap_err();
    assert!(error.to_string().contains("1.sql:3"), "{error}");
}

#[test]
fn nothing_to_read_is_an_error() {
    let world = World::new();
    let open = |path: PathBuf| Reader::open(&Source::Path(path), Options::new(MARIA)).unwrap_err();
    assert!(matches!(
        open(world.0.path().to_owned()),
        Error::Empty { .. }
    ));
    let missing = open(world.0.path().join("missing"));
    assert_eq!(Classify::kind(&missing), Kind::Config);
    assert!(matches!(
        read_text("", &Options::new(MARIA)),
        Err(Error::Empty { .. })
    ));
    let zip = read_text(b"PK\x03\x04rest", &Options::new(MARIA)).unwrap_err();
    assert!(matches!(zip, Error::NoSql { .. }), "{zip}");
}

#[test]
fn a_row_that_the_server_cannot_take_is_refused_with_its_place() {
    let server = MySql {
        max_packet: 2 * 1024 * 1024,
        ..MARIA.into()
    };
    let text = format!(
        "INSERT INTO t VALUES\n(1,'x'),\n(2,'{}');\n",
        "y".repeat(8 * 1024 * 1024)
    );
    let error = read_text(&text, &Options::new(Dialect::MySql(server))).unwrap_err();
    assert!(
        matches!(&error, Error::Packet { at, .. } if at.line == 3),
        "{error}"
    );
    assert!(error.to_string().contains("raise max_allowed_packet"));
}
