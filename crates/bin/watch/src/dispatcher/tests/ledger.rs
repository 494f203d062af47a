//! What the ledger says, and what others did to it.

use super::*;

#[test]
fn a_replica_gets_its_release_by_replication() {
    let mut bench = Bench::with("a", &[]);
    bench.ask("mine", Some("a"));
    bench.ends(Err(Kind::Busy));
    bench.ledger(&[live("a")]);
    bench.starts_nothing();
    assert!(matches!(bench.mark("mine"), Mark::Succeeded { .. }));
    bench.passes(1000);
    bench.starts_nothing();
}

#[test]
fn what_was_live_before_a_load_was_asked_for_is_no_success() {
    let mut bench = Bench::with("a", &[live("a")]);
    bench.ask("mine", None);
    let early = bench.dispatcher.begin_reading();
    bench.sees("a");
    bench.starts("a");
    bench.ends(Err(Kind::Unreachable));
    assert!(matches!(
        bench.mark("mine"),
        Mark::Queued { error: Some(_), .. }
    ));
    assert!(bench.dispatcher.wants_reading());
    assert!(!bench.dispatcher.is_current(early));
    let failing = bench.dispatcher.begin_reading();
    assert!(bench.dispatcher.is_current(failing));
    bench.handle(Input::ServerAway);
    bench.passes(600);
    assert_eq!(bench.orders, []);
    assert!(!bench.dispatcher.wants_reading() && bench.dispatcher.awaits_ledger());
    bench.ledger(&[live("a")]);
    assert!(matches!(bench.mark("mine"), Mark::Succeeded { .. }));
}

#[test]
fn a_rolled_back_release_is_left_alone_until_it_is_resumed() {
    let rejected = Live {
        rejected: vec!["b".to_owned()],
        ..live("a")
    };
    let mut bench = Bench::with("b", std::slice::from_ref(&rejected));
    bench.starts_nothing();
    let early = bench.dispatcher.begin_reading();
    bench.ask("b-please", Some("b"));
    bench.reads(early, std::slice::from_ref(&rejected));
    bench.starts_nothing();
    assert_eq!(
        bench.orders,
        [],
        "a resume may have come before the question"
    );
    bench.ledger(std::slice::from_ref(&rejected));
    bench.failed("b-please", Kind::BadData);
    bench.ledger(&[live("a")]);
    bench.starts("b");
    // Rolled back after this process loaded it, and resumed.
    bench.ends(Ok(()));
    bench.ledger(&[live("b")]);
    bench.ledger(&[rejected]);
    bench.starts_nothing();
    bench.ledger(&[live("a")]);
    bench.starts("b");
}

#[test]
fn a_refusal_of_what_was_rolled_back_does_not_outlive_the_resume() {
    let mut bench = Bench::with("b", &[live("b")]);
    // Rolled back, asked for and resumed between two readings of the ledger.
    bench.ask("b-please", Some("b"));
    bench.starts("b");
    bench.ends(Err(Kind::BadData));
    bench.failed("b-please", Kind::BadData);
    bench.ledger(&[live("a")]);
    bench.starts("b");
    // What is bad in itself stays so.
    bench.ends(Err(Kind::BadData));
    bench.ledger(&[live("a")]);
    bench.starts_nothing();
}

#[test]
fn the_content_of_a_rolled_back_release_under_another_digest_comes_after_a_resume() {
    let rejected = Live {
        rejected: vec!["b".to_owned()],
        ..live("a")
    };
    // The loader knows its content and refuses it; the ledger has no such digest.
    let mut bench = Bench::with("twin", std::slice::from_ref(&rejected));
    bench.starts("twin");
    bench.ends(Err(Kind::BadData));
    bench.ledger(&[rejected]);
    bench.starts_nothing();
    bench.ledger(&[live("a")]);
    bench.starts("twin");
}

#[test]
fn a_rollback_that_was_killed_is_finished() {
    let rejected = |digest: &str, finishing| Live {
        finishing,
        rejected: vec!["b".to_owned()],
        ..live(digest)
    };
    // Killed before its swap: what is booked as rejected is live.
    let mut bench = Bench::with("b", &[rejected("b", true)]);
    bench.starts("b");
    bench.ends(Ok(()));
    bench.ledger(&[live("b")]);
    bench.starts_nothing();
    // Killed after its swap: the loader finishes that, and refuses the release.
    let mut bench = Bench::with("b", &[rejected("a", true)]);
    bench.starts("b");
    bench.ends(Err(Kind::BadData));
    bench.starts_nothing();
    bench.ledger(&[rejected("a", true)]);
    bench.starts_nothing();
    bench.passes(120);
    bench.starts("b");
    bench.ends(Err(Kind::BadData));
    bench.ledger(&[rejected("a", false)]);
    bench.passes(120);
    bench.starts_nothing();
    // A resume is not kept waiting.
    bench.ledger(&[live("a")]);
    bench.starts("b");
}

#[test]
fn what_was_rolled_back_stays_so_when_the_live_release_loses_a_part() {
    let rejected = |whole| Live {
        whole,
        rejected: vec!["b".to_owned()],
        ..live("a")
    };
    let mut bench = Bench::with("b", &[rejected(true)]);
    bench.starts_nothing();
    bench.ledger(&[rejected(false)]);
    bench.starts_nothing();
    assert!(matches!(
        bench.dispatcher.obstacle(),
        Some(Obstacle::RolledBack { .. })
    ));
    // Bad data under another digest, which only the loader knows to be the rejected one.
    let mut bench = Bench::with("twin", &[rejected(true)]);
    bench.starts("twin");
    bench.ends(Err(Kind::BadData));
    bench.ledger(&[rejected(false)]);
    bench.starts_nothing();
}

#[test]
fn a_live_release_that_lost_a_part_is_loaded_again() {
    let torn = Live {
        whole: false,
        ..live("a")
    };
    let mut bench = Bench::with("a", &[live("a")]);
    bench.starts_nothing();
    assert!(bench.dispatcher.is_level());
    bench.ledger(&[torn]);
    bench.starts("a");
    assert!(!bench.dispatcher.is_level());
}

#[test]
fn a_server_that_lost_its_data_is_loaded_again() {
    let mut bench = Bench::with("a", &[]);
    bench.ends(Ok(()));
    bench.ledger(&[live("a")]);
    bench.starts_nothing();
    bench.ledger(&[]);
    bench.starts("a");
}

#[test]
fn a_success_that_the_ledger_never_shows_is_no_loop() {
    let mut bench = Bench::with("a", &[]);
    bench.ends(Ok(()));
    for _ in 0..3 {
        bench.ledger(&[]);
        bench.starts_nothing();
    }
}

#[test]
fn a_release_that_was_left_half_finished_is_finished() {
    let half = Live {
        finishing: true,
        ..live("a")
    };
    let mut bench = Bench::with("a", std::slice::from_ref(&half));
    bench.starts("a");
    bench.ends(Ok(()));
    bench.ledger(&[half]);
    bench.starts_nothing();
}
