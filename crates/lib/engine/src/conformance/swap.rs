//! The swap: tables and ledger switch at one instant, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pilotfish_failure::Kind;

use super::Fixture;
use super::scene::{Draft, Scene, digest, refusal, rows, set};
use crate::Error;
use crate::load::{Drift, SwapMode, SwapPlan, TargetOptions};

promises! {
    readers_see_the_old_release_or_the_new_one,
    the_ledger_names_what_is_live,
    what_the_release_no_longer_has_is_retired,
    what_is_not_swapped_stays,
    a_swap_without_a_moment_leaves_the_old_release_whole,
    a_release_that_cannot_be_made_leaves_the_old_one_whole,
    the_previous_release_is_kept_for_as_long_as_it_is_asked_for,
    without_a_swap_rows_go_straight_in,
}

async fn readers_see_the_old_release_or_the_new_one(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let releases = ["one", "two"].map(|word| Draft::new(1).table("a", &[word]).table("b", &[word]));
    scene.publish(&mut *target, &releases[0]).await?;
    let reader = Reader::start(&scene.fixture, &scene.database);
    for swap in 1..=6_usize {
        let draft = &releases[swap % 2];
        let (stage, plan) = scene.staged(&mut *target, draft).await?;
        reader.reads_on().await;
        target.swap(stage, &plan).await?;
        reader.reads_on().await;
        target.tidy(true).await?;
    }
    reader.end();
    Ok(())
}

/// A plain client that reads two tables of a release in one statement, again and again.
struct Reader {
    reads: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    /// Ends with what no single release would have shown.
    thread: std::thread::JoinHandle<Vec<String>>,
}

impl Reader {
    fn start(fixture: &Arc<dyn Fixture>, database: &str) -> Self {
        let sql = ["SELECT a.word, b.word FROM a JOIN b ON a.id = b.id"; 50].join("; ");
        let (fixture, database) = (Arc::clone(fixture), database.to_owned());
        let (reads, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, end) = (Arc::clone(&reads), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut bad = Vec::new();
            while !end.load(Ordering::Relaxed) {
                match fixture.ask(Some(&database), &sql) {
                    Ok(lines) if lines.lines().count() == 50 => bad.extend(
                        lines
                            .lines()
                            .filter(|line| !["one\tone", "two\ttwo"].contains(line))
                            .map(str::to_owned),
                    ),
                    other => bad.push(format!("{other:?}")),
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            bad
        });
        Self {
            reads,
            stop,
            thread,
        }
    }

    /// Waits until a read has begun after this call and ended.
    async fn reads_on(&self) {
        let before = self.reads.load(Ordering::Relaxed);
        while self.reads.load(Ordering::Relaxed) < before + 2 && !self.thread.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let bad = self.thread.join();
        assert!(matches!(&bad, Ok(bad) if bad.is_empty()), "{bad:?}");
    }
}

async fn the_ledger_names_what_is_live(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    assert_eq!(target.live().await?, None);
    let draft = Draft::new(1)
        .table("a", &["one", "two"])
        .table("bare", &[])
        .view("seen", "a");
    let (stage, plan) = scene.staged(&mut *target, &draft).await?;
    assert_eq!(plan.release.tables["a"].rows, 2);
    assert_eq!(plan.release.tables["bare"].rows, 0);
    assert_eq!(target.live().await?, None, "a stage is not live");
    target.swap(stage, &plan).await?;
    for step in ["swap", "finish", "tidy"] {
        match step {
            "finish" => target.finish().await?,
            "tidy" => target.tidy(false).await?,
            _ => {}
        }
        let mut live = target.live().await?.unwrap_or_default();
        assert!(live.since > 0, "{live:?}");
        live.since = plan.release.since;
        assert_eq!(live, plan.release, "after {step}");
    }
    drop(target);
    let live = scene.target().await?.live().await?.unwrap_or_default();
    assert_eq!(live.digest, plan.release.digest, "for the next loader");
    let seen = scene.fixture.engine().probe().live_releases().await?;
    let seen = seen.iter().find(|live| live.database == scene.database);
    assert_eq!(seen.map(|live| &live.digest), Some(&plan.release.digest));
    Ok(())
}

async fn what_the_release_no_longer_has_is_retired(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1).table("a", &["one"]).table("old", &["one"]);
    scene.publish(&mut *target, &first).await?;
    scene.ask(&scene.fixture.table("theirs"));
    let second = Draft::new(2).table("a", &["two"]).table("new", &["two"]);
    let (stage, plan) = scene.staged(&mut *target, &second).await?;
    assert_eq!(plan.retire, set(["old"]));
    target.swap(stage, &plan).await?;
    assert_eq!(
        scene.tables(),
        set(["a", "new", "theirs"]),
        "what nobody named stays"
    );
    assert_eq!(scene.rows("a"), rows(&["two"]));
    assert_eq!(scene.rows("new"), rows(&["two"]));
    Ok(())
}

async fn what_is_not_swapped_stays(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1).table("a", &["one"]).table("b", &["one"]);
    let live = scene.publish(&mut *target, &first).await?;
    let second = Draft::new(2).table("a", &["two"]);
    let (stage, mut plan) = scene.staged(&mut *target, &second).await?;
    plan.retire.clear();
    let tables = &mut plan.release.tables;
    tables.insert("b".to_owned(), live.tables["b"].clone());
    let live = scene.go_live(&mut *target, stage, &plan).await?;
    assert_eq!(scene.rows("a"), rows(&["two"]));
    assert_eq!(scene.rows("b"), rows(&["one"]));
    let drift = target.drift(&live, &set(["a", "b"])).await?;
    assert_eq!(drift, Drift::default());
    Ok(())
}

async fn a_swap_without_a_moment_leaves_the_old_release_whole(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let release = |number: u8, word| {
        Draft::new(number)
            .table("a", &[word])
            .table("b", &[word])
            .trigger("shout", "b")
    };
    scene.publish(&mut *target, &release(1, "one")).await?;
    let live = scene.publish(&mut *target, &release(2, "two")).await?;
    let (stage, plan) = scene.staged(&mut *target, &release(3, "three")).await?;
    let reader = scene.fixture.hold(&scene.database, "a");
    let hurried = SwapPlan {
        patience: Duration::from_millis(200),
        ..plan
    };
    let refused = target.swap(stage, &hurried).await;
    assert_eq!(refusal(&refused), Some(Kind::Busy), "{refused:?}");
    assert_eq!(scene.rows("a"), rows(&["two"]));
    assert_eq!(scene.rows("b"), rows(&["two"]));
    assert_eq!(target.live().await?, Some(live));
    scene.ask("INSERT INTO b VALUES (7, 'seven')");
    assert_eq!(
        scene.ask("SELECT word FROM b WHERE id = 7"),
        "SEVEN\n",
        "the trigger works"
    );
    let previous = scene.status().await?.and_then(|status| status.previous);
    assert_eq!(previous, Some(digest(1)), "the way back is open");
    drop(reader);
    scene.publish(&mut *target, &release(3, "three")).await?;
    assert_eq!(scene.rows("b"), rows(&["three"]));
    Ok(())
}

async fn a_release_that_cannot_be_made_leaves_the_old_one_whole(
    scene: &Scene,
) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1).table("a", &["one"]).view("seen", "a");
    let live = scene.publish(&mut *target, &first).await?;
    let broken = Draft::new(2).table("a", &["two"]).view("seen", "nowhere");
    let (stage, plan) = scene.staged(&mut *target, &broken).await?;
    let refused = target.swap(stage, &plan).await;
    assert_eq!(refusal(&refused), Some(Kind::BadData), "{refused:?}");
    assert_eq!(target.live().await?, Some(live));
    assert_eq!(scene.rows("seen"), rows(&["one"]));
    let second = Draft::new(2).table("a", &["two"]).view("seen", "a");
    scene.publish(&mut *target, &second).await?;
    assert_eq!(scene.rows("seen"), rows(&["two"]));
    Ok(())
}

async fn the_previous_release_is_kept_for_as_long_as_it_is_asked_for(
    scene: &Scene,
) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let mut before = None;
    for number in 1..=3 {
        let draft = Draft::new(number).table("a", &["word"]);
        let live = scene.publish(&mut *target, &draft).await?;
        let previous = target.previous().await?;
        let given_up_by = previous.as_ref().map(|it| it.given_up_by.is_empty());
        assert_eq!(given_up_by, before.as_ref().map(|_| false));
        let previous = previous.map(|previous| (previous.release, previous.kept));
        assert_eq!(previous, before);
        let status = scene.status().await?.and_then(|status| status.previous);
        assert_eq!(status, before.map(|(release, _)| release.digest));
        before = Some((live, set(["a"])));
    }
    let kept = scene.fixture.databases();
    target.tidy(true).await?;
    assert_eq!(scene.fixture.databases(), kept, "tidy again");
    target.tidy(false).await?;
    assert_eq!(target.previous().await?, None);
    let refused = Scene::rollback(&mut *target).await;
    assert_eq!(refusal(&refused), Some(Kind::Config), "{refused:?}");
    target.tidy(false).await?;
    assert_eq!(scene.rows("a"), rows(&["word"]));
    Ok(())
}

async fn without_a_swap_rows_go_straight_in(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1).table("a", &["one"]).table("old", &["one"]);
    scene.publish(&mut *target, &first).await?;
    drop(target);
    let straight = TargetOptions {
        swap: SwapMode::None,
        ..scene.options()
    };
    let mut target = scene.target_with(straight).await?;
    let mut stage = target.stage().await?;
    let live = target.live().await?.unwrap_or_default();
    assert_ne!(live.digest, digest(1), "half a release has no name");
    stage.execute(b"DROP TABLE IF EXISTS a").await?;
    let definition = scene.fixture.table("a");
    stage.create_table("a", definition.as_bytes()).await?;
    let record = scene.fill(&mut *stage, "a", &rows(&["two"])).await?;
    stage.foreign_keys(&set(["a"])).await?;
    let mut plan = super::scene::plan(2, [("a".to_owned(), record)].into());
    plan.retire = set(["old"]);
    let live = scene.go_live(&mut *target, stage, &plan).await?;
    assert_eq!(live.digest, digest(2));
    assert_eq!(scene.rows("a"), rows(&["two"]));
    assert_eq!(scene.tables(), set(["a"]));
    let refused = Scene::rollback(&mut *target).await;
    assert_eq!(refusal(&refused), Some(Kind::Config), "{refused:?}");
    Ok(())
}
