//! The loop, its HTTP side, fallback, notifications and signals.

use std::time::Duration;

use pilotfish_harness::{Fault, PATIENCE, Port, Proxy, S3, World, eventually, http};
use pilotfish_storage::serving::{Abilities, HttpServer};

use crate::{
    dump, fetch, fetch_s3, logged, manifest, published, sha256, stopped, until_published, volume,
};

fn metric(base: &str, name: &str) -> Option<f64> {
    let text = http::get(&format!("{base}/metrics"))?.body;
    let line = text
        .lines()
        .find(|line| line.starts_with(name) && !line.starts_with('#'))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn the_loop_brings_each_new_version_and_shows_it() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let port = Port::free();
    let base = format!("http://127.0.0.1:{port}");
    let token = world.write("token", "t0ken\n");
    let running = fetch(&world, &server.url("/dump.sql"))
        .args([
            "--every",
            "1s",
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--token-file",
        ])
        .arg(&token)
        .spawn();
    eventually("the admin port", PATIENCE, || {
        http::get(&format!("{base}/livez"))
    });
    assert_eq!(http::get(&format!("{base}/readyz")).unwrap().status, 503);
    let first = dump(100_000, 1);
    server.put("/dump.sql", &first);
    until_published(&world, &first);
    eventually("readiness", PATIENCE, || {
        (http::get(&format!("{base}/readyz"))?.status == 200).then_some(())
    });
    eventually("no failures", PATIENCE, || {
        (metric(&base, "pilotfish_fetch_consecutive_failures")? == 0.0).then_some(())
    });
    assert!(metric(&base, "pilotfish_fetch_last_success_timestamp_seconds").unwrap() > 1e9);
    assert_eq!(
        metric(&base, "pilotfish_fetch_release_size_bytes"),
        Some(first.len() as f64)
    );
    let page = http::get(&format!("{base}/")).unwrap().body;
    assert!(page.contains(&manifest(&world).release), "{page}");

    let second = dump(100_000, 2);
    server.put("/dump.sql", &second);
    until_published(&world, &second);
    let status = http::get(&format!("{base}/v1/fetches")).unwrap().json();
    assert_eq!(status["source"], server.url("/dump.sql"));

    let call = |header: &str| {
        let url = format!("{base}/v1/fetches");
        http::request("POST", &url, &[("authorization", header)], "")
            .unwrap()
            .status
    };
    assert_eq!(call("Bearer wrong"), 401);
    std::fs::write(&token, "rotated").unwrap();
    assert_eq!((call("Bearer t0ken"), call("Bearer rotated")), (401, 202));
    stopped(running);
}

#[test]
fn a_second_version_under_the_same_time_is_not_missed() {
    let world = World::new();
    let server = HttpServer::start(Abilities {
        etags: false,
        ..Abilities::GOOD
    });
    // A server whose clock is ahead: for a while its time can be a later version's as well.
    let time = std::time::SystemTime::now() + Duration::from_secs(20);
    let (first, second) = ([b'1'; 1000], [b'2'; 1000]);
    server.put_at("/dump.sql", &first, time);
    let mut running = fetch(&world, &server.url("/dump.sql"))
        .args(["--every", "300ms", "--listen", "127.0.0.1:0"])
        .spawn();
    running.wait_for_stderr("round done");
    until_published(&world, &first);
    server.put_at("/dump.sql", &second, time);
    until_published(&world, &second);
    stopped(running);
}

#[test]
fn a_call_is_answered_by_a_round_and_off_without_a_token() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    server.put("/dump.sql", &dump(1000, 1));
    let port = Port::free();
    let base = format!("http://127.0.0.1:{port}/v1/fetches");
    let loop_with = |args: &[&str]| {
        let listen = format!("127.0.0.1:{port}");
        let mut running = fetch(&world, &server.url("/dump.sql"))
            .args(["--every", "1h", "--listen", &listen])
            .args(args)
            .spawn();
        running.wait_for_stderr("round done");
        running
    };
    let off = loop_with(&[]);
    assert_eq!(http::request("POST", &base, &[], "").unwrap().status, 403);
    stopped(off);
    let token = world.write("token", "t0ken");
    let on = loop_with(&["--token-file", token.to_str().unwrap()]);
    let next = dump(1000, 2);
    server.put("/dump.sql", &next);
    let bearer = [("authorization", "Bearer t0ken")];
    assert_eq!(
        http::request("POST", &base, &bearer, "").unwrap().status,
        202
    );
    until_published(&world, &next);
    stopped(on);
}

#[test]
fn a_source_without_the_object_is_seen_on_the_page_and_in_metrics() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let content = dump(1000, 1);
    server.put("/dump.sql", &content);
    let port = Port::free();
    let base = format!("http://127.0.0.1:{port}");
    let listen = format!("127.0.0.1:{port}");
    let mut running = fetch(&world, &server.url("/dump.sql"))
        .args(["--every", "300ms", "--listen", &listen])
        .spawn();
    until_published(&world, &content);
    server.remove("/dump.sql");
    eventually("failures in a row", PATIENCE, || {
        (metric(&base, "pilotfish_fetch_consecutive_failures")? >= 2.0).then_some(())
    });
    let last = "pilotfish_fetch_last_failure_timestamp_seconds{kind=\"unreachable\"}";
    assert!(metric(&base, last).unwrap() > 1e9);
    let log = running.wait_for_stderr("stays in use");
    let url = server.url("/dump.sql");
    let release = manifest(&world);
    let warning = log.lines().find(|line| line.contains("stays in use"));
    let warning: serde_json::Value = serde_json::from_str(warning.unwrap()).unwrap();
    assert_eq!(warning["source"], url);
    assert_eq!(warning["sha256"], release.sha256);
    assert_eq!(warning["since"], pilotfish_volume::utc(release.fetched_at));
    assert!(
        warning["hint"].as_str().unwrap().contains("URL"),
        "{warning}"
    );

    let page = http::get(&format!("{base}/")).unwrap().body;
    for words in [
        "failures in a row",
        "there is no such object",
        "look at the URL",
        "stays in use",
        &release.release,
    ] {
        assert!(page.contains(words), "no `{words}` in {page}");
    }
    let status = || http::get(&format!("{base}/v1/fetches")).unwrap().json();
    let problem = &status()["problem"];
    assert!(
        problem["error"].as_str().unwrap().contains(&url),
        "{problem}"
    );
    assert_eq!(http::get(&format!("{base}/readyz")).unwrap().status, 200);

    let next = dump(1000, 2);
    server.put("/dump.sql", &next);
    until_published(&world, &next);
    eventually("no problem", PATIENCE, || {
        status()["problem"].is_null().then_some(())
    });
    stopped(running);
}

#[test]
fn budgets_differ_before_and_after_the_first_release() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let proxy = Proxy::start(&server.url(""), Fault::Refuse);
    let url = format!("{}/dump.sql", proxy.url());
    let args = [
        "--every",
        "300ms",
        "--listen",
        "127.0.0.1:0",
        "--retries",
        "0",
    ];
    let spent = fetch(&world, &url)
        .args(args)
        .args(["--init-max-failures", "1"])
        .run();
    spent.fails_with(69, "give up after 2 failures");

    server.put("/dump.sql", &dump(1000, 1));
    proxy.set(Fault::None);
    let mut running = fetch(&world, &url)
        .args(args)
        .args(["--init-max-failures", "0", "--max-failures", "2"])
        .spawn();
    running.wait_for_stderr("round done");
    server.remove("/dump.sql");
    running.wait().fails_with(69, "give up after 3 failures");
}

#[test]
fn a_refused_newest_object_falls_back_to_the_one_before() {
    let world = World::new();
    let s3 = S3::start(&world);
    let good = dump(100_000, 1);
    s3.put("dumps", "1.sql", &good);
    s3.put("dumps", "1.sql.sha256", sha256(&good));
    s3.put("dumps", "2.sql", dump(100_000, 2));
    s3.put("dumps", "2.sql.sha256", sha256(b"another dump"));
    let args = [
        "--pick",
        "name-desc",
        "--checksum-from",
        "auto",
        "--name",
        "dump.sql",
    ];
    let run = |args: &[&str]| fetch_s3(&world, &s3, "s3://dumps/").args(args).run();
    run(&args).fails_with(65, "SHA-256");
    let with_fallback = [&args[..], &["--fallback", "1"]].concat();
    let done = run(&with_fallback).success();
    assert_eq!(done.json()["outcome"], "fallback");
    assert!(
        done.json()["problem"].as_str().unwrap().contains("2.sql"),
        "{done}"
    );
    assert_eq!(published(&world, "dump.sql"), good);
    let again = run(&with_fallback).success();
    assert_eq!(again.json()["outcome"], "fallback");
    let line = "the newest object was refused: an older one is in use";
    assert_eq!(logged(&again.stderr, line)["source"], "s3://dumps/");
    // In the loop the refused object is not fetched again, and a mended one is taken.
    let port = Port::free();
    let base = format!("http://127.0.0.1:{port}");
    let listen = format!("127.0.0.1:{port}");
    let mut running = fetch_s3(&world, &s3, "s3://dumps/")
        .args(&with_fallback)
        .args(["--every", "300ms", "--listen", &listen])
        .spawn();
    running.wait_for_stderr("refused before");
    assert_eq!(metric(&base, "pilotfish_fetch_fallback_active"), Some(1.0));
    s3.put("dumps", "2.sql.sha256", sha256(&dump(100_000, 2)));
    until_published(&world, &dump(100_000, 2));
    stopped(running);
}

#[test]
fn watch_is_told_until_it_accepts() {
    let world = World::new();
    let (server, watch) = (
        HttpServer::start(Abilities::GOOD),
        HttpServer::start(Abilities::GOOD),
    );
    let content = dump(1000, 1);
    server.put("/dump.sql", &content);
    watch.answer_calls(&[503, 401]);
    let token = world.write("token", "t0ken");
    let notify = [
        "--notify",
        &watch.url(""),
        "--notify-token-file",
        token.to_str().unwrap(),
    ];
    fetch(&world, &server.url("/dump.sql"))
        .args(notify)
        .run()
        .success();
    let calls = watch.requests();
    let statuses: Vec<_> = calls.iter().map(|call| call.status).collect();
    assert_eq!(statuses, [503, 401, 202]);
    let id = format!("/v1/loads/{}", manifest(&world).release);
    for call in &calls {
        assert_eq!(
            (call.method.as_str(), call.path.as_str()),
            ("PUT", id.as_str())
        );
        assert_eq!(
            call.body,
            format!("{{\"release\":\"{}\"}}", sha256(&content))
        );
        assert_eq!(call.headers["authorization"], "Bearer t0ken");
    }
    // At each start, with the same id; and a run that waits in vain says so.
    fetch(&world, &server.url("/dump.sql"))
        .args(notify)
        .run()
        .success();
    assert_eq!(watch.requests().last().unwrap().path, id);
    watch.answer_calls(&[503; 100]);
    let in_vain = fetch(&world, &server.url("/dump.sql"))
        .args(notify)
        .args(["--notify-timeout", "1s"])
        .run();
    in_vain.fails_with(69, "not accepted within");
}

#[test]
fn a_signal_ends_a_run_with_143_and_the_next_one_goes_on() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let content = dump(2_000_000, 1);
    server.put("/dump.sql", &content);
    let proxy = Proxy::start(
        &server.url(""),
        Fault::Slow {
            bytes_per_second: 300_000,
        },
    );
    let url = format!("{}/dump.sql", proxy.url());
    let running = fetch(&world, &url).args(["--grace", "5s"]).spawn();
    eventually("the lease", PATIENCE, || {
        volume(&world).join("..lease").exists().then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    running.terminate();
    let ended = running.wait();
    assert_eq!(ended.code, Some(143), "{ended}");
    assert!(
        !volume(&world).join("..lease").exists(),
        "the lease is still there"
    );
    proxy.set(Fault::None);
    fetch(&world, &url).run().success();
    assert_eq!(published(&world, "dump.sql"), content);
    // A daemon that is told to stop in the middle has done nothing wrong.
    server.put("/dump.sql", &dump(2_000_000, 2));
    proxy.set(Fault::Slow {
        bytes_per_second: 300_000,
    });
    let running = fetch(&world, &url)
        .args(["--every", "1m", "--listen", "127.0.0.1:0"])
        .spawn();
    eventually("the lease", PATIENCE, || {
        volume(&world).join("..lease").exists().then_some(())
    });
    stopped(running);
    assert_eq!(published(&world, "dump.sql"), content);
}
