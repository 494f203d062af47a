//! SIGTERM at any moment, and volumes that change under the sidecar.

use std::time::Duration;

use pilotfish_harness::{init, seeded};
use rand::Rng as _;

use super::*;

fn terminated_at_random_points(tool: fn() -> Tool, end: fn(&Running)) {
    let mut random = seeded("SIGTERM to a watch");
    let bench = Bench::new();
    bench.publish(1);
    let first = Watch::start(bench.watch());
    bench.becomes_live(1);
    first.ends_well();
    for number in 2..10 {
        bench.publish(number);
        let port = Port::free();
        let mut running = tool()
            .args([
                "--url",
                &bench.server.url(),
                "--settle",
                "0s",
                "--into",
                "app",
            ])
            .arg(format!("--listen=127.0.0.1:{port}"))
            .arg(&bench.volume)
            .spawn();
        running.wait_for_stderr("configuration");
        std::thread::sleep(Duration::from_millis(random.random_range(0..1_000)));
        end(&running);
        let done = running.wait();
        assert_eq!(done.code, Some(0), "{done}");
        let live = bench.live().and_then(|live| live.parse::<u32>().ok());
        assert!(
            live.is_some_and(|live| (1..=number).contains(&live)),
            "{live:?}"
        );
        let half = "SHOW DATABASES LIKE 'pilotfish\\_next%'";
        assert_eq!(bench.server.sql(half), "", "{done}");
    }
    // At random all of them may have been over, or not begun.
    bench.publish(10);
    let port = Port::free();
    let mut slow = tool()
        .args(["--url", &bench.server.url(), "--settle", "0s"])
        .args(["--into", "app", "--check", "SELECT SLEEP(60) = 0"])
        .arg(format!("--listen=127.0.0.1:{port}"))
        .arg(&bench.volume)
        .spawn();
    slow.wait_for_stderr("load starts");
    eventually("rows to be staged", PATIENCE, || {
        let half = bench.server.sql("SHOW DATABASES LIKE 'pilotfish\\_next%'");
        (!half.is_empty()).then_some(())
    });
    end(&slow);
    let done = slow.wait();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stderr.contains("load was stopped"), "{done}");
    assert_ne!(bench.live().as_deref(), Some("10"));
    let watch = Watch::start(bench.watch());
    bench.becomes_live(10);
    watch.ends_well();
}

#[test]
fn sigterm_at_any_moment_ends_a_watch_with_0_and_leaves_nothing_half() {
    terminated_at_random_points(|| tool!("watch"), Running::terminate);
}

#[test]
fn sigterm_ends_a_watch_that_is_pid_1() {
    terminated_at_random_points(|| init!("watch"), Running::terminate_init);
}

#[test]
fn a_config_map_whose_old_folder_goes_at_once_is_followed() {
    let bench = Bench::new();
    let watch = Watch::start(bench.watch());
    // The kubelet removes the folder before right after the swap.
    let mut before = None;
    let mut last = Value::Null;
    for number in 1..=6 {
        let folder = bench.publish(number);
        if let Some(before) = before.replace(folder) {
            fs::remove_dir_all(before).unwrap();
        }
        // Seen, and most likely being loaded, when the next one comes.
        let seen = eventually("the next release to be seen", PATIENCE, || {
            let digest = watch.state()["volume"]["digest"].clone();
            (!digest.is_null() && digest != last).then_some(digest)
        });
        last = seen;
        if let Some(live) = bench.live() {
            assert!(live.parse::<u32>().unwrap() <= number, "{live}");
        }
    }
    bench.becomes_live(6);
    watch.is_ready();
    // What was taken away under a load is nobody's fault.
    let log = watch.ends_well();
    assert!(!log.contains("\"ERROR\""), "{log}");
}
