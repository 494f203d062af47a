//! What a loader that was killed leaves is finished or undone by the next.

use super::scene::{Draft, Scene, digest, rows, set};
use crate::Error;
use crate::load::{Drift, SwapMode, TargetOptions};

promises! {
    where_nothing_was_left_nothing_is_done,
    a_stage_that_was_dropped_is_cleared,
    a_swap_without_its_end_is_finished,
    a_rollback_without_its_end_is_finished,
    a_load_without_swap_that_was_dropped_claims_no_release,
}

/// A loader that comes next; it finds something to do the first time only.
async fn recovers(scene: &Scene, something: bool) -> Result<(), Error> {
    for round in 0..2 {
        let mut target = scene.target().await?;
        for again in 0..2 {
            let did = target.recover().await?;
            let expected = something && (round, again) == (0, 0);
            assert_eq!(!did.is_empty(), expected, "{round}.{again}: {did:?}");
        }
    }
    Ok(())
}

async fn where_nothing_was_left_nothing_is_done(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let before = scene.fixture.databases();
    drop(target);
    recovers(scene, false).await?;
    assert_eq!(
        scene.fixture.databases(),
        before,
        "on a database that is not there"
    );
    target = scene.target().await?;
    for number in 1..=2 {
        let draft = Draft::new(number).table("a", &["word"]).view("seen", "a");
        scene.publish(&mut *target, &draft).await?;
    }
    let (live, before) = (target.live().await?, scene.fixture.databases());
    drop(target);
    recovers(scene, false).await?;
    assert_eq!(scene.fixture.databases(), before);
    let mut target = scene.target().await?;
    assert_eq!(target.live().await?, live);
    Scene::rollback(&mut *target).await?;
    Ok(())
}

async fn a_stage_that_was_dropped_is_cleared(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1).table("a", &["one"]).view("seen", "a");
    scene.publish(&mut *target, &first).await?;
    let before = scene.fixture.databases();
    let live = target.live().await?;
    let second = Draft::new(2)
        .table("a", &["two"])
        .child("b", "a", &["two"])
        .view("seen", "b");
    let (mut stage, _) = scene.staged(&mut *target, &second).await?;
    let view = scene.fixture.view("beside", "a");
    stage.execute(view.as_bytes()).await?;
    // Rows that are not complete, in a table whose keys wait.
    let definition = scene.fixture.table("c");
    stage.create_table("c", definition.as_bytes()).await?;
    let batch = scene.batch(&mut *stage, "c", &rows(&["one"])).await?;
    let mut worker = stage.worker().await?;
    worker.load(&batch).await?;
    drop((worker, stage, target));
    assert_eq!(scene.rows("seen"), rows(&["one"]));
    recovers(scene, true).await?;
    assert_eq!(scene.fixture.databases(), before);
    assert_eq!(scene.rows("seen"), rows(&["one"]));
    let mut target = scene.target().await?;
    assert_eq!(target.live().await?, live);
    scene.publish(&mut *target, &second).await?;
    assert_eq!(scene.rows("seen"), rows(&["two"]));
    Ok(())
}

async fn a_swap_without_its_end_is_finished(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let release = |number: u8, word, view| {
        Draft::new(number)
            .table("a", &[word])
            .table("b", &["of b"])
            .view("seen", view)
            .trigger("shout", "a")
    };
    scene.publish(&mut *target, &release(1, "one", "b")).await?;
    scene.publish(&mut *target, &release(2, "two", "b")).await?;
    let (stage, plan) = scene
        .staged(&mut *target, &release(3, "three", "a"))
        .await?;
    target.swap(stage, &plan).await?;
    drop(target);
    assert_eq!(scene.rows("a"), rows(&["three"]), "the swap happened");
    recovers(scene, true).await?;
    let status = scene.status().await?;
    assert_eq!(status.map(|status| status.finishing), Some(false));
    assert_eq!(scene.rows("seen"), rows(&["three"]));
    scene.ask("INSERT INTO a VALUES (2, 'four')");
    assert_eq!(scene.rows("a"), rows(&["three", "FOUR"]));
    let mut target = scene.target().await?;
    let live = target.live().await?.unwrap_or_default();
    assert_eq!(live.digest, digest(3));
    let (_, again) = Scene::rollback(&mut *target).await?;
    assert_eq!(
        again.digest,
        digest(2),
        "the way back leads to what was live before"
    );
    assert_eq!(scene.rows("a"), rows(&["two"]));
    Ok(())
}

async fn a_rollback_without_its_end_is_finished(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let release = |number: u8, word, view| {
        Draft::new(number)
            .table("a", &[word])
            .table("b", &["of b"])
            .view("seen", view)
            .trigger("shout", "a")
    };
    scene.publish(&mut *target, &release(1, "one", "a")).await?;
    scene.publish(&mut *target, &release(2, "two", "b")).await?;
    Scene::rollback(&mut *target).await?;
    drop(target);
    recovers(scene, true).await?;
    assert_eq!(scene.rows("seen"), rows(&["one"]));
    scene.ask("INSERT INTO a VALUES (2, 'two')");
    assert_eq!(scene.rows("a"), rows(&["one", "TWO"]));
    let mut target = scene.target().await?;
    let live = target.live().await?.unwrap_or_default();
    assert_eq!(live.digest, digest(1));
    let rejected = target.rejected().await?;
    assert!(rejected.contains(&digest(2)), "{rejected:?}");
    assert!(!rejected.contains(&digest(1)), "{rejected:?}");
    assert_eq!(scene.tables(), set(["a", "b", "seen"]));
    Ok(())
}

async fn a_load_without_swap_that_was_dropped_claims_no_release(
    scene: &Scene,
) -> Result<(), Error> {
    let straight = || TargetOptions {
        swap: SwapMode::None,
        ..scene.options()
    };
    for first in [true, false] {
        let mut target = scene.target_with(straight()).await?;
        let mut stage = target.stage().await?;
        stage.execute(b"DROP TABLE IF EXISTS a").await?;
        let definition = scene.fixture.table("a");
        stage.create_table("a", definition.as_bytes()).await?;
        let batch = scene.batch(&mut *stage, "a", &rows(&["half"])).await?;
        stage.worker().await?.load(&batch).await?;
        drop((stage, target));

        let mut target = scene.target_with(straight()).await?;
        target.recover().await?;
        let live = target.live().await?.unwrap_or_default();
        assert!(
            live.digest.is_empty(),
            "half a release has no name: {live:?}"
        );
        let drift = target.drift(&live, &set(["a"])).await?;
        assert_eq!(drift, Drift::default(), "the next load may replace it");
        let whole = scene.fixture.engine().probe().live_releases().await?;
        assert!(whole.iter().all(|live| live.database != scene.database));
        let status = scene.status().await?;
        assert!(status.is_some_and(|status| status.rewriting));
        drop(target);
        if first {
            let mut target = scene.target().await?;
            let draft = Draft::new(1).table("a", &["whole"]).table("b", &["whole"]);
            let live = scene.publish(&mut *target, &draft).await?;
            assert_eq!(live.digest, digest(1));
            assert_eq!(scene.rows("a"), rows(&["whole"]));
        }
    }
    assert_eq!(scene.rows("b"), rows(&["whole"]));
    Ok(())
}
