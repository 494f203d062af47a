//! What `load` is measured against beside the stock client: the best that a person does by hand who knows the data,
//! mydumper's own loader, and MariaDB's parallel import.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use pilotfish_harness::{PostgresKind, Server, ServerKind, World, tpch};

/// Connections for the rows, and for the keys.
const CONNECTIONS: usize = 3;

/// The foreign keys, and with them the secondary keys that they need; the longest first.
const KEYS: [&str; 6] = [
    "ALTER TABLE lineitem ADD FOREIGN KEY (l_partkey, l_suppkey) REFERENCES partsupp (ps_partkey, ps_suppkey), \
     ADD FOREIGN KEY (l_orderkey) REFERENCES orders (o_orderkey)",
    "ALTER TABLE orders ADD FOREIGN KEY (o_custkey) REFERENCES customer (c_custkey)",
    "ALTER TABLE partsupp ADD FOREIGN KEY (ps_suppkey) REFERENCES supplier (s_suppkey), \
     ADD FOREIGN KEY (ps_partkey) REFERENCES part (p_partkey)",
    "ALTER TABLE customer ADD FOREIGN KEY (c_nationkey) REFERENCES nation (n_nationkey)",
    "ALTER TABLE supplier ADD FOREIGN KEY (s_nationkey) REFERENCES nation (n_nationkey)",
    "ALTER TABLE nation ADD FOREIGN KEY (n_regionkey) REFERENCES region (r_regionkey)",
];

/// Rows split beforehand, by LOAD DATA on three connections; then keys side by side. Nothing is checked.
pub(crate) fn by_hand(server: &Server, scale: &str) {
    let files = tpch::for_postgres(PostgresKind::Postgres15, scale);
    server.sql(&format!("USE app; {}", tpch::without_foreign_keys()));
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let files = &files;
            scope.spawn(move || {
                let mut sql = String::from("USE app; SET foreign_key_checks=0;");
                // One after the other: tables end with the largest.
                for table in tpch::TABLES.iter().rev() {
                    for part in (0..tpch::PARTS).filter(|part| part % CONNECTIONS == connection) {
                        let rows = files.rows(table, part);
                        sql += &format!(
                            "LOAD DATA LOCAL INFILE '{}' INTO TABLE {table} CHARACTER SET utf8mb4;",
                            rows.display()
                        );
                    }
                }
                run(
                    server
                        .client()
                        .args(["--local-infile=1", "--execute", &sql]),
                    "LOAD DATA",
                );
            });
        }
    });
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let keys = KEYS.iter().skip(connection).step_by(CONNECTIONS);
            scope.spawn(move || {
                for key in keys {
                    server.sql(&format!("USE app; SET foreign_key_checks=0; {key};"));
                }
            });
        }
    });
}

/// A folder of mydumper's with the same data, made once.
pub(crate) fn mydumped(kind: ServerKind, scale: &str) -> PathBuf {
    tpch::folder(&format!("mydumper-{}-sf{scale}", kind.name()), |folder| {
        let world = World::new();
        let server = tpch::source(kind, &world, scale);
        run(
            Command::new("mydumper")
                .args(connection(&server))
                .args(["--database=tpch", "--threads=4", "--rows=500000"])
                .arg("--outputdir")
                .arg(folder),
            "mydumper",
        );
    })
}

pub(crate) fn myloader(server: &Server, folder: &Path) {
    run(
        Command::new("myloader")
            .args(connection(server))
            .args([
                "--database=app",
                "--source-db=tpch",
                "--threads=4",
                "--overwrite-tables",
            ])
            .arg("--directory")
            .arg(folder),
        "myloader",
    );
}

/// A folder of `mariadb-dump --dir` with the same data, made once: definitions, and rows as LOAD DATA takes them.
pub(crate) fn dumped_to_folder(kind: ServerKind, scale: &str) -> PathBuf {
    tpch::folder(
        &format!("mariadb-dir-{}-sf{scale}", kind.name()),
        |folder| {
            let world = World::new();
            let server = tpch::source(kind, &world, scale);
            std::fs::create_dir_all(folder).expect("make the folder");
            run(
                server
                    .program_of(ServerKind::MariaDb118, "mariadb-dump")
                    .arg(format!("--dir={}", folder.display()))
                    .args(["--databases", "tpch"]),
                "mariadb-dump",
            );
            // It makes the database that it dumped, and rows go to the one that is counted.
            std::fs::rename(folder.join("tpch"), folder.join("app")).expect("name the folder");
        },
    )
}

pub(crate) fn mariadb_import(server: &Server, folder: &Path) {
    run(
        server
            .program_of(ServerKind::MariaDb118, "mariadb-import")
            .arg(format!("--dir={}", folder.display()))
            .args(["--local", "--parallel=4", "--database=app"]),
        "mariadb-import",
    );
}

fn connection(server: &Server) -> [String; 2] {
    [
        "--user=root".to_owned(),
        format!("--socket={}", server.socket().display()),
    ]
}

fn run(command: &mut Command, what: &str) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("run {what}: {error}"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {words}");
}
