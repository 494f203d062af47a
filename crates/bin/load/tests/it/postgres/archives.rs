//! Archives of pg_dump are loaded as its plain dumps are.

use std::path::{Path, PathBuf};

use pilotfish_harness::{Postgres, PostgresKind, canonical_dump};

use super::{assert_same, live, load, postgres, two_releases};

/// An archive of the database `source`.
fn archive(server: &Postgres, folder: &Path, format: &str) -> PathBuf {
    let path = folder.join(format!("{format}.sql"));
    let format = format!("--format={format}");
    if format == "--format=directory" {
        let file = format!("--file={}", path.display());
        assert!(server.dump("source", &[&format, &file]).is_empty());
    } else {
        server.dump_to("source", &[&format], &path);
    }
    path
}

#[test]
fn each_format_brings_everything() {
    for kind in PostgresKind::all() {
        let (world, server) = postgres(kind);
        let _ = two_releases(&world, &server);
        let source = canonical_dump(&server.dump("source", &[]));
        for format in ["custom", "tar", "directory"] {
            server.sql("postgres", "DROP DATABASE app");
            server.create_database("app");
            let path = archive(&server, world.path(), format);
            let run = || load(&server).arg(&path).arg("--owner=keep").run().success();
            let done = run();
            let said = format!("{format} archive of pg_dump {}", &kind.name()[9..]);
            assert!(done.stderr.contains(&said), "{done}");
            assert_same(&source, &live(&server), format);
            let again = run();
            assert!(again.stderr.contains("nothing to do"), "{format}: {again}");
        }
    }
}

#[test]
fn a_stream_is_an_archive_too() {
    let (world, server) = postgres(PostgresKind::Postgres18);
    let _ = two_releases(&world, &server);
    let path = archive(&server, world.path(), "custom");
    let bytes = std::fs::read(&path).expect("read the archive");
    let _ = load(&server)
        .args(["--owner=keep", "-"])
        .stdin(bytes)
        .run()
        .success();
    let source = canonical_dump(&server.dump("source", &[]));
    assert_same(&source, &live(&server), "from a stream");
}
