//! `fetch --stdout`: a stream that failed never looks complete.

use std::process::{Command, Stdio};

use pilotfish_harness::{Fault, PATIENCE, Proxy, S3, Tool, World, eventually, tool};
use pilotfish_storage::serving::{Abilities, HttpServer};

use crate::{dump, sha256};

fn stream(url: &str) -> Tool {
    tool!("fetch")
        .args([url, "--stdout"])
        .env("PILOTFISH_RETRIES", "3")
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

#[test]
fn the_decompressed_bytes_come_in_order() {
    let world = World::new();
    let s3 = S3::start(&world);
    let content = dump(6_000_000, 1);
    s3.put(
        "dumps",
        "dump.sql.zst",
        zstd::encode_all(&content[..], 1).unwrap(),
    );
    let done = stream("s3://dumps/dump.sql.zst")
        .args(["--endpoint", s3.endpoint()])
        .envs(s3.env())
        .run()
        .success();
    assert!(done.stdout.as_bytes() == content, "other bytes");
}

#[test]
fn what_is_cut_goes_on_and_what_is_corrupt_ends_without_its_trailer() {
    let server = HttpServer::start(Abilities::GOOD);
    let content = dump(3_000_000, 2);
    server.put("/dump.sql", &content);
    let proxy = Proxy::start(
        &server.url(""),
        Fault::Cut {
            bytes: 400_000,
            times: 3,
        },
    );
    let url = format!("{}/dump.sql", proxy.url());
    let digest = sha256(&content);
    let whole = stream(&url).args(["--sha256", &digest]).run().success();
    assert!(whole.stdout.as_bytes() == content, "other bytes");

    proxy.set(Fault::Corrupt {
        at: 500_000,
        times: 1,
    });
    let corrupt = stream(&url)
        .args(["--sha256", &digest])
        .run()
        .fails_with(65, "SHA-256");
    assert!(
        !corrupt.stdout.contains("Dump completed"),
        "the trailer of a corrupt dump"
    );
    let args = ["--parallel", "1", "--retries", "0"];
    proxy.set(Fault::Cut {
        bytes: 400_000,
        times: 1000,
    });
    let cut = stream(&url).args(args).run().fails_with(69, "end of file");
    assert!(
        !cut.stdout.contains("Dump completed"),
        "the trailer of half a dump"
    );
}

#[test]
fn a_truncated_archive_and_several_files_are_refused() {
    let server = HttpServer::start(Abilities::PLAIN);
    let packed = zstd::encode_all(&dump(500_000, 3)[..], 1).unwrap();
    server.put("/cut.sql.zst", &packed[..packed.len() - 10]);
    let cut = stream(&server.url("/cut.sql.zst"))
        .run()
        .fails_with(65, "cut off");
    assert!(
        !cut.stdout.contains("Dump completed"),
        "the trailer of half a dump"
    );
    let mut set = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    set.append_data(&mut header, "a.sql", &b"x"[..]).unwrap();
    server.put("/set.tar", &set.into_inner().unwrap());
    stream(&server.url("/set.tar")).run().fails_with(78, "--to");
}

/// The binary itself, for pipes of one's own.
const FETCH: &str = env!("CARGO_BIN_EXE_pilotfish-fetch");

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let server = HttpServer::start(Abilities::GOOD);
    server.put("/dump.sql", &dump(3_000_000, 4));
    let script = "\"$@\" | head -c 10; exit ${PIPESTATUS[0]}";
    let url = server.url("/dump.sql");
    let done = Tool::new("bash")
        .args(["-c", script, "bash", FETCH, &url, "--stdout"])
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .run()
        .success();
    assert_eq!(done.stdout.len(), 10);
    assert!(!done.stderr.contains("ERROR"), "{done}");
}

#[test]
fn a_signal_ends_a_stream_that_nobody_reads() {
    let server = HttpServer::start(Abilities::GOOD);
    server.put("/dump.sql", &dump(3_000_000, 5));
    let mut child = Command::new(FETCH)
        .args([
            server.url("/dump.sql").as_str(),
            "--stdout",
            "--grace",
            "10m",
        ])
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Past the pipe's 64 KiB: all that the queue takes is asked for.
    eventually("the stream", PATIENCE, || {
        (server.requests().len() > 2).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    // The shell's own kill: a fresh Debian has no other.
    let kill = format!("kill -TERM {}", child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    let status = eventually("the end", PATIENCE, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(143));
}
