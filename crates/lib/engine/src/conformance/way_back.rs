//! The way back: one release, once.

use std::collections::BTreeSet;

use pilotfish_failure::Kind;

use super::scene::{Draft, Scene, contents, digest, refusal, rows, set};
use crate::Error;
use crate::load::Drift;

promises! {
    a_rollback_brings_the_previous_release_back,
    a_release_that_was_rolled_back_is_rejected_until_it_is_forgiven,
    without_a_previous_release_there_is_no_way_back,
    tables_that_somebody_else_made_come_back_too,
    tables_that_both_releases_share_stay,
    a_rejected_release_stays_rejected_where_what_is_live_has_no_name,
}

async fn a_rollback_brings_the_previous_release_back(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1)
        .table("a", &["one"])
        .table("old", &["one"])
        .child("child", "a", &["one"])
        .view("seen", "a")
        .trigger("shout", "a");
    let one = scene.publish(&mut *target, &first).await?;
    let tables = scene.tables();
    let second = Draft::new(2)
        .table("a", &["two"])
        .child("child", "a", &["two", "two"])
        .table("new", &["two"])
        .view("seen", "new")
        .view("more", "a");
    let two = scene.publish(&mut *target, &second).await?;

    let (undone, again) = Scene::rollback(&mut *target).await?;
    assert_eq!(undone, two);
    assert_eq!((&again.digest, &again.tables), (&one.digest, &one.tables));
    assert_eq!(scene.rows("a"), rows(&["one"]));
    assert_eq!(scene.rows("old"), rows(&["one"]));
    assert_eq!(scene.rows("child"), rows(&["one"]));
    target.finish().await?;
    target.tidy(true).await?;
    assert_eq!(scene.tables(), tables);
    assert_eq!(scene.rows("seen"), rows(&["one"]));
    scene.ask("INSERT INTO a VALUES (2, 'three')");
    assert_eq!(scene.rows("a"), rows(&["one", "THREE"]));
    scene.ask("DELETE FROM a WHERE id = 2");

    let live = target.live().await?.unwrap_or_default();
    assert_eq!((&live.digest, &live.tables), (&one.digest, &one.tables));
    assert_eq!(live.objects, one.objects);
    let all = live.tables.keys().cloned().collect();
    assert_eq!(target.drift(&live, &all).await?, Drift::default());
    // The next release is a release like any other.
    let third = Draft::new(3).table("a", &["three"]);
    scene.publish(&mut *target, &third).await?;
    assert_eq!(scene.rows("a"), rows(&["three"]));
    assert_eq!(scene.tables(), set(["a"]));
    Ok(())
}

async fn a_release_that_was_rolled_back_is_rejected_until_it_is_forgiven(
    scene: &Scene,
) -> Result<(), Error> {
    let mut target = scene.target().await?;
    for number in 1..=2 {
        let draft = Draft::new(number).table("a", &["word"]);
        scene.publish(&mut *target, &draft).await?;
        assert_eq!(target.rejected().await?, set([]));
    }
    Scene::rollback(&mut *target).await?;
    let rejected = BTreeSet::from([digest(2), contents(2)]);
    assert_eq!(target.rejected().await?, rejected, "by both names");
    target.finish().await?;
    target.tidy(true).await?;
    drop(target);
    let mut target = scene.target().await?;
    target.recover().await?;
    assert_eq!(target.rejected().await?, rejected, "for the next loader");
    target.forgive(&digest(3)).await?;
    assert_eq!(
        target.rejected().await?,
        rejected,
        "another one is forgiven"
    );
    let status = scene.status().await?.map(|status| status.rejected);
    assert_eq!(status, Some(vec![digest(2)]));
    target.forgive(&contents(2)).await?;
    assert_eq!(target.rejected().await?, set([]));
    let status = scene.status().await?.map(|status| status.rejected);
    assert_eq!(status, Some(Vec::new()));

    let third = Draft::new(3).table("a", &["word"]);
    scene.publish(&mut *target, &third).await?;
    Scene::rollback(&mut *target).await?;
    assert_eq!(
        target.rejected().await?,
        set([&digest(3)]),
        "it has one name"
    );
    target.forgive(&digest(3)).await?;
    assert_eq!(target.rejected().await?, set([]));
    Ok(())
}

async fn without_a_previous_release_there_is_no_way_back(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let refused = Scene::rollback(&mut *target).await;
    assert_eq!(
        refusal(&refused),
        Some(Kind::Config),
        "no release: {refused:?}"
    );
    let draft = |number: u8, word| Draft::new(number).table("a", &[word]);
    let live = scene.publish(&mut *target, &draft(1, "one")).await?;
    let refused = Scene::rollback(&mut *target).await;
    assert_eq!(
        refusal(&refused),
        Some(Kind::Config),
        "one release: {refused:?}"
    );
    assert_eq!(target.live().await?, Some(live));
    assert_eq!(target.rejected().await?, set([]));
    assert_eq!(scene.rows("a"), rows(&["one"]));
    scene.publish(&mut *target, &draft(2, "two")).await?;
    Scene::rollback(&mut *target).await?;
    let refused = Scene::rollback(&mut *target).await;
    assert_eq!(refusal(&refused), Some(Kind::Config), "twice: {refused:?}");
    assert!(!target.rejected().await?.contains(&digest(1)));
    assert_eq!(scene.rows("a"), rows(&["one"]));
    Ok(())
}

async fn tables_that_somebody_else_made_come_back_too(scene: &Scene) -> Result<(), Error> {
    let made = scene
        .fixture
        .ask(None, &format!("CREATE DATABASE {}", scene.database));
    assert!(made.is_ok(), "{made:?}");
    for table in ["a", "beside"] {
        scene.ask(&scene.fixture.table(table));
        scene.ask(&format!("INSERT INTO {table} VALUES (1, 'theirs')"));
    }
    let mut target = scene.target().await?;
    let draft = Draft::new(1).table("a", &["ours"]).table("new", &["ours"]);
    let (stage, unasked) = scene.staged(&mut *target, &draft).await?;
    let refused = target.swap(stage, &unasked).await;
    assert_eq!(refusal(&refused), Some(Kind::Config));
    assert_eq!(scene.rows("a"), rows(&["theirs"]));
    scene.adopt(&mut *target, &draft).await?;
    assert_eq!(scene.rows("a"), rows(&["ours"]));
    let (undone, again) = Scene::rollback(&mut *target).await?;
    assert_eq!(undone.digest, digest(1));
    assert!(again.tables.is_empty(), "nobody recorded them: {again:?}");
    target.finish().await?;
    target.tidy(true).await?;
    assert_eq!(scene.rows("a"), rows(&["theirs"]));
    assert_eq!(scene.rows("beside"), rows(&["theirs"]));
    assert_eq!(scene.tables(), set(["a", "beside"]));
    Ok(())
}

async fn tables_that_both_releases_share_stay(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1).table("a", &["one"]).table("same", &["both"]);
    let one = scene.publish(&mut *target, &first).await?;
    let second = Draft::new(2).table("a", &["two"]);
    let (stage, mut plan) = scene.staged(&mut *target, &second).await?;
    plan.retire.clear();
    let tables = &mut plan.release.tables;
    tables.insert("same".to_owned(), one.tables["same"].clone());
    scene.go_live(&mut *target, stage, &plan).await?;
    let kept = target.previous().await?.map(|previous| previous.kept);
    assert_eq!(kept, Some(set(["a"])));
    let (_, again) = Scene::rollback(&mut *target).await?;
    assert_eq!(again.tables, one.tables);
    assert_eq!(scene.rows("a"), rows(&["one"]));
    assert_eq!(scene.rows("same"), rows(&["both"]));
    Ok(())
}

async fn a_rejected_release_stays_rejected_where_what_is_live_has_no_name(
    scene: &Scene,
) -> Result<(), Error> {
    let made = scene
        .fixture
        .ask(None, &format!("CREATE DATABASE {}", scene.database));
    assert!(made.is_ok(), "{made:?}");
    scene.ask(&scene.fixture.table("a"));
    let mut target = scene.target().await?;
    let draft = Draft::new(1).table("a", &["ours"]);
    scene.adopt(&mut *target, &draft).await?;
    Scene::rollback(&mut *target).await?;
    target.finish().await?;
    target.tidy(true).await?;
    drop(target);
    let mut target = scene.target().await?;
    target.recover().await?;
    let rejected = target.rejected().await?;
    assert!(rejected.contains(&digest(1)), "{rejected:?}");
    Ok(())
}
