//! Servers away, starting, initialising; accounts that are wrong; ends.

use std::time::Duration;

use pilotfish_harness::{Fault, Finished, PATIENCE, Port, Proxy, World, eventually};
use serde_json::Value;

use super::{server, wait};

#[test]
fn a_server_that_answers_is_ready() {
    let world = World::new();
    let server = server(&world, &[]);
    let result = world.join("result.json");
    let _ = wait()
        .arg("--result-file")
        .arg(&result)
        .arg("--url")
        .arg(server.url())
        .run()
        .success();
    let result: Value = serde_json::from_slice(&std::fs::read(result).unwrap()).unwrap();
    assert_eq!(result["result"]["ready"], true, "{result}");
}

#[test]
fn a_server_that_is_away_times_out() {
    let port = Port::free();
    let url = format!("mysql://u:hunter2@127.0.0.1:{}", port.number());
    let done = wait()
        .args(["--timeout=3s", "--url", &url])
        .run()
        .fails_with(124, "refused");
    assert!(
        done.stderr
            .contains(&format!("127.0.0.1:{}", port.number())),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains("hunter2"), "{}", done.stderr);
    assert_eq!(
        done.stderr.matches("\"not ready\"").count(),
        1,
        "one line: {}",
        done.stderr
    );
}

#[test]
fn a_server_that_comes_later_is_awaited() {
    let world = World::new();
    let server = server(&world, &[]);
    server.stop();
    let mut waiting = wait().arg("--url").arg(server.url()).spawn();
    waiting.wait_for_stderr("refused");
    server.restart();
    let _ = waiting.wait().success();
}

#[test]
fn the_temporary_server_of_an_image_is_not_ready() {
    let world = World::new();
    let server = server(&world, &["--skip-networking"]);
    let url = server.url();
    let _ = wait()
        .args(["--timeout=3s", "--url", &url])
        .run()
        .fails_with(124, "refused");
    let _ = wait()
        .args(["--timeout=3s", "--user=root", "--socket"])
        .arg(server.socket())
        .run()
        .fails_with(124, "only on its socket");
}

#[test]
fn over_a_socket_a_server_with_a_network_is_ready() {
    let world = World::new();
    let server = server(&world, &[]);
    let _ = wait()
        .args(["--user=root", "--socket"])
        .arg(server.socket())
        .run()
        .success();
}

#[test]
fn a_wrong_password_is_retried_until_it_is_right() {
    let world = World::new();
    let server = server(&world, &[]);
    let file = world.write("password", "wrong\n");
    let tool = || {
        let port = server.port().to_string();
        wait()
            .args(["--user=pilotfish", "--port", &port, "--password-file"])
            .arg(&file)
    };
    let done = tool()
        .arg("--timeout=3s")
        .run()
        .fails_with(124, "Access denied");
    assert!(!done.stderr.contains("wrong"), "{}", done.stderr);
    let advice = last_hint(&done);
    assert!(advice.contains("--password-file"), "{advice}");
    assert!(!advice.contains("--timeout"), "{advice}");
    let _ = tool()
        .arg("--fail-fast")
        .run()
        .fails_with(77, "Access denied");
    let mut waiting = tool().spawn();
    waiting.wait_for_stderr("Access denied");
    world.write("password", "secret\n");
    let _ = waiting.wait().success();
}

#[test]
fn a_password_file_may_come_late() {
    let world = World::new();
    let server = server(&world, &[]);
    let port = server.port().to_string();
    let tool = || {
        wait()
            .args(["--user=pilotfish", "--port", &port, "--password-file"])
            .arg(world.join("late"))
    };
    let done = tool()
        .arg("--fail-fast")
        .run()
        .fails_with(78, "No such file");
    let advice = last_hint(&done);
    assert!(advice.starts_with("mount the file"), "{advice}");
    let mut waiting = tool().spawn();
    let log = waiting.wait_for_stderr("No such file");
    assert!(!log.contains("denied"), "no server was asked: {log}");
    world.write("late", "secret");
    let _ = waiting.wait().success();
}

#[test]
fn the_images_variables_are_enough() {
    let world = World::new();
    let server = server(&world, &[]);
    let _ = wait()
        .env("PILOTFISH_PORT", server.port().to_string())
        .env("MARIADB_USER", "pilotfish")
        .env("MARIADB_PASSWORD_FILE", world.write("password", "secret\n"))
        .run()
        .success();
}

#[test]
fn all_servers_must_be_ready() {
    let world = World::new();
    let one = server(&world, &[]);
    let away = Port::free();
    let urls = [one.url(), format!("mysql://u@127.0.0.1:{}", away.number())];
    let done = wait()
        .args(["--timeout=3s", "--url", &urls[0], "--url", &urls[1]])
        .run()
        .fails_with(124, "in vain");
    let last = done.stderr.lines().last().unwrap();
    assert!(last.contains(&away.number().to_string()), "{last}");
    assert!(
        !last.contains(&format!("127.0.0.1:{}:", one.port())),
        "{last}"
    );
    let _ = wait()
        .args(["--url", &urls[0], "--url", &urls[0]])
        .run()
        .success();
}

#[test]
fn afterwards_it_becomes_the_command() {
    let world = World::new();
    let server = server(&world, &[]);
    let url = server.url();
    let done = wait()
        .env("GREETING", "hello")
        .args([
            "--url",
            &url,
            "--",
            "/bin/sh",
            "-c",
            "echo $GREETING $$; exit 7",
        ])
        .spawn();
    let pid = done.pid();
    let done = done.wait();
    assert_eq!(
        (done.code, done.stdout.trim()),
        (Some(7), &*format!("hello {pid}")),
        "{done}"
    );
    let _ = wait()
        .args(["--url", &url, "--", "/nowhere/tool"])
        .run()
        .fails_with(78, "/nowhere/tool");
    let _ = wait()
        .args([
            "--timeout=3s",
            "--url",
            "mysql://u@127.0.0.1:1",
            "--",
            "/bin/echo",
            "never",
        ])
        .run()
        .fails_with(124, "refused");
}

#[test]
fn sigterm_ends_it_within_its_grace() {
    let port = Port::free();
    let url = format!("mysql://u@127.0.0.1:{}", port.number());
    let mut waiting = wait()
        .args(["--timeout=0s", "--grace=30s", "--url", &url])
        .spawn();
    waiting.wait_for_stderr("refused");
    waiting.terminate();
    let _ = waiting.wait().fails_with(143, "stopped while waiting");
}

/// What the last line of the log advises.
fn last_hint(done: &Finished) -> String {
    let line = done.stderr.lines().last().unwrap_or_default();
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    line["hint"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_server_that_stalls_is_given_up_and_asked_anew() {
    let world = World::new();
    let server = server(&world, &[]);
    let upstream = format!("127.0.0.1:{}", server.port());
    // In the middle of the handshake, and of an answer.
    for bytes in [10, 20_000] {
        let proxy = Proxy::start(&upstream, Fault::Stall { bytes });
        let url = format!("mysql://pilotfish:secret@127.0.0.1:{}", proxy.port());
        let mut waiting = wait()
            .args(["--timeout=0s", "--connect-timeout=60m", "--look-timeout=1s"])
            .args(["--query=SELECT 1, REPEAT('x', 100000)", "--url", &url])
            .spawn();
        waiting.wait_for_stderr("did not answer within 1s");
        let looks = proxy.connections();
        eventually("another look", PATIENCE, || {
            (proxy.connections() > looks).then_some(())
        });
        assert!(waiting.is_running() && proxy.faults() > 0, "at {bytes}");
        proxy.set(Fault::None);
        let _ = waiting.wait().success();
    }
}

#[test]
fn a_server_that_accepts_and_says_nothing_does_not_hold_it_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://u@{}", silent.local_addr().unwrap());
    let mut waiting = wait()
        .args(["--timeout=0s", "--connect-timeout=300ms", "--url", &url])
        .spawn();
    waiting.wait_for_stderr("no session within 300ms");
    waiting.terminate();
    eventually("the end", PATIENCE, || {
        (!waiting.is_running()).then_some(())
    });
    assert_eq!(waiting.wait().code, Some(143));
    let _ = wait()
        .args(["--timeout=3s", "--url", &url])
        .timeout(Duration::from_secs(60))
        .run()
        .fails_with(124, "no answer yet");
}
