//! Black-box tests of `pilotfish-wait` against real servers.

mod command_line;
mod conditions;
mod postgres;
mod reach;
mod signals;

use pilotfish_harness::{Server, ServerKind, Tool, World, tool};

/// The tool with short rounds, so that tests do not sleep.
fn wait() -> Tool {
    tool!("wait").args(["--interval=100ms"])
}

fn server(world: &World, args: &[&str]) -> Server {
    Server::start(ServerKind::MariaDb1011, world, args)
}
