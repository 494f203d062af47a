//! Benchmark data: TPC-H tables dumped by the server's own dump program, cached outside the checkout.

use std::fs::{File, create_dir_all, rename};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};

mod postgres;

pub use postgres::{PARTS, PostgresFiles, amended_for_postgres, for_postgres};

use crate::eventually::eventually;
use crate::server::{Server, ServerKind};
use crate::world::{World, cache_dir, lock};

/// The tables, each after those it references.
pub const TABLES: [&str; 8] = [
    "region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem",
];

const SCHEMA: &str = include_str!("../fixtures/tpch.sql");
const DATABASE: &str = "tpch";

/// A plain dump file of one database (without its name) at a scale factor such as `"0.01"` (10 MB)
/// or `"1"` (1 GB). Made once per server kind; the file is shared, so copy it before changing it.
///
/// # Panics
/// When the data cannot be made.
#[must_use]
pub fn dump(kind: ServerKind, scale: &str) -> PathBuf {
    amended(kind, scale, "")
}

/// Like [`dump`], of tables that `amendment`, some SQL, has changed.
///
/// # Panics
/// When the data cannot be made.
#[must_use]
pub fn amended(kind: ServerKind, scale: &str, amendment: &str) -> PathBuf {
    cached(
        &amended_name(kind.name(), scale, amendment),
        ".sql",
        |partial| {
            let world = World::within_a_turn();
            let server = source(kind, &world, scale);
            server.sql(&format!("USE {DATABASE}; {amendment}"));
            let gtid: &[&str] = if kind.is_mariadb() {
                &[]
            } else {
                &["--set-gtid-purged=OFF"]
            };
            server.dump_to(DATABASE, gtid, partial);
        },
    )
}

/// Another schema or amendment is another file.
fn amended_name(kind: &str, scale: &str, amendment: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (SCHEMA, amendment).hash(&mut hasher);
    format!("{kind}-sf{scale}-{:016x}", hasher.finish())
}

/// The tables' definitions without their foreign keys.
#[must_use]
pub fn without_foreign_keys() -> String {
    let lines = SCHEMA
        .lines()
        .filter(|line| !line.trim_start().starts_with("FOREIGN KEY"));
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace(",\n);", "\n);")
}

/// Benchmark data of another kind that `make` makes once, kept beside TPC-H's.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn file(name: &str, suffix: &str, make: impl FnOnce(&Path)) -> PathBuf {
    cached(name, suffix, make)
}

/// The same of a folder.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn folder(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    cached(name, "", make)
}

/// What `make` makes once, a file or a folder.
fn cached(name: &str, suffix: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = cache_dir().join("tpch");
    let path = folder.join(format!("{name}{suffix}"));
    if path.exists() {
        return path;
    }
    let turn = folder.join(format!("{name}.lock"));
    let _lock = eventually(
        "a turn to make TPC-H data",
        Duration::from_secs(900),
        || lock(&turn),
    );
    if !path.exists() {
        create_dir_all(&folder).expect("make the folder of TPC-H data");
        let partial = folder.join(format!("{name}.partial"));
        make(&partial);
        rename(&partial, &path).expect("finish the TPC-H data");
    }
    path
}

/// A throwaway server that holds the tables in the database `tpch`.
///
/// # Panics
/// When the data cannot be made.
#[must_use]
pub fn source(kind: ServerKind, world: &World, scale: &str) -> Server {
    let factor: f64 = scale.parse().expect("a scale factor is a number");
    let server = Server::start(
        kind,
        world,
        &[
            "--local-infile=ON",
            "--innodb-buffer-pool-size=1G",
            "--innodb-flush-log-at-trx-commit=0",
            "--skip-log-bin",
        ],
    );
    server.sql(&format!(
        "CREATE DATABASE {DATABASE}; USE {DATABASE}; {SCHEMA}"
    ));
    for table in TABLES {
        let file = world.join(format!("{table}.tbl"));
        write_table(table, factor, &file);
        let mut client = server.client();
        let load = format!(
            "SET unique_checks = 0, foreign_key_checks = 0; LOAD DATA LOCAL INFILE '{}' \
             INTO TABLE {table} CHARACTER SET binary FIELDS TERMINATED BY '|'",
            file.display()
        );
        let output = client
            .args(["--local-infile=1", DATABASE, "--execute", &load])
            .output()
            .expect("run the client");
        assert!(
            output.status.success(),
            "{table}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::remove_file(file).expect("remove the loaded file");
    }
    server
}

fn write_table(table: &str, factor: f64, path: &Path) {
    let file = BufWriter::with_capacity(1 << 20, File::create(path).expect("make a table's file"));
    match table {
        "region" => write(file, RegionGenerator::new(factor, 1, 1).iter()),
        "nation" => write(file, NationGenerator::new(factor, 1, 1).iter()),
        "part" => write(file, PartGenerator::new(factor, 1, 1).iter()),
        "supplier" => write(file, SupplierGenerator::new(factor, 1, 1).iter()),
        "partsupp" => write(file, PartSuppGenerator::new(factor, 1, 1).iter()),
        "customer" => write(file, CustomerGenerator::new(factor, 1, 1).iter()),
        "orders" => write(file, OrderGenerator::new(factor, 1, 1).iter()),
        "lineitem" => write(file, LineItemGenerator::new(factor, 1, 1).iter()),
        other => panic!("TPC-H has no table {other}"),
    }
}

/// Each row comes with a separator at its end, which COPY takes for one more field.
fn write(mut file: impl Write, rows: impl Iterator<Item: std::fmt::Display>) {
    let mut line = Vec::new();
    for row in rows {
        line.clear();
        write!(line, "{row}").expect("write to memory");
        if line.last() == Some(&b'|') {
            line.pop();
        }
        line.push(b'\n');
        file.write_all(&line).expect("write a table's file");
    }
    file.flush().expect("write a table's file");
}
