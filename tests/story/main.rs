//! `./x story dump-reload`: the example, acted out on a real Kubernetes.
//!
//! Needs nothing but a KUBECONFIG and images that the cluster has; `./x story` sees to both.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a story prints its account and stops where it cannot go on"
)]

mod dumps;
mod prometheus;
mod reader;
mod scenes;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use pilotfish_harness::cluster::{Cluster, Outcome};
use stage::Stage;

/// Act a story out on the cluster that KUBECONFIG names
#[derive(Debug, Parser)]
#[command(name = "./x story")]
struct Args {
    /// The story: a folder of examples
    #[arg(value_parser = ["dump-reload"])]
    name: String,
    /// The server
    #[arg(long, default_value = "mariadb")]
    engine: Engine,
    /// Only the scenes whose names hold this text, after the first one
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Without the scenes that take long, as the CI does
    #[arg(long)]
    short: bool,
    /// Leave the namespace at the end, for a look
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    Mariadb,
    Mysql,
    Postgres,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match tell(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("\nTHE STORY ENDS BADLY: {why}");
            ExitCode::FAILURE
        }
    }
}

fn tell(args: &Args) -> Outcome<()> {
    let engine = match args.engine {
        Engine::Mariadb => "mariadb",
        Engine::Mysql => "mysql",
        Engine::Postgres => "postgres",
    };
    let namespace = format!("{}-{}", args.name, std::process::id());
    let stage = Stage::new(Cluster::with_namespace(&namespace)?, engine, repository());
    stage.say("namespace", &namespace);
    let told = scenes::act(&stage, args.only.as_deref(), args.short);
    if let Err(why) = &told {
        println!("{why}\n{}", stage.cluster.account_of_trouble());
    }
    if !args.keep {
        stage.cluster.delete()?;
    }
    told
}

fn repository() -> PathBuf {
    std::env::current_dir().expect("./x runs in the repository")
}
