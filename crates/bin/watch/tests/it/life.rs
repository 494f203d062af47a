//! Starts, ends and everything in between.

use super::*;

/// A check that keeps a load in flight, after everything is staged and before the swap.
const SLOW: [&str; 2] = ["--check", "SELECT SLEEP(30) = 0"];

#[test]
fn a_server_that_comes_late_is_waited_for() {
    let bench = Bench::new();
    bench.publish(1);
    bench.server.stop();
    let watch = Watch::start(bench.watch());
    eventually("the server to be missed", PATIENCE, || {
        Some(()).filter(|()| watch.state()["server"]["reachable"] == Value::Bool(false))
    });
    assert_eq!(watch.get("/readyz").status, 503);
    assert_eq!(watch.get("/livez").status, 200);
    assert_eq!(watch.metric("pilotfish_watch_server_reachable"), 0.0);
    assert_eq!(watch.call("PUT", "/v1/loads/early", "").status, 202);
    bench.server.restart();
    bench.becomes_live(1);
    watch.load_is("early", "succeeded");
    watch.is_ready();
    watch.ends_well();
}

#[test]
fn readiness_stays_through_a_blip_of_the_server() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    watch.is_ready();
    bench.server.stop();
    bench.publish(2);
    eventually("the server to be missed", PATIENCE, || {
        Some(()).filter(|()| watch.metric("pilotfish_watch_server_reachable") == 0.0)
    });
    assert_eq!(watch.get("/readyz").status, 200);
    bench.server.restart();
    bench.becomes_live(2);
    watch.ends_well();
}

#[test]
fn sigterm_during_a_load_changes_nothing_live_and_ends_with_0() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    bench.becomes_live(1);
    watch.ends_well();
    let watch = Watch::start(bench.watch().args(SLOW));
    bench.publish(2);
    watch.newest_is("running");
    watch.ends_well();
    assert_eq!(bench.live().as_deref(), Some("1"));
    let watch = Watch::start(bench.watch());
    bench.becomes_live(2);
    watch.ends_well();
}

#[test]
fn ids_survive_a_restart_and_what_was_asked_for_is_taken_up() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    assert_eq!(watch.call("PUT", "/v1/loads/finished", "").status, 202);
    watch.load_is("finished", "succeeded");
    watch.ends_well();
    let watch = Watch::start(bench.watch().args(SLOW));
    bench.publish(2);
    watch.newest_is("running");
    assert_eq!(watch.call("PUT", "/v1/loads/in-flight", "").status, 202);
    watch.load_is("in-flight", "running");
    watch.ends_well();

    let watch = Watch::start(bench.watch());
    watch.load_is("in-flight", "succeeded");
    let finished = watch.load_is("finished", "succeeded");
    assert_eq!(finished["report"]["rows"], 500, "{finished:#}");
    assert_eq!(
        watch
            .call("PUT", "/v1/loads/finished", r#"{"release":"x"}"#)
            .status,
        409
    );
    assert_eq!(bench.live().as_deref(), Some("2"));
    watch.ends_well();
}

#[test]
fn killed_half_way_the_next_one_starts_over() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch().args(SLOW));
    watch.newest_is("running");
    watch.running.signal("KILL");
    assert_eq!(watch.running.wait().signal, Some(9));
    let watch = Watch::start(bench.watch());
    bench.becomes_live(1);
    watch.ends_well();
}

#[test]
fn drain_ends_the_load_in_flight_and_starts_no_other() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch().args(SLOW));
    watch.newest_is("running");
    let listen = format!("--listen=127.0.0.1:{}", watch.port);
    let _ = tool!("watch")
        .args(["drain", &listen, "--drain-timeout", "1m"])
        .run()
        .success();
    let state = watch.state();
    assert_eq!(state["draining"], true);
    assert_eq!(state["running"], Value::Null, "{state:#}");
    assert_eq!(watch.call("PUT", "/v1/loads/late", "").status, 503);
    assert_eq!(bench.live(), None);
    watch.ends_well();
}

#[test]
fn a_rolled_back_release_is_left_alone() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    bench.becomes_live(1);
    watch.newest_is("succeeded");
    let digest = watch.state()["volume"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    watch.ends_well();
    // What `load rollback` leaves in the ledger.
    bench.server.sql(&format!(
        "REPLACE INTO pilotfish.rejected (db, digest) VALUES ('app', '{digest}')"
    ));
    let watch = Watch::start(bench.watch());
    assert_eq!(watch.call("PUT", "/v1/loads/please", "").status, 202);
    let load = watch.load_is("please", "failed");
    assert!(
        load["error"].as_str().unwrap().contains("rolled back"),
        "{load:#}"
    );
    watch.ends_well();
}
