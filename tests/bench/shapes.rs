//! Dumps of other shapes than TPC-H's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pilotfish_harness::{Postgres, PostgresKind, Server, ServerKind, Tool, World, tpch};

use crate::Engine;
use crate::figures::{Figures, median, timed};
use crate::load::redo_log;

const SHAPES: [&str; 4] = ["wide", "blobs", "small_tables", "keys"];
/// Columns of the wide table.
const COLUMNS: u64 = 200;
const SMALL_TABLES: u64 = 500;
const SETTINGS: [&str; 2] = ["--innodb-buffer-pool-size=1G", "--local-infile=ON"];
const POSTGRES_SETTINGS: [&str; 3] = ["fsync=on", "shared_buffers=1GB", "max_wal_size=4GB"];

pub(crate) fn run(engine: Engine, megabytes: u64, rounds: usize) {
    let mut figures = Figures::default();
    for shape in SHAPES {
        eprintln!("== load-shapes: {shape}, {engine:?}");
        let (mut client, mut own) = (Vec::new(), Vec::new());
        for _ in 0..rounds.max(1) {
            let (theirs, ours) = match engine.family() {
                Some((kind, _)) => of_family(kind, shape, megabytes),
                None => of_postgres(shape, megabytes),
            };
            client.push(theirs);
            own.push(ours);
        }
        let name = engine.family().map_or("postgres", |(_, name)| name);
        let (client, own) = (median(&client), median(&own));
        figures.add(
            format!("shapes.{name}.{shape}_ratio"),
            client / own,
            "times",
        );
        figures.add(format!("shapes.{name}.{shape}_client_seconds"), client, "s");
        figures.add(format!("shapes.{name}.{shape}_load_seconds"), own, "s");
    }
    figures.write("load-shapes");
}

fn of_family(kind: ServerKind, shape: &str, megabytes: u64) -> (Duration, Duration) {
    let dump = tpch::file(
        &format!("shape-{shape}-{}-{megabytes}", kind.name()),
        ".sql",
        |partial| {
            let world = World::new();
            let server = Server::start(kind, &world, &SETTINGS);
            server.sql(&format!(
                "CREATE DATABASE shape; USE shape; {}",
                text(shape, megabytes, false)
            ));
            let gtid: &[&str] = if kind.is_mariadb() {
                &[]
            } else {
                &["--set-gtid-purged=OFF"]
            };
            server.dump_to("shape", gtid, partial);
        },
    );
    let fresh = |work: &dyn Fn(&Server) -> Duration| {
        let world = World::new();
        let args: Vec<_> = SETTINGS.into_iter().chain([redo_log(kind)]).collect();
        let server = Server::start(kind, &world, &args);
        server.sql("CREATE DATABASE app");
        work(&server)
    };
    let theirs = fresh(&|server| timed("stock client", || server.sql_file("app", &dump)).0);
    let ours = fresh(&|server| timed("load", || load(&server.url(), &dump)).0);
    (theirs, ours)
}

fn of_postgres(shape: &str, megabytes: u64) -> (Duration, Duration) {
    let kind = PostgresKind::Postgres15;
    let dump: PathBuf = tpch::file(
        &format!("shape-{shape}-{}-{megabytes}", kind.name()),
        ".sql",
        |partial| {
            let world = World::new();
            let server = Postgres::start(kind, &world, &POSTGRES_SETTINGS);
            let sql = world.write("shape.sql", text(shape, megabytes, true).as_bytes());
            server.sql_file("app", &sql);
            server.dump_to("app", &["--no-owner"], partial);
        },
    );
    let fresh = |work: &dyn Fn(&Postgres) -> Duration| {
        let world = World::new();
        let server = Postgres::start(kind, &world, &POSTGRES_SETTINGS);
        work(&server)
    };
    let theirs = fresh(&|server| timed("psql -f", || server.sql_file("app", &dump)).0);
    let ours = fresh(&|server| timed("load", || load(&server.url(), &dump)).0);
    (theirs, ours)
}

fn load(url: &str, dump: &Path) {
    let tool = Tool::beside("load")
        .arg(dump)
        .args(["--into", "app"])
        .env("PILOTFISH_URL", url);
    let _ = tool.timeout(Duration::from_secs(1800)).run().success();
}

/// SQL that makes the tables of a shape, with about so many megabytes of rows.
fn text(shape: &str, megabytes: u64, postgres: bool) -> String {
    // Each doubles what is there, from one row on.
    let grow = |table: &str, columns: &str, values: &str, bytes: u64| {
        let rows = megabytes * 1_000_000 / bytes;
        let series = match postgres {
            true => format!("SELECT g AS n FROM generate_series(1::bigint, {rows}) AS g"),
            false => {
                let digit = "SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL \
                             SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9";
                let places: Vec<String> = (0..7)
                    .map(|place| format!("({digit}) AS p{place}"))
                    .collect();
                let number: Vec<String> = (0..7)
                    .map(|place| format!("p{place}.d * {}", 10_u64.pow(place)))
                    .collect();
                format!(
                    "SELECT n FROM (SELECT 1 + {} AS n FROM {}) AS all_numbers WHERE n <= {rows} ORDER BY n",
                    number.join(" + "),
                    places.join(", ")
                )
            }
        };
        format!("INSERT INTO {table} ({columns}) SELECT {values} FROM ({series}) AS s;")
    };
    let hash = if postgres {
        "md5(n::text)"
    } else {
        "LEFT(SHA2(n, 256), 40)"
    };
    match shape {
        "wide" => {
            let columns: Vec<String> = (0..COLUMNS).map(|at| if at % 2 == 0 { format!("c{at} INT") } else { format!("c{at} VARCHAR(20)") }).collect();
            let names: Vec<String> = (0..COLUMNS).map(|at| format!("c{at}")).collect();
            let values: Vec<String> = (0..COLUMNS).map(|at| if at % 2 == 0 { format!("n + {at}") } else { format!("LEFT({hash}, 8)") }).collect();
            format!(
                "CREATE TABLE wide (id INT PRIMARY KEY, {}); {}",
                columns.join(", "),
                grow("wide", &format!("id, {}", names.join(", ")), &format!("n, {}", values.join(", ")), 1700)
            )
        }
        "blobs" => {
            let (kind, value) = match postgres {
                true => ("BYTEA", format!("decode(repeat({hash}, 32), 'hex') || decode(repeat({hash}, 32), 'hex')")),
                false => ("BLOB", format!("LEFT(CONCAT(REPEAT(UNHEX({hash}), 51), 'tail'), 1000)")),
            };
            format!("CREATE TABLE blobs (id INT PRIMARY KEY, body {kind}); {}", grow("blobs", "id, body", &format!("n, {value}"), 1100))
        }
        "small_tables" => (0..SMALL_TABLES)
            .map(|at| {
                let rows = (1..=200).map(|row| format!("({row}, 'row {row} of {at}', {at})")).collect::<Vec<_>>();
                format!("CREATE TABLE small_{at} (id INT PRIMARY KEY, name VARCHAR(40), no INT); CREATE INDEX small_{at}_name ON small_{at} (name); INSERT INTO small_{at} VALUES {};", rows.join(","))
            })
            .collect(),
        _ => {
            let columns: Vec<String> = (0..8).map(|at| format!("k{at} INT NOT NULL")).collect();
            let names: Vec<String> = (0..8).map(|at| format!("k{at}")).collect();
            let modulo = |at: u64| format!("(n * {}) % 1000003", 7919 + at * 104_729);
            let values: Vec<String> = (0..8).map(modulo).collect();
            let keys: String = (0..8).map(|at| format!("CREATE INDEX keyed_{at} ON keyed (k{at});")).collect();
            format!(
                "CREATE TABLE keyed (id INT PRIMARY KEY, {}, text VARCHAR(40)); {} {keys}",
                columns.join(", "),
                grow("keyed", &format!("id, {}, text", names.join(", ")), &format!("n, {}, {hash}", values.join(", ")), 110)
            )
        }
    }
}
