//! Loads a SQL dump into a server: in parallel, staged aside, checked, swapped in at one instant.
//!
//! `load DUMP` loads; `load status` shows what is live; `load rollback` brings the previous release
//! back and rejects the live one; `load resume` allows a rejected release again. The same dump again
//! is nothing to do. Killed anywhere, live data is the old release or the new one, and the next run
//! succeeds.

mod args;
mod commands;

use pilotfish_failure::Failure;
use pilotfish_runtime::{CommonArgs, Environment, Process, Tool};

pub use args::{Args, Command, Config};

/// The tool, as [`pilotfish_runtime`] runs it.
#[derive(Debug)]
pub struct LoadTool;

impl Tool for LoadTool {
    const NAME: &'static str = "load";
    type Args = Args;
    type Config = Config;

    fn common(args: &Args) -> &CommonArgs {
        &args.common
    }

    fn configure(args: Args, env: &Environment) -> Result<Config, Vec<String>> {
        args.into_config(env)
    }

    async fn run(config: Config, process: Process) -> Result<(), Failure> {
        match config.command.clone() {
            Command::Load { source } => commands::load(config, source, &process).await,
            Command::Status { database } => {
                commands::status(&config, database.as_deref(), &process).await
            }
            Command::Rollback {
                database,
                overwrite_modified,
            } => {
                commands::rollback(&config, database.as_deref(), overwrite_modified, &process).await
            }
            Command::Resume { database, digest } => {
                commands::resume(&config, database.as_deref(), digest.as_deref(), &process).await
            }
        }
    }
}
