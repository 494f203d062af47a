//! Flags and their mistakes.

use super::*;

#[test]
fn help_fits_a_screen() {
    let (help, _) = pilotfish_harness::help_on_a_screen(|| tool!("watch"));
    for part in [
        "Volume:",
        "HTTP:",
        "Server:",
        "Load:",
        "Process:",
        "[default: 2s]",
    ] {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
}

#[test]
fn all_mistakes_come_at_once() {
    let ended = tool!("watch")
        .args([
            "/volume",
            "--settel",
            "3s",
            "--rescan",
            "0s",
            "--fetch-url",
            "https://x",
        ])
        .env("PILOTFISH_TOKENFILE", "/token")
        .run()
        .fails_with(64, "--settle");
    for part in ["above zero", "PILOTFISH_TOKEN_FILE"] {
        assert!(ended.stderr.contains(part), "{part} is missing in\n{ended}");
    }
}

#[test]
fn what_cannot_work_is_78() {
    let _ = tool!("watch")
        .arg("/volume")
        .run()
        .fails_with(78, "no account");
    let ended = tool!("watch")
        .args(["/volume", "--fetch-url", "https://x", "--threads", "0"])
        .run()
        .fails_with(78, "--fetch-url");
    for part in ["--threads", "needs --token-file"] {
        assert!(ended.stderr.contains(part), "{part} is missing in\n{ended}");
    }
}

#[test]
fn a_taken_port_is_named() {
    let world = World::new();
    let port = Port::free();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port.number())).unwrap();
    let _ = tool!("watch")
        .args([
            "--url",
            "mysql://a:b@127.0.0.1:1",
            &format!("--listen=127.0.0.1:{port}"),
        ])
        .arg(world.path())
        .run()
        .fails_with(78, &port.to_string());
}

#[test]
fn drain_without_a_watch_is_unreachable() {
    let port = Port::free();
    let _ = tool!("watch")
        .args(["drain", &format!("--listen=127.0.0.1:{port}")])
        .run()
        .fails_with(69, "/v1/drain");
}

#[test]
fn without_arguments_what_is_missing_is_named() {
    let _ = tool!("watch").run().fails_with(64, "is required");
}

#[test]
fn a_missing_token_file_is_named_and_keeps_the_calls_off() {
    let bench = Bench::new();
    let absent = bench.world.join("absent");
    let watch = Watch::start(
        watch(&bench.server.url(), &bench.volume)
            .arg("--token-file")
            .arg(&absent),
    );
    let refused = watch.call("PUT", "/v1/loads/mine", "");
    assert!(matches!(refused.status, 401 | 403 | 503), "{refused:?}");
    watch.ends_well();
}
