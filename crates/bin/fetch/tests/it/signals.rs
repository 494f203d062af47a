//! SIGTERM at any moment, as a plain process and as PID 1 of a container.

use std::process::Command;
use std::time::Duration;

use pilotfish_harness::{Fault, Proxy, Running, Tool, World, init, seeded, tool};
use pilotfish_storage::serving::{Abilities, HttpServer};
use rand::Rng;

use crate::{dump, published, visible, volume};

fn terminated_at_random_points(tool: fn() -> Tool, end: fn(&Running), every: &[&str], code: i32) {
    let mut random = seeded("SIGTERM to a fetch");
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let (old, new) = (dump(2_000_000, 1), dump(2_000_000, 2));
    let packed = |content: &[u8]| zstd::encode_all(content, 1).unwrap();
    let proxy = Proxy::start(&server.url(""), Fault::None);
    let run = |args: &[&str]| {
        tool()
            .args([
                &format!("{}/dump.sql.zst", proxy.url()),
                "--part-size",
                "128KiB",
                "--to",
            ])
            .arg(volume(&world))
            .args(args)
            .spawn()
    };
    server.put("/dump.sql.zst", &packed(&old));
    run(&[]).wait().success();
    // Most of the rounds are still at work when the signal comes, some are over.
    proxy.set(Fault::Slow {
        bytes_per_second: 200_000,
    });
    let mut interrupted = 0;
    for round in 0..10 {
        server.put(
            "/dump.sql.zst",
            &packed(if round % 2 == 0 { &new } else { &old }),
        );
        let mut running = run(every);
        running.wait_for_stderr("configuration");
        std::thread::sleep(Duration::from_millis(random.random_range(0..900)));
        if running.is_running() {
            end(&running);
        }
        let done = running.wait();
        let over = every.is_empty() && done.code == Some(0);
        assert!(over || done.code == Some(code), "{done}");
        interrupted += u32::from(!over && !done.stderr.contains("round done"));
        let live = published(&world, "dump.sql");
        assert!(live == old || live == new, "a mix of {} bytes", live.len());
        assert!(!volume(&world).join("..lease").exists(), "{done}");
        assert_eq!(visible(&volume(&world)), ["dump.sql"]);
    }
    assert!(interrupted > 0, "every round was over before its signal");
    proxy.set(Fault::None);
    server.put("/dump.sql.zst", &packed(&new));
    run(&[]).wait().success();
    assert!(published(&world, "dump.sql") == new, "another release");
}

/// Sends SIGTERM to the tool that is PID 1, unless it has ended: its parent may not know it yet.
fn terminate_init(running: &Running) {
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    let children = std::fs::read_to_string(children).unwrap_or_default();
    if let Some(init) = children.split_whitespace().next() {
        let _ = Command::new("kill").args(["-TERM", init]).output();
    }
}

#[test]
fn sigterm_at_any_moment_ends_a_fetch_with_143() {
    terminated_at_random_points(|| tool!("fetch"), Running::terminate, &[], 143);
}

#[test]
fn sigterm_ends_a_fetch_that_is_pid_1() {
    terminated_at_random_points(|| init!("fetch"), terminate_init, &[], 143);
}

#[test]
fn sigterm_at_any_moment_ends_the_loop_with_0() {
    let every = ["--every", "50ms", "--listen", "127.0.0.1:0"];
    terminated_at_random_points(|| init!("fetch"), terminate_init, &every, 0);
}
