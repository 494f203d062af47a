//! Real dumps of a schema with every kind of object, loaded into a fresh server.

use pilotfish_harness::{Server, ServerKind, World, every_object};

use crate::{canonical, checksums, dump, load};

/// MySQL writes a binary log unless told otherwise, and then wants SUPER for functions and triggers.
const TRUST: &[&str] = &["--log-bin-trust-function-creators=1"];

fn every_object_comes_back(kind: ServerKind, args: &[&str]) {
    let world = World::new();
    let source = Server::start(kind, &world, &[]);
    every_object::create(&source);
    let path = dump(&world, &source, "app", "every_object.sql");
    let args = [args, if kind.is_mariadb() { &[] } else { TRUST }].concat();
    let target = Server::start(kind, &world, &args);
    every_object::create_definers(&target);
    let _ = load(&target)
        .arg(&path)
        .args(["--into=app", definer(kind), "--threads=4"])
        .run()
        .success();
    assert_eq!(checksums(&source, "app"), checksums(&target, "app"));
    let again = dump(&world, &target, "app", "again.sql");
    let canonical = |path| {
        if kind.is_mariadb() {
            canonical(path)
        } else {
            without_definers(&canonical(path))
        }
    };
    similar_asserts(&canonical(&path), &canonical(&again));
    // The same dump again is nothing to do, and says so.
    let done = load(&target).arg(&path).arg("--into=app").run().success();
    assert!(done.stderr.contains("nothing to do"), "{done}");
}

fn without_definers(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(start) = text.find("DEFINER=`").or_else(|| text.find("DEFINER=\"")) {
        let end = text[start..]
            .find([' ', '*'])
            .map_or(text.len(), |length| start + length);
        text.replace_range(start..end, "");
    }
    text
}

/// On MySQL the dump's definer is root, and only another SYSTEM_USER may name him.
fn definer(kind: ServerKind) -> &'static str {
    if kind.is_mariadb() {
        "--definer=keep"
    } else {
        "--definer=current"
    }
}

/// Compares line by line: a whole dump in an assertion message helps nobody.
#[track_caller]
fn similar_asserts(left: &str, right: &str) {
    for (number, (left, right)) in left.lines().zip(right.lines()).enumerate() {
        assert_eq!(left, right, "line {number} differs");
    }
    assert_eq!(left.lines().count(), right.lines().count());
}

#[test]
fn mariadb_10_11_by_load_data() {
    every_object_comes_back(ServerKind::MariaDb1011, &["--local-infile=1"]);
}

#[test]
fn mariadb_10_11_by_insert() {
    every_object_comes_back(ServerKind::MariaDb1011, &["--local-infile=0"]);
}

#[test]
fn mariadb_11_8() {
    every_object_comes_back(ServerKind::MariaDb118, &["--local-infile=1"]);
}

#[test]
fn mysql_9_7_by_load_data() {
    every_object_comes_back(ServerKind::MySql97, &["--local-infile=1"]);
}

#[test]
fn mysql_9_7_by_insert() {
    every_object_comes_back(ServerKind::MySql97, &[]);
}

#[test]
fn standard_input_and_compression_need_no_file() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &[]);
    let (first, second) = crate::two_releases(&world, &server);
    let packed = std::process::Command::new("gzip")
        .arg("-k")
        .arg(&first)
        .status();
    assert!(packed.expect("run gzip").success());
    let gz = first.with_extension("sql.gz");
    let _ = load(&server)
        .args(["-", "--into=app"])
        .stdin_file(&gz)
        .run()
        .success();
    assert_eq!(crate::release_no(&server), "1");
    let done = load(&server)
        .args(["-", "--into=app"])
        .stdin_file(&second)
        .run()
        .success();
    assert_eq!(crate::release_no(&server), "2");
    assert!(
        done.stderr.contains("2 tables loaded") && done.stderr.contains("1 unchanged"),
        "{done}"
    );
}

#[test]
fn a_folder_is_loaded_in_the_entrypoints_order() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &[]);
    world.write(
        "initdb/10-schema.sql",
        "CREATE TABLE t (id INT PRIMARY KEY);\n",
    );
    world.write("initdb/20-rows.sql", "INSERT INTO t VALUES (1),(2);\n");
    world.write("initdb/README.txt", "not SQL");
    let _ = load(&server)
        .arg(world.join("initdb"))
        .arg("--into=app")
        .run()
        .success();
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.t").trim(), "2");
}
