//! `pilotfish-fetch` from outside: the real binary, real servers, seeded and stated faults.

#![allow(
    unused_must_use,
    reason = "success() and fails_with() have looked at the result"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod accounts;
mod archives;
mod azure;
mod checksums;
mod cli;
mod daemon;
mod faults;
mod harm;
mod publishers;
mod refusals;
mod resume;
mod signals;
mod sources;
mod stream;
mod waits;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pilotfish_harness::{PATIENCE, Running, S3, Tool, World, eventually, tool};
use sha2::{Digest, Sha256};

/// A dump with its trailer, of about this many bytes, different for each seed.
fn dump(bytes: usize, seed: u64) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 200);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() < bytes {
        // xorshift64: bytes that compress a little and repeat nowhere.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend_from_slice(format!("INSERT INTO t VALUES ({state});\n").as_bytes());
    }
    text.extend_from_slice(b"-- Dump completed on 2026-11-21 10:19:00\n");
    text
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// `fetch URL --to <world>/volume --output json`, with little patience.
fn fetch(world: &World, url: &str) -> Tool {
    tool!("fetch")
        .args([url, "--output", "json"])
        .env("PILOTFISH_RETRIES", "3")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .arg("--to")
        .arg(volume(world))
}

fn fetch_s3(world: &World, s3: &S3, url: &str) -> Tool {
    fetch(world, url)
        .args(["--endpoint", s3.endpoint()])
        .envs(s3.env())
}

/// A file whose writer is long done.
fn stored(world: &World, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = world.write(name, content);
    let file = fs::File::options().append(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    path
}

fn volume(world: &World) -> PathBuf {
    world.join("volume")
}

/// What a reader of the volume sees under this name.
fn published(world: &World, name: &str) -> Vec<u8> {
    fs::read(volume(world).join(name)).unwrap_or_else(|error| panic!("read {name}: {error}"))
}

fn manifest(world: &World) -> pilotfish_volume::Manifest {
    let release = pilotfish_volume::current(&volume(world)).unwrap();
    release
        .expect("a live release")
        .manifest
        .expect("its manifest")
}

/// `PUT` of an object beside a running loop is seen when the volume shows it.
fn until_published(world: &World, content: &[u8]) {
    eventually("the release", PATIENCE, || {
        let path = volume(world).join("dump.sql");
        (fs::read(path).ok()? == content).then_some(())
    });
}

/// Ends a daemon, which has then done nothing wrong.
fn stopped(running: Running) {
    running.terminate();
    assert_eq!(running.wait().success().code, Some(0));
}

/// The log's line that has exactly this message: what alerts look for.
#[track_caller]
fn logged(log: &str, message: &str) -> serde_json::Value {
    log.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|line| line["message"] == message)
        .unwrap_or_else(|| panic!("no {message:?} in:\n{log}"))
}

/// Nothing is live and nothing half-made is left that a reader could take for a dump.
fn assert_untouched(world: &World) {
    assert_eq!(pilotfish_volume::current(&volume(world)).unwrap(), None);
    assert_eq!(visible(&volume(world)), Vec::<String>::new());
}

/// Names at the top of the volume that are not hidden.
fn visible(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}
