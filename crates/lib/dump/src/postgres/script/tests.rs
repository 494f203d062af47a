//! However the input is cut into reads, the same items or the same error come out.

#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows #[test] functions, not their helpers

use pilotfish_sql::Dialect;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::however_cut::{check, read};
use crate::{Item, Options};

/// Pieces that dumps are made of, and pieces that hurt.
const PIECES: [&str; 66] = [
    "COPY app.t (a, b) FROM stdin;\n1\tx\n2\t\\N\n\\.\n",
    "COPY t FROM stdin;\n",
    "COPY t FROM STDIN WITH (FORMAT text) ;\r\n1\r\n\\.\r\n",
    "1\\\\.\t\\.\n",
    "\\.\n",
    "INSERT INTO t VALUES (1, 'a');\n",
    "INSERT INTO t VALUES\n\t(2, E'\\''),\n\t(3, NULL);\n",
    "INSERT INTO t VALUES (4, 'b') ON CONFLICT DO NOTHING;\n",
    "INSERT INTO t (a) OVERRIDING SYSTEM VALUE VALUES (5);\n",
    "INSERT INTO t VALUES (now());\n",
    "INSERT INTO t VALUES (6, DEFAULT)",
    "INSERT INTO t DEFAULT VALUES;\n",
    "INSERT INTO t VALUES ",
    "insert into \"t\" values",
    "(7)",
    "('it''s; (')",
    "(f(1))",
    ",",
    ";",
    ";\n",
    "\n",
    " ",
    "\r\n",
    "'",
    "E'",
    "U&'",
    "\"",
    "$$",
    "$a$",
    "$",
    "\\",
    "(",
    ")",
    "[",
    ":x",
    "::text",
    "--",
    "-",
    "/*",
    "*/",
    "/",
    "a",
    "1",
    "''",
    "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; END;\n",
    "CREATE TABLE app.t (a int, b text);\n",
    "CREATE INDEX i ON app.t (a);\n",
    "ALTER TABLE ONLY app.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES p(a);\n",
    "DROP TABLE t;\n",
    "SET standard_conforming_strings = off;\n",
    "SET standard_conforming_strings = on;\n",
    "SELECT pg_catalog.set_config('search_path', 'app', false);\n",
    "SELECT pg_catalog.lo_create('1');\n",
    "BEGIN;\n",
    "COMMIT;\n",
    "\\restrict k\n",
    "\\unrestrict k\n",
    "\\connect app\n",
    "\\connect b\n",
    "CREATE DATABASE app ENCODING = 'UTF8';\n",
    "CREATE ROLE r;\n",
    "-- PostgreSQL database cluster dump\n",
    "-- PostgreSQL database dump\n",
    "-- PostgreSQL database dump complete\n",
    "\u{feff}",
    "é",
];

fn options() -> impl Strategy<Value = Options> {
    (
        select(vec![8_usize, 64, 4096]),
        select(vec![64_usize, 1024, 1 << 20]),
        select(vec![None, Some("app".to_owned())]),
    )
        .prop_map(|(chunk_bytes, statement_limit, database)| Options {
            chunk_bytes,
            statement_limit,
            database,
            ..Options::new(Dialect::Postgres { version: 150_000 })
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn cutting_does_not_show(
        pieces in vec(select(PIECES.to_vec()), 0..40),
        lengths in vec(1_usize..40, 1..8),
        options in options(),
    ) {
        let text = pieces.concat();
        check(text.as_bytes(), lengths, &options);
    }

    #[test]
    fn lines_come_out_as_they_went_in(
        rows in vec("[a-z\t(;']{0,20}", 0..40),
        lengths in vec(1_usize..200, 1..8),
        options in options(),
        crlf: bool,
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let lines: String = rows.iter().map(|row| format!("{row}{end}")).collect();
        let text = format!("COPY t FROM stdin;{end}{lines}\\.{end}CREATE TABLE x (a int);");
        let read = read(text.as_bytes(), lengths, &options);
        let (mut out, mut count) = (String::new(), 0);
        for item in &read.items {
            if let Item::Rows(rows) = item {
                prop_assert!(rows.tuples.len() <= options.chunk_bytes * 5 / 4 + 64);
                out.push_str(std::str::from_utf8(&rows.tuples).unwrap());
                count += rows.count;
            }
        }
        prop_assert_eq!(out, lines.replace('\r', ""));
        prop_assert_eq!(count, rows.len() as u64);
    }

    #[test]
    fn who_skims_sees_what_is_said_around_rows(
        blocks in vec(vec("[a-z\t.;']{0,8}|\\\\{1,2}[.a-z]{0,3}", 0..12), 1..6),
        lengths in vec(1_usize..40, 1..8),
        options in options(),
        crlf: bool,
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let block = |(at, rows): (usize, &Vec<String>)| {
            let rows = rows.iter().filter(|row| *row != "\\.");
            let lines: String = rows.map(|row| format!("{row}{end}")).collect();
            format!("COPY t{at} FROM stdin;{end}{lines}\\.{end}CREATE TABLE x{at} (a int);{end}")
        };
        let text: String = blocks.iter().enumerate().map(block).collect();
        let said = |options: &Options| {
            let items = read(text.as_bytes(), lengths.clone(), options).items;
            let said = items.into_iter().filter(|item| matches!(item, Item::Statement(_)));
            said.collect::<Vec<_>>()
        };
        let skimming = Options { skim: true, ..options.clone() };
        // Rows that a server would refuse end a reading that looks at them.
        let all = said(&options);
        let skimmed = said(&skimming);
        prop_assert!(skimmed.len() >= all.len());
        prop_assert_eq!(skimmed.len(), blocks.len());
        prop_assert_eq!(&skimmed[..all.len()], &all[..]);
    }

    #[test]
    fn rows_come_out_as_they_went_in(
        inserts in vec(vec("[a-z'\\\\(),;\n]{0,20}", 1..20), 1..20),
        lengths in vec(1_usize..200, 1..8),
        options in options(),
    ) {
        let tuple = |value: &String| format!("('{}')", value.replace('\'', "''"));
        let tuples: Vec<Vec<String>> = inserts.iter().map(|rows| rows.iter().map(tuple).collect()).collect();
        let text: String = tuples.iter().map(|rows| format!("INSERT INTO t VALUES {};\n", rows.join(","))).collect();
        let read = read(text.as_bytes(), lengths, &options);
        let mut out = Vec::new();
        for item in &read.items {
            let Item::Rows(rows) = item else { panic!("{item:?}") };
            prop_assert!(rows.tuples.len() <= options.chunk_bytes * 5 / 4 + 64);
            out.push(String::from_utf8(rows.tuples.to_vec()).unwrap());
        }
        prop_assert_eq!(out.join(","), tuples.concat().join(","));
    }
}
