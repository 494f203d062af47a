//! Cuts, kills, changes and absences on the way.

use std::time::Duration;

use pilotfish_harness::{Fault, Proxy, S3, World, eventually, seeded};
use pilotfish_storage::serving::{Abilities, HttpServer};
use rand::Rng;

use crate::archives::gzip;
use crate::{dump, fetch, fetch_s3, manifest, published, volume};

const PARTS: [&str; 4] = ["--part-size", "256KiB", "--parallel", "2"];

/// Bytes the running fetch has put into complete parts.
fn complete_parts(world: &World) -> usize {
    let Ok(entries) = std::fs::read_dir(volume(world)) else {
        return 0;
    };
    let notes = entries
        .filter_map(Result::ok)
        .find_map(|entry| std::fs::read(entry.path().join("download.json")).ok());
    let notes: Option<serde_json::Value> =
        notes.and_then(|notes| serde_json::from_slice(&notes).ok());
    notes
        .and_then(|notes| notes["done"].as_array().map(Vec::len))
        .unwrap_or(0)
}

#[test]
fn a_cut_transfer_goes_on() {
    let world = World::new();
    let s3 = S3::start(&world);
    let content = dump(3_000_000, 1);
    s3.put("dumps", "dump.sql", &content);
    let proxy = Proxy::start(
        s3.endpoint(),
        Fault::Cut {
            bytes: 150_000,
            times: 12,
        },
    );
    let done = fetch(&world, "s3://dumps/dump.sql")
        .args(["--endpoint", &proxy.url()])
        .envs(s3.env())
        .args(PARTS)
        .run()
        .success();
    assert_eq!(published(&world, "dump.sql"), content);
    // What came before a cut was not asked for again.
    assert_eq!(done.json()["received_bytes"], content.len() as u64);
    assert!(proxy.faults() >= 12, "only {} cuts", proxy.faults());
}

#[test]
fn a_killed_transfer_goes_on_in_the_next_run() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let content = dump(4_000_000, 2);
    server.put("/dump.sql", &content);
    let proxy = Proxy::start(
        &server.url(""),
        Fault::Slow {
            bytes_per_second: 600_000,
        },
    );
    let url = format!("{}/dump.sql", proxy.url());
    let running = fetch(&world, &url).args(PARTS).spawn();
    eventually("two complete parts", Duration::from_secs(60), || {
        (complete_parts(&world) >= 2).then_some(())
    });
    running.signal("KILL");
    let _ = running.wait();
    assert_eq!(pilotfish_volume::current(&volume(&world)).unwrap(), None);

    let kept = complete_parts(&world);
    proxy.set(Fault::None);
    let again = fetch(&world, &url).args(PARTS).run().success().json();
    assert_eq!(published(&world, "dump.sql"), content);
    let received = usize::try_from(again["received_bytes"].as_u64().unwrap()).unwrap();
    assert_eq!(
        received,
        content.len() - kept * (256 << 10),
        "{kept} parts were there"
    );
}

#[test]
fn two_versions_are_never_mixed() {
    let world = World::new();
    for (round, abilities) in [
        Abilities::GOOD,
        Abilities {
            conditions: false,
            ..Abilities::GOOD
        },
    ]
    .iter()
    .enumerate()
    {
        let server = HttpServer::start(*abilities);
        let seed = round as u64 * 10;
        let (first, second) = (dump(3_000_000, seed + 3), dump(3_000_000, seed + 4));
        server.put("/dump.sql", &first);
        let proxy = Proxy::start(
            &server.url(""),
            Fault::Slow {
                bytes_per_second: 600_000,
            },
        );
        let running = fetch(&world, &format!("{}/dump.sql", proxy.url()))
            .args(PARTS)
            .spawn();
        eventually("one complete part", Duration::from_secs(60), || {
            (complete_parts(&world) >= 1).then_some(())
        });
        server.put("/dump.sql", &second);
        proxy.set(Fault::None);
        let done = running.wait().success();
        assert!(
            published(&world, "dump.sql") == second,
            "another release:\n{done}"
        );
        assert!(done.stderr.contains("starting over"), "{done}");
    }
}

#[test]
fn two_versions_of_a_versioned_bucket_are_never_mixed() {
    let world = World::new();
    let s3 = S3::start(&world);
    s3.make_bucket("dumps");
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let on = world.write("versioning.xml", on);
    let put = ["--expect100-timeout", "0.01", "-T", on.to_str().unwrap()];
    s3.request(&put, "dumps?versioning=");
    let (first, second) = (dump(3_000_000, 13), dump(3_000_000, 14));
    s3.put("dumps", "dump.sql", &first);
    let proxy = Proxy::start(
        s3.endpoint(),
        Fault::Slow {
            bytes_per_second: 600_000,
        },
    );
    let run = || {
        fetch(&world, "s3://dumps/dump.sql")
            .args(["--endpoint", &proxy.url()])
            .envs(s3.env())
            .args(PARTS)
    };
    let running = run().spawn();
    eventually("one complete part", Duration::from_secs(60), || {
        (complete_parts(&world) >= 1).then_some(())
    });
    s3.put("dumps", "dump.sql", &second);
    proxy.set(Fault::None);
    let done = running.wait().success();
    // The version that was begun is still there, under its id.
    assert!(
        published(&world, "dump.sql") == first,
        "another one:\n{done}"
    );
    let id = manifest(&world).version.expect("the version's id");
    assert!(!id.contains('"') && id != "null", "{id}");
    run().run().success();
    assert!(published(&world, "dump.sql") == second, "not the newest");
    assert_ne!(manifest(&world).version.as_deref(), Some(id.as_str()));
}

#[test]
fn a_stream_without_ranges_starts_over_when_it_is_cut() {
    let world = World::new();
    let server = HttpServer::start(Abilities::PLAIN);
    let content = dump(1_000_000, 5);
    server.put("/dump.sql", &content);
    // The first look takes the answer's head only; the second connection brings the body.
    let proxy = Proxy::start(
        &server.url(""),
        Fault::Cut {
            bytes: 300_000,
            times: 2,
        },
    );
    fetch(&world, &format!("{}/dump.sql", proxy.url()))
        .run()
        .success();
    assert!(published(&world, "dump.sql") == content, "other bytes");
}

#[test]
fn busy_servers_and_silent_ones_are_asked_again() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let content = dump(300_000, 6);
    server.put("/dump.sql", &content);
    let proxy = Proxy::start(&server.url(""), Fault::Unavailable { times: 2 });
    let url = format!("{}/dump.sql", proxy.url());
    let done = fetch(&world, &url).run().success();
    assert!(done.stderr.contains("503"), "{done}");

    let world = World::new();
    proxy.set(Fault::Stall { bytes: 50_000 });
    let mut running = fetch(&world, &url)
        .args(["--read-timeout", "500ms"])
        .spawn();
    running.wait_for_stderr("timed out");
    proxy.set(Fault::None);
    running.wait().success();
    assert!(published(&world, "dump.sql") == content, "other bytes");
}

#[test]
fn a_source_that_is_away_is_no_way_to_be_down() {
    let world = World::new();
    let s3 = S3::start(&world);
    let content = dump(100_000, 7);
    s3.put("dumps", "dump.sql", &content);
    let proxy = Proxy::start(s3.endpoint(), Fault::Refuse);
    let base = |retries: &str| {
        fetch(&world, "s3://dumps/dump.sql")
            .args(["--endpoint", &proxy.url(), "--retries", retries])
            .envs(s3.env())
    };
    let run = |retries: &str| base(retries).run();
    run("1").fails_with(69, "dumps/dump.sql");
    proxy.set(Fault::None);
    run("3").success();
    let release = manifest(&world).release;
    proxy.set(Fault::Unavailable { times: 1000 });
    let away = run("1").success();
    assert_eq!(away.json()["outcome"], "source_away");
    assert!(away.stderr.contains("stays in use"), "{away}");
    // Who wants to know better says so.
    base("1")
        .arg("--strict")
        .run()
        .fails_with(69, "dumps/dump.sql");
    assert_eq!(manifest(&world).release, release);

    let denied = fetch_s3(&World::new(), &s3, "s3://dumps/dump.sql")
        .env("AWS_SECRET_ACCESS_KEY", "wrong")
        .run();
    denied.fails_with(77, "denied");
}

#[test]
fn an_init_container_lets_pass_what_a_later_run_may_mend() {
    let world = World::new();
    let s3 = S3::start(&world);
    let init = |object: &str, secret: &str| {
        fetch_s3(&world, &s3, &format!("s3://dumps/{object}"))
            .args(["--best-effort", "--retries=0"])
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .run()
    };
    let key = s3
        .env()
        .into_iter()
        .find(|(name, _)| *name == "AWS_SECRET_ACCESS_KEY");
    let key = key.expect("a key").1;
    let cut = {
        let whole = gzip(&dump(100_000, 7));
        whole[..whole.len() / 2].to_vec()
    };
    s3.put("dumps", "cut.sql.gz", &cut);
    for (object, secret, why) in [
        ("absent.sql", key, "no such object"),
        ("cut.sql.gz", key, "cut off"),
        ("cut.sql.gz", "wrong", "denied"),
    ] {
        let passed = init(object, secret).success();
        assert_eq!(passed.json()["outcome"], "let_pass", "{passed}");
        assert!(passed.stderr.contains(why), "{passed}");
    }
    assert!(!volume(&world).join("..data").exists());
    s3.put("dumps", "dump.sql", dump(1000, 7));
    let brought = init("dump.sql", key).success();
    assert_eq!(brought.json()["outcome"], "published");
    // How it is called is nothing that a later run mends.
    fetch_s3(&world, &s3, "s3://dumps/dump.sql")
        .args(["--best-effort", "--sha256=no"])
        .run()
        .fails_with(78, "64 hex digits");
}

#[test]
fn an_init_container_does_not_wait_for_a_slow_source() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let content = dump(3_000_000, 8);
    server.put("/dump.sql", &content);
    let bytes_per_second = 300_000;
    let proxy = Proxy::start(&server.url(""), Fault::Slow { bytes_per_second });
    let url = format!("{}/dump.sql", proxy.url());
    let passed = fetch(&world, &url)
        .args(PARTS)
        .args(["--best-effort", "--timeout=2s"])
        .run()
        .success();
    assert_eq!(passed.json()["outcome"], "let_pass", "{passed}");
    // The loop goes on from there.
    proxy.set(Fault::None);
    let brought = fetch(&world, &url).args(PARTS).run().success().json();
    assert_eq!(brought["outcome"], "published", "{brought}");
    let received = brought["received_bytes"].as_u64().unwrap();
    assert!(received < content.len() as u64, "{brought}");
}

#[test]
fn memory_does_not_grow_with_the_object() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    // 96 MiB that do not compress, so that the decompressor's buffers are full, too.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(12 << 20)
    .flatten()
    .collect();
    server.put("/dump.sql.zst", &zstd::encode_all(&noise[..], 1).unwrap());
    let done = fetch(&world, &server.url("/dump.sql.zst")).run().success();
    assert!(published(&world, "dump.sql") == noise, "other bytes");
    assert!(
        done.peak_rss_kib < 64 << 10,
        "{} KiB resident",
        done.peak_rss_kib
    );
}

#[test]
fn killed_at_any_moment_readers_see_the_old_release_or_the_new_one() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let (old, new) = (dump(2_000_000, 8), dump(2_000_000, 9));
    server.put("/dump.sql", &old);
    let url = server.url("/dump.sql");
    fetch(&world, &url).args(PARTS).run().success();
    server.put("/dump.sql", &new);
    let mut random = seeded("kill the fetch");
    for _ in 0..10 {
        let mut running = fetch(&world, &url).args(PARTS).spawn();
        std::thread::sleep(Duration::from_millis(random.random_range(5..400)));
        let done = !running.is_running();
        if !done {
            running.signal("KILL");
        }
        let _ = running.wait();
        let live = published(&world, "dump.sql");
        assert!(live == old || live == new, "a mix of {} bytes", live.len());
        if done {
            // Once more from the start: something to interrupt.
            std::fs::remove_dir_all(volume(&world)).unwrap();
            server.put("/dump.sql", &old);
            fetch(&world, &url).args(PARTS).run().success();
            server.put("/dump.sql", &new);
        }
    }
    fetch(&world, &url).args(PARTS).run().success();
    assert!(published(&world, "dump.sql") == new, "another release");
    assert_eq!(crate::visible(&volume(&world)), ["dump.sql"]);
}
