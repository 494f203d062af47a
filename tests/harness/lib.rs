//! The test bench: a temp world, real servers, real object storage, seeded faults, patient waiting.
//!
//! Promise: whatever a test starts here lives in its own [`World`], listens on loopback only, and is
//! gone when the world is dropped. Nothing here is a mock; a program that is not installed fails the
//! test with the command that installs it. The bench knows no tool: it runs the binaries it is given.
//!
//! Variables a person may set: `PILOTFISH_KEEP=1` keeps the temp worlds, `PILOTFISH_SEED=n` repeats a
//! seeded run, `PILOTFISH_LONG=1` goes on for hours, `PILOTFISH_SERVER_SLOTS=n` bounds how many worlds have servers at one time.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a bench that cannot do its work fails the test where it stands"
)]

mod azurite;
mod browser;
pub mod cluster;
mod dashboard;
mod eventually;
pub mod every_object;
mod exposition;
mod help;
mod holder;
pub mod http;
mod init;
mod install;
mod leftovers;
mod length;
mod peers;
mod postgres;
mod prefect;
mod process;
mod prometheus;
mod proxy;
mod s3;
mod seed;
mod server;
mod tls;
mod tool;
pub mod tpch;
mod world;

pub use azurite::Azurite;
pub use browser::{Browser, Scheme};
pub use dashboard::{panel_queries, plain_rules};
pub use eventually::{PATIENCE, eventually};
pub use exposition::{Exposition, Family, Labels};
pub use help::help_on_a_screen;
pub use holder::Holder;
pub use length::short_or_long;
pub use peers::{Build, Peer, mysqld_mixin};
pub use postgres::{Postgres, PostgresKind, canonical_dump};
pub use prefect::Prefect;
pub use process::Child;
pub use prometheus::{Prometheus, Target};
pub use proxy::{Fault, Proxy};
pub use s3::S3;
pub use seed::seeded;
pub use server::{Server, ServerKind};
pub use tls::{TlsFront, certificate_files};
pub use tool::{Finished, Running, Tool};
pub use world::{Port, World, cache_dir};

/// Builds a command for a tool of the calling package: `tool!("load")` is `pilotfish-load`.
///
/// Cargo tells a test only the binaries of its own package, so the path is captured in the caller.
#[macro_export]
macro_rules! tool {
    ($name:literal) => {
        $crate::Tool::new(env!(concat!("CARGO_BIN_EXE_pilotfish-", $name)))
    };
}

/// As [`tool!`], with the tool as PID 1 of its own PID namespace.
#[macro_export]
macro_rules! init {
    ($name:literal) => {
        $crate::Tool::as_init(env!(concat!("CARGO_BIN_EXE_pilotfish-", $name)))
    };
}
