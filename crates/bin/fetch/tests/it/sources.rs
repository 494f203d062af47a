//! Each scheme, each way to pick and to prove.

use std::fs;

use pilotfish_harness::{S3, TlsFront, World};
use pilotfish_storage::serving::{Abilities, HttpServer};

use crate::{dump, fetch, fetch_s3, logged, manifest, published, sha256, stored, volume};

#[test]
fn a_file_is_published_once() {
    let world = World::new();
    let content = dump(300_000, 1);
    let path = stored(&world, "source/dump.sql", &content);
    let url = format!("file://{}", path.display());
    let first = fetch(&world, &url).run().success().json();
    assert_eq!(first["outcome"], "published");
    assert_eq!(published(&world, "dump.sql"), content);
    let release = manifest(&world);
    assert_eq!(release.sha256, sha256(&content));
    assert_eq!(release.size, content.len() as u64);
    assert_eq!(release.source_url, url);
    assert_eq!(release.files.len(), 1);
    assert_eq!(release.files[0].sha256, sha256(&content));

    assert!(
        !volume(&world).join("..lease").exists(),
        "the lease is still there"
    );

    let again = fetch(&world, &url).run().success();
    assert!(again.stderr.contains("nothing new"), "{again}");
    assert!(again.stderr.contains(&release.sha256), "{again}");
    assert_eq!(again.json()["outcome"], "nothing_to_do");
    assert_eq!(again.json()["received_bytes"], 0);
    // Another version of the source with the same bytes is no new release.
    fs::remove_file(&path).unwrap();
    stored(&world, "source/dump.sql", &content);
    let same = fetch(&world, &url).run().success().json();
    assert_eq!(same["outcome"], "nothing_to_do");
    assert_eq!(manifest(&world).release, release.release);
    // The same bytes in another form are one.
    let kept = fetch(&world, &url)
        .args(["--decompress", "keep"])
        .run()
        .success()
        .json();
    assert_eq!(kept["outcome"], "published");
}

#[test]
fn the_log_names_the_source_in_a_field_and_its_words_stay_the_same() {
    let world = World::new();
    let path = stored(&world, "source/dump.sql", dump(1000, 1));
    let url = format!("file://{}", path.display());
    fetch(&world, &url).run().success();
    let again = fetch(&world, &url).run().success();
    let line = "nothing new: the volume has this release already";
    assert_eq!(logged(&again.stderr, line)["source"], url);
    fs::remove_file(&path).unwrap();
    let away = fetch(&world, &url).run().success();
    let line = "nothing came from the source: the release on the volume stays in use";
    assert_eq!(logged(&away.stderr, line)["source"], url);
}

#[test]
fn a_web_server_is_asked_with_ranges_and_then_with_conditions() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let content = dump(1_000_000, 2);
    server.put("/dumps/dump.sql", &content);
    let url = server.url("/dumps/dump.sql");
    let parts = ["--part-size", "128KiB", "--header", "X-Key: s3cret"];
    let first = fetch(&world, &url).args(parts).run().success();
    assert_eq!(first.json()["received_bytes"], content.len() as u64);
    assert!(!first.stderr.contains("s3cret"), "{}", first.stderr);
    assert_eq!(published(&world, "dump.sql"), content);
    let ranges = server
        .requests()
        .iter()
        .filter(|request| request.status == 206)
        .count();
    assert!(ranges >= 8, "{ranges} ranges for eight parts");
    let again = fetch(&world, &url).args(parts).run().success().json();
    assert_eq!(again["outcome"], "nothing_to_do");
}

#[test]
fn a_web_server_without_ranges_and_marks_will_do() {
    let world = World::new();
    let server = HttpServer::start(Abilities::PLAIN);
    let content = dump(700_000, 3);
    server.put("/dump.sql", &content);
    fetch(&world, &server.url("/dump.sql?signature=s3cret"))
        .run()
        .fails_with(69, "no such object");
    fetch(&world, &server.url("/dump.sql")).run().success();
    assert_eq!(published(&world, "dump.sql"), content);
    assert_eq!(manifest(&world).source_url, server.url("/dump.sql"));
}

#[test]
fn an_authority_of_ones_own_is_trusted_when_its_file_is_given() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let content = dump(300_000, 3);
    server.put("/dump.sql", &content);
    let front = TlsFront::start(&server.url(""));
    let url = format!("{}/dump.sql", front.url());
    let stranger = fetch(&world, &url).run().fails_with(69, "not trusted");
    assert!(stranger.stderr.contains("--ca-file"), "{stranger}");
    let ca = world.write("ca.pem", front.authority());
    fetch(&world, &url).arg("--ca-file").arg(ca).run().success();
    assert_eq!(published(&world, "dump.sql"), content);
}

#[test]
fn an_object_of_a_bucket_and_the_best_of_a_folder() {
    let world = World::new();
    let s3 = S3::start(&world);
    let (old, new) = (dump(200_000, 4), dump(200_000, 5));
    s3.put("dumps", "daily/2026-11-20.sql", &old);
    s3.put("dumps", "daily/2026-11-21.sql", &new);
    s3.put("dumps", "daily/2026-11-21.sql.sha256", sha256(&new));
    s3.put("dumps", "daily/notes.txt", "no dump");
    s3.put("dumps", "daily/deeper/2026-11-22.sql", "deeper");
    fetch_s3(&world, &s3, "s3://dumps/daily/2026-11-20.sql")
        .run()
        .success();
    assert_eq!(published(&world, "2026-11-20.sql"), old);

    let pick = [
        "--match",
        "*.sql",
        "--pick",
        "name-desc",
        "--checksum-from",
        "auto",
    ];
    fetch_s3(&world, &s3, "s3://dumps/daily/")
        .args(pick)
        .run()
        .success();
    assert_eq!(published(&world, "2026-11-21.sql"), new);
    assert!(!volume(&world).join("2026-11-20.sql").exists());
    assert_eq!(
        manifest(&world).source_url,
        "s3://dumps/daily/2026-11-21.sql"
    );

    // Stored last, whatever its name. Stores keep times to a second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    s3.put("dumps", "daily/2026-11-19.sql", "latest");
    let newest = ["--match", "*.sql", "--name", "dump.sql"];
    fetch_s3(&world, &s3, "s3://dumps/daily/")
        .args(newest)
        .run()
        .success();
    assert_eq!(published(&world, "dump.sql"), b"latest");
    let deep = ["--match", "**/2026-11-22.*"];
    fetch_s3(&world, &s3, "s3://dumps/daily/")
        .args(deep)
        .run()
        .success();
    assert_eq!(published(&world, "2026-11-22.sql"), b"deeper");
}

#[test]
fn a_source_without_the_dump_leaves_the_release_in_use_and_says_what_to_look_at() {
    let world = World::new();
    let s3 = S3::start(&world);
    s3.put("dumps", "daily/2026-11-21.sql", dump(1000, 5));
    s3.put("dumps", "daily/2026-11-21.sql.sha256", "a companion");
    let server = HttpServer::start(Abilities::GOOD);
    let (host, secret) = (server.url(""), "me:s3cr3t@127.0.0.1");
    let hidden = format!(
        "{}/absent.sql?signature=s3cr3t",
        host.replace("127.0.0.1", secret)
    );
    let cases = [
        (
            "s3://dumps/daily/absent.sql",
            "",
            "there is no such object",
            "look at the URL",
        ),
        (
            "s3://dumps/dayly/",
            "*.sql",
            "s3://dumps/dayly/: it holds no object",
            "look at the URL",
        ),
        (
            "s3://dumps/daily/",
            "*.dump",
            "of its 2 objects none fits --match *.dump",
            "s3://dumps/daily/2026-11-21.sql",
        ),
        (
            "s3://dumpz/daily/",
            "*.sql",
            "there is no such bucket",
            "look at the bucket's name",
        ),
        (&hidden, "", "there is no such object", "look at the URL"),
    ];
    let run = |url: &str, matching: &str| {
        let fetch = fetch_s3(&world, &s3, url);
        if matching.is_empty() {
            fetch.run()
        } else {
            fetch.args(["--match", matching]).run()
        }
    };
    for (url, matching, problem, hint) in cases {
        let failed = run(url, matching).fails_with(69, problem);
        assert!(failed.stderr.contains(hint), "no `{hint}` in {failed}");
    }
    run("s3://dumps/daily/2026-11-21.sql", "").success();
    let live = manifest(&world);
    for (url, matching, problem, hint) in cases {
        let done = run(url, matching).success();
        assert_eq!(done.json()["outcome"], "source_away");
        assert_eq!(done.json()["release"]["sha256"], live.sha256);
        let shown = done.json()["problem"].to_string() + &done.json()["hint"].to_string();
        assert!(shown.contains(problem) && shown.contains(hint), "{done}");
        let warning = done
            .stderr
            .lines()
            .find(|line| line.contains("WARN"))
            .unwrap();
        let url = url.split('?').next().unwrap().replace("me:s3cr3t@", "");
        for words in [
            url.as_str(),
            problem,
            hint,
            "stays in use",
            &live.sha256,
            &pilotfish_volume::utc(live.fetched_at),
        ] {
            assert!(warning.contains(words), "no `{words}` in {warning}");
        }
        assert!(!done.stderr.contains("s3cr3t"), "{done}");
        assert_eq!(manifest(&world).release, live.release);
    }
}

#[test]
fn checksums_are_found_where_they_lie() {
    let world = World::new();
    let content = dump(50_000, 6);
    let digest = sha256(&content);
    let wrong = sha256(b"something else");
    let path = stored(&world, "source/dump.sql", &content);
    let url = format!("file://{}", path.display());
    let run = |args: &[&str]| fetch(&world, &url).args(args).run();

    run(&["--sha256", &wrong]).fails_with(65, "SHA-256");
    stored(
        &world,
        "source/dump.sql.sha256",
        format!("{wrong}  dump.sql\n"),
    );
    run(&["--checksum-from", "auto"]).fails_with(65, &wrong);
    crate::assert_untouched(&world);
    stored(
        &world,
        "source/SHA256SUMS",
        format!("{wrong}  other.sql\n{digest} *dump.sql\n"),
    );
    fs::remove_file(world.join("source/dump.sql.sha256")).unwrap();
    assert_eq!(
        run(&["--checksum-from", "auto"]).success().json()["outcome"],
        "published"
    );
    let sums = format!("file://{}", world.join("source/SHA256SUMS").display());
    assert_eq!(
        run(&["--checksum-from", &sums]).success().json()["outcome"],
        "nothing_to_do"
    );
    // What is live is not what is wanted, although the source has nothing new.
    let live = manifest(&world);
    let sums = |digest: &str| {
        let path = stored(&world, "theirs", format!("{digest}  dump.sql\n"));
        format!("file://{}", path.display())
    };
    for args in [["--sha256", &wrong], ["--checksum-from", &sums(&wrong)]] {
        let refused = run(&args).fails_with(65, "its SHA-256 is");
        assert!(refused.stderr.contains(&wrong), "{refused}");
        assert!(refused.stderr.contains(&digest), "{refused}");
    }
    let absent = format!("file://{}", world.join("absent").display());
    let unread = run(&["--checksum-from", &absent]).success();
    assert_eq!(unread.json()["outcome"], "nothing_to_do");
    logged(
        &unread.stderr,
        "no checksum to compare the live release with",
    );
    let same = run(&["--checksum-from", &sums(&digest)]).success();
    assert_eq!(same.json()["outcome"], "nothing_to_do");
    assert_eq!(manifest(&world), live);
    // What is wanted is there: the source is not even looked at.
    fs::remove_file(&path).unwrap();
    assert_eq!(
        run(&["--sha256", &digest]).success().json()["outcome"],
        "nothing_to_do"
    );
}

#[test]
fn whoever_keeps_the_checksum_gets_no_credentials() {
    let world = World::new();
    let (ours, theirs) = (
        HttpServer::start(Abilities::GOOD),
        HttpServer::start(Abilities::GOOD),
    );
    let content = dump(1000, 7);
    ours.put("/dump.sql", &content);
    theirs.put(
        "/sums",
        format!("{}  dump.sql", sha256(&content)).as_bytes(),
    );
    let token = world.write("token", "t0ken");
    let key = [
        "--header",
        "X-Key: s3cret",
        "--bearer-token-file",
        token.to_str().unwrap(),
        "--checksum-from",
        &theirs.url("/sums"),
    ];
    fetch(&world, &ours.url("/dump.sql"))
        .args(key)
        .run()
        .success();
    let shown = |server: &HttpServer| {
        let requests = server.requests();
        requests
            .iter()
            .filter(|request| {
                ["x-key", "authorization"]
                    .iter()
                    .any(|name| request.headers.contains_key(*name))
            })
            .count()
    };
    assert!(shown(&ours) > 0 && shown(&theirs) == 0 && !theirs.requests().is_empty());
}

#[test]
fn a_file_whose_name_is_not_utf_8_is_left_out_with_a_word() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    let path = stored(&world, "dumps/1.sql", dump(1000, 1));
    let odd = std::ffi::OsStr::from_bytes(b"2\xff.sql");
    std::fs::write(path.with_file_name(odd), dump(1000, 2)).unwrap();
    let folder = format!("file://{}/", path.parent().unwrap().display());
    let done = fetch(&world, &folder).run().success();
    assert!(done.stderr.contains("its name is not UTF-8"), "{done}");
    assert_eq!(published(&world, "1.sql"), dump(1000, 1));
}
