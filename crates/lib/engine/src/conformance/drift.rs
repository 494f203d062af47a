//! What others did to the live database, and what hangs on it.

use std::collections::BTreeSet;

use super::scene::{Draft, Scene, set};
use crate::Error;
use crate::load::Drift;

promises! {
    what_nobody_touched_has_not_drifted,
    a_table_that_is_gone_is_missing,
    a_table_that_was_written_to_is_modified,
    a_table_that_no_release_brought_is_unrecorded,
    closure_follows_foreign_keys_both_ways,
    a_child_outside_the_release_is_refused,
}

async fn what_nobody_touched_has_not_drifted(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let draft = Draft::new(1)
        .table("a", &["one", "two"])
        .child("b", "a", &["two"])
        .table("bare", &[])
        .view("seen", "a")
        .trigger("shout", "a");
    let live = scene.publish(&mut *target, &draft).await?;
    drop(target);
    let all = set(["a", "b", "bare", "seen", "never there"]);
    for restarted in [false, true] {
        if restarted {
            // What the server keeps of a table in memory does not survive this.
            scene.fixture.restart();
        }
        let mut target = scene.target().await?;
        let drift = target.drift(&live, &all).await?;
        assert_eq!(drift, Drift::default(), "restarted: {restarted}");
        assert_eq!(target.missing(&live).await?, set([]));
    }
    Ok(())
}

async fn a_table_that_is_gone_is_missing(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let draft = Draft::new(1).table("a", &["one"]).table("b", &["one"]);
    let live = scene.publish(&mut *target, &draft).await?;
    scene.ask("DROP TABLE b");
    assert_eq!(target.missing(&live).await?, set(["b"]));
    let drift = target.drift(&live, &set(["a", "b"])).await?;
    let expected = Drift {
        missing: set(["b"]),
        ..Drift::default()
    };
    assert_eq!(drift, expected);
    let drift = target.drift(&live, &set(["a"])).await?;
    assert_eq!(drift, Drift::default(), "nobody asked for b");
    Ok(())
}

async fn a_table_that_was_written_to_is_modified(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let draft = Draft::new(1)
        .table("a", &["one"])
        .table("b", &["one", "two"])
        .table("c", &["one"])
        .table("d", &["one"]);
    let live = scene.publish(&mut *target, &draft).await?;
    scene.ask(
        "UPDATE b SET word = 'three' WHERE id = 2; DELETE FROM c; INSERT INTO d VALUES (2, NULL)",
    );
    let all = live.tables.keys().cloned().collect();
    let drift = target.drift(&live, &all).await?;
    let modified: BTreeSet<String> = drift.modified.keys().cloned().collect();
    assert_eq!(modified, set(["b", "c", "d"]), "{drift:?}");
    assert!(drift.modified.values().all(|how| !how.is_empty()));
    assert_eq!((drift.missing, drift.unrecorded), (set([]), set([])));
    let drift = target.drift(&live, &set(["a"])).await?;
    assert_eq!(drift, Drift::default(), "nobody asked for the others");
    Ok(())
}

async fn a_table_that_no_release_brought_is_unrecorded(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let live = scene
        .publish(&mut *target, &Draft::new(1).table("a", &["one"]))
        .await?;
    scene.ask(&scene.fixture.table("theirs"));
    scene.ask(&scene.fixture.table("more"));
    let drift = target.drift(&live, &set(["a", "theirs"])).await?;
    let expected = Drift {
        unrecorded: set(["theirs"]),
        ..Drift::default()
    };
    assert_eq!(drift, expected);
    Ok(())
}

async fn closure_follows_foreign_keys_both_ways(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let draft = Draft::new(1)
        .table("a", &["one"])
        .child("b", "a", &["one"])
        .child("c", "a", &[])
        .table("d", &["one"])
        .table("e", &["one"]);
    let live = scene.publish(&mut *target, &draft).await?;
    let release: BTreeSet<String> = live.tables.keys().cloned().collect();
    let staged = [("d".to_owned(), "c".to_owned())];
    for (changed, edges, expected) in [
        (set(["b"]), &[][..], set(["a", "b", "c"])),
        (set(["a"]), &[], set(["a", "b", "c"])),
        (set(["d"]), &[], set(["d"])),
        (set([]), &[], set([])),
        (set(["d"]), &staged, set(["a", "b", "c", "d"])),
        (set(["a"]), &staged, set(["a", "b", "c", "d"])),
        (set(["e"]), &staged, set(["e"])),
    ] {
        let closure = target.closure(&changed, &release, edges).await?;
        assert_eq!(closure, expected, "of {changed:?} with {edges:?}");
    }
    Ok(())
}

async fn a_child_outside_the_release_is_refused(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let draft = Draft::new(1)
        .table("a", &["one"])
        .child("b", "a", &["one"])
        .table("d", &["one"]);
    let live = scene.publish(&mut *target, &draft).await?;
    let release: BTreeSet<String> = live.tables.keys().cloned().collect();
    scene.ask(&scene.fixture.child("theirs", "a"));
    for changed in [set(["a"]), set(["b"])] {
        let refused = target.closure(&changed, &release, &[]).await;
        assert!(
            matches!(&refused, Err(Error::Config(why)) if why.contains("theirs")),
            "{refused:?}"
        );
    }
    let closure = target.closure(&set(["d"]), &release, &[]).await?;
    assert_eq!(closure, set(["d"]), "it is not in the way of others");
    scene.ask("DROP TABLE theirs");
    let closure = target.closure(&set(["b"]), &release, &[]).await?;
    assert_eq!(closure, set(["a", "b"]));
    Ok(())
}
