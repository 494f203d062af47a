//! What must not become a release, and volumes that cannot take one.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pilotfish_harness::{Fault, Proxy, S3, World};
use pilotfish_storage::serving::{Abilities, HttpServer};
use sha2::{Digest, Sha256};

use crate::{assert_untouched, dump, fetch, manifest, published, sha256, stored, visible, volume};

#[test]
fn a_corrupt_body_is_refused_and_the_live_release_stays() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let (first, second) = (dump(400_000, 1), dump(400_000, 2));
    server.put("/dump.sql", &first);
    let proxy = Proxy::start(&server.url(""), Fault::None);
    let url = format!("{}/dump.sql", proxy.url());
    fetch(&world, &url).run().success();
    server.put("/dump.sql", &second);
    proxy.set(Fault::Corrupt {
        at: 200_000,
        times: 1,
    });
    let args = ["--sha256", &sha256(&second), "--parallel", "1"];
    fetch(&world, &url)
        .args(args)
        .run()
        .fails_with(65, "SHA-256");
    assert_eq!(published(&world, "dump.sql"), first);
    // The same input, brought whole this time.
    fetch(&world, &url).args(args).run().success();
    assert_eq!(published(&world, "dump.sql"), second);
}

#[test]
fn the_checksum_that_s3_keeps_is_checked() {
    use base64::Engine;
    let world = World::new();
    let s3 = S3::start(&world);
    let content = dump(400_000, 11);
    let path = stored(&world, "dump.sql", &content);
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&content));
    s3.make_bucket("dumps");
    let checksum = format!("x-amz-checksum-sha256: {digest}");
    let args = [
        "--expect100-timeout",
        "0.01",
        "-H",
        &checksum,
        "-T",
        path.to_str().unwrap(),
    ];
    s3.request(&args, "dumps/daily/dump.sql");
    let proxy = Proxy::start(
        s3.endpoint(),
        Fault::Corrupt {
            at: 200_000,
            times: 1,
        },
    );
    let run = || {
        fetch(&world, "s3://dumps/daily/")
            .args(["--endpoint", &proxy.url(), "--parallel", "1"])
            .envs(s3.env())
            .run()
    };
    run().fails_with(65, "SHA-256");
    assert_untouched(&world);
    run().success();
    assert_eq!(published(&world, "dump.sql"), content);
}

#[test]
fn a_flipped_bit_in_a_compressed_dump_is_noticed_without_a_checksum() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    server.put("/dump.sql.gz", &crate::archives::gzip(&dump(900_000, 21)));
    let once = Fault::Corrupt {
        at: 200_000,
        times: 1,
    };
    let proxy = Proxy::start(&server.url(""), once);
    let run = || {
        fetch(&world, &format!("{}/dump.sql.gz", proxy.url()))
            .args(["--parallel", "1"])
            .run()
    };
    run().fails_with(65, "it is corrupt");
    assert_eq!(proxy.faults(), 1);
    assert_untouched(&world);
    run().success();
    assert_eq!(published(&world, "dump.sql"), dump(900_000, 21));
}

#[test]
fn a_truncated_object_is_refused() {
    let world = World::new();
    let packed = zstd::encode_all(&dump(400_000, 3)[..], 1).unwrap();
    let path = stored(&world, "dump.sql.zst", &packed[..packed.len() / 2]);
    let url = format!("file://{}", path.display());
    fetch(&world, &url).run().fails_with(65, "stored cut off");
    assert_untouched(&world);
    // What only begins like a compressed file was never whole.
    let path = stored(&world, "dump.sql.xz", b"\xfd7zXZ\0 is how an .xz begins");
    let url = format!("file://{}", path.display());
    let corrupt = fetch(&world, &url).run().fails_with(65, "it is corrupt");
    assert!(!corrupt.stderr.contains("cut off"), "{corrupt}");
    assert_untouched(&world);
}

#[test]
fn a_page_or_nothing_in_place_of_a_dump_is_no_release() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let page = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>...</body></html>";
    server.put("/dump.sql", page);
    let url = server.url("/dump.sql");
    fetch(&world, &url).run().fails_with(69, "a web page");
    assert_untouched(&world);
    let streamed = pilotfish_harness::tool!("fetch")
        .args([&url, "--stdout"])
        .run();
    assert_eq!(streamed.fails_with(69, "Log in").stdout, "");

    let content = dump(1000, 4);
    server.put("/dump.sql", &content);
    fetch(&world, &url).run().success();
    server.put("/dump.sql", page);
    let away = fetch(&world, &url).run().success();
    assert_eq!(away.json()["outcome"], "source_away");
    assert!(away.stderr.contains("stays in use"), "{away}");
    assert_eq!(published(&world, "dump.sql"), content);
    // Nor is an answer without a byte the object's fault.
    server.put("/dump.sql", b"");
    let away = fetch(&world, &url).run().success();
    assert_eq!(away.json()["outcome"], "source_away");
    assert!(away.stderr.contains("the answer is empty"), "{away}");
    assert_eq!(published(&world, "dump.sql"), content);

    // Stored so, and nobody answers in its place: the object itself is bad.
    let run = |content: &[u8]| {
        let path = stored(&world, "source/dump.sql", content);
        fetch(&world, &format!("file://{}", path.display())).run()
    };
    let refused = run(page).fails_with(65, "no dump");
    assert!(!refused.stderr.contains("cut off"), "{refused}");
    run(b"").fails_with(65, "it is empty");
    assert_eq!(published(&world, "dump.sql"), content);
}

#[test]
fn two_publishers_on_one_volume() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    server.put("/dump.sql", &dump(3_000_000, 4));
    let proxy = Proxy::start(
        &server.url(""),
        Fault::Slow {
            bytes_per_second: 400_000,
        },
    );
    let url = format!("{}/dump.sql", proxy.url());
    let first = fetch(&world, &url).env("HOSTNAME", "pod-a").spawn();
    pilotfish_harness::eventually("the lease", pilotfish_harness::PATIENCE, || {
        volume(&world).join("..lease").exists().then_some(())
    });
    let second = fetch(&world, &server.url("/dump.sql")).run();
    second.fails_with(75, "pod-a holds the lease");
    proxy.set(Fault::None);
    first.wait().success();
    fetch(&world, &server.url("/dump.sql")).run().success();
}

#[test]
fn a_persons_own_file_stays_theirs() {
    let world = World::new();
    world.write("volume/dump.sql", "mine");
    let path = stored(&world, "dump.sql", dump(1000, 5));
    let url = format!("file://{}", path.display());
    fetch(&world, &url)
        .run()
        .fails_with(78, "something else has this name");
    assert_eq!(published(&world, "dump.sql"), b"mine");
}

/// A small file system of its own; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&at).unwrap();
        let mounted = as_root("mount")
            .args(["-t", "tmpfs", "-o", size, "pilotfish-test"])
            .arg(&at)
            .status()
            .expect("run mount");
        assert!(
            mounted.success(),
            "this test needs the right to mount a tmpfs: run it as root or with a sudo that asks nothing"
        );
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = as_root("umount").arg(&self.0).status();
    }
}

fn as_root(program: &str) -> Command {
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// Writes until nothing fits any more.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let error = std::iter::repeat_with(|| file.write_all(&[0; 4096])).find_map(Result::err);
    assert_eq!(error.unwrap().kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn a_full_disk_is_said_with_what_is_needed() {
    let world = World::new();
    let disk = SmallDisk::mount(volume(&world), "size=8m");
    let run = |content: &[u8], args: &[&str]| {
        let path = stored(&world, "dump.sql.zst", content);
        let url = format!("file://{}", path.display());
        fetch(&world, &url)
            .args(["--reserve", "1MiB"])
            .args(args)
            .run()
    };
    // Known before the first byte.
    let large = run(&dump(9_000_000, 6), &[]).fails_with(73, "needs at least 8.5 MiB");
    assert!(
        large.stderr.contains("of which 0 bytes came so far; "),
        "{large}"
    );
    assert_untouched(&world);
    // Known only while it grows: 200 KiB become 20 MiB.
    let zeros = zstd::encode_all(&vec![b'x'; 20 << 20][..], 1).unwrap();
    run(&zeros, &["--max-expansion", "1000000"]).fails_with(73, "need");
    assert_untouched(&world);
    // The reserve is kept.
    run(&dump(7_500_000, 7), &[]).fails_with(73, "reserve");
    run(&dump(3_000_000, 8), &[]).success();
    let first = manifest(&world).release;
    // Releases that only --keep-for protects make room.
    run(&dump(2_500_000, 9), &["--keep", "1"]).success();
    run(&dump(3_500_000, 10), &["--keep", "1"]).success();
    let left = pilotfish_volume::releases(&volume(&world)).unwrap();
    assert!(
        left.iter().all(|release| release.name() != first),
        "the oldest is still there"
    );
    assert_eq!(visible(&volume(&world)), ["dump.sql.zst"]);
    // No room even for the lease's words: what makes room comes before the next release.
    fill(&volume(&world).join(".filler"));
    run(&dump(1_000_000, 12), &["--keep", "2"]).fails_with(73, "need");
    run(&dump(1_000_000, 12), &["--keep", "1"]).success();
    let beside = fs::read_dir(volume(&world)).unwrap();
    let beside = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!beside.into_iter().any(|name| name.starts_with("..lease")));
    drop(disk);
}

/// Sets the number of files that the disk may have.
fn limit_inodes(disk: &SmallDisk, inodes: u64) {
    let remounted = as_root("mount")
        .args(["-o", &format!("remount,nr_inodes={inodes}")])
        .arg(&disk.0)
        .status();
    assert!(remounted.unwrap().success());
}

fn used_inodes(disk: &SmallDisk) -> u64 {
    let used = rustix::fs::statvfs(&disk.0).unwrap();
    used.f_files - used.f_ffree
}

/// Publishes the new files over the old ones with room for one more file each time; how many runs
/// failed, and how many did not.
fn fill_up_at_any_step(old_names: [&str; 2], new_names: [&str; 2]) -> (u32, u32) {
    let set = |names: [&str; 2], content: &[u8]| {
        let mut set = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            set.append_data(&mut header, name, content).unwrap();
        }
        zstd::encode_all(&set.into_inner().unwrap()[..], 1).unwrap()
    };
    let (old, new) = (dump(100_000, 1), dump(100_000, 2));
    let (mut failed, mut done) = (0, 0);
    // By and by one more file may be made: unpacked ones, the manifest, the links.
    for more in 0..14 {
        let world = World::new();
        let disk = SmallDisk::mount(volume(&world), "size=8m");
        let run = |names: [&str; 2], content: &[u8]| {
            let path = stored(&world, "set.tar.zst", set(names, content));
            fetch(&world, &format!("file://{}", path.display()))
                .args(["--reserve", "0", "--keep", "2"])
                .run()
        };
        run(old_names, &old).success();
        let live = manifest(&world);
        let shown = visible(&volume(&world));
        limit_inodes(&disk, used_inodes(&disk) + more);
        let second = run(new_names, &new);
        if second.code == Some(0) {
            for name in new_names {
                assert_eq!(published(&world, name), new, "{more}: {second}");
            }
            done += 1;
        } else {
            assert_eq!(second.code, Some(73), "{more}: {second}");
            assert_eq!(manifest(&world), live, "{more}: {second}");
            assert_eq!(visible(&volume(&world)), shown, "{more}: {second}");
            for name in old_names {
                assert_eq!(published(&world, name), old, "{more}: {second}");
            }
            failed += 1;
        }
        limit_inodes(&disk, 1000);
        run(new_names, &new).success();
        for name in new_names {
            assert_eq!(published(&world, name), new);
        }
    }
    (failed, done)
}

#[test]
fn a_disk_that_fills_up_at_any_step_leaves_the_live_release() {
    let names = ["a.sql", "deep/b.sql"];
    let (failed, done) = fill_up_at_any_step(names, names);
    assert!(failed > 3 && done > 0, "{failed} failed, {done} did not");
}

#[test]
fn a_disk_without_room_for_a_new_name_leaves_the_live_release() {
    let (failed, done) = fill_up_at_any_step(["a.sql", "deep/b.sql"], ["c.sql", "else/d.sql"]);
    assert!(failed > 3 && done > 0, "{failed} failed, {done} did not");
}

#[test]
fn a_name_that_is_gone_comes_back_or_the_run_fails() {
    let world = World::new();
    let disk = SmallDisk::mount(volume(&world), "size=8m");
    let path = stored(&world, "dump.sql", dump(1000, 3));
    let run = || {
        fetch(&world, &format!("file://{}", path.display()))
            .args(["--reserve", "0"])
            .run()
    };
    run().success();
    fs::remove_file(volume(&world).join("dump.sql")).unwrap();
    limit_inodes(&disk, used_inodes(&disk));
    run().fails_with(73, "dump.sql to the live release");
    limit_inodes(&disk, 1000);
    assert_eq!(run().success().json()["outcome"], "nothing_to_do");
    assert_eq!(published(&world, "dump.sql"), dump(1000, 3));
}
