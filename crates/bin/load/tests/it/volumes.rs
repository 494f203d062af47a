//! Dumps on volumes that change while they are read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pilotfish_harness::World;

use crate::{load, mariadb, release_no, two_releases};

/// As the kubelet does: a folder named by its time, `..data` swapped by a rename, names through it.
fn publish(volume: &Path, folder: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let path = volume.join(folder);
    fs::create_dir_all(&path).expect("make the folder");
    for (name, content) in files {
        fs::write(path.join(name), content).expect("write a file");
    }
    point_at(volume, folder);
    for (name, _) in files {
        let _ = symlink(Path::new("..data").join(name), volume.join(name));
    }
    path
}

fn point_at(volume: &Path, folder: &str) {
    let next = volume.join("..data_tmp");
    symlink(folder, &next).expect("make the link");
    fs::rename(&next, volume.join("..data")).expect("swap the link");
}

fn volume(world: &World) -> PathBuf {
    let volume = world.join("volume");
    fs::create_dir(&volume).expect("make the volume");
    volume
}

#[test]
fn a_config_map_that_is_swapped_while_it_is_read_is_one_release_or_the_other() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let read = |path: &Path| fs::read(path).expect("read the dump");
    let (first, second) = (read(&first), read(&second));
    let volume = volume(&world);
    let folders = ["..2026_11_21_10_00_00.1", "..2026_11_22_10_00_00.2"];
    publish(&volume, folders[0], &[("dump.sql", &first)]);
    publish(&volume, folders[1], &[("dump.sql", &second)]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0;
            while !done.load(Ordering::Relaxed) {
                point_at(&volume, folders[turn % 2]);
                turn += 1;
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        for path in [&volume, &volume.join("dump.sql")].repeat(4) {
            let loaded = load(&server).arg(path).arg("--into=app").run().success();
            let seen = release_no(&server);
            assert!(seen == "1" || seen == "2", "a mix: {seen}\n{loaded}");
            let rows = server.sql("SELECT COUNT(*) FROM app.a");
            assert_eq!(rows.trim(), if seen == "1" { "500" } else { "501" });
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// A hundred small tables and one more file after them: the first keeps the loader busy.
fn many_tables(release: u32) -> String {
    (0..100)
        .map(|n| format!("CREATE TABLE t{n} (id INT, release_no INT);\nINSERT INTO t{n} VALUES (1,{release});\n"))
        .collect()
}

#[test]
fn a_release_that_is_removed_under_its_reader_is_read_again_by_the_next_run() {
    let (world, server) = mariadb(&[]);
    let volume = volume(&world);
    let files = |release: u32| {
        let last = format!(
            "CREATE TABLE z (id INT, release_no INT);\nINSERT INTO z VALUES (1,{release});\n"
        );
        [("01.sql", many_tables(release)), ("02.sql", last)]
    };
    let put = |folder: &str, release| {
        let files = files(release);
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, text)| (*name, text.as_bytes()))
            .collect();
        publish(&volume, folder, &files)
    };
    put("..2026_11_21_10_00_00.1", 1);
    let _ = load(&server).arg(&volume).arg("--into=app").run().success();
    let old = put("..2026_11_22_10_00_00.2", 2);
    let mut running = load(&server).arg(&volume).arg("--into=app").spawn();
    let _ = running.wait_for_stderr("loads");
    running.signal("STOP");
    put("..2026_11_23_10_00_00.3", 3);
    fs::remove_dir_all(old).expect("remove the old release");
    running.signal("CONT");
    let done = running.wait();
    let _ = done.fails_with(75, "was taken away while it was read");
    let seen = || {
        server.sql("SELECT DISTINCT release_no FROM (SELECT release_no FROM app.t0 UNION SELECT release_no FROM app.z) x")
    };
    assert_eq!(seen().trim(), "1");
    let _ = load(&server).arg(&volume).arg("--into=app").run().success();
    assert_eq!(seen().trim(), "3");
}

#[test]
fn a_file_that_somebody_still_writes_is_refused() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let text = fs::read(&second).expect("read the dump");
    let path = world.write("growing.sql", &text[..text.len() / 2]);
    let load = || {
        let load = load(&server).arg(&path);
        load.args(["--into=app", "--no-trailer"])
    };
    let run = || load().run();
    let _ = run().fails_with(65, "cut off");
    assert_eq!(release_no(&server), "1");
    // Overwritten in place after it was looked at: half of each is neither.
    let rows = |release: u32| -> String {
        let rows: Vec<String> = (0..4000)
            .map(|id| format!("({id},{release},'{id:0>2000}')"))
            .collect();
        format!(
            "{}CREATE TABLE a (id INT PRIMARY KEY, release_no INT, text TEXT);\nINSERT INTO a VALUES {};\n\
             CREATE TABLE b (id INT PRIMARY KEY, release_no INT);\nINSERT INTO b VALUES (1,{release});\n",
            many_tables(release),
            rows.join(",")
        )
    };
    fs::write(&path, rows(3)).expect("write");
    let mut running = load().spawn();
    let _ = running.wait_for_stderr("loads");
    running.signal("STOP");
    fs::write(&path, rows(4)).expect("write");
    running.signal("CONT");
    let _ = running
        .wait()
        .fails_with(75, "the dump changed while it was read");
    assert_eq!(release_no(&server), "1");
    let _ = run().success();
    assert_eq!(release_no(&server), "4");
}

#[test]
fn a_volume_without_symlinks_has_a_file_that_names_the_release() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let volume = volume(&world);
    for (folder, dump, number) in [("..one", first, "1"), ("..two", second, "2")] {
        let path = volume.join(folder);
        fs::create_dir(&path).expect("make the folder");
        fs::copy(dump, path.join("dump.sql")).expect("copy the dump");
        fs::write(volume.join("..data_tmp"), format!("{folder}\n")).expect("write");
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("swap");
        let _ = load(&server).arg(&volume).arg("--into=app").run().success();
        assert_eq!(release_no(&server), number);
    }
    // What leads out of the volume is nobody's release.
    fs::write(volume.join("..data"), "../elsewhere").expect("write");
    let done = load(&server).arg(&volume).arg("--into=app").run();
    let _ = done.fails_with(65, "..data");
    assert_eq!(release_no(&server), "2");
}

/// A release as `fetch` publishes it, with its manifest.
fn release(world: &World, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = world.join(format!("..{name}"));
    let mut entries = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
        fs::write(&path, text).expect("write a file");
        let sum = std::process::Command::new("sha256sum").arg(&path).output();
        let sum = String::from_utf8_lossy(&sum.expect("run sha256sum").stdout).into_owned();
        let sum = sum.split(' ').next().expect("a sum").to_owned();
        entries.push(serde_json::json!({"name": name, "size": text.len(), "sha256": sum}));
    }
    let manifest = serde_json::json!({
        "release": name, "source_url": "s3://dumps/set.tar", "size": 1, "sha256": "a".repeat(64),
        "fetched_at": 1, "unpacked": true, "files": entries,
    });
    fs::write(folder.join("release.json"), manifest.to_string()).expect("write the manifest");
    folder
}

const SCHEMA: &str = "CREATE TABLE a (id INT PRIMARY KEY, release_no INT);\n\
     CREATE TABLE b (id INT PRIMARY KEY, release_no INT);\n";
const ROWS: &str = "INSERT INTO a VALUES (1,3);\nINSERT INTO b VALUES (1,3);\n";

#[test]
fn a_part_of_a_release_does_not_go_live_as_the_whole() {
    let (world, server) = mariadb(&[]);
    for (name, other) in [
        ("20261121T101900Z-000000000001", "data/02-rows.sql"),
        ("20261121T101900Z-000000000002", "02-rows.sql.Z"),
        ("20261121T101900Z-000000000003", "02-rows.txt"),
        ("20261121T101900Z-000000000004", ".02-rows.sql"),
    ] {
        let folder = release(&world, name, &[("01-schema.sql", SCHEMA), (other, ROWS)]);
        let done = load(&server).arg(&folder).arg("--into=app").run();
        let _ = done.fails_with(65, &format!("does not read: {other}"));
        assert_eq!(server.sql("SHOW DATABASES LIKE 'app'").trim(), "");
    }
    let files = [
        ("01-schema.SQL", SCHEMA),
        ("02-rows.sql", ROWS),
        ("LICENSE", "free"),
        ("docs/notes.csv", "1,2"),
    ];
    let folder = release(&world, "20261121T101900Z-000000000005", &files);
    let done = load(&server)
        .arg(&folder)
        .args(["--into=app", "--output=json"])
        .run()
        .success();
    assert_eq!(release_no(&server), "3");
    let notes = done.json()["notes"].to_string();
    assert!(notes.contains("not read: docs/notes.csv;"), "{notes}");
    // Without its manifest it is being removed, and the rest of it is not the release.
    fs::remove_file(folder.join("release.json")).expect("remove");
    fs::remove_file(folder.join("02-rows.sql")).expect("remove");
    for path in [&folder, &folder.join("01-schema.SQL")] {
        let done = load(&server).arg(path).arg("--into=app").run();
        let _ = done.fails_with(75, "being removed");
    }
    assert_eq!(release_no(&server), "3");
}

#[test]
fn what_is_left_out_of_a_folder_is_named() {
    let (world, server) = mariadb(&[]);
    for (name, text) in [
        ("set/01.sql", SCHEMA),
        ("set/02.sql", ROWS),
        ("set/03-grants.sh", "echo"),
        ("set/more/04.sql", "CREATE TABLE c (id INT);"),
    ] {
        world.write(name, text);
    }
    let done = load(&server)
        .arg(world.join("set"))
        .args(["--into=app", "--output=json"])
        .run()
        .success();
    let notes = done.json()["notes"].to_string();
    for said in [&notes, &done.stderr] {
        assert!(said.contains("not read: 03-grants.sh, more;"), "{said}");
    }
}

#[test]
fn a_file_beside_a_release_has_a_name_of_its_own() {
    let (world, server) = mariadb(&[]);
    let text = format!("{SCHEMA}{ROWS}");
    let folder = release(
        &world,
        "20261121T101900Z-000000000001",
        &[("dump.sql", text.as_str())],
    );
    fs::write(folder.join("by_hand.sql"), text.replace('3', "4")).expect("write");
    let digest = |name: &str| {
        let done = load(&server)
            .arg(folder.join(name))
            .args(["--into=app", "--output=json"])
            .run()
            .success();
        done.json()["digest"].to_string()
    };
    assert!(!digest("by_hand.sql").contains("aaaa"));
    assert_eq!(release_no(&server), "4");
    assert!(digest("dump.sql").contains("aaaa"));
    assert_eq!(release_no(&server), "3");
}
