//! How runs end, and what follows.

use pilotfish_volume::Fingerprint;

use super::*;

#[test]
fn bad_data_is_not_tried_again_unless_someone_asks() {
    let mut bench = Bench::with("a", &[]);
    bench.ends(Err(Kind::BadData));
    bench.failed("auto-t-1", Kind::BadData);
    bench.sees("a");
    bench.ledger(&[]);
    bench.passes(100_000);
    bench.starts_nothing();
    bench.ask("again", Some("a"));
    bench.starts("a");
    bench.ends(Err(Kind::BadData));
    bench.starts_nothing();
    bench.sees("b");
    bench.starts("b");
}

#[test]
fn files_that_were_written_again_are_tried_again_as_they_are_now() {
    let written = |inode| Release {
        stamps: Some(Fingerprint::Release(format!("state {inode}"))),
        ..release("a")
    };
    let look = |bench: &mut Bench, state| {
        bench.look += 1;
        let (look, release) = (bench.look, Some(written(state)));
        bench.handle(Input::Looked { look, release });
    };
    let mut bench = Bench::new();
    bench.ledger(&[]);
    look(&mut bench, 1);
    bench.starts("a");
    look(&mut bench, 2);
    bench.ends(Err(Kind::Busy));
    bench.passes(1);
    assert!(
        bench.orders.contains(&Order::Start(written(2))),
        "{:#?}",
        bench.orders
    );
}

#[test]
fn what_passes_is_tried_again_ever_more_slowly_under_the_same_id() {
    let mut bench = Bench::with("a", &[]);
    bench.ask("mine", Some("a"));
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        bench.ends(Err(Kind::Busy));
        bench.starts_nothing();
        assert!(matches!(
            bench.mark("mine"),
            Mark::Queued { error: Some(_), .. }
        ));
        let due = bench.now + Duration::from_secs(pause);
        assert_eq!(bench.dispatcher.next_wake(), Some(due));
        bench.passes(pause);
        bench.starts("a");
    }
    bench.ends(Ok(()));
    assert!(matches!(bench.mark("mine"), Mark::Succeeded { .. }));
}

#[test]
fn a_server_that_comes_back_is_not_kept_waiting() {
    let mut bench = Bench::with("a", &[]);
    for _ in 0..6 {
        bench.ends(Err(Kind::Unreachable));
        bench.passes(60);
    }
    bench.ends(Err(Kind::Unreachable));
    bench.handle(Input::ServerAway);
    bench.passes(60);
    bench.starts_nothing();
    bench.ledger(&[]);
    bench.starts("a");
}

#[test]
fn a_pause_that_is_over_wakes_nobody_while_nothing_can_start() {
    let mut bench = Bench::with("a", &[]);
    bench.ends(Err(Kind::Unreachable));
    bench.handle(Input::ServerAway);
    bench.passes(60);
    assert_eq!(bench.dispatcher.next_wake(), None);
    bench.ledger(&[]);
    bench.starts("a");
    bench.sees("b");
    assert_eq!(bench.dispatcher.next_wake(), None);
}

#[test]
fn missing_rights_fail_who_asked_and_the_level_is_tried_slowly() {
    let mut bench = Bench::with("a", &[]);
    bench.ask("mine", Some("a"));
    bench.ends(Err(Kind::Denied));
    bench.failed("mine", Kind::Denied);
    bench.passes(59);
    bench.starts_nothing();
    bench.passes(1);
    bench.starts("a");
}

#[test]
fn a_cancelled_load_stays_cancelled() {
    let mut bench = Bench::with("a", &[]);
    bench.ask("mine", Some("a"));
    bench.handle(Input::Cancel("mine".to_owned()));
    assert_eq!(bench.orders, [Order::Stop]);
    bench.ends(Err(Kind::Cancelled));
    assert!(matches!(bench.mark("mine"), Mark::Cancelled { .. }));
    bench.sees("a");
    bench.ledger(&[]);
    bench.starts_nothing();
    bench.sees("b");
    bench.starts("b");

    bench.ask("waits", Some("x"));
    bench.handle(Input::Cancel("waits".to_owned()));
    assert!(matches!(bench.mark("waits"), Mark::Cancelled { .. }));
    bench.sees("c");
    bench.handle(Input::Cancel("auto-t-3".to_owned()));
    assert!(matches!(bench.mark("auto-t-3"), Mark::Cancelled { .. }));
    bench.ends(Ok(()));
    bench.starts_nothing();
}

#[test]
fn a_cancelled_load_leaves_others_their_run() {
    let mut bench = Bench::with("a", &[]);
    bench.ask("mine", Some("a"));
    bench.ask("yours", Some("a"));
    bench.handle(Input::Cancel("mine".to_owned()));
    assert!(matches!(bench.mark("mine"), Mark::Cancelled { .. }));
    assert!(!bench.orders.contains(&Order::Stop), "{:#?}", bench.orders);
    bench.handle(Input::Cancel("auto-t-1".to_owned()));
    assert!(!bench.orders.contains(&Order::Stop), "{:#?}", bench.orders);
    bench.ends(Ok(()));
    assert!(matches!(bench.mark("yours"), Mark::Succeeded { .. }));
    assert_eq!(bench.orders.len(), 1, "{:#?}", bench.orders);

    let mut bench = Bench::with("a", &[]);
    bench.ask("mine", Some("a"));
    bench.ask("yours", Some("a"));
    bench.handle(Input::Cancel("mine".to_owned()));
    bench.handle(Input::Cancel("yours".to_owned()));
    assert_eq!(bench.orders, [Order::Stop]);
}

#[test]
fn a_cancel_that_comes_too_late_changes_nothing() {
    let mut bench = Bench::with("a", &[]);
    bench.handle(Input::Cancel("auto-t-1".to_owned()));
    bench.ends(Ok(()));
    assert!(matches!(bench.mark("auto-t-1"), Mark::Succeeded { .. }));
}

#[test]
fn a_drain_stops_what_runs_and_keeps_what_was_asked_for() {
    let mut bench = Bench::with("a", &[]);
    bench.ask("mine", Some("a"));
    bench.handle(Input::Drain);
    assert_eq!(bench.orders, [Order::Stop]);
    bench.ends(Err(Kind::Cancelled));
    assert!(matches!(
        bench.mark("mine"),
        Mark::Queued { error: Some(_), .. }
    ));
    assert!(matches!(bench.mark("auto-t-1"), Mark::Cancelled { .. }));
    bench.sees("b");
    bench.ledger(&[]);
    bench.passes(1000);
    bench.starts_nothing();
    let refused = bench.dispatcher.ask(bench.now, "x".to_owned(), None, 9);
    assert_eq!(refused, Err(Refusal::Draining));
}

#[test]
fn what_is_in_the_way_of_a_release_is_named() {
    let named = |bench: &Bench| bench.dispatcher.obstacle().map(|obstacle| obstacle.name());
    let rejected = Live {
        rejected: vec!["b".to_owned()],
        ..live("a")
    };
    let mut bench = Bench::with("b", std::slice::from_ref(&rejected));
    let why = bench.dispatcher.obstacle().unwrap();
    assert_eq!(why.name(), "rolled_back");
    assert!(why.to_string().contains("pilotfish-load resume"), "{why}");
    bench.ledger(&[live("a")]);
    assert_eq!(named(&bench), None, "it runs");
    bench.ends(Err(Kind::Busy));
    assert_eq!(named(&bench), Some("failing"));
    assert!(
        bench
            .dispatcher
            .obstacle()
            .unwrap()
            .to_string()
            .ends_with("busy")
    );
    bench.passes(1);
    bench.ends(Err(Kind::BadData));
    assert_eq!(named(&bench), Some("bad_data"));
    bench.ask("again", Some("b"));
    bench.handle(Input::Cancel("again".to_owned()));
    bench.ends(Err(Kind::Cancelled));
    assert_eq!(named(&bench), Some("cancelled"));
    bench.ledger(&[live("b")]);
    assert_eq!(named(&bench), None, "it is live");
    bench.ledger(&[rejected]);
    bench.handle(Input::Drain);
    assert_eq!(named(&bench), None, "the process ends");
    assert_eq!(named(&Bench::new()), None, "nothing is on the volume");
}
