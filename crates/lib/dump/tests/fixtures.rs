//! One pair per item of the dumps' grammar: `fixtures/<name>.sql` is read for both flavours of MySQL, and
//! `fixtures/postgres/<name>.sql` for PostgreSQL; what comes out must be `<name>.out`. The actual text is left in cargo's folder for test
//! output, to be compared and, if it is right, copied.

#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows #[test] functions, not their helpers

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use pilotfish_dump::{Error, Item, Options, Reader, Rows, Source, Statement};
use pilotfish_sql::{Dialect, Flavour};

const FLAVOURS: [(&str, Flavour); 2] = [
    (
        "MariaDB 10.11.19",
        Flavour {
            mariadb: true,
            version: 101_119,
        },
    ),
    (
        "MySQL 9.7.0",
        Flavour {
            mariadb: false,
            version: 90_700,
        },
    ),
];

fn shown(bytes: &[u8]) -> String {
    bytes
        .escape_ascii()
        .to_string()
        .replace("\\n", "\n    ")
        .replace("\\'", "'")
        .replace("\\\"", "\"")
        .replace("\\\\", "\\")
}

fn place(position: &pilotfish_dump::Position) -> String {
    format!("{}:{}", position.line, position.byte)
}

fn statement(out: &mut String, statement: &Statement) {
    let Statement {
        class,
        text,
        position,
        ..
    } = statement;
    writeln!(out, "{} {class:?}\n    {}", place(position), shown(text)).unwrap();
}

fn rows(out: &mut String, rows: &Rows) {
    let Rows {
        head,
        tuples,
        count,
        position,
        order,
        ..
    } = rows;
    let columns = head
        .columns
        .as_ref()
        .map(|columns| format!("({})", columns.join(",")))
        .unwrap_or_default();
    let verb = head.verb;
    writeln!(
        out,
        "{} {verb:?} {}{columns} {count} rows {order:?}",
        place(position),
        head.table
    )
    .unwrap();
    writeln!(out, "    {}", shown(&head.text)).unwrap();
    writeln!(out, "    {}", shown(tuples)).unwrap();
    if let Some(tail) = &head.tail {
        writeln!(out, "    {}", shown(tail)).unwrap();
    }
}

fn read(path: &Path, dialect: Dialect, out: &mut String) -> Result<(), Error> {
    let mut reader = Reader::open(&Source::Path(path.to_owned()), Options::new(dialect))?;
    while let Some(item) = reader.next()? {
        match item {
            Item::Statement(found) => statement(out, &found),
            Item::Rows(found) => rows(out, &found),
            Item::Marks(_) => {}
        }
    }
    let summary = reader.finish()?;
    writeln!(out, "= trailer {:?}", summary.trailer).unwrap();
    for (name, table) in summary.tables {
        let references: Vec<_> = table.references.into_iter().collect();
        let references = if references.is_empty() {
            String::new()
        } else {
            format!(" -> {}", references.join(","))
        };
        writeln!(
            out,
            "= table {name} {} rows {} bytes {}{references}",
            table.rows, table.bytes, table.digest
        )
        .unwrap();
    }
    for (name, digest) in summary.objects {
        writeln!(out, "= {name} {digest}").unwrap();
    }
    if !summary.roles.named.is_empty() {
        let roles: Vec<_> = summary.roles.named.into_iter().collect();
        writeln!(out, "= roles {}", roles.join(",")).unwrap();
    }
    Ok(())
}

fn told(path: &Path, dialect: Dialect) -> String {
    let folder = format!("{}/", path.parent().unwrap().display());
    let mut out = String::new();
    if let Err(error) = read(path, dialect, &mut out) {
        writeln!(out, "! {}", error.to_string().replace(&folder, "")).unwrap();
    }
    out
}

fn of_both_flavours(path: &Path) -> String {
    let texts = FLAVOURS.map(|(_, flavour)| told(path, flavour.into()));
    if texts[0] == texts[1] {
        return texts[0].clone();
    }
    let sections = FLAVOURS.iter().zip(&texts);
    sections
        .map(|((name, _), text)| format!("# {name}\n{text}"))
        .collect()
}

fn check(folder: &str, least: usize, render: impl Fn(&Path) -> String) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        seen += 1;
        let actual = render(&path);
        let expected = fs::read_to_string(path.with_extension("out")).unwrap_or_default();
        if actual != expected {
            let name = path.with_extension("out").file_name().unwrap().to_owned();
            fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name), actual).unwrap();
            wrong.push(name);
        }
    }
    assert!(seen > least, "the fixtures are missing");
    assert!(
        wrong.is_empty(),
        "these differ, see {}: {wrong:?}",
        env!("CARGO_TARGET_TMPDIR")
    );
}

#[test]
fn every_fixture_reads_as_written() {
    check("tests/fixtures", 20, of_both_flavours);
}

#[test]
fn every_fixture_of_postgres_reads_as_written() {
    check("tests/fixtures/postgres", 15, |path| {
        told(path, Dialect::Postgres { version: 150_004 })
    });
}
