//! Asking for loads over HTTP.

use super::*;

fn digest_of(folder: &str) -> String {
    // A volume without a manifest is named by what is in it.
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            "cd \"$0\" && sha256sum dump.sql | sha256sum | cut -d' ' -f1",
            folder,
        ])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_load_is_asked_for_followed_and_done() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    let answer = watch.call("PUT", "/v1/loads/run-1", "{}");
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.header("location"), Some("/v1/loads/run-1"));
    let load = watch.get("/v1/loads/run-1?wait=30s").json();
    assert_eq!(load["state"], "succeeded", "{load:#}");
    assert_eq!(load["exit_code"], 0);
    assert_eq!(bench.live().as_deref(), Some("1"));
    let done = watch.get("/v1/loads/run-1/done");
    assert_eq!(done.status, 200);

    let again = watch.call("PUT", "/v1/loads/run-1", "");
    assert_eq!(
        (again.status, again.json()["state"].as_str().unwrap()),
        (200, "succeeded")
    );
    let other = watch.call("PUT", "/v1/loads/run-1", r#"{"release":"abcdef012345"}"#);
    assert_eq!(other.status, 409, "{}", other.body);
    let ids = watch.get("/v1/loads").json();
    assert!(
        ids["loads"]
            .as_array()
            .unwrap()
            .iter()
            .any(|load| load["id"] == "run-1"),
        "{ids:#}"
    );
    watch.ends_well();
}

#[test]
fn a_named_release_is_waited_for_and_keys_make_posts_idempotent() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    bench.becomes_live(1);
    let wanted = {
        let folder = bench.world.write("next/dump.sql", Bench::dump(2));
        digest_of(&folder.parent().unwrap().display().to_string())
    };
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "dag__2026:1+x"),
    ];
    let body = format!(r#"{{"release":"{wanted}"}}"#);
    for _ in 0..2 {
        let answer = http::request("POST", &watch.url("/v1/loads"), &headers, &body).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert_eq!(answer.json()["state"], "waiting");
    }
    let beginning = format!(r#"{{"release":"{}"}}"#, &wanted[..12]);
    let answer = watch.call("PUT", "/v1/loads/short", &beginning);
    assert_eq!(answer.status, 202, "{}", answer.body);
    let path = "/v1/loads/dag__2026:1+x";
    assert_eq!(watch.get(&format!("{path}/done")).status, 404);
    assert_eq!(
        watch.get(&format!("{path}?wait=10ms")).json()["state"],
        "waiting"
    );
    bench.publish(2);
    let load = watch.get(&format!("{path}?wait=30s")).json();
    assert_eq!(load["state"], "succeeded", "{load:#}");
    assert_eq!(load["digest"], wanted.as_str());
    watch.load_is("short", "succeeded");
    watch.ends_well();
}

#[test]
fn failures_are_told_with_the_code_the_caller_wants() {
    let bench = Bench::new();
    let dump = Bench::dump(1);
    std::fs::write(bench.volume.join("dump.sql"), &dump[..dump.len() / 2]).unwrap();
    let watch = Watch::start(bench.watch());
    watch.newest_is("failed");
    // Bad data is not tried again by itself; someone who asks gets a try.
    assert_eq!(watch.call("PUT", "/v1/loads/mine", "").status, 202);
    let load = watch.load_is("mine", "failed");
    assert_eq!(load["exit_code"], 65, "{load:#}");
    assert_eq!(watch.get("/v1/loads/mine/done").status, 200);
    assert_eq!(watch.get("/v1/loads/mine/done?failed=500").status, 500);
    assert_eq!(watch.get("/v1/loads/mine/done?failed=7").status, 400);
    watch.ends_well();
}

#[test]
fn changing_calls_need_the_token_of_the_moment() {
    let bench = Bench::new();
    let watch = Watch::start(bench.watch());
    let put = |headers: &[(&str, &str)]| {
        http::request("PUT", &watch.url("/v1/loads/x"), headers, "")
            .unwrap()
            .status
    };
    assert_eq!(put(&[]), 401);
    assert_eq!(put(&[("authorization", "Bearer wrong")]), 401);
    assert_eq!(put(&[("authorization", "Bearer tr0ut")]), 202);
    std::fs::write(&bench.token, "perch").unwrap();
    assert_eq!(put(&[("authorization", "Bearer tr0ut")]), 401);
    assert_eq!(put(&[("authorization", "Bearer perch")]), 202);
    std::fs::write(&bench.token, "").unwrap();
    assert_eq!(put(&[("authorization", "Bearer ")]), 503);
    watch.ends_well();
}

#[test]
fn without_a_token_changing_calls_are_off_and_say_what_to_do() {
    let bench = Bench::new();
    let watch = Watch::start(watch(&bench.server.url(), &bench.volume));
    for (method, path) in [
        ("PUT", "/v1/loads/x"),
        ("POST", "/v1/loads"),
        ("DELETE", "/v1/loads/x"),
    ] {
        let answer = watch.call(method, path, "");
        assert_eq!(answer.status, 403, "{method}");
        assert!(answer.body.contains("--token-file"), "{}", answer.body);
    }
    assert_eq!(watch.get("/v1/loads").status, 200);
    watch.ends_well();
}

#[test]
fn nonsense_is_refused() {
    let bench = Bench::new();
    let watch = Watch::start(bench.watch());
    eventually("the server's book", PATIENCE, || {
        Some(()).filter(|()| watch.get("/v1/loads/nobody").status == 410)
    });
    assert_eq!(
        watch
            .call("PUT", "/v1/loads/x", r#"{"relaese":"a"}"#)
            .status,
        400
    );
    for path in ["/v1/loads/a%20b", "/v1/loads/a%20b/done"] {
        assert_eq!(watch.get(path).status, 400, "{path}");
    }
    assert_eq!(watch.call("PUT", "/v1/loads/a%20b", "").status, 400);
    assert_eq!(
        watch.call("PUT", "/v1/loads/x", &"x".repeat(10_000)).status,
        413
    );
    assert_eq!(watch.call("DELETE", "/v1/loads/nobody", "").status, 410);
    assert_eq!(watch.get("/v1/loads/nobody/done").status, 410);
    let outside = http::request("POST", &watch.url("/v1/drain"), &[], "").unwrap();
    assert_eq!(outside.status, 403);
    watch.ends_well();
}

#[test]
fn a_release_that_cannot_be_is_refused_and_leaves_no_trace() {
    let bench = Bench::new();
    let watch = Watch::start(bench.watch());
    eventually("the server's book", PATIENCE, || {
        Some(()).filter(|()| watch.get("/v1/loads/impossible").status == 410)
    });
    for release in [
        "",
        " ",
        "zz",
        "sha256:zz",
        "0123456789ab\\u0000",
        "0123456789ab\\n",
    ] {
        let body = format!(r#"{{"release":"{release}"}}"#);
        let answer = watch.call("PUT", "/v1/loads/impossible", &body);
        assert_eq!(answer.status, 400, "{release}: {}", answer.body);
        let why = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(why.contains("SHA-256") && why.contains("version"), "{why}");
        let post = watch.call("POST", "/v1/loads", &body);
        assert_eq!(post.status, 400, "{release}: {}", post.body);
    }
    assert_eq!(watch.get("/v1/loads/impossible").status, 410);
    assert_eq!(watch.state()["loads"], serde_json::json!([]));
    watch.ends_well();
}

#[test]
fn strangers_cannot_fill_the_server_with_sessions() {
    let bench = Bench::new();
    bench.publish(1);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", bench.server.port()), Fault::None);
    let url = format!("mysql://pilotfish:secret@127.0.0.1:{}", proxy.port());
    let watch = Watch::start(bench.watch_by(&url));
    bench.becomes_live(1);
    assert_eq!(watch.call("PUT", "/v1/loads/known", "").status, 202);
    watch.load_is("known", "succeeded");
    assert_eq!(watch.get("/v1/loads/nobody").status, 410);

    // The server takes connections and says nothing: each look takes as long as it may.
    proxy.set(Fault::Stall { bytes: 0 });
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let strangers: Vec<_> = (0..6)
            .map(|number| {
                let watch = &watch;
                scope.spawn(move || watch.get(&format!("/v1/loads/nobody-{number}")))
            })
            .collect();
        strangers
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect()
    });
    let turned_away = |answer: &&Response| answer.body.contains("others are looking");
    assert!(
        answers.iter().all(|answer| answer.status == 503),
        "{answers:#?}"
    );
    assert!(
        answers.iter().any(|answer| turned_away(&answer)),
        "{answers:#?}"
    );
    assert!(
        !answers.iter().all(|answer| turned_away(&answer)),
        "{answers:#?}"
    );
    // What is in memory is answered all the same.
    assert_eq!(watch.get("/v1/loads/known/done").status, 200);

    proxy.set(Fault::None);
    eventually("the server's book", PATIENCE, || {
        Some(()).filter(|()| watch.get("/v1/loads/nobody").status == 410)
    });
    watch.ends_well();
}

#[test]
fn two_callers_with_one_id_at_the_same_time_get_one_load() {
    let bench = Bench::new();
    bench.publish(1);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", bench.server.port()), Fault::None);
    let url = format!("mysql://pilotfish:secret@127.0.0.1:{}", proxy.port());
    let watch = Watch::start(bench.watch_by(&url));
    watch.newest_is("succeeded");
    // Both look for the id in a book that does not answer, and find it free.
    proxy.set(Fault::Stall { bytes: 0 });
    let bodies = ["{}", r#"{"release":"\"etag-7\""}"#];
    let answers = std::thread::scope(|scope| {
        let calls = bodies.map(|body| {
            let watch = &watch;
            scope.spawn(move || watch.call("PUT", "/v1/loads/one", body))
        });
        calls.map(|call| call.join().unwrap())
    });
    let mut codes = answers.clone().map(|answer| answer.status);
    codes.sort_unstable();
    assert_eq!(codes, [202, 409], "{answers:#?}");
    proxy.set(Fault::None);
    watch.ends_well();
}

#[test]
fn a_load_can_be_cancelled() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch().args(["--check", "SELECT SLEEP(30) = 0"]));
    watch.newest_is("running");
    assert_eq!(watch.call("PUT", "/v1/loads/mine", "").status, 202);
    watch.load_is("mine", "running");
    assert_eq!(
        watch
            .call("PUT", "/v1/loads/never", r#"{"release":"\"v9\""}"#)
            .json()["state"],
        "waiting"
    );
    assert_eq!(
        watch.call("DELETE", "/v1/loads/never", "").json()["state"],
        "cancelled"
    );
    assert!(matches!(
        watch.call("DELETE", "/v1/loads/mine", "").status,
        200 | 202
    ));
    watch.load_is("mine", "cancelled");
    assert_eq!(bench.live(), None);
    watch.ends_well();
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let bench = Bench::new();
    let watch = Watch::start(bench.watch());
    let page = watch.get("/").body;
    assert!(page.contains("pilotfish watch") && page.contains("viewport"));
    for outside in ["http://", "https://", "src=", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    watch.ends_well();
}

#[test]
fn the_page_tells_the_state_without_a_script() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    watch.newest_is("succeeded");
    let digest = eventually("the release to be told", PATIENCE, || {
        let digest = watch.state()["live"][0]["digest"].as_str()?.to_owned();
        Some(digest[..12].to_owned())
    });
    let page = watch.get("/").body;
    for part in [
        "<p>Ready.</p>",
        &format!("<p>Live in app: release {digest} since 2"),
        "<p>Running: nothing.</p>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    bench.publish_text(2, "SELECT 1;");
    watch.newest_is("failed");
    let page = watch.get("/").body;
    for part in ["<p>In the way: release ", "<p>Last error: load auto-"] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    watch.ends_well();
    bench.publish(3);
    let watch = Watch::start(bench.watch().args(["--check", "SELECT SLEEP(30) = 0"]));
    watch.newest_is("running");
    let page = watch.get("/").body;
    assert!(page.contains("<p>Running: release "), "{page}");
    watch.ends_well();
}

#[test]
fn fetch_is_told_when_a_release_is_waited_for() {
    use std::io::{Read, Write};

    let bench = Bench::new();
    // Stands for `fetch`: what is tested is the request that reaches it.
    let fetch = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", fetch.local_addr().unwrap());
    let watch = Watch::start(bench.watch().args(["--fetch-url", &url]));
    assert_eq!(
        watch
            .call("PUT", "/v1/loads/x", r#"{"release":"\"etag-7\""}"#)
            .status,
        202
    );
    let (mut caller, _) = fetch.accept().unwrap();
    let mut request = vec![0; 4096];
    let length = caller.read(&mut request).unwrap();
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    caller
        .write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    assert!(
        request.starts_with("POST /v1/fetches HTTP/1.1"),
        "{request}"
    );
    assert!(
        request.contains(&format!("Authorization: Bearer {TOKEN}")),
        "{request}"
    );
    watch.ends_well();
}
