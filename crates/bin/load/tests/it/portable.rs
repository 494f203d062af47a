//! A dump of one server in another one: what SQL they share arrives whole, the rest is refused by name.

use pilotfish_harness::{Server, ServerKind, World, every_object};

use crate::{dump, load};

const ALL: [ServerKind; 3] = [
    ServerKind::MariaDb1011,
    ServerKind::MariaDb118,
    ServerKind::MySql97,
];

/// What a client of any server reads: every value of every table, and what the programs do.
fn contents(server: &Server) -> String {
    // A generated name, a key's order and the like differ between servers; values must not.
    let columns = server.sql(
        "SET SESSION group_concat_max_len = 1000000; SELECT table_name, GROUP_CONCAT(CONCAT('COALESCE(HEX(CAST(`', \
         REPLACE(column_name, '`', '``'), '` AS BINARY)), \\'N\\')') ORDER BY ordinal_position) FROM \
         information_schema.columns WHERE table_schema = 'app' GROUP BY table_name ORDER BY HEX(table_name)",
    );
    let mut queries = String::from("SET time_zone = '+00:00';\n");
    for line in columns.lines() {
        let (table, fields) = line.split_once('\t').expect("two columns");
        // The client prints a backslash for one.
        let (table, fields) = (table.replace("\\\\", "\\"), fields.replace("\\\\", "\\"));
        let quoted = table.replace('`', "``");
        queries += &format!(
            "SELECT '== {}'; SELECT CONCAT_WS('|', {fields}) FROM app.`{quoted}`;\n",
            table.replace('\'', "''")
        );
    }
    for (what, source) in [
        ("trigger_name", "triggers WHERE trigger_schema"),
        ("routine_name", "routines WHERE routine_schema"),
        ("event_name", "events WHERE event_schema"),
        ("table_name", "views WHERE table_schema"),
    ] {
        queries += &format!(
            "SELECT {what} AS n FROM information_schema.{source} = 'app' ORDER BY HEX({what});\n"
        );
    }
    queries += "CALL app.other_modes(); CALL app.fill(2, @done); SELECT @done; SELECT what FROM app.audit ORDER BY id;\n\
                UPDATE app.child SET note = 'x' WHERE id = 1; SELECT what FROM app.audit ORDER BY id;\n\
                DELETE FROM app.audit;\n";
    sorted(&server.sql(&queries))
}

/// Rows in a fixed order, table by table: each server sorts in its own way.
fn sorted(text: &str) -> String {
    let sections = text.split_inclusive("== ").map(|section| {
        let mut lines: Vec<&str> = section.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    });
    sections.collect::<Vec<_>>().join("\n")
}

fn travels(from: ServerKind) {
    let world = World::new();
    let source = Server::start(from, &world, &[]);
    every_object::create_portable(&source);
    if from.is_mariadb() {
        // mariadb-dump writes the values of generated columns, which MySQL takes from nobody: see below.
        source.sql("USE app; DROP VIEW checked, priced; DROP TABLE computed");
    }
    let path = dump(&world, &source, "app", "portable.sql");
    let expected = contents(&source);
    drop(source);
    for kind in ALL.into_iter().filter(|kind| *kind != from) {
        let trust: &[&str] = if kind.is_mariadb() {
            &["--local-infile=1"]
        } else {
            &["--local-infile=1", "--log-bin-trust-function-creators=1"]
        };
        let target = Server::start(kind, &world, trust);
        let _ = load(&target)
            .arg(&path)
            .args(["--into=app", "--definer=current", "--threads=4"])
            .run()
            .success();
        let found = contents(&target);
        for (number, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
            assert_eq!(
                expected, found,
                "line {number} differs, {from:?} in {kind:?}"
            );
        }
        assert_eq!(expected.lines().count(), found.lines().count());
    }
}

#[test]
fn a_dump_of_mariadb_10_11_in_other_servers() {
    travels(ServerKind::MariaDb1011);
}

#[test]
fn a_dump_of_mariadb_11_8_in_other_servers() {
    travels(ServerKind::MariaDb118);
}

#[test]
fn a_dump_of_mysql_9_7_in_other_servers() {
    travels(ServerKind::MySql97);
}

#[test]
fn values_of_generated_columns_are_refused_by_mysql_and_named() {
    let world = World::new();
    let target = Server::start(ServerKind::MySql97, &world, &[]);
    let path = world.write(
        "computed.sql",
        "CREATE TABLE t (a INT, b INT GENERATED ALWAYS AS (a + 1) STORED);\nINSERT INTO t VALUES (1,2);\n",
    );
    let done = load(&target)
        .arg(&path)
        .args(["--into=app", "--no-trailer"])
        .run()
        .fails_with(65, "computed.sql:2");
    assert!(done.stderr.contains("generated column 'b'"), "{done}");
}

/// What only one of them has is named with its statement, and nothing goes live.
#[test]
fn what_a_server_does_not_know_is_named() {
    let world = World::new();
    for (from, into, statement) in [
        (
            ServerKind::MariaDb1011,
            ServerKind::MySql97,
            "DROP SEQUENCE",
        ),
        (ServerKind::MySql97, ServerKind::MariaDb1011, "CREATE TABLE"),
        (
            ServerKind::MySql97,
            ServerKind::MariaDb118,
            "INSERT INTO not_enforced",
        ),
    ] {
        let source = Server::start(from, &world, &[]);
        every_object::create(&source);
        let path = dump(&world, &source, "app", "own.sql");
        drop(source);
        let target = Server::start(into, &world, &[]);
        let done = load(&target)
            .arg(&path)
            .args(["--into=app", "--definer=current"])
            .run()
            .fails_with(65, "own.sql:");
        assert!(done.stderr.contains(statement), "{done}");
        let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'app'";
        assert_eq!(target.sql(tables).trim(), "0", "{done}");
    }
}
