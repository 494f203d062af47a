//! Rows, lines and schemas far beyond the usual: they work, or a message names the limit.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use pilotfish_harness::{Server, ServerKind, World, short_or_long};

use crate::{load, mariadb};

const MIB: usize = 1024 * 1024;

/// As large as both servers take.
const LARGE_PACKETS: &[&str] = &["--max-allowed-packet=1G", "--local-infile=1"];

/// Room for the row in InnoDB's log, which MySQL wants to be ten times as large.
const LARGE_LOG: &str = "--innodb-redo-log-capacity=4G";

/// One row of so many bytes in a BLOB.
fn one_row(world: &World, name: &str, bytes: usize) -> PathBuf {
    let path = world.join(name);
    let mut file = BufWriter::new(File::create(&path).expect("make the dump"));
    let mut write = |text: &[u8]| file.write_all(text).expect("write the dump");
    write(b"CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB);\nINSERT INTO t VALUES (1,'");
    let piece = [b'x'; 64 * 1024];
    for _ in 0..bytes / piece.len() {
        write(&piece);
    }
    write(b"'),(2,'small');\n");
    path
}

fn a_large_row_is_loaded(kind: ServerKind) {
    let world = World::new();
    let mut args = LARGE_PACKETS.to_vec();
    if !kind.is_mariadb() {
        args.push(LARGE_LOG);
    }
    let server = Server::start(kind, &world, &args);
    let bytes = short_or_long(48, 200) * MIB;
    let dump = one_row(&world, "large.sql", bytes);
    let _ = load(&server)
        .arg(&dump)
        .args(["--into=app", "--no-trailer"])
        .run()
        .success();
    assert_eq!(
        server.sql("SELECT id, LENGTH(b) FROM app.t ORDER BY id"),
        format!("1\t{bytes}\n2\t5\n")
    );
}

#[test]
fn a_row_of_200_mib_is_loaded_into_mariadb() {
    a_large_row_is_loaded(ServerKind::MariaDb1011);
}

#[test]
fn a_row_of_200_mib_is_loaded_into_mysql() {
    a_large_row_is_loaded(ServerKind::MySql97);
}

#[test]
fn a_row_that_the_server_cannot_take_is_named_with_the_setting() {
    let world = World::new();
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let server = Server::start(kind, &world, &["--max-allowed-packet=4M"]);
        let dump = one_row(&world, "large.sql", 8 * MIB);
        let done = load(&server)
            .arg(&dump)
            .args(["--into=app", "--no-trailer"])
            .run()
            .fails_with(78, "raise max_allowed_packet");
        assert!(done.stderr.contains("large.sql:2"), "{done}");
    }
}

#[test]
fn a_line_of_500_mb_is_loaded() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &["--local-infile=1"]);
    let path = world.join("line.sql");
    let mut file = BufWriter::new(File::create(&path).expect("make the dump"));
    let mut write = |text: &[u8]| file.write_all(text).expect("write the dump");
    write(b"CREATE TABLE t (id INT PRIMARY KEY, b LONGTEXT);\nINSERT INTO t VALUES ");
    let rows = short_or_long(60, 500);
    let text = "y".repeat(MIB - 20);
    for id in 0..rows {
        let comma = if id == 0 { "" } else { "," };
        write(format!("{comma}({id},'{text}')").as_bytes());
    }
    write(b";\n");
    drop(file);
    let done = load(&server)
        .arg(&path)
        .args(["--into=app", "--no-trailer", "--threads=2"])
        .run()
        .success();
    assert_eq!(
        server
            .sql("SELECT COUNT(*), MIN(LENGTH(b)), MAX(LENGTH(b)) FROM app.t")
            .trim(),
        format!("{rows}\t{0}\t{0}", text.len()),
        "{done}"
    );
}

/// A dump of tables with two rows each, the first `changed` of which are of another release.
fn many(world: &World, tables: usize, changed: usize, release: usize) -> PathBuf {
    let mut text = String::new();
    for number in 0..tables {
        let release = if number < changed { release } else { 1 };
        let _ = writeln!(
            text,
            "CREATE TABLE `t{number}` (id INT PRIMARY KEY, release_no INT, KEY r (release_no));\nINSERT INTO `t{number}` VALUES (1,{release}),(2,{release});"
        );
    }
    world.write(format!("{release}.sql"), text)
}

/// As many as there are, in one RENAME where nobody reads yet; over live tables, as many as are allowed.
fn many_tables(kind: ServerKind) {
    let world = World::new();
    let server = Server::start(kind, &world, &["--local-infile=1"]);
    let (tables, most) = short_or_long((300, 100), (20_000, 5000));
    let run = |changed: usize, release: usize| {
        let dump = many(&world, tables, changed, release);
        load(&server)
            .arg(&dump)
            .args(["--into=app", "--no-trailer", "--swap-timeout=10m"])
            .arg(format!("--max-renames={most}"))
            .run()
    };
    let releases = "SELECT release_no FROM app.t0 UNION ALL SELECT release_no FROM app.t";
    let last = tables - 1;
    let seen = || {
        let counted = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'app'";
        server.sql(&format!("{releases}{last} GROUP BY 1; {counted}"))
    };
    let _ = run(tables, 1).success();
    assert_eq!(seen(), format!("1\n1\n1\n{tables}\n"));
    let _ = run(tables, 2).fails_with(78, "--max-renames");
    assert_eq!(seen(), format!("1\n1\n1\n{tables}\n"));
    let _ = run(most / 2, 3).success();
    assert_eq!(seen(), format!("3\n3\n1\n{tables}\n"));
}

#[test]
fn twenty_thousand_tables_are_loaded_and_swapped_on_mariadb() {
    many_tables(ServerKind::MariaDb1011);
}

#[test]
fn twenty_thousand_tables_are_loaded_and_swapped_on_mysql() {
    many_tables(ServerKind::MySql97);
}

#[test]
fn a_previous_release_that_makes_the_swap_too_large_is_named() {
    let (world, server) = mariadb(&[]);
    let dump = |name: &str, tables: u32, number: u32| {
        let table = |n: u32| {
            format!(
                "CREATE TABLE t{n} (id INT PRIMARY KEY);\nINSERT INTO t{n} VALUES ({number});\n"
            )
        };
        let tables: String = (0..tables).map(table).collect();
        world.write(
            name,
            format!("{tables}-- Dump completed on 2026-11-28  4:00:00\n"),
        )
    };
    let run = |dump: &std::path::Path, more: &[&str]| {
        load(&server).arg(dump).arg("--into=app").args(more).run()
    };
    let _ = run(&dump("1.sql", 4, 1), &[]).success();
    let _ = run(&dump("2.sql", 4, 2), &[]).success();
    let one = dump("3.sql", 1, 3);
    let part = &["--only=t0", "--max-renames=4"];
    let refused = run(&one, part).fails_with(78, "4 of them of the release before");
    assert!(
        refused
            .stderr
            .contains("DROP DATABASE `pilotfish_prev_app`"),
        "{refused}"
    );
    server.sql("DROP DATABASE `pilotfish_prev_app`");
    let _ = run(&one, part).success();
    assert_eq!(server.sql("SELECT id FROM app.t0").trim(), "3");
    let _ = run(&dump("4.sql", 4, 4), &["--max-renames=3"]).fails_with(78, "part by part");
}
