//! One zstd object from an S3 server: `curl | zstd -d | sha256sum`, and `fetch` onto a volume.

use std::fs::{File, create_dir_all, remove_dir_all, rename};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use pilotfish_harness::{S3, Tool, World, cache_dir};
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

use crate::figures::{Figures, median, timed};

const BUCKET: &str = "bench";
const KEY: &str = "dump.sql.zst";
/// Letters of the random text, six bits each: zstd gets it to three quarters.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What a line of the object takes when compressed, in bytes, as measured.
const COMPRESSED_LINE: u64 = 77;

pub(crate) fn run(megabytes: u64, rounds: usize) {
    eprintln!("== fetch: an object of {megabytes} MB");
    let object = object(megabytes);
    let world = World::new();
    let s3 = S3::start(&world);
    timed("put the object", || s3.put_file(BUCKET, KEY, &object));
    let expected = curl(&s3).1;
    let (mut peer, mut volume, mut stream) = (Vec::new(), Vec::new(), Vec::new());
    let mut peak_kib = 0;
    for round in 1..=rounds.max(1) {
        eprintln!("   round {round} of {rounds}");
        peer.push(curl(&s3).0);
        let (time, digest, peak) = onto_a_volume(&s3, &world);
        assert_eq!(
            digest, expected,
            "fetch published other bytes than curl and zstd"
        );
        volume.push(time);
        peak_kib = peak_kib.max(peak);
        stream.push(to_a_pipe(&s3, &expected));
    }
    let mut figures = Figures::default();
    let (peer, volume, stream) = (median(&peer), median(&volume), median(&stream));
    figures.add("ratio_vs_curl", peer / volume, "times");
    figures.add("ratio_vs_curl_stdout", peer / stream, "times");
    figures.add("curl_seconds", peer, "s");
    figures.add("fetch_seconds", volume, "s");
    figures.add("fetch_stdout_seconds", stream, "s");
    figures.add("fetch_mb_per_second", megabytes as f64 / volume, "MB/s");
    figures.add("peak_rss_mib", peak_kib as f64 / 1024.0, "MiB");
    figures.write("fetch");
}

/// The peer: nothing is stored, nothing resumes, but the bytes are checked.
fn curl(s3: &S3) -> (Duration, String) {
    let pipeline = format!(
        "curl -sS --fail --noproxy '*' --aws-sigv4 aws:amz:us-east-1:s3 --user \
         \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" {}/{BUCKET}/{KEY} | zstd -dc | sha256sum",
        s3.endpoint()
    );
    timed("curl | zstd -d | sha256sum", || shell(&pipeline, s3))
}

/// `fetch` as an init container uses it; the digest is of the published file.
fn onto_a_volume(s3: &S3, world: &World) -> (Duration, String, u64) {
    let volume = world.join("volume");
    create_dir_all(&volume).expect("make the volume");
    let tool = fetch(s3).arg("--to").arg(&volume);
    let (time, finished) = timed("fetch --to", || tool.run().success());
    let digest = shell(&format!("sha256sum < {}/dump.sql", volume.display()), s3);
    remove_dir_all(volume).expect("remove the volume");
    (time, digest, finished.peak_rss_kib)
}

/// `fetch --stdout | sha256sum`: the same work as the peer's.
fn to_a_pipe(s3: &S3, expected: &str) -> Duration {
    let program = std::env::current_exe().expect("the path of the running program");
    let pipeline = format!(
        "{} --log-level warn --stdout s3://{BUCKET}/{KEY} --endpoint {} | sha256sum",
        program.with_file_name("pilotfish-fetch").display(),
        s3.endpoint()
    );
    let (time, digest) = timed("fetch --stdout | sha256sum", || shell(&pipeline, s3));
    assert_eq!(
        digest, expected,
        "fetch streamed other bytes than curl and zstd"
    );
    time
}

fn fetch(s3: &S3) -> Tool {
    Tool::beside("fetch")
        .arg(format!("s3://{BUCKET}/{KEY}"))
        .args(["--endpoint", s3.endpoint()])
        .envs(s3.env())
        .timeout(Duration::from_secs(600))
}

fn shell(pipeline: &str, s3: &S3) -> String {
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", pipeline])
        .envs(s3.env())
        .stderr(Stdio::inherit())
        .output()
        .expect("run bash");
    assert!(output.status.success(), "failed: {pipeline}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A compressed dump of about that size, made once.
fn object(megabytes: u64) -> PathBuf {
    let folder = cache_dir().join("bench");
    let path = folder.join(format!("fetch-{megabytes}.sql.zst"));
    if path.is_file() {
        return path;
    }
    create_dir_all(&folder).expect("make the folder of benchmark data");
    let partial = path.with_extension("partial");
    let mut zstd = Command::new("zstd")
        .args(["-q", "-3", "-T2"])
        .stdin(Stdio::piped())
        .stdout(File::create(&partial).expect("make the object"))
        .spawn()
        .expect("run zstd: install it by `./x setup`");
    let mut text = BufWriter::new(zstd.stdin.take().expect("zstd's standard input"));
    let mut random = SmallRng::seed_from_u64(1);
    let mut line = [0; 96];
    for number in 0..megabytes * 1_000_000 / COMPRESSED_LINE {
        random.fill_bytes(&mut line);
        for byte in &mut line {
            *byte = ALPHABET[usize::from(*byte % 64)];
        }
        write!(text, "INSERT INTO `t` VALUES ({number},'").expect("feed zstd");
        text.write_all(&line).expect("feed zstd");
        text.write_all(b"');\n").expect("feed zstd");
    }
    writeln!(text, "-- Dump completed").expect("feed zstd");
    drop(text.into_inner().expect("feed zstd"));
    assert!(zstd.wait().expect("await zstd").success(), "zstd failed");
    rename(&partial, &path).expect("finish the object");
    path
}
