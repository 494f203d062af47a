//! Archives of real servers against what their own pg_restore makes of them.

mod damage;

use std::fs;
use std::path::{Path, PathBuf};

use pilotfish_harness::{Postgres, PostgresKind, World, every_object};
use pilotfish_sql::Dialect;

use crate::{Error, Item, Options, Reader, Source, Summary};

use super::*;

/// Lines without comments and keys, which are not the same twice.
fn canonical(text: &[u8]) -> Vec<&[u8]> {
    let beside = |line: &&[u8]| {
        !line.starts_with(b"--")
            && !line.starts_with(b"\\restrict ")
            && !line.starts_with(b"\\unrestrict ")
    };
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter(beside)
        .filter(|line| !line.is_empty())
        .collect()
}

fn text_of(path: &Path) -> io::Result<(Vec<u8>, String)> {
    let mut archive = if path.is_dir() {
        let folder = path.to_owned();
        unpack_folder(Box::new(move |name| {
            let path = folder.join(name);
            let opened =
                || Ok::<_, io::Error>(Box::new(fs::File::open(&path)?) as Box<dyn Read + Send>);
            path.exists().then(opened).transpose()
        }))?
    } else {
        match unpack(Box::new(fs::File::open(path)?), Some(path))? {
            Unpacked::Archive(archive) => *archive,
            Unpacked::Plain(_) => panic!("{} is no archive", path.display()),
        }
    };
    let mut all = Vec::new();
    archive.text.read_to_end(&mut all)?;
    Ok((all, archive.said))
}

#[track_caller]
fn assert_as_restored(server: &Postgres, path: &Path, what: &str) {
    let (ours, said) = text_of(path).unwrap_or_else(|error| panic!("{what}: {error}"));
    let theirs = server.restored_text(path);
    let (ours, theirs) = (canonical(&ours), canonical(&theirs));
    let differs = ours
        .iter()
        .zip(&theirs)
        .position(|(one, other)| one != other);
    let around = |lines: &[&[u8]]| {
        let at = differs.unwrap_or_default();
        let lines = lines.iter().skip(at.saturating_sub(3)).take(6);
        lines
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(around(&ours), around(&theirs), "{what}");
    assert_eq!(ours.len(), theirs.len(), "{what}");
    assert!(said.contains("pg_dump 1"), "{said}");
}

/// Server, folder and what it holds: everything in `app`, and large objects.
fn full(kind: PostgresKind) -> (World, Postgres) {
    let world = World::new();
    let server = Postgres::start(kind, &world, &[]);
    every_object::create_on_postgres(&server, "app");
    every_object::create_large_objects(&server, "app");
    (world, server)
}

fn compressions(kind: PostgresKind) -> &'static [&'static str] {
    match kind {
        PostgresKind::Postgres15 => &["0", "1", "9"],
        PostgresKind::Postgres18 => &["none", "gzip", "lz4", "zstd:3"],
    }
}

fn read(path: &Path) -> Result<Summary, Error> {
    read_as(path, false)
}

fn read_as(path: &Path, skim: bool) -> Result<Summary, Error> {
    let mut options = Options::new(Dialect::Postgres { version: 180_000 });
    options.skim = skim;
    let mut reader = Reader::open(&Source::Path(path.to_owned()), options)?;
    while let Some(item) = reader.next()? {
        if let Item::Statement(statement) = item {
            assert!(!statement.text.is_empty());
        }
    }
    reader.finish()
}

/// An archive of `app`.
fn made(server: &Postgres, world: &World, args: &[&str], name: &str) -> PathBuf {
    let path = world.join(name);
    if args.contains(&"--format=directory") {
        let file = format!("--file={}", path.display());
        let args = [args, &[&file]].concat();
        assert_eq!(server.dump("app", &args), b"");
    } else {
        server.dump_to("app", args, &path);
    }
    path
}

#[test]
fn every_archive_is_what_pg_restore_makes_of_it() {
    for kind in PostgresKind::all() {
        let (world, server) = full(kind);
        let plain = made(&server, &world, &[], "plain.sql");
        let plain = read(&plain).unwrap();
        let check = |path: &Path, what: &str| {
            let what = format!("{} {what}", kind.name());
            assert_as_restored(&server, path, &what);
            let summary = read(path).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(summary.tables, plain.tables, "{what}");
            assert_eq!(summary.objects, plain.objects, "{what}");
            assert_eq!(summary.sha256, crate::identify(path).unwrap(), "{what}");
            assert_eq!(summary.trailer, crate::Trailer::Present, "{what}");
            let skimmed = read_as(path, true).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(skimmed.roles, plain.roles, "{what}");
            assert_eq!(
                skimmed.tables.values().map(|table| table.rows).sum::<u64>(),
                0
            );
        };
        for format in ["custom", "directory"] {
            for compression in compressions(kind) {
                let args = [
                    &*format!("--format={format}"),
                    &*format!("--compress={compression}"),
                ];
                let path = made(&server, &world, &args, &format!("{format}-{compression}"));
                check(&path, &format!("{format} {compression}"));
            }
        }
        let tar = made(&server, &world, &["--format=tar"], "dump.sql");
        check(&tar, "tar");
        let piped = world.join("piped");
        fs::write(&piped, server.dump("app", &["--format=custom"])).unwrap();
        check(&piped, "custom through a pipe");
    }
}

#[test]
fn files_of_a_folder_that_are_cut_off_missing_or_elsewhere() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres18, &world, &[]);
    server.sql(
        "app",
        "CREATE TABLE t AS SELECT n FROM generate_series(1, 9) n",
    );
    let args = ["--format=directory", "--compress=none"];
    let folder = made(&server, &world, &args, "folder");
    let contents = folder.join("toc.dat");
    let toc = fs::read(&contents).unwrap();
    let files = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let rows = files.filter(|path| *path != contents).collect::<Vec<_>>();
    let [rows] = rows.as_slice() else {
        panic!("{rows:?}");
    };
    let whole = fs::read(rows).unwrap();
    let refused = |what: &str| {
        let error = read(&folder).expect_err(what).to_string();
        assert!(
            error.contains("TABLE DATA public.t") && error.contains(what),
            "{error}"
        );
    };
    for cut in ["1\n2\n", "1\n\\.\n"] {
        fs::write(rows, cut).unwrap();
        refused("cut off");
    }
    fs::remove_file(rows).unwrap();
    refused("is missing");
    fs::write(folder.join("toc.dat.gz"), b"not read").unwrap();
    fs::write(rows, &whole).unwrap();
    fs::write(folder.join("README"), b"beside").unwrap();
    let summary = read(&folder).unwrap();
    assert_eq!(summary.sha256, crate::identify(&folder).unwrap());
    assert_eq!(summary.files.len(), 3, "{:?}", summary.files);
    let name = rows.file_name().unwrap().to_str().unwrap();
    let outside = format!("{:_<1$}", "../", name.len());
    let at = memchr::memmem::find(&toc, name.as_bytes()).unwrap();
    let mut hostile = toc;
    hostile[at..at + name.len()].copy_from_slice(outside.as_bytes());
    fs::write(&contents, hostile).unwrap();
    refused("is none of an archive");
}

#[test]
fn inserts_and_statistics_are_read_too() {
    for kind in PostgresKind::all() {
        let (world, server) = full(kind);
        let statistics: &[&str] = match kind {
            PostgresKind::Postgres15 => &[],
            PostgresKind::Postgres18 => &["--statistics"],
        };
        let more: [&[&str]; 3] = [
            &["--inserts"],
            &["--create", "--load-via-partition-root", "--clean"],
            &["--data-only"],
        ];
        for (number, more) in more.into_iter().enumerate() {
            for format in ["--format=custom", "--format=tar", "--format=directory"] {
                // Which it does not take together.
                let with = if more == ["--data-only"] {
                    &[]
                } else {
                    statistics
                };
                let args = [&[format], more, with].concat();
                let path = made(&server, &world, &args, &format!("{format}{number}"));
                assert_as_restored(&server, &path, &format!("{} {args:?}", kind.name()));
            }
        }
    }
}
