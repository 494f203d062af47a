use pilotfish_harness::tool;

#[test]
fn help_fits_a_screen() {
    let (help, _) = pilotfish_harness::help_on_a_screen(|| tool!("wait"));
    for word in [
        "Server:",
        "Ready means",
        "Patience:",
        "Process:",
        "[default: 60s]",
    ] {
        assert!(help.contains(word), "no {word} in:\n{help}");
    }
}

#[test]
fn all_mistakes_at_once_and_nothing_started() {
    let done = tool!("wait")
        .args([
            "--url=mysql://u:hunter2@db?tls=1",
            "--tabel=a.b",
            "--release=123",
        ])
        .env("PILOTFISH_TIMEOT", "5s")
        .run()
        .fails_with(64, "--table");
    for text in ["--release", "PILOTFISH_TIMEOUT"] {
        assert!(done.stderr.contains(text), "no {text} in {}", done.stderr);
    }
    assert!(!done.stderr.contains("hunter2"), "{}", done.stderr);
}

#[test]
fn settings_that_cannot_work() {
    let _ = tool!("wait").run().fails_with(78, "no account");
    let done = tool!("wait")
        .args(["--user=u", "--tls-cert=/c"])
        .env("MYSQL_ROOT_PASSWORD", "x")
        .env("MYSQL_ROOT_PASSWORD_FILE", "/x")
        .run()
        .fails_with(
            78,
            "MYSQL_ROOT_PASSWORD and MYSQL_ROOT_PASSWORD_FILE are both set",
        );
    assert!(
        done.stderr.contains("--tls-cert and --tls-key"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_time_that_could_be_read_otherwise_is_refused() {
    for (flag, hint) in [
        ("--timeout=5M", "5m is five minutes"),
        ("--timeout=0", "0s"),
        ("--connect-timeout=5M", "5m is five minutes"),
    ] {
        let done = tool!("wait")
            .args(["--url=mysql://u:p@127.0.0.1:1", flag])
            .run();
        let _ = done.fails_with(64, hint);
    }
}
