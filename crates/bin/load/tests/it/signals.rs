//! SIGTERM at any moment, as a plain process and as PID 1 of a container.

use std::time::{Duration, Instant};

use pilotfish_harness::{PATIENCE, Running, Tool, eventually, init, seeded, tool};
use rand::Rng as _;

use crate::{load, mariadb, release_no, two_releases};

fn terminated_at_random_points(tool: fn() -> Tool, end: fn(&Running)) {
    let mut random = seeded("SIGTERM to a load");
    let (world, server) = mariadb(&["--local-infile=1"]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let started = Instant::now();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    let span = u64::try_from(started.elapsed().as_micros()).expect("a short time");
    for _ in 0..12 {
        let before = release_no(&server);
        let dump = if before == "1" { &second } else { &first };
        let mut running = tool()
            .args(["--url", &server.url(), "--into=app"])
            .arg(dump)
            .spawn();
        // Who reads the first line of the log may send a signal.
        let _ = running.wait_for_stderr("configuration");
        std::thread::sleep(Duration::from_micros(random.random_range(0..span)));
        if !running.is_running() {
            let _ = running.wait().success();
            continue;
        }
        end(&running);
        let done = running.wait();
        let after = release_no(&server);
        match done.code {
            // It was over by then.
            Some(0) => assert_ne!(before, after, "{done}"),
            code => assert_eq!(code, Some(143), "{done}"),
        }
        assert!(after == "1" || after == "2", "a mix: {after}");
        let stage = server.sql("SHOW DATABASES LIKE 'pilotfish\\_next%'");
        assert_eq!(stage, "", "{done}");
        let todo = server.sql("SELECT COUNT(*) FROM pilotfish.live_app WHERE kind = 'todo'");
        assert_eq!(todo.trim(), "0", "{done}");
    }
    // At random all of them may have been over.
    let dump = if release_no(&server) == "1" {
        &second
    } else {
        &first
    };
    let mut slow = tool()
        .args(["--url", &server.url(), "--into=app"])
        .args(["--check", "SELECT SLEEP(60) = 0"])
        .arg(dump)
        .spawn();
    let _ = slow.wait_for_stderr("loads");
    end(&slow);
    let done = slow.wait();
    assert_eq!(done.code, Some(143), "{done}");
    assert_eq!(
        server.sql("SHOW DATABASES LIKE 'pilotfish\\_next%'"),
        "",
        "{done}"
    );
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    assert_eq!(release_no(&server), "1");
}

#[test]
fn sigterm_at_any_moment_ends_a_load_and_leaves_nothing_half() {
    terminated_at_random_points(|| tool!("load"), Running::terminate);
}

#[test]
fn sigterm_ends_a_load_that_is_pid_1() {
    terminated_at_random_points(|| init!("load"), Running::terminate_init);
}

#[test]
fn sigterm_ends_the_wait_for_a_server_and_for_a_stream() {
    let (world, server) = mariadb(&[]);
    let waits = tool!("load")
        .args([
            "--url",
            "mysql://u:p@127.0.0.1:1/",
            "--into=app",
            "--retry-for=10m",
        ])
        .arg(world.write("dump.sql", "CREATE TABLE t (id INT);\n"));
    let mut waits = waits.spawn();
    let _ = waits.wait_for_stderr("tries again");
    waits.terminate();
    assert_eq!(waits.wait().code, Some(143));
    // A stream from which nothing comes: the reader's thread cannot be woken.
    let pipe = world.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("run mkfifo").success());
    let feed = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe);
    let feed = feed.expect("open the pipe");
    let mut waits = load(&server)
        .args(["-", "--into=app"])
        .stdin_file(&pipe)
        .spawn();
    let _ = waits.wait_for_stderr("configuration");
    let connected = || {
        let query = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'pilotfish'";
        (server.sql(query).trim() != "0").then_some(())
    };
    // It may have looked at the server and left again by now.
    let _ = connected();
    waits.terminate();
    let done = waits.wait();
    assert_eq!(done.code, Some(143), "{done}");
    drop(feed);
    eventually("nobody is left on the server", PATIENCE, || {
        connected().is_none().then_some(())
    });
    assert_eq!(server.sql("SHOW DATABASES LIKE 'pilotfish%'"), "");
}
