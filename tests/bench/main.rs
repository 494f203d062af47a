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

mod fetch;
mod figures;
mod large;
mod load;
mod load_postgres;
mod pod;

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
    /// A TPC-H dump into a server: `load --threads 4` against the stock client; for PostgreSQL pg_restore too
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

fn main() {
    match Args::parse().name {
        Name::Load {
            engine: Engine::Mariadb,
            scale,
            rounds,
        } => {
            load::run(ServerKind::MariaDb1011, "mariadb", &scale, rounds);
        }
        Name::Load {
            engine: Engine::Mysql,
            scale,
            rounds,
        } => {
            load::run(ServerKind::MySql97, "mysql", &scale, rounds);
        }
        Name::Load {
            engine: Engine::Postgres,
            scale,
            rounds,
        } => load_postgres::run(&scale, rounds),
        Name::Pod { scale, rounds } => pod::run(&scale, rounds),
        Name::Large { gigabytes } => large::run(gigabytes),
        Name::Fetch { megabytes, rounds } => fetch::run(megabytes, rounds),
    }
}
