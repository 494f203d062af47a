//! Blocks until database servers are ready, then ends with 0 or becomes another program.
//!
//! Ready means more than an open port: an account logs in over TCP and a query is answered, which
//! the temporary server of the stock images, alive while they initialise, never does. On request also: the
//! server is writable, holds a table with rows, answers a query with true, has a release loaded, has caught
//! up with its primary. All servers must be ready in the same round.
//!
//! Promise: nothing is changed on any server; one log line when a reason changes, not one per round;
//! 124 when the time runs out, naming what was still missing.

mod args;
mod check;
mod conditions;
mod patience;

use std::ffi::OsString;
use std::fmt;

use pilotfish_engine::Settings;
use pilotfish_failure::Failure;
use pilotfish_runtime::{CommonArgs, Environment, Process, Tool};

pub use args::Args;
use conditions::Conditions;
use patience::{Patience, Waiting};

/// The tool.
#[derive(Debug)]
pub struct Wait;

/// What to wait for, how long, and what to run then.
#[derive(Debug)]
pub struct Config {
    targets: Vec<Settings>,
    conditions: Conditions,
    patience: Patience,
    command: Option<Successor>,
}

/// The program that takes this process's place.
struct Successor {
    program: OsString,
    args: Vec<OsString>,
}

/// Arguments may hold secrets.
impl fmt::Debug for Successor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {} arguments", self.program, self.args.len())
    }
}

impl Tool for Wait {
    const NAME: &'static str = "wait";
    type Args = Args;
    type Config = Config;

    fn common(args: &Args) -> &CommonArgs {
        args.common()
    }

    fn configure(args: Args, env: &Environment) -> Result<Config, Vec<String>> {
        args.into_config(env)
    }

    async fn run(config: Config, process: Process) -> Result<(), Failure> {
        let mut waiting = Waiting::new(config.targets, config.conditions);
        let outcome = waiting
            .until_ready(&config.patience, &process.shutdown)
            .await;
        process.result(&waiting.report());
        outcome?;
        if let Some(Successor { program, args }) = config.command {
            process.exec_after(program, args);
        }
        Ok(())
    }
}
