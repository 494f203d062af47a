//! Several publishers of one volume, and what readers of it are spared.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use pilotfish_harness::{Fault, PATIENCE, Proxy, World, eventually};
use pilotfish_storage::serving::{Abilities, HttpServer};
use pilotfish_volume::current;

use crate::archives::from_file;
use crate::{
    dump, fetch, manifest, published, sha256, stopped, stored, until_published, visible, volume,
};

#[test]
fn an_older_release_does_not_replace_a_newer_one() {
    let world = World::new();
    let (old, new) = (dump(50_000, 1), dump(50_000, 2));
    let server = HttpServer::start(Abilities::GOOD);
    let sums = format!("{}  1.sql\n{}  2.sql\n", sha256(&old), sha256(&new));
    server.put("/sums", sums.as_bytes());
    // The first one has picked its object, and then waits for the checksum.
    let proxy = Proxy::start(&server.url(""), Fault::Unavailable { times: 1000 });
    let path = stored(&world, "dumps/1.sql", &old);
    let folder = format!("file://{}/", path.parent().unwrap().display());
    let of = |base: &str| {
        fetch(&world, &folder)
            .args(["--pick", "name-desc", "--name", "dump.sql"])
            .args(["--keep", "1", "--keep-for", "0s", "--retries", "100"])
            .args(["--checksum-from", &format!("{base}/sums")])
    };
    let mut first = of(&proxy.url()).spawn();
    first.wait_for_stderr("trying again");
    stored(&world, "dumps/2.sql", &new);
    of(&server.url("")).run().success();
    let live = manifest(&world);
    proxy.set(Fault::None);
    let done = first.wait().success();
    assert!(done.stderr.contains("another publisher"), "{done}");
    assert_eq!(done.json()["outcome"], "nothing_to_do", "{done}");
    assert_eq!(published(&world, "dump.sql"), new);
    assert_eq!(manifest(&world), live);
}

#[test]
fn a_publisher_that_slept_through_its_lease_publishes_nothing() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    server.put("/dump.sql", &dump(3_000_000, 3));
    let slow = Fault::Slow {
        bytes_per_second: 400_000,
    };
    let proxy = Proxy::start(&server.url(""), slow);
    let first = fetch(&world, &format!("{}/dump.sql", proxy.url())).spawn();
    let lease = volume(&world).join("..lease");
    eventually("the lease", PATIENCE, || lease.exists().then_some(()));
    first.signal("STOP");
    // As if it had been stopped for two minutes.
    let file = File::options().append(true).open(&lease).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(120))
        .unwrap();
    let other = dump(50_000, 4);
    from_file(&world, "dump.sql", &other, &[]).success();
    let live = manifest(&world);
    proxy.set(Fault::None);
    first.signal("CONT");
    first.wait().fails_with(75, "the lease was lost");
    assert_eq!(published(&world, "dump.sql"), other);
    assert_eq!(manifest(&world), live);
    assert_eq!(visible(&volume(&world)), ["dump.sql"]);
}

#[test]
fn a_release_is_pruned_whole_or_not_at_all_under_its_reader() {
    let world = World::new();
    let set = |seed: u64| {
        let mut set = tar::Builder::new(Vec::new());
        for at in 0..40 {
            let content = dump(2000, seed * 100 + at);
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            let name = format!("{at}.sql");
            set.append_data(&mut header, name, &content[..]).unwrap();
        }
        set.into_inner().unwrap()
    };
    let publish = |seed| {
        let prune = ["--keep", "1", "--keep-for", "0s"];
        from_file(&world, "set.tar", &set(seed), &prune).success();
    };
    publish(0);
    let (over, root) = (AtomicBool::new(false), volume(&world));
    let (whole, gone) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut whole, mut gone) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                let release = current(&root).unwrap().unwrap();
                let files = release.manifest.unwrap().files;
                let missing = files.iter().find(|file| {
                    let content = fs::read(release.path.join(&file.name));
                    content.map_or(true, |content| {
                        assert_eq!(sha256(&content), file.sha256, "{}", file.name);
                        false
                    })
                });
                if let Some(file) = missing {
                    assert!(!release.path.exists(), "{} is gone alone", file.name);
                    gone += 1;
                } else {
                    whole += 1;
                }
            }
            (whole, gone)
        });
        for seed in 1..6 {
            publish(seed);
        }
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(whole > 0, "{whole} whole, {gone} gone");
    let hidden = fs::read_dir(&root).unwrap();
    let hidden = hidden.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let hidden: Vec<_> = hidden.filter(|name| name.starts_with("..")).collect();
    assert_eq!(hidden.len(), 2, "the release and ..data: {hidden:?}");
}

#[test]
fn a_release_that_lost_bytes_on_the_volume_is_fetched_again() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let content = dump(50_000, 5);
    server.put("/dump.sql", &content);
    let run = || fetch(&world, &server.url("/dump.sql")).run().success();
    run();
    let file = || {
        current(&volume(&world))
            .unwrap()
            .unwrap()
            .path
            .join("dump.sql")
    };
    let truncate = |path: PathBuf| {
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(9).unwrap();
    };
    let remove = |path: PathBuf| fs::remove_file(path).unwrap();
    for harm in [&truncate as &dyn Fn(PathBuf), &remove] {
        harm(file());
        let again = run();
        assert_eq!(again.json()["outcome"], "published", "{again}");
        assert!(again.stderr.contains("damaged"), "{again}");
        assert_eq!(published(&world, "dump.sql"), content);
    }
    assert_eq!(run().json()["outcome"], "nothing_to_do");
}

#[test]
fn what_somebody_else_published_is_not_taken_for_what_the_loop_did() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let (today, yesterday) = (dump(50_000, 6), dump(50_000, 7));
    server.put("/dump.sql", &today);
    let mut running = fetch(&world, &server.url("/dump.sql"))
        .args(["--every", "1s", "--listen", "127.0.0.1:0"])
        .spawn();
    running.wait_for_stderr("round done");
    until_published(&world, &today);
    let first = manifest(&world).release;
    from_file(&world, "dump.sql", &yesterday, &[]).success();
    until_published(&world, &today);
    assert_ne!(manifest(&world).release, first);
    stopped(running);
}
