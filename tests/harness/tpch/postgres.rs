//! The tables as PostgreSQL's own programs write them.

use std::fs::{File, create_dir_all, remove_dir_all, remove_file};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{DATABASE, SCHEMA, TABLES, amended_name, cached, write_table};
use crate::postgres::{Postgres, PostgresKind};
use crate::server::complete;
use crate::world::World;

/// Into how many files the rows of each table are split.
pub const PARTS: usize = 3;

/// One database, written in several ways.
#[derive(Debug, Clone)]
pub struct PostgresFiles {
    folder: PathBuf,
}

impl PostgresFiles {
    /// By `pg_dump`.
    #[must_use]
    pub fn plain(&self) -> PathBuf {
        self.folder.join("plain.sql")
    }

    /// By `pg_dump -Fc`.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.folder.join("custom.dump")
    }

    /// Rows as COPY takes them: the `part`-th of [`PARTS`] of a table.
    #[must_use]
    pub fn rows(&self, table: &str, part: usize) -> PathBuf {
        self.folder.join(format!("{table}.{part}.copy"))
    }
}

/// The files of a database (without its name) at a scale factor, made once per kind; they are shared, so copy one
/// before changing it.
///
/// # Panics
/// When the data cannot be made.
#[must_use]
pub fn for_postgres(kind: PostgresKind, scale: &str) -> PostgresFiles {
    let mut hasher = DefaultHasher::new();
    SCHEMA.hash(&mut hasher);
    let name = format!("{}-sf{scale}-{:016x}", kind.name(), hasher.finish());
    let folder = cached(&name, "", |partial| make(kind, scale, partial));
    PostgresFiles { folder }
}

/// The same by `pg_dump`, of tables that `amendment`, some SQL, has changed.
///
/// # Panics
/// When the data cannot be made.
#[must_use]
pub fn amended_for_postgres(kind: PostgresKind, scale: &str, amendment: &str) -> PathBuf {
    cached(
        &amended_name(kind.name(), scale, amendment),
        ".sql",
        |partial| {
            let world = World::within_a_turn();
            let server = source(kind, &world, scale);
            server.sql(DATABASE, amendment);
            server.dump_to(DATABASE, &[], partial);
        },
    )
}

fn make(kind: PostgresKind, scale: &str, folder: &Path) {
    // Left behind when the maker was killed.
    let _ = remove_dir_all(folder);
    create_dir_all(folder).expect("make the folder of the files");
    let world = World::within_a_turn();
    let server = source(kind, &world, scale);
    let files = PostgresFiles {
        folder: folder.to_owned(),
    };
    server.dump_to(DATABASE, &[], &files.plain());
    server.dump_to(DATABASE, &["--format=custom"], &files.archive());
    for table in TABLES {
        let whole = world.join(table);
        let file = File::create(&whole).expect("make a table's file");
        let mut client = server.client(DATABASE);
        client.arg(format!("--command=COPY {table} TO STDOUT"));
        complete(client.stdin(Stdio::null()).stdout(file));
        split(&whole, |part| files.rows(table, part));
        remove_file(whole).expect("remove the whole file");
    }
}

/// A throwaway server that holds the tables, in the tools' account.
fn source(kind: PostgresKind, world: &World, scale: &str) -> Postgres {
    let factor: f64 = scale.parse().expect("a scale factor is a number");
    let settings = ["shared_buffers=1GB", "max_wal_size=4GB"];
    let server = Postgres::start(kind, world, &settings);
    server.create_database(DATABASE);
    server.sql(DATABASE, &format!("SET ROLE pilotfish; {SCHEMA}"));
    for table in TABLES {
        let path = world.join(format!("{table}.tbl"));
        write_table(table, factor, &path);
        let mut client = server.client(DATABASE);
        client.arg(format!("--command=COPY {table} FROM STDIN (DELIMITER '|')"));
        let rows = File::open(&path).expect("open a table's file");
        complete(client.stdin(rows).stdout(Stdio::null()));
        remove_file(path).expect("remove the loaded file");
    }
    server
}

/// Splits a file into parts of whole lines, about as long as one another.
fn split(whole: &Path, part: impl Fn(usize) -> PathBuf) {
    let file = File::open(whole).expect("open a table's file");
    let length = file.metadata().expect("its length").len();
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let mut line = Vec::new();
    let mut taken = 0;
    for number in 0..PARTS {
        let file = File::create(part(number)).expect("make a part");
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let end = length * (number as u64 + 1) / PARTS as u64;
        while taken < end {
            line.clear();
            taken += lines.read_until(b'\n', &mut line).expect("read a line") as u64;
            out.write_all(&line).expect("write a part");
        }
        out.flush().expect("write a part");
    }
}
