//! `./x demo`: a dump travels from a bucket into a live server, twice, under readers that never pause.
//!
//! Everything is real: the database server, the S3 server, the stock dump and client programs, the
//! tools. It ends with what the readers saw, and with exit code 1 when they saw anything wrong.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a demonstration prints its account and stops where it cannot go on"
)]

mod account;
mod connection;
mod database;
mod readers;
mod releases;
mod sidecars;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use pilotfish_harness::{S3, World};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use account::{Account, grouped};
use database::{Database, Engine};
use readers::{Readers, Seen};
use releases::{BUCKET, Publisher};
use sidecars::{LoadSeen, Sidecars};

/// Parallel readers, each in a tight loop on its own connection.
const READERS: usize = 4;

/// Show a dump travel from a bucket into a live server, and its next version replace it
#[derive(Debug, Parser)]
#[command(name = "./x demo")]
struct Args {
    /// The server
    #[arg(long, default_value = "mariadb")]
    engine: Engine,
    /// TPC-H scale factor: 1 is 1 GB
    #[arg(long, default_value = "0.1")]
    scale: String,
    /// Leave everything running at the end, for a look
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = Runtime::new().expect("start the async runtime");
    let interrupted = interruption(&runtime);
    match demonstrate(&args, &runtime, &interrupted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("\n{why}");
            ExitCode::FAILURE
        }
    }
}

/// A flag that SIGINT and SIGTERM raise, so that everything started is also ended.
fn interruption(runtime: &Runtime) -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    runtime.spawn(async move {
        let mut interrupt = signal(SignalKind::interrupt()).expect("listen for SIGINT");
        let mut terminate = signal(SignalKind::terminate()).expect("listen for SIGTERM");
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        raised.store(true, Ordering::SeqCst);
    });
    flag
}

fn demonstrate(args: &Args, runtime: &Runtime, stop: &AtomicBool) -> Result<(), String> {
    let account = Account::new();
    let world = World::new();

    account.say(
        "source",
        &format!("TPC-H at scale {} (made once, then cached)", args.scale),
    );
    let publisher = Publisher::new(args.engine, &world, &args.scale);
    let client_seconds = publisher.client_seconds;
    account.say(
        "client",
        &format!("the stock client loads v1 in {client_seconds:.1} s"),
    );

    let server = Database::start(args.engine, &world);
    server.make_reader();
    account.say(
        "server",
        &format!("{} on 127.0.0.1:{}, empty", server.name(), server.port()),
    );
    let s3 = S3::start(&world);
    s3.make_bucket(BUCKET);
    account.say("bucket", &format!("{}/{BUCKET} (SeaweedFS)", s3.endpoint()));
    let mut sidecars = Sidecars::start(&world, &server, &s3);
    account.say(
        "watch",
        &format!("waits for a release; its page is {}/", sidecars.watch_url()),
    );

    let first = publisher.publish_first(&s3);
    account.say("publish", &format!("v1: {first}"));
    let v1 = sidecars.await_load(1, &account, stop)?;
    let readers = Readers::start(runtime, &server, READERS);
    account.say(
        "readers",
        &format!("{READERS} connections read without pause"),
    );
    pause(stop, Duration::from_secs(3))?;

    let second = publisher.publish_second(&s3);
    account.say("publish", &format!("v2: {second}"));
    let v2 = sidecars.await_load(2, &account, stop)?;
    pause(stop, Duration::from_secs(3))?;
    let served = v2.tables().map(|table| server.count(table)).sum();
    let mut last = 2;
    if args.engine == Engine::Postgres {
        Sidecars::roll_back(&server);
        account.say("rollback", "v1 is back; watch leaves v2 alone");
        last = 1;
        pause(stop, Duration::from_secs(3))?;
    }
    let seen = readers.stop(runtime);
    account.say("readers", "stopped");

    summarise(client_seconds, &sidecars, served, &v1, &v2, &seen);
    if args.keep {
        println!(
            "\nEverything still runs. Connect with: {}\nCtrl-C ends it.",
            server.client()
        );
        while !stop.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    sidecars.stop();
    seen.verdict(last)
}

/// Lets the readers read for a while.
fn pause(stop: &AtomicBool, time: Duration) -> Result<(), String> {
    std::thread::sleep(time);
    if stop.load(Ordering::SeqCst) {
        Err("interrupted".to_owned())
    } else {
        Ok(())
    }
}

fn summarise(
    client: f64,
    sidecars: &Sidecars,
    served: u64,
    v1: &LoadSeen,
    v2: &LoadSeen,
    seen: &Seen,
) {
    println!("\n  rows served         {} in release v2", grouped(served));
    println!(
        "  reads done          {} by {READERS} readers",
        grouped(seen.reads)
    );
    println!(
        "  read errors         {}{}",
        seen.errors,
        seen.first_error()
    );
    println!(
        "  mixed reads         {} (v1 and v2 in one answer)",
        seen.mixed
    );
    println!(
        "  longest read stall  {:.0} ms",
        seen.longest.as_secs_f64() * 1000.0
    );
    for (name, load) in [("v1", v1), ("v2", v2)] {
        println!(
            "  {name}                  {} tables loaded, {} unchanged, {} retired, {} rows in {:.1} s",
            load.loaded.len(),
            load.unchanged.len(),
            load.retired.len(),
            grouped(load.rows),
            load.seconds
        );
    }
    println!(
        "  load time           {:.1} s; the stock client takes {client:.1} s for v1 ({:.1} times as long)",
        v1.seconds,
        client / v1.seconds
    );
    println!("  page                {}/", sidecars.watch_url());
    println!(
        "  metrics             {0}/metrics  {1}/metrics",
        sidecars.watch_url(),
        sidecars.fetch_url()
    );
}
