//! `./x bench NAME`: figures beside the peer's, measured in one run.
//!
//! Prints `name value unit` lines and writes `{"name": value}` to `target/bench/NAME.json`, which
//! holds the last run.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a benchmark prints its figures and stops where it cannot go on"
)]

mod exporter;
mod fetch;
mod figures;
mod frame;
mod large;
mod load;
mod load_postgres;
mod peers;
mod pod;
mod reload;
mod shapes;
mod throttle;

use clap::{Parser, Subcommand, ValueEnum};
use pilotfish_harness::ServerKind;

/// Measure a tool beside what it replaces
#[derive(Debug, Parser)]
#[command(name = "./x bench")]
struct Args {
    #[command(subcommand)]
    name: Name,
}

#[derive(Debug, Subcommand)]
enum Name {
    /// A TPC-H dump into a server: `load` against the stock client, parallel loaders, and what is possible by hand
    Load {
        /// The server
        #[arg(long, default_value = "mariadb")]
        engine: Engine,
        /// TPC-H scale factor: 1 is 1 GB
        #[arg(long, default_value = "1")]
        scale: String,
        /// Runs of each, alternating
        #[arg(long, default_value_t = 2)]
        rounds: usize,
    },
    /// A release after the first one, of which few rows differ, or none
    Reload {
        /// The server
        #[arg(long, default_value = "mariadb")]
        engine: Engine,
        /// TPC-H scale factor: 1 is 1 GB
        #[arg(long, default_value = "1")]
        scale: String,
        /// Runs of each, alternating
        #[arg(long, default_value_t = 2)]
        rounds: usize,
    },
    /// Dumps of other shapes: wide rows, blobs, many tables, many keys
    #[command(name = "load-shapes")]
    Shapes {
        /// The server
        #[arg(long, default_value = "mariadb")]
        engine: Engine,
        /// Megabytes of each dump, about
        #[arg(long, default_value_t = 100)]
        megabytes: u64,
        /// Runs of each, alternating
        #[arg(long, default_value_t = 2)]
        rounds: usize,
    },
    /// What readers wait while a release is loaded, with `--throttle` and without
    Throttle {
        /// The server
        #[arg(long, default_value = "mariadb")]
        engine: Engine,
        /// TPC-H scale factor: 1 is 1 GB
        #[arg(long, default_value = "0.3")]
        scale: String,
    },
    /// The framer and the row converter on one core, without a server
    Frame {
        /// TPC-H scale factor: 1 is 1 GB
        #[arg(long, default_value = "1")]
        scale: String,
    },
    /// A dump larger than memory through a pipe: how much memory `load --threads 4` takes
    #[command(name = "load-20gb")]
    Large {
        /// Size of the dump in GB; the server needs about 0.7 of it on disk
        #[arg(long, default_value_t = 20)]
        gigabytes: u64,
    },
    /// A pod from apply to Ready: the sidecars against a dump in initdb.d, on the cluster of KUBECONFIG
    Pod {
        /// TPC-H scale factor: 0.1 is 100 MB
        #[arg(long, default_value = "0.1")]
        scale: String,
        /// Runs of each, alternating
        #[arg(long, default_value_t = 2)]
        rounds: usize,
    },
    /// Scrapes of MariaDB and PostgreSQL: `exporter` against mysqld_exporter and postgres_exporter
    Exporter,
    /// A zstd object from S3: `fetch` against `curl | zstd -d | sha256sum`
    Fetch {
        /// Size of the object in MB
        #[arg(long, default_value_t = 1200)]
        megabytes: u64,
        /// Runs of each, alternating
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Engine {
    Mariadb,
    Mysql,
    Postgres,
}

impl Engine {
    /// The server's kind and its name in figures; none for PostgreSQL.
    fn family(self) -> Option<(ServerKind, &'static str)> {
        match self {
            Self::Mariadb => Some((ServerKind::MariaDb1011, "mariadb")),
            Self::Mysql => Some((ServerKind::MySql97, "mysql")),
            Self::Postgres => None,
        }
    }
}

fn main() {
    match Args::parse().name {
        Name::Load {
            engine,
            scale,
            rounds,
        } => match engine.family() {
            Some((kind, name)) => load::run(kind, name, &scale, rounds),
            None => load_postgres::run(&scale, rounds),
        },
        Name::Reload {
            engine,
            scale,
            rounds,
        } => reload::run(engine, &scale, rounds),
        Name::Shapes {
            engine,
            megabytes,
            rounds,
        } => shapes::run(engine, megabytes, rounds),
        Name::Throttle { engine, scale } => {
            let (kind, name) = engine.family().expect("mariadb or mysql");
            throttle::run(kind, name, &scale);
        }
        Name::Frame { scale } => frame::run(&scale),
        Name::Pod { scale, rounds } => pod::run(&scale, rounds),
        Name::Exporter => exporter::run(),
        Name::Large { gigabytes } => large::run(gigabytes),
        Name::Fetch { megabytes, rounds } => fetch::run(megabytes, rounds),
    }
}
