//! The engines against real servers.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

// Its macro is used below.
#[macro_use]
mod load;

mod conformance_postgres;
mod connect;
mod fixture;
mod fixture_postgres;
mod matrix;
mod probe;
mod tls;
mod tls_postgres;

use clap::Parser as _;
use pilotfish_engine::{ServerArgs, Settings};

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    server: ServerArgs,
}

/// Settings as a tool would make them from its command line.
fn settings(flags: &[&str]) -> Settings {
    let words = std::iter::once("test").chain(flags.iter().copied());
    Flags::parse_from(words)
        .server
        .into_settings(|_| None)
        .unwrap()
}
