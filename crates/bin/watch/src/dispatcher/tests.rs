use pilotfish_volume::Fingerprint;

use super::*;

/// A dispatcher with a clock and the orders of the last call.
struct Bench {
    dispatcher: Dispatcher,
    now: Instant,
    look: u64,
    orders: Vec<Order>,
}

fn release(digest: &str) -> Release {
    Release {
        digest: digest.to_owned(),
        version: Some(format!("\"etag-{digest}\"")),
        path: format!("/volume/..{digest}").into(),
        stamps: None,
    }
}

fn live(digest: &str) -> Live {
    Live {
        digest: digest.to_owned(),
        finishing: false,
        rejected: Vec::new(),
    }
}

impl Bench {
    fn new() -> Self {
        let dispatcher = Dispatcher::new(Duration::from_secs(3600), "t".to_owned(), || 1.0);
        Self {
            dispatcher,
            now: Instant::now(),
            look: 0,
            orders: Vec::new(),
        }
    }

    /// A server that answers and this release on the volume.
    fn with(on_volume: &str, ledger: &[Live]) -> Self {
        let mut bench = Self::new();
        bench.ledger(ledger);
        bench.sees(on_volume);
        bench
    }

    fn handle(&mut self, input: Input) {
        self.orders = self.dispatcher.handle(self.now, input);
    }

    fn sees(&mut self, digest: &str) {
        self.look += 1;
        self.handle(Input::Looked {
            look: self.look,
            release: Some(release(digest)),
        });
    }

    fn ledger(&mut self, ledger: &[Live]) {
        let reading = self.dispatcher.begin_reading();
        self.reads(reading, ledger);
    }

    /// What a reading that began earlier found.
    fn reads(&mut self, reading: u64, ledger: &[Live]) {
        let ledger = ledger.to_vec();
        self.handle(Input::Ledger { reading, ledger });
    }

    fn ends(&mut self, outcome: Result<(), Kind>) {
        let outcome = outcome.map_err(|kind| (kind, kind.name().to_owned()));
        self.handle(Input::Ended(outcome));
    }

    fn ask(&mut self, id: &str, release: Option<&str>) {
        let (id, release) = (id.to_owned(), release.map(str::to_owned));
        self.orders = self
            .dispatcher
            .ask(self.now, id, release, self.look + 1)
            .unwrap();
    }

    fn passes(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.handle(Input::Tick);
    }

    #[track_caller]
    fn starts(&self, digest: &str) {
        let started: Vec<&str> = self
            .orders
            .iter()
            .filter_map(|order| match order {
                Order::Start(release) => Some(release.digest.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(started, [digest], "{:#?}", self.orders);
    }

    #[track_caller]
    fn starts_nothing(&self) {
        let starts = self
            .orders
            .iter()
            .any(|order| matches!(order, Order::Start(_)));
        assert!(!starts, "{:#?}", self.orders);
    }

    /// The last mark of a load in the orders of the last call.
    #[track_caller]
    fn mark(&self, id: &str) -> &Mark {
        let mut marks = self.orders.iter().rev();
        let found = marks.find_map(|order| match order {
            Order::Mark { id: of, mark } if of == id => Some(mark),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no mark for {id} in {:#?}", self.orders))
    }

    #[track_caller]
    fn failed(&self, id: &str, expected: Kind) {
        assert!(
            matches!(self.mark(id), Mark::Failed { kind, .. } if *kind == expected),
            "{:#?}",
            self.mark(id)
        );
    }
}

#[test]
fn a_release_that_is_not_live_is_loaded_and_one_that_is_live_is_not() {
    let mut bench = Bench::with("a", &[]);
    bench.starts("a");
    bench.ends(Ok(()));
    bench.starts_nothing();
    bench.ledger(&[live("a")]);
    bench.sees("a");
    bench.starts_nothing();
    Bench::with("a", &[live("a")]).starts_nothing();
}

#[test]
fn nothing_starts_before_the_ledger_is_known() {
    let mut bench = Bench::new();
    bench.sees("a");
    bench.starts_nothing();
    bench.handle(Input::ServerAway);
    bench.starts_nothing();
    bench.ledger(&[]);
    bench.starts("a");
}

#[test]
fn the_latest_release_wins_and_a_queued_one_is_replaced() {
    let mut bench = Bench::with("a", &[]);
    bench.sees("b");
    bench.starts_nothing();
    bench.ask("wants-b", Some("b"));
    bench.sees("c");
    assert!(matches!(bench.mark("wants-b"), Mark::Cancelled { .. }));
    bench.starts_nothing();
    bench.ends(Ok(()));
    bench.starts("c");
    bench.ends(Ok(()));
    bench.starts_nothing();
}

#[test]
fn a_failed_load_whose_release_was_replaced_makes_way() {
    let mut bench = Bench::with("a", &[]);
    bench.sees("b");
    bench.ends(Err(Kind::Unreachable));
    bench.starts("b");
}

#[test]
fn loads_that_want_the_same_release_share_a_run() {
    let mut bench = Bench::with("a", &[]);
    bench.ask("one", Some("A"));
    bench.ask("two", Some("etag-a"));
    bench.starts_nothing();
    assert!(matches!(bench.mark("two"), Mark::Running { .. }));
    bench.ends(Ok(()));
    for id in ["one", "two", "auto-t-1"] {
        assert!(matches!(bench.mark(id), Mark::Succeeded { .. }), "{id}");
    }
}

#[test]
fn a_named_release_is_waited_for() {
    let mut bench = Bench::with("a", &[live("a")]);
    bench.ask("later", Some("b"));
    assert_eq!(bench.mark("later"), &Mark::Waiting);
    assert!(bench.dispatcher.wants_release());
    bench.sees("a");
    bench.starts_nothing();
    bench.sees("b");
    bench.starts("b");
    assert!(matches!(bench.mark("later"), Mark::Running { .. }));
}

#[test]
fn waiting_ends_after_the_stated_time() {
    let mut bench = Bench::with("a", &[live("a")]);
    bench.ask("never", Some("b"));
    assert_eq!(
        bench.dispatcher.next_wake(),
        Some(bench.now + Duration::from_secs(3600))
    );
    bench.passes(3600);
    bench.failed("never", Kind::TimedOut);
    assert_eq!(bench.dispatcher.next_wake(), None);
}

#[test]
fn the_latest_is_what_a_look_after_the_question_finds() {
    let mut bench = Bench::with("a", &[live("a")]);
    bench.ask("latest", None);
    bench.starts_nothing();
    bench.sees("a");
    // Live or not: whoever asks gets the loader's own answer.
    bench.starts("a");
    bench.ends(Ok(()));
    assert!(matches!(bench.mark("latest"), Mark::Succeeded { .. }));
}

#[test]
fn the_latest_rides_on_when_a_newer_release_appears() {
    let mut bench = Bench::with("a", &[]);
    bench.ask("latest", None);
    bench.sees("b");
    assert!(matches!(bench.mark("latest"), Mark::Queued { digest, .. } if digest == "b"));
    bench.sees("c");
    assert!(matches!(bench.mark("latest"), Mark::Queued { digest, .. } if digest == "c"));
    bench.ends(Ok(()));
    bench.starts("c");
}

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
fn a_rolled_back_release_is_left_alone_until_it_is_resumed() {
    let rejected = Live {
        digest: "a".to_owned(),
        finishing: false,
        rejected: vec!["b".to_owned()],
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
        digest: digest.to_owned(),
        finishing,
        rejected: vec!["b".to_owned()],
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
fn what_waits_is_bounded() {
    let mut bench = Bench::with("a", &[live("a")]);
    for number in 0..MOST_ASKED {
        bench.ask(&number.to_string(), Some("b"));
    }
    let refused = bench.dispatcher.ask(bench.now, "x".to_owned(), None, 9);
    assert_eq!(refused, Err(Refusal::Full));
}

#[test]
fn a_volume_that_is_emptied_empties_the_queue() {
    let mut bench = Bench::with("a", &[]);
    bench.sees("b");
    bench.handle(Input::Looked {
        look: 9,
        release: None,
    });
    assert!(matches!(bench.mark("auto-t-2"), Mark::Cancelled { .. }));
    bench.ends(Ok(()));
    bench.starts_nothing();
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

#[test]
fn a_digest_may_be_shortened_and_a_version_may_not() {
    let digest = "0123456789abcdef".repeat(4);
    let release = release(&digest);
    let short = digest[..12].to_uppercase();
    let version = format!("etag-{digest}");
    for name in [
        &*digest,
        &short,
        &format!("sha256:{short}"),
        &version,
        &format!("\"{version}\""),
    ] {
        assert!(release.answers_to(name), "{name}");
    }
    for name in [
        &digest[..11],
        "123456789abc",
        &version[..20],
        "",
        &format!("{digest}0"),
    ] {
        assert!(!release.answers_to(name), "{name}");
    }
}
