//! What lies on the volume, in every form it may come.

use std::io::Write;

use pilotfish_volume::{FileEntry, Manifest, Publisher, release_name};

use super::*;

#[test]
fn the_first_release_is_loaded_and_every_later_one() {
    let bench = Bench::new();
    let watch = Watch::start(bench.watch());
    assert_eq!(watch.get("/readyz").status, 503);
    bench.publish(1);
    bench.becomes_live(1);
    watch.is_ready();
    let summary = watch.newest_is("succeeded")["summary"].clone();
    assert!(summary.as_str().unwrap().contains("500 rows"), "{summary}");
    bench.publish(2);
    bench.becomes_live(2);
    watch.newest_is("succeeded");
    eventually("metrics to agree", PATIENCE, || {
        Some(()).filter(|()| watch.metric("pilotfish_watch_release_current") == 1.0)
    });
    assert_eq!(watch.metric("pilotfish_watch_consecutive_failures"), 0.0);
    assert_eq!(
        watch.metric("pilotfish_watch_loads_total{result=\"succeeded\"}"),
        2.0
    );
    watch.ends_well();
}

#[test]
fn a_release_that_is_live_already_is_no_work() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    bench.becomes_live(1);
    watch.ends_well();
    let watch = Watch::start(bench.watch());
    watch.is_ready();
    let state = watch.state();
    assert_eq!(state["running"], Value::Null, "{state:#}");
    assert_eq!(
        watch.metric("pilotfish_watch_load_duration_seconds_count"),
        0.0
    );
    watch.ends_well();
}

#[test]
fn a_volume_without_symlinks_is_followed_by_its_pointer_file() {
    let bench = Bench::new();
    let watch = Watch::start(bench.watch());
    for number in [1, 2] {
        let folder = bench.volume.join(format!("..release_{number}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("dump.sql"), Bench::dump(number)).unwrap();
        // As `fetch` publishes where it cannot make a link: a file says which folder is live.
        let next = bench.volume.join("..data_tmp");
        std::fs::write(&next, format!("..release_{number}")).unwrap();
        std::fs::rename(next, bench.volume.join("..data")).unwrap();
        bench.becomes_live(number);
    }
    watch.is_ready();
    watch.ends_well();
}

#[test]
fn a_fetched_set_of_two_dumps_is_loaded_whole() {
    let bench = Bench::new();
    let watch = Watch::start(bench.watch());
    for (number, rows) in [(1, "INSERT INTO a VALUES (1),(2),(3);\n"), (2, "")] {
        let first = format!(
            "CREATE TABLE a (id INT PRIMARY KEY);\n{rows}-- Dump completed on 2026-11-20  3:00:00\n"
        );
        let second = Bench::dump(number);
        let stored = format!("{number}").repeat(64);
        publish_set(
            &bench.volume,
            &stored,
            [("01.sql", &first), ("02.sql", &second)],
        );
        bench.becomes_live(number);
        let load = watch.newest_is("succeeded");
        // The set is known by the object that it came in.
        assert_eq!(load["digest"], stored.as_str(), "{load:#}");
        let rows = bench.server.sql("SELECT COUNT(*) FROM app.a");
        assert_eq!(rows.trim(), if number == 1 { "3" } else { "0" });
    }
    watch.ends_well();
}

/// Publishes as `fetch` does with what it unpacked from an object of this digest.
fn publish_set(volume: &Path, stored: &str, files: [(&str, &str); 2]) {
    let publisher = Publisher::open(volume, "test").unwrap();
    let name = release_name(1_795_256_340, stored);
    let staging = publisher.stage(&name).unwrap();
    let files = files.map(|(name, text)| {
        std::fs::write(staging.path().join(name), text).unwrap();
        FileEntry {
            name: name.to_owned(),
            size: text.len() as u64,
            sha256: sha256(&staging.path().join(name)),
        }
    });
    let manifest = Manifest {
        release: name,
        source_url: "file:///set.tar".to_owned(),
        version: None,
        size: 1,
        sha256: stored.to_owned(),
        fetched_at: 1_795_256_340,
        unpacked: true,
        files: files.into(),
    };
    publisher.publish(staging, &manifest).unwrap();
}

fn sha256(path: &Path) -> String {
    let output = std::process::Command::new("sha256sum")
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(' ').next().unwrap().to_owned()
}

#[test]
fn a_volume_that_does_not_answer_is_said_and_does_not_hold_up_the_end() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch().args(["--rescan", "1s"]));
    bench.becomes_live(1);
    watch.is_ready();
    // Whoever reads it waits for ever, as on a dead NFS mount.
    let data = bench.volume.join("..data");
    let pipe = bench.volume.join("..data_tmp");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    std::fs::rename(pipe, data).unwrap();
    eventually("the silence to be told", PATIENCE, || {
        let readyz = watch.get("/readyz");
        let told = readyz.body.contains("the last look at it ended");
        (readyz.status == 200 && told).then_some(())
    });
    watch.ends_well();
}

#[test]
fn only_the_latest_of_many_releases_must_appear() {
    let bench = Bench::new();
    let watch = Watch::start(bench.watch());
    for number in 1..=8 {
        bench.publish(number);
    }
    bench.becomes_live(8);
    watch.ends_well();
}

#[test]
fn a_plain_file_that_grows_slowly_is_loaded_once_it_is_whole() {
    let bench = Bench::new();
    let path = bench.volume.join("dump.sql");
    let watch = Watch::start(watch(&bench.server.url(), &path));
    let dump = Bench::dump(1);
    let mut file = std::fs::File::create(&path).unwrap();
    for part in dump.as_bytes().chunks(dump.len() / 20) {
        file.write_all(part).unwrap();
        file.sync_all().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    drop(file);
    bench.becomes_live(1);
    watch.ends_well();
}

#[test]
fn a_truncated_dump_is_refused_with_its_reason_and_a_good_one_recovers() {
    let bench = Bench::new();
    let path = bench.volume.join("dump.sql");
    std::fs::write(&path, Bench::dump(1)).unwrap();
    let watch = Watch::start(bench.watch());
    bench.becomes_live(1);
    let dump = Bench::dump(2);
    std::fs::write(&path, &dump[..dump.len() / 2]).unwrap();
    let failed = watch.newest_is("failed");
    assert_eq!(failed["exit_code"], 65, "{failed:#}");
    assert!(
        failed["error"].as_str().unwrap().contains("dump.sql"),
        "{failed:#}"
    );
    assert_eq!(bench.live().as_deref(), Some("1"));
    let readyz = watch.get("/readyz");
    assert_eq!(readyz.status, 200);
    for part in ["is live in app", "is bad data", "dump.sql"] {
        assert!(readyz.body.contains(part), "{}", readyz.body);
    }
    assert_eq!(watch.state()["obstacle"]["reason"], "bad_data");
    assert_eq!(watch.metric("pilotfish_watch_consecutive_failures"), 1.0);
    std::fs::write(&path, &dump).unwrap();
    bench.becomes_live(2);
    watch.newest_is("succeeded");
    let log = watch.ends_well();
    assert_eq!(log.matches("\"ERROR\"").count(), 1, "{log}");
}

#[test]
fn a_dump_that_is_written_again_while_it_is_read_is_not_condemned() {
    let bench = Bench::new();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", bench.server.port()), Fault::None);
    let url = format!("mysql://pilotfish:secret@127.0.0.1:{}", proxy.port());
    let path = bench.volume.join("dump.sql");
    // Many small tables keep the loader busy before it reads the rest.
    let small: String = (0..60)
        .map(|n| format!("CREATE TABLE s{n} (id INT);\nINSERT INTO s{n} VALUES (1);\n"))
        .collect();
    let rows: Vec<String> = (0..8_000)
        .map(|id| format!("({id},'{id:0>2000}')"))
        .collect();
    let large = format!(
        "CREATE TABLE large (id INT PRIMARY KEY, text TEXT);\nINSERT INTO large VALUES {};\n",
        rows.join(",")
    );
    let dump = format!("{small}{large}{}", Bench::dump(1));
    std::fs::write(&path, &dump).unwrap();
    proxy.set(Fault::Slow {
        bytes_per_second: 4_000,
    });
    let mut watch = Watch::start(bench.watch_by(&url));
    eventually("rows to be staged", PATIENCE, || {
        (watch.state()["running"]["phase"] == "staging").then_some(())
    });
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(1 << 20).unwrap();
    proxy.set(Fault::None);
    let log = watch
        .running
        .wait_for_stderr("files changed while they were read");
    assert!(!log.contains("\"ERROR\""), "{log}");
    assert_ne!(watch.state()["obstacle"]["reason"], "bad_data");
    // The same bytes as before, in place.
    std::fs::write(&path, &dump).unwrap();
    bench.becomes_live(1);
    watch.newest_is("succeeded");
    watch.ends_well();
}

#[test]
fn a_checksum_beside_the_dump_decides_when_it_is_whole() {
    let bench = Bench::new();
    let dump = Bench::dump(1);
    let sums = bench.volume.join("dump.sql.sha256");
    std::fs::write(&sums, format!("{}  dump.sql\n", "0".repeat(64))).unwrap();
    std::fs::write(bench.volume.join("dump.sql"), &dump).unwrap();
    let watch = Watch::start(bench.watch());
    eventually("the mismatch to be told", PATIENCE, || {
        let status = watch.state()["volume"]["status"]
            .as_str()
            .unwrap()
            .to_owned();
        Some(()).filter(|()| status.contains("does not match dump.sql.sha256"))
    });
    assert_eq!(bench.live(), None);
    let path = bench.volume.join("dump.sql");
    let sum = std::process::Command::new("sha256sum")
        .arg(&path)
        .output()
        .unwrap()
        .stdout;
    std::fs::write(&sums, sum).unwrap();
    bench.becomes_live(1);
    watch.ends_well();
}

#[test]
fn polling_sees_what_events_would() {
    let bench = Bench::new();
    let watch = Watch::start(bench.watch().arg("--poll"));
    bench.publish(1);
    bench.becomes_live(1);
    bench.publish(2);
    bench.becomes_live(2);
    assert_eq!(watch.state()["volume"]["watching"], "polling");
    watch.ends_well();
}

#[test]
fn a_volume_that_is_mounted_late_is_found() {
    let bench = Bench::new();
    std::fs::remove_dir(&bench.volume).unwrap();
    let watch = Watch::start(bench.watch());
    std::fs::create_dir(&bench.volume).unwrap();
    bench.publish(1);
    bench.becomes_live(1);
    bench.publish(2);
    bench.becomes_live(2);
    watch.ends_well();
}

#[test]
fn a_watch_that_went_silent_is_noticed() {
    let bench = Bench::new();
    // A single file is followed in its folder: a link into another folder changes without an event.
    let elsewhere = bench.world.write("elsewhere/dump.sql", Bench::dump(1));
    let link = bench.volume.join("dump.sql");
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    let watch = Watch::start(watch(&bench.server.url(), &link).args(["--rescan", "1s"]));
    bench.becomes_live(1);
    bench.world.write("elsewhere/dump.sql", Bench::dump(2));
    bench.becomes_live(2);
    assert_eq!(watch.metric("pilotfish_watch_volume_watch_silent"), 1.0);
    assert_eq!(watch.state()["volume"]["watching"], "polling");
    watch.ends_well();
}

#[test]
fn every_server_gets_its_releases() {
    for kind in ServerKind::all() {
        let bench = Bench::on(kind);
        let watch = Watch::start(bench.watch());
        bench.publish(1);
        bench.becomes_live(1);
        bench.publish(2);
        bench.becomes_live(2);
        watch.is_ready();
        watch.ends_well();
    }
}
