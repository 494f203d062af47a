//! Where psql says that statements end, and where this reader does: `psql --echo-queries` prints what it sends.

#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows #[test] functions, not their helpers

use pilotfish_dump::{Item, Options, Reader, Source};
use pilotfish_harness::{Postgres, PostgresKind, World};
use pilotfish_sql::Dialect;
use proptest::collection::vec;
use proptest::sample::select;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, TestRng, TestRunner};

/// Texts in which something hides a semicolon, or seems to.
const TEXTS: [&str; 22] = [
    "SELECT 1 /* ; /* ; */ ; */ -- ;\n ;\nSELECT 2;",
    "SELECT E'a\\'; b', U&'\\0041; ', $a$ ; $b$ ; $a$, $$; $$, B'1' ; SELECT 'a\\' ; SELECT 3;",
    "SELECT E'a'\n 'b\\' ; SELECT 1;",
    "CREATE TABLE \"a; b\" (x int, y text DEFAULT '; '); SELECT 1;",
    "CREATE RULE r AS ON DELETE TO t DO ALSO (INSERT INTO t VALUES (1); DELETE FROM t); SELECT 1;",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT a; END; SELECT 1;",
    "create or replace procedure \"case\"() begin atomic insert into t values (1); end; select 1;",
    "CREATE OR REPLACE FUNCTION f() BEGIN ATOMIC SELECT (CASE WHEN (SELECT 1; ) THEN 1 END); END; SELECT 1;",
    "CREATE FUNCTION begin() LANGUAGE sql AS 'x' ; SELECT 1;",
    "CREATE /* function */ FUNCTION f() BEGIN ATOMIC ; END; SELECT 1;",
    "CREATE AGGREGATE function(int) BEGIN; SELECT 1;",
    "CREATE \"or\" REPLACE FUNCTION f() BEGIN; SELECT 1;",
    "SELECT case when 1 then begin; SELECT 1;",
    "SELECT (ARRAY[1,2,3])[1:2], a[b:c], x::text; SELECT 1;",
    "SELECT a$b$ ; SELECT $b$ ; $b$, $1$c$ ; $c$ ; SELECT 1;",
    "SELECT 1a$b$ ; $b$ ; SELECT 1;",
    "SELECT 1 - -1, 2 --; \n; ;; SELECT 1;",
    "COPY t FROM stdin;\n1; \n\\\\.\n'\n\\.\nSELECT 1;",
    "SET standard_conforming_strings = off;\nSELECT 'a\\'; b' ; SET standard_conforming_strings = on;\nSELECT 'a\\' ;",
    "SELECT 1); SELECT 2;",
    "SELECT 1::text,2 AS \"x::y\"",
    "SELECT N'a\\' ; SELECT x'41' ; SELECT \"U&\\\" ; SELECT U&\"a\\\" ;",
];

/// Pieces of statements that hurt.
const PIECES: [&str; 40] = [
    "SELECT 1; ",
    "; ",
    "'",
    "''",
    "E'",
    "E'\\''",
    "U&'",
    "\"",
    "$$",
    "$a$",
    "$",
    "$1",
    "(",
    ")",
    "[",
    "]",
    "::",
    "--",
    "-- x\n",
    "/*",
    "*/",
    "\n",
    " ",
    "a",
    "é",
    "1",
    "e",
    "-",
    "CREATE ",
    "OR ",
    "REPLACE ",
    "FUNCTION ",
    "PROCEDURE ",
    "BEGIN ",
    "ATOMIC ",
    "CASE ",
    "END ",
    "end; ",
    "COPY t FROM stdin;\n1\n\\.\n",
    "X'",
];

/// The statements, and whether the text was read to its end.
fn read(world: &World, text: &str) -> (Vec<String>, bool) {
    let path = world.write("text.sql", text.as_bytes());
    let dialect = Dialect::Postgres { version: 150_004 };
    let mut reader = Reader::open(&Source::Path(path), Options::new(dialect)).unwrap();
    let mut statements = Vec::new();
    loop {
        let text = match reader.next() {
            Ok(Some(Item::Statement(statement))) => statement.text,
            Ok(Some(Item::Rows(rows))) => rows.head.text.clone(),
            Ok(Some(Item::Marks(_))) => continue,
            Ok(None) => return (statements, true),
            Err(_) => return (statements, false),
        };
        statements.push(String::from_utf8(text.to_vec()).unwrap());
    }
}

/// psql leaves empty lines out.
fn dense(text: &str) -> String {
    let mut text = text.to_owned();
    while text.contains("\n\n") {
        text = text.replace("\n\n", "\n");
    }
    text
}

/// Behind blanks, comments and statements of nothing.
fn trimmed(text: &str) -> &str {
    let mut text = text;
    loop {
        text = text.trim_start().trim_start_matches(';');
        if text.starts_with("--") {
            text = text.find('\n').map_or("", |end| &text[end..]);
        } else if text.starts_with("/*") {
            let end = pilotfish_sql::postgres::end_of_comment(text.as_bytes(), 0);
            text = end.map_or("", |end| &text[end..]);
        } else if !text.starts_with([';', ' ', '\n']) {
            return text;
        }
    }
}

/// What differs between the two.
fn compare(text: &str, echo: &str, world: &World) -> Result<(), String> {
    let (statements, whole) = read(world, text);
    let complaint = |what: &str| {
        Err(format!(
            "{what}\nin {text:?}\nours {statements:?}\npsql {echo:?}"
        ))
    };
    let echoed = dense(echo);
    let mut echoed = echoed.as_str();
    for statement in &statements {
        let Some(rest) = trimmed(echoed).strip_prefix(dense(statement).as_str()) else {
            return complaint(&format!("psql has no {statement:?}"));
        };
        // psql ends a statement with its line.
        match rest.trim_start().strip_prefix(';') {
            Some(rest) if rest.starts_with('\n') || rest.is_empty() => echoed = rest,
            None if rest.trim().is_empty() => echoed = "",
            _ => return complaint(&format!("psql goes on behind {statement:?}")),
        }
    }
    match trimmed(echoed) {
        rest if whole && !rest.is_empty() => complaint(&format!("psql has {rest:?} too")),
        _ => Ok(()),
    }
}

#[test]
fn statements_end_where_psql_says() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &[]);
    server.sql("app", "CREATE TABLE t (a text)");
    let config = Config::with_cases(1);
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let random = vec(select(PIECES.to_vec()), 0..30);
    let random = (0..300).map(|_| random.new_tree(&mut runner).unwrap().current().concat());
    let texts = TEXTS.iter().map(|text| (*text).to_owned()).chain(random);
    let complaints: Vec<_> = texts
        .filter_map(|text| compare(&text, &server.echo("app", &text), &world).err())
        .collect();
    assert!(
        complaints.is_empty(),
        "{}:\n\n{}",
        complaints.len(),
        complaints.join("\n\n")
    );
}
