//! SIGTERM at any moment, as a plain process and as PID 1 of a container.

use std::time::Duration;

use pilotfish_harness::{Running, Tool, init, seeded, tool};
use rand::Rng as _;

fn terminated(tool: fn() -> Tool, end: fn(&Running)) {
    let mut random = seeded("SIGTERM to a wait");
    for _ in 0..5 {
        let mut running = tool()
            .args(["--url", "mysql://u:s3cr3t@127.0.0.1:1/", "--timeout", "10m"])
            .args(["--", "sh", "-c", "echo became"])
            .spawn();
        let _ = running.wait_for_stderr("configuration");
        std::thread::sleep(Duration::from_millis(random.random_range(0..1_500)));
        end(&running);
        let done = running.wait();
        assert_eq!(done.code, Some(143), "{done}");
        assert_eq!(done.stdout, "", "{done}");
        assert!(!done.stderr.contains("s3cr3t"), "{done}");
    }
}

#[test]
fn sigterm_at_any_moment_ends_a_wait_with_143() {
    terminated(|| tool!("wait"), Running::terminate);
}

#[test]
fn sigterm_ends_a_wait_that_is_pid_1() {
    terminated(|| init!("wait"), Running::terminate_init);
}
