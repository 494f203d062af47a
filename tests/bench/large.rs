//! A dump far larger than memory, made while it is read: it is never on disk as a whole.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pilotfish_harness::{Server, ServerKind, Tool, World};

use crate::figures::{Figures, timed};

const THREADS: &str = "4";

/// Rows of one INSERT, about as mysqldump cuts them.
const ROWS_AT_ONCE: u64 = 1300;

pub(crate) fn run(gigabytes: u64) {
    eprintln!("== load-20gb: {gigabytes} GB through a pipe into mariadb-10.11");
    let world = World::new();
    let server = Server::start(
        ServerKind::MariaDb1011,
        &world,
        &["--local-infile=ON", "--innodb-buffer-pool-size=1G"],
    );
    let pipe = world.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("run mkfifo").success());
    let tool = Tool::beside("load")
        .args(["-", "--into", "app", "--threads", THREADS])
        .env("PILOTFISH_URL", server.url())
        .stdin_file(&pipe)
        .timeout(Duration::from_secs(4 * 3600));
    let bytes = gigabytes * 1_000_000_000;
    let writer = std::thread::spawn(move || dump(&pipe, bytes).expect("write the dump"));
    let (time, finished) = timed("load", || tool.run().success());
    let rows = writer.join().expect("the writer ends");
    let found = server.sql("SELECT COUNT(*), MAX(id) FROM app.big");
    assert_eq!(found.trim(), format!("{rows}\t{rows}"), "rows are missing");
    let mut figures = Figures::default();
    figures.add("large.seconds", time.as_secs_f64(), "s");
    figures.add("large.rows", rows as f64, "rows");
    figures.add(
        "large.mb_per_second",
        bytes as f64 / 1e6 / time.as_secs_f64(),
        "MB/s",
    );
    figures.add(
        "large.peak_rss_mib",
        finished.peak_rss_kib as f64 / 1024.0,
        "MiB",
    );
    figures.write("load-20gb");
}

/// Writes a dump of at least `bytes` bytes; returns its number of rows.
fn dump(path: &Path, bytes: u64) -> io::Result<u64> {
    let pipe = OpenOptions::new().write(true).open(path)?;
    let mut out = BufWriter::with_capacity(1 << 20, pipe);
    out.write_all(
        b"-- MariaDB dump 10.19\nCREATE TABLE `big` (`id` bigint NOT NULL, `k` int NOT NULL, `word` varchar(100) NOT NULL, \
          `raw` varbinary(300) NOT NULL, PRIMARY KEY (`id`), KEY `k` (`k`)) ENGINE=InnoDB;\n",
    )?;
    let (mut written, mut id) = (0, 0);
    let mut line = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    while written < bytes {
        line.clear();
        line.extend_from_slice(b"INSERT INTO `big` VALUES ");
        for row in 0..ROWS_AT_ONCE {
            id += 1;
            // An xorshift: the values need not be good, only cheap and different.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let comma = if row == 0 { "" } else { "," };
            write!(line, "{comma}({id},{},'", random >> 40)?;
            for turn in 0..5 {
                write!(line, "{:020}", random.rotate_left(turn * 11))?;
            }
            line.extend_from_slice(b"',0x");
            for turn in 0..37 {
                write!(line, "{:016X}", random.rotate_left(turn * 5))?;
            }
            line.push(b')');
        }
        line.extend_from_slice(b";\n");
        out.write_all(&line)?;
        written += line.len() as u64;
    }
    out.write_all(b"-- Dump completed on 2026-01-01  0:00:00\n")?;
    out.flush()?;
    Ok(id)
}
