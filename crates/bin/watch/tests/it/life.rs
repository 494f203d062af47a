//! Starts, ends and everything in between.

use pilotfish_harness::Holder;

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
    let readyz = watch.get("/readyz");
    assert_eq!(readyz.status, 503);
    assert!(
        readyz.body.contains("Connection refused"),
        "{}",
        readyz.body
    );
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
    let current = "pilotfish_watch_release_current";
    eventually("the release to be current", PATIENCE, || {
        Some(()).filter(|()| watch.metric(current) == 1.0)
    });
    bench.server.stop();
    bench.publish(2);
    eventually("the server to be missed", PATIENCE, || {
        Some(()).filter(|()| watch.metric("pilotfish_watch_server_reachable") == 0.0)
    });
    assert_eq!(watch.metric(current), 0.0, "release 2 is not live");
    assert_eq!(watch.get("/readyz").status, 200);
    bench.server.restart();
    bench.becomes_live(2);
    watch.ends_well();
}

#[test]
fn a_load_of_what_is_live_is_no_success_while_the_server_is_dead() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    watch.newest_is("succeeded");
    watch.is_ready();
    bench.server.kill9();
    assert_eq!(watch.call("PUT", "/v1/loads/mine", "").status, 202);
    eventually("the server to be missed", PATIENCE, || {
        Some(()).filter(|()| watch.state()["server"]["reachable"] == Value::Bool(false))
    });
    let load = watch.load_is("mine", "queued");
    assert_eq!(load["exit_code"], Value::Null, "{load:#}");
    bench.server.restart();
    watch.load_is("mine", "succeeded");
    watch.ends_well();
}

#[test]
fn a_server_that_stalls_holds_up_neither_calls_nor_the_end() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    assert_eq!(watch.call("PUT", "/v1/loads/known", "").status, 202);
    watch.load_is("known", "succeeded");
    watch.ends_well();
    // The ledger is answered, the book of loads is not: neither where it is read nor where it is written.
    let _stalls = Holder::lock(&bench.server, "pilotfish", "loads");
    let watch = Watch::start(bench.watch());
    eventually("the book to be asked for", PATIENCE, || {
        let asked = "SELECT COUNT(*) FROM information_schema.processlist \
                     WHERE info LIKE 'SELECT body FROM pilotfish.loads%ORDER%'";
        (bench.server.sql(asked).trim() != "0").then_some(())
    });
    assert_eq!(watch.call("PUT", "/v1/loads/mine", "").status, 202);
    let digest = watch.state()["volume"]["digest"].clone();
    bench.publish(2);
    eventually("the next release to be seen", PATIENCE, || {
        (watch.state()["volume"]["digest"] != digest).then_some(())
    });
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
            .call("PUT", "/v1/loads/finished", r#"{"release":"abcdef012345"}"#)
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
fn a_rolled_back_release_is_left_alone_and_everyone_is_told() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    bench.becomes_live(1);
    bench.publish(2);
    bench.becomes_live(2);
    watch.ends_well();
    bench.roll_back();

    let watch = Watch::start(bench.watch());
    let why = eventually("the rollback to be told", PATIENCE, || {
        let obstacle = watch.state()["obstacle"].clone();
        let message = obstacle["message"].as_str()?.to_owned();
        (obstacle["reason"] == "rolled_back").then_some(message)
    });
    assert!(why.contains("pilotfish-load resume"), "{why}");
    let readyz = watch.get("/readyz");
    assert_eq!(readyz.status, 200);
    for part in ["is live in app", &why] {
        assert!(readyz.body.contains(part), "{}", readyz.body);
    }
    assert_eq!(watch.metric("pilotfish_watch_release_rejected"), 1.0);
    assert_eq!(watch.call("PUT", "/v1/loads/please", "").status, 202);
    let load = watch.load_is("please", "failed");
    assert_eq!(load["error"], why.as_str(), "{load:#}");
    assert_eq!(bench.live().as_deref(), Some("1"));
    let log = watch.ends_well();
    let told: Vec<&str> = log.lines().filter(|line| line.contains(&why)).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("\"WARN\""), "{told:?}");

    bench.resume();
    let watch = Watch::start(bench.watch());
    bench.becomes_live(2);
    eventually("the metric to agree", PATIENCE, || {
        Some(()).filter(|()| watch.metric("pilotfish_watch_release_rejected") == 0.0)
    });
    watch.ends_well();
}

#[test]
fn a_table_that_somebody_dropped_does_not_forgive_a_rolled_back_release() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    bench.becomes_live(1);
    bench.publish(2);
    bench.becomes_live(2);
    bench.roll_back();
    let rolled_back = || watch.state()["obstacle"]["reason"] == "rolled_back";
    eventually("the rollback to be told", PATIENCE, || {
        rolled_back().then_some(())
    });
    let loads = watch.state()["loads"].as_array().unwrap().len();
    bench.server.sql("DROP TABLE app.t");
    let readyz = eventually("the loss to be seen", PATIENCE, || {
        Some(watch.get("/readyz")).filter(|readyz| readyz.status == 503)
    });
    // The ledger is read at least once more, and the state with it.
    let read = || watch.metric("pilotfish_watch_ledger_read_timestamp_seconds");
    let before = read();
    eventually("another look at the ledger", PATIENCE, || {
        (read() > before + 2.0).then_some(())
    });
    assert!(rolled_back(), "{:#}", watch.state()["obstacle"]);
    let state = watch.state();
    assert_eq!(state["loads"].as_array().unwrap().len(), loads, "{state:#}");
    assert_eq!(watch.metric("pilotfish_watch_release_rejected"), 1.0);
    assert!(
        readyz.body.contains("is live in app, but not whole"),
        "{}",
        readyz.body
    );
    watch.ends_well();
}

#[test]
fn a_resume_counts_for_whoever_asks_right_after_it() {
    let bench = Bench::new();
    bench.publish(1);
    let watch = Watch::start(bench.watch());
    bench.becomes_live(1);
    bench.publish(2);
    bench.becomes_live(2);
    bench.roll_back();
    eventually("the rollback to be told", PATIENCE, || {
        (watch.state()["obstacle"]["reason"] == "rolled_back").then_some(())
    });
    bench.resume();
    assert_eq!(watch.call("PUT", "/v1/loads/please", "").status, 202);
    watch.load_is("please", "succeeded");
    assert_eq!(bench.live().as_deref(), Some("2"));
    watch.ends_well();
}

#[test]
fn a_password_that_is_ahead_of_the_server_is_said_once() {
    let bench = Bench::new();
    let password = bench.world.write("password", "secret\n");
    let url = format!("mysql://pilotfish@127.0.0.1:{}", bench.server.port());
    let mut watch = Watch::start(bench.watch_by(&url).arg("--password-file").arg(&password));
    bench.publish(1);
    bench.becomes_live(1);
    bench.world.write("password", "hunter2\n");
    bench.publish(2);
    bench.becomes_live(2);
    watch
        .running
        .wait_for_stderr("refuses the password that is given now");
    watch.is_ready();
    bench
        .server
        .sql("ALTER USER 'pilotfish'@'127.0.0.1' IDENTIFIED BY 'hunter2'");
    bench.publish(3);
    bench.becomes_live(3);
    let log = watch.ends_well();
    let told = |line: &&str| line.contains("refuses the password that is given now");
    assert_eq!(log.lines().filter(told).count(), 1, "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_server_that_refuses_the_account_is_told_everywhere_and_no_secret_is() {
    let bench = Bench::new();
    bench.publish(1);
    let url = format!(
        "mysql://pilotfish:hunter2@127.0.0.1:{}",
        bench.server.port()
    );
    let watch = Watch::start(bench.watch_by(&url));
    let denied = "Access denied for user 'pilotfish'";
    eventually("the refusal to be told", PATIENCE, || {
        let readyz = watch.get("/readyz");
        (readyz.status == 503 && readyz.body.contains(denied)).then_some(())
    });
    let state = watch.state();
    let error = state["server"]["error"].as_str().unwrap();
    assert!(error.contains(denied), "{state:#}");
    bench
        .server
        .sql("ALTER USER 'pilotfish'@'127.0.0.1' IDENTIFIED BY 'hunter2'");
    bench.becomes_live(1);
    watch.is_ready();
    eventually("the refusal to be over", PATIENCE, || {
        (!watch.get("/readyz").body.contains(denied)).then_some(())
    });
    let log = watch.ends_well();
    let told = |line: &&str| line.contains("cannot use the server") && line.contains(denied);
    assert_eq!(log.lines().filter(told).count(), 1, "{log}");
    for text in [log, state.to_string()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn tables_that_somebody_drops_come_back() {
    let bench = Bench::new();
    let _ = bench.publish(1);
    let watch = Watch::start(bench.watch());
    watch.is_ready();
    let rows = || bench.server.sql("SELECT COUNT(*) FROM app.t");
    for gone in ["DROP TABLE app.t", "DROP DATABASE app"] {
        bench.server.sql(gone);
        eventually("the table is back", PATIENCE, || {
            let there = bench
                .server
                .sql("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'app'");
            (there.trim() == "1").then_some(())
        });
        watch.is_ready();
        assert_eq!(rows().trim(), "500", "{gone}");
    }
}

#[test]
fn views_and_routines_that_somebody_drops_come_back() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let bench = Bench::on(kind);
        if kind == ServerKind::MySql97 {
            bench
                .server
                .sql("SET GLOBAL log_bin_trust_function_creators = 1");
        }
        let objects = "CREATE VIEW v AS SELECT id FROM t;\nDELIMITER ;;\n\
             CREATE PROCEDURE p() SELECT 'here';;\n\
             CREATE FUNCTION f() RETURNS INT NO SQL RETURN 1;;\n\
             CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.id = NEW.id;;\n\
             DELIMITER ;\n";
        let dump = format!("{objects}{}", "-- Dump completed on 2026-11-21 10:00:00\n");
        let tables = Bench::dump(1);
        let (tables, _) = tables.split_once("-- Dump completed").unwrap();
        fs::write(bench.volume.join("dump.sql"), format!("{tables}{dump}")).unwrap();
        let watch = Watch::start(bench.watch());
        watch.is_ready();
        for (object, listed) in [
            ("VIEW", "views WHERE table_schema"),
            (
                "PROCEDURE",
                "routines WHERE routine_type = 'PROCEDURE' AND routine_schema",
            ),
            (
                "FUNCTION",
                "routines WHERE routine_type = 'FUNCTION' AND routine_schema",
            ),
            ("TRIGGER", "triggers WHERE trigger_schema"),
        ] {
            let name = match object {
                "TRIGGER" => "g".to_owned(),
                object => object[..1].to_lowercase(),
            };
            bench.server.sql(&format!("DROP {object} app.{name}"));
            eventually(&format!("the {object} is back"), PATIENCE, || {
                let there = format!("SELECT COUNT(*) FROM information_schema.{listed} = 'app'");
                (bench.server.sql(&there).trim() == "1").then_some(())
            });
            watch.is_ready();
        }
        watch.ends_well();
    }
}
