//! How fast dumps are read: `frame NAME FILE BYTES ..` prints `name value unit` for each file; BYTES is the size of its text.
//!
//! Run by `./x bench frame`, which knows the files.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pilotfish_dump::{Item, Options, Reader, Source};
use pilotfish_sql::{Dialect, Flavour};

/// Runs of each; the quickest counts: nothing but the processor is measured.
const RUNS: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    while let (Some(name), Some(file), Some(bytes)) = (args.next(), args.next(), args.next()) {
        let megabytes = bytes.parse::<f64>()? / 1e6;
        let mut best: Option<Run> = None;
        for _ in 0..RUNS {
            let run = read(&name, file.clone().into())?;
            if best.as_ref().is_none_or(|best| run.wall < best.wall) {
                best = Some(run);
            }
        }
        let Some(Run {
            wall,
            framing,
            converting,
        }) = best
        else {
            continue;
        };
        let rate = |time: Duration| megabytes / time.as_secs_f64();
        println!("frame.{name}.read_mb_per_second {:.0} MB/s", rate(wall));
        println!(
            "frame.{name}.framing_mb_per_second {:.0} MB/s",
            rate(framing)
        );
        if converting > Duration::ZERO {
            println!(
                "frame.{name}.converting_mb_per_second {:.0} MB/s",
                rate(converting)
            );
        }
    }
    Ok(())
}

/// What one run took.
struct Run {
    /// All of reading, hashing and decompressing included.
    wall: Duration,
    /// Cutting, classifying and digesting on one core.
    framing: Duration,
    /// Rows into the words of LOAD DATA, on one core.
    converting: Duration,
}

fn read(name: &str, file: PathBuf) -> Result<Run, Box<dyn std::error::Error>> {
    let flavour = |mariadb, version| Dialect::MySql(Flavour { mariadb, version }.into());
    let dialect = match name {
        _ if name.starts_with("mysqldump") => flavour(false, 90_700),
        _ if name.starts_with("mariadb") => flavour(true, 101_119),
        _ => Dialect::Postgres { version: 150_000 },
    };
    let mysql = !matches!(dialect, Dialect::Postgres { .. });
    let mut options = Options::new(dialect);
    options.chunk_bytes = 2 << 20;
    let (started, mut converting) = (Instant::now(), Duration::ZERO);
    let mut reader = Reader::open(&Source::Path(file), options)?;
    while let Some(item) = reader.next()? {
        if let Item::Rows(rows) = item
            && mysql
        {
            let begun = Instant::now();
            pilotfish_engine::converted_bytes(&rows.tuples)
                .ok_or("rows that LOAD DATA does not take")?;
            converting += begun.elapsed();
        }
    }
    let waiting = reader.waiting_for_text();
    reader.finish()?;
    let wall = started.elapsed().saturating_sub(converting);
    Ok(Run {
        wall,
        framing: wall.saturating_sub(waiting),
        converting,
    })
}
