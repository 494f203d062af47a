//! Answers that are no object, credentials that change on the way, and what must stay unsaid.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use pilotfish_harness::{Fault, PATIENCE, Port, Proxy, S3, World, eventually, http};
use pilotfish_storage::serving::{Abilities, HttpServer};

use crate::{
    assert_untouched, dump, fetch, fetch_s3, manifest, published, stopped, until_published, volume,
};

/// A web server that says nothing but this, with a body that names a secret.
pub(crate) fn says(status: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/dump.sql", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let body = "token=s3cr3t";
            let _ = write!(
                stream,
                "HTTP/1.1 {status} No\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

#[test]
fn each_answer_that_is_no_object_has_its_code() {
    for (status, code, retried) in [
        (401, 77, false),
        (403, 77, false),
        (404, 69, false),
        (410, 69, false),
        (429, 69, true),
        (500, 69, true),
        (503, 69, true),
    ] {
        let world = World::new();
        let url = says(status);
        let run = || fetch(&world, &url).args(["--retries", "1"]).run();
        let done = run();
        assert_eq!(done.code, Some(code), "{status}: {done}");
        assert_eq!(
            done.stderr.contains("trying again"),
            retried,
            "{status}: {done}"
        );
        let said = done.stderr.matches("\"ERROR\"").count();
        assert_eq!(said, 1, "{status}: {done}");
        assert!(done.stderr.contains(&url), "{status}: {done}");
        assert!(!done.stderr.contains("s3cr3t"), "{status}: {done}");
        assert_untouched(&world);
        // With a release on the volume the same answer is no way to be down, unless it is a refusal.
        let server = HttpServer::start(Abilities::GOOD);
        server.put("/dump.sql", &dump(1000, 1));
        fetch(&world, &server.url("/dump.sql")).run().success();
        let live = manifest(&world);
        let done = run().success();
        assert_eq!(done.json()["outcome"], "source_away", "{status}: {done}");
        assert_eq!(manifest(&world), live);
    }
}

#[test]
fn a_bucket_that_is_absent_closed_or_busy_has_its_code() {
    let world = World::new();
    let s3 = S3::start(&world);
    s3.put("dumps", "dump.sql", dump(1000, 1));
    let absent = fetch_s3(&world, &s3, "s3://dumpz/dump.sql").run();
    absent.fails_with(69, "dumpz");
    let closed = fetch_s3(&world, &s3, "s3://dumps/dump.sql")
        .env("AWS_SECRET_ACCESS_KEY", "n0t-the-secret")
        .run()
        .fails_with(77, "denied");
    assert!(!closed.stderr.contains("n0t-the-secret"), "{closed}");
    assert_untouched(&world);
    let proxy = Proxy::start(s3.endpoint(), Fault::Unavailable { times: 1000 });
    let run = || {
        fetch(&world, "s3://dumps/dump.sql")
            .args(["--endpoint", &proxy.url(), "--retries", "1"])
            .envs(s3.env())
            .run()
    };
    run().fails_with(69, "503");
    assert_untouched(&world);
    proxy.set(Fault::Unavailable { times: 1 });
    run().success();
}

#[test]
fn a_token_that_changes_between_two_parts_is_read_again() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let content = dump(3_000_000, 1);
    server.put("/dump.sql", &content);
    server.require("authorization", "Bearer f1rst-token");
    let token = world.write("token", "f1rst-token\n");
    let proxy = Proxy::start(
        &server.url(""),
        Fault::Slow {
            bytes_per_second: 1_000_000,
        },
    );
    let running = fetch(&world, &format!("{}/dump.sql", proxy.url()))
        .args([
            "--part-size",
            "256KiB",
            "--parallel",
            "1",
            "--bearer-token-file",
        ])
        .arg(&token)
        .spawn();
    let parts = || {
        server
            .requests()
            .iter()
            .filter(|request| request.status == 206)
            .count()
    };
    eventually("some parts", PATIENCE, || (parts() >= 3).then_some(()));
    // As a secret is updated: the file first, then who asks for it.
    let next = world.write("token.next", "n3xt-token\n");
    fs::rename(next, &token).unwrap();
    server.require("authorization", "Bearer n3xt-token");
    let before = parts();
    proxy.set(Fault::None);
    let done = running.wait().success();
    assert_eq!(published(&world, "dump.sql"), content);
    assert!(parts() > before, "nothing was left to ask for\n{done}");
    for said in ["Bearer", "f1rst", "n3xt"] {
        assert!(!done.stderr.contains(said), "{done}");
    }
}

#[test]
fn an_account_that_changes_in_its_file_is_read_again_by_the_next_round() {
    let world = World::new();
    let s3 = S3::start(&world);
    let (first, second) = (dump(1000, 1), dump(1000, 2));
    s3.put("dumps", "dump.sql", &first);
    let [(_, key), (_, secret), _] = s3.env();
    let profile = |secret: &str| {
        let text =
            format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
        let next = world.write("credentials.next", text);
        fs::rename(next, world.join("credentials")).unwrap();
    };
    profile("n0t-the-secret");
    let mut running = fetch(&world, "s3://dumps/dump.sql")
        .args(["--endpoint", s3.endpoint(), "--every", "300ms"])
        .args(["--listen", "127.0.0.1:0", "--init-max-failures", "1000"])
        .env("AWS_SHARED_CREDENTIALS_FILE", world.join("credentials"))
        .spawn();
    let log = running.wait_for_stderr("denied");
    assert!(!log.contains("n0t-the-secret"), "{log}");
    assert_untouched(&world);
    profile(secret);
    until_published(&world, &first);
    s3.put("dumps", "dump.sql", &second);
    until_published(&world, &second);
    stopped(running);
}

#[test]
fn secrets_are_said_nowhere() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    server.put("/dump.sql?X-Amz-Signature=s3cr3t-signature", &dump(1000, 1));
    let token = world.write("token", "s3cr3t-token\n");
    let notify = world.write("notify", "s3cr3t-notify\n");
    let port = Port::free();
    let base = format!("http://127.0.0.1:{port}");
    let url = server
        .url("/dump.sql?X-Amz-Signature=s3cr3t-signature")
        .replace("127.0.0.1", "me:s3cr3t-password@127.0.0.1");
    let start = |url: &str| {
        fetch(&world, url)
            .args(["--header", "X-Key: s3cr3t-header", "--log-level", "trace"])
            .arg("--token-file")
            .arg(&token)
            .args(["--notify", &server.url(""), "--notify-token-file"])
            .arg(&notify)
            .env("AWS_ACCESS_KEY_ID", "some-key")
            .env("AWS_SECRET_ACCESS_KEY", "s3cr3t-account")
            .env("AWS_SESSION_TOKEN", "s3cr3t-session")
            .args(["--every", "300ms", "--listen", &format!("127.0.0.1:{port}")])
            .spawn()
    };
    let mut running = start(&url);
    running.wait_for_stderr("round done");
    server.remove("/dump.sql?X-Amz-Signature=s3cr3t-signature");
    running.wait_for_stderr("stays in use");
    let mut shown = String::new();
    for path in ["/", "/metrics", "/readyz", "/v1/fetches"] {
        shown += &http::get(&format!("{base}{path}")).unwrap().body;
    }
    running.terminate();
    let done = running.wait().success();
    let release = pilotfish_volume::current(&volume(&world)).unwrap().unwrap();
    shown += &fs::read_to_string(release.path.join("release.json")).unwrap();
    shown = format!("{shown}\n{done}");
    assert!(shown.contains("DEBUG"), "no debug level in {shown}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
    // The same of a bucket that refuses the account.
    let s3 = S3::start(&world);
    s3.put("dumps", "dump.sql", dump(1000, 1));
    let denied = fetch(&World::new(), "s3://dumps/dump.sql")
        .args(["--endpoint", s3.endpoint(), "--log-level", "trace"])
        .env("AWS_ACCESS_KEY_ID", "pilotfish")
        .env("AWS_SECRET_ACCESS_KEY", "s3cr3t-account")
        .env("AWS_SESSION_TOKEN", "s3cr3t-session")
        .run();
    assert_ne!(denied.code, Some(0));
    assert!(!denied.to_string().contains("s3cr3t"), "{denied}");
}
