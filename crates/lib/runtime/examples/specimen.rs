//! A tool that only shows what the runtime does: the black-box tests run it.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "panics and early words are part of what it shows"
)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::{CommonArgs, Environment, Process, Ready, Tool, Unit, parse_duration};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::json;

/// Show what the runtime does
#[derive(Debug, clap::Parser)]
struct Args {
    /// What to do
    #[arg(value_enum)]
    act: Act,
    /// Time the work takes
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    work: Duration,
    /// Keep working after the signal
    #[arg(long)]
    stubborn: bool,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Say so and take this long before any work
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    ponder: Duration,
    /// Refused together with --stubborn
    #[arg(long)]
    meek: bool,
    /// Program to become afterwards
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Act {
    Succeed,
    Idle,
    Fail,
    Panic,
    Detached,
    Print,
    Daemon,
    Fall,
}

struct Specimen;

impl Tool for Specimen {
    const NAME: &'static str = "specimen";
    type Args = Args;
    type Config = Args;

    fn common(args: &Args) -> &CommonArgs {
        &args.common
    }

    fn configure(args: Args, environment: &Environment) -> Result<Args, Vec<String>> {
        if !args.ponder.is_zero() {
            println!("pondering");
            std::thread::sleep(args.ponder);
        }
        let mut mistakes = Vec::new();
        if args.stubborn && args.meek {
            mistakes.push("--stubborn and --meek exclude each other".to_owned());
        }
        if environment.get("MYSQL_ROOT_PASSWORD").is_some() {
            mistakes.push("MYSQL_ROOT_PASSWORD is not wanted here".to_owned());
        }
        if mistakes.is_empty() {
            Ok(args)
        } else {
            Err(mistakes)
        }
    }

    async fn run(args: Args, process: Process) -> Result<(), Failure> {
        match args.act {
            Act::Succeed => work(&args, &process).await?,
            Act::Fall => kill_process(getpid(), Signal::TERM).map_err(std::io::Error::from)?,
            Act::Idle => process.progress("nothing", Unit::Bytes, None).finish(),
            Act::Fail => {
                return Err(Failure::new(Kind::BadData, "no trailer")
                    .context("read dump.sql")
                    .with_hint("dump it again"));
            }
            Act::Panic => panic!("the sky falls"),
            Act::Detached => {
                tokio::spawn(async { panic!("a cloud falls") });
                process.shutdown.cancelled().await;
            }
            Act::Print => {
                while !process.shutdown.is_cancelled() {
                    process.print("line");
                }
                return Err(Failure::new(Kind::Cancelled, "printing was interrupted"));
            }
            Act::Daemon => {
                let ready = Ready::new("waiting for the first breath");
                let address = process
                    .serve_admin(args.listen, ready.clone(), axum::Router::new())
                    .await?;
                process.print(&address.to_string());
                tokio::time::sleep(args.work).await;
                ready.set(true, "breathing");
                process.shutdown.cancelled().await;
            }
        }
        if let Some((program, rest)) = args.command.split_first() {
            process.exec_after(program, rest);
        }
        process.result(&json!({"rows": 3}));
        Ok(())
    }
}

async fn work(args: &Args, process: &Process) -> Result<(), Failure> {
    let progress = process.progress("work", Unit::Rows, Some(3));
    process.print("started");
    tokio::select! {
        () = tokio::time::sleep(args.work) => {}
        () = process.shutdown.cancelled(), if !args.stubborn => {
            return Err(Failure::new(Kind::Cancelled, "the work was interrupted"));
        }
    }
    progress.advance(3);
    Ok(())
}

fn main() -> ExitCode {
    pilotfish_runtime::main::<Specimen>()
}
