//! SIGTERM at any moment, as a plain process and as PID 1 of a container.

use std::time::{Duration, Instant};

use pilotfish_harness::{Holder, Running, Tool, init, seeded, tool};
use rand::Rng as _;

use super::{left_behind, load, postgres_15, release_no, two_releases};

fn terminated_at_random_points(tool: fn() -> Tool, end: fn(&Running)) {
    let mut random = seeded("SIGTERM to a load");
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    let started = Instant::now();
    let _ = load(&server).arg(&second).run().success();
    let span = u64::try_from(started.elapsed().as_micros()).expect("a short time");
    let start = |more: &[&str], dump| {
        tool()
            .args(["--url", &server.url(), "--into=app"])
            .args(more)
            .arg(dump)
            .spawn()
    };
    for _ in 0..12 {
        let before = release_no(&server);
        let mut running = start(&[], if before == "1" { &second } else { &first });
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
        assert_eq!(left_behind(&server), "", "{done}");
    }
    // At random all of them may have been over.
    let before = release_no(&server);
    let dump = if before == "1" { &second } else { &first };
    let mut slow = start(&["--check", "SELECT pg_sleep(60) IS NULL"], dump);
    let _ = slow.wait_for_stderr("loads");
    end(&slow);
    let done = slow.wait();
    assert_eq!(done.code, Some(143), "{done}");
    assert_eq!(left_behind(&server), "", "{done}");
    assert_eq!(release_no(&server), before);
    let _ = load(&server).arg(dump).run().success();
    assert_ne!(release_no(&server), before);
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
fn sigterm_ends_the_search_for_a_moment_to_swap() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    let reader = Holder::begin_on(&server, "app", "SELECT count(*) FROM public.a");
    let mut waits = load(&server).arg(&second).spawn();
    let _ = waits.wait_for_stderr("loads");
    std::thread::sleep(Duration::from_secs(2));
    assert!(
        waits.is_running(),
        "it waits for the reader: {}",
        waits.stderr()
    );
    waits.terminate();
    let done = waits.wait();
    assert_eq!(done.code, Some(143), "{done}");
    assert_eq!(release_no(&server), "1");
    assert_eq!(left_behind(&server), "");
    drop(reader);
}
