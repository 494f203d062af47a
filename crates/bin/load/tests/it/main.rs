//! Black-box tests of `pilotfish-load` against real servers, with the documented grants only.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails where it stands, and says where it is"
)]

mod assertions;
mod command_line;
mod commands;
mod crash;
mod damage;
mod difference;
mod first_load;
mod followers;
mod grammar;
mod grants;
mod hard_cases;
mod last_moment;
mod lost;
mod no_false_success;
mod other_hands;
mod portable;
mod postgres;
mod readers;
mod reasons;
mod refusals;
mod round_trip;
mod signals;
mod sizes;
mod throttle;
mod volumes;
mod way_back;

use std::path::{Path, PathBuf};

use pilotfish_harness::{Finished, Holder, Server, ServerKind, Tool, World, tool};

/// The tool, aimed at a server.
fn load(server: &Server) -> Tool {
    tool!("load").args(["--url", &server.url()])
}

/// A MariaDB and its world.
fn mariadb(args: &[&str]) -> (World, Server) {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, args);
    (world, server)
}

/// A real dump of `database` as a file.
fn dump(world: &World, server: &Server, database: &str, name: &str) -> PathBuf {
    let path = world.join(name);
    let mut args = vec!["--routines", "--events", "--triggers"];
    if server.kind().is_mariadb() {
        // Without it a system-versioned table starts a new history at each load.
        args.push("--dump-history");
    }
    server.dump_to(database, &args, &path);
    path
}

/// Two releases of a small shop; `a` and `b` always tell the same release number.
fn two_releases(world: &World, server: &Server) -> (PathBuf, PathBuf) {
    server.sql(
        "CREATE DATABASE app; USE app;
         CREATE TABLE a (id INT PRIMARY KEY, release_no INT NOT NULL, note VARCHAR(20), KEY note (note));
         CREATE TABLE b (id INT PRIMARY KEY, release_no INT NOT NULL);
         CREATE TABLE same (id INT PRIMARY KEY, text VARCHAR(20));
         INSERT INTO a SELECT seq, 1, CONCAT('n', seq) FROM (SELECT @n := @n + 1 AS seq FROM information_schema.columns, (SELECT @n := 0) z LIMIT 500) s;
         INSERT INTO b SELECT id, 1 FROM a;
         INSERT INTO same VALUES (1, 'one'), (2, 'two');",
    );
    let first = dump(world, server, "app", "v1.sql");
    server.sql("USE app; UPDATE a SET release_no = 2; UPDATE b SET release_no = 2; INSERT INTO a VALUES (1000, 2, 'new');");
    let second = dump(world, server, "app", "v2.sql");
    server.sql("DROP DATABASE app");
    (first, second)
}

/// The release numbers that readers of `app` see: one of them, unless releases are mixed.
fn release_no(server: &Server) -> String {
    server.sql("SELECT GROUP_CONCAT(DISTINCT n ORDER BY n) FROM (SELECT release_no n FROM app.a UNION ALL SELECT release_no FROM app.b) x").trim().to_owned()
}

/// The rows of every table of a database, as checksums; `own_keys` has a multi-valued index, for which
/// MySQL gives another checksum each time.
fn checksums(server: &Server, database: &str) -> String {
    let tables = server.sql(&format!(
        "SELECT CONCAT('`', REPLACE(table_name, '`', '``'), '`') FROM information_schema.tables WHERE table_schema = '{database}' AND table_type <> 'VIEW' AND table_type <> 'SEQUENCE' AND table_name <> 'own_keys' ORDER BY table_name"
    ));
    let tables: Vec<String> = tables
        .lines()
        .map(|table| format!("`{database}`.{table}"))
        .collect();
    let answer = server.sql(&format!("CHECKSUM TABLE {}", tables.join(", ")));
    answer
        .lines()
        .map(|line| line.split_once('.').map_or(line, |(_, rest)| rest))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A dump's text without what every new dump has anew: dates, and the GTIDs of its server.
fn canonical(dump: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(dump).expect("read the dump")).into_owned();
    let mut gtids = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        gtids |= line.contains("GTID_PURGED");
        if !gtids && !line.starts_with("-- ") {
            lines.push(line);
        }
        gtids &= !line.ends_with(';');
    }
    lines.join("\n")
}

fn rollback(server: &Server) -> Finished {
    tool!("load")
        .args(["rollback", "--url", &server.url()])
        .run()
}
