mod ledger;
mod outcomes;

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
        whole: true,
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
