//! Keeps a server at the release that lies on a volume.
//!
//! The story of this sidecar, room by room: [`source`] looks at the volume until what lies there has
//! settled and has a name; [`dispatcher`] decides, purely, what to load and when; [`control`] carries
//! the decisions out through [`job`] and writes them into the [`book`]; [`api`] lets people and
//! schedulers ask and look.
//!
//! It is level-triggered: it compares what is on the volume with what the server's ledger says is
//! live, whoever changed either, and acts on the difference. The latest release wins. It knows
//! nothing of dumps or SQL; those are the loader's.

mod api;
mod args;
mod book;
mod control;
mod dispatcher;
mod drain;
mod job;
mod metrics;
mod neighbour;
mod page;
mod source;
mod view;

use pilotfish_failure::Failure;
use pilotfish_runtime::{CommonArgs, Environment, Process, Tool};

pub use args::{Args, Config};

/// The tool `watch`.
#[derive(Debug)]
pub struct Watch;

impl Tool for Watch {
    const NAME: &'static str = "watch";
    type Args = Args;
    type Config = Config;

    fn common(args: &Args) -> &CommonArgs {
        args.common()
    }

    fn configure(args: Args, environment: &Environment) -> Result<Config, Vec<String>> {
        args.into_config(environment)
    }

    async fn run(config: Config, process: Process) -> Result<(), Failure> {
        match config {
            Config::Watch(settings) => control::run(*settings, process).await,
            Config::Drain { address, timeout } => drain::run(address, timeout, &process).await,
        }
    }
}
