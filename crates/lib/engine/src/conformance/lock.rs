//! Who may load: one at a time, into a server that takes writes; looking is free.
//!
//! Wants a server that nobody has loaded anything into.

use pilotfish_failure::Kind;

use super::scene::{Draft, Scene, batch, refusal, row, rows, set};
use crate::Error;
use crate::load::{Drift, Release, TargetOptions};

promises! {
    the_dialect_answers,
    a_look_neither_locks_nor_writes,
    a_database_has_one_loader_at_a_time,
    nothing_is_written_once_the_lock_is_gone,
    a_read_only_server_is_left_alone,
}

async fn the_dialect_answers(scene: &Scene) -> Result<(), Error> {
    let before = scene.fixture.databases();
    let first = scene.load()?.dialect().await?;
    assert_eq!(scene.load()?.dialect().await?, first);
    assert_eq!(scene.fixture.databases(), before);
    Ok(())
}

async fn a_look_neither_locks_nor_writes(scene: &Scene) -> Result<(), Error> {
    let before = scene.fixture.databases();
    let look = || TargetOptions {
        look_only: true,
        ..scene.options()
    };
    let first = scene.target_with(look()).await?;
    let second = scene.target_with(look()).await?;
    for mut target in [first, second] {
        let (nothing, table) = (Release::default(), set(["t"]));
        assert_eq!(target.live().await?, None);
        assert!(target.rejected().await?.is_empty());
        assert!(target.missing(&nothing).await?.is_empty());
        assert_eq!(target.drift(&nothing, &table).await?, Drift::default());
        assert_eq!(target.closure(&table, &table, &[]).await?, table);
    }
    assert_eq!(
        scene.fixture.databases(),
        before,
        "the server as nobody loaded into it"
    );

    let mut loader = scene.target().await?;
    scene
        .publish(&mut *loader, &Draft::new(1).table("t", &["one"]))
        .await?;
    let mut target = scene.target_with(look()).await?;
    let live = target.live().await?.unwrap_or_default();
    assert_eq!(
        live.tables.len(),
        1,
        "a look while a loader holds the database"
    );
    assert_eq!(
        target.drift(&live, &set(["t"])).await?,
        Drift::default(),
        "nobody wrote"
    );
    Ok(())
}

async fn a_database_has_one_loader_at_a_time(scene: &Scene) -> Result<(), Error> {
    let first = scene.target().await?;
    let second = scene.load()?.target(scene.options()).await;
    assert_eq!(
        refusal(&second),
        Some(Kind::Busy),
        "a second loader: {:?}",
        second.err()
    );
    let elsewhere = TargetOptions {
        database: format!("{}_2", scene.database),
        ..scene.options()
    };
    let other = scene.target_with(elsewhere).await?;
    drop(first);
    let second = scene.target().await?;
    let third = scene.load()?.target(scene.options()).await;
    assert_eq!(
        refusal(&third),
        Some(Kind::Busy),
        "a third: {:?}",
        third.err()
    );
    drop((second, other));
    Ok(())
}

async fn nothing_is_written_once_the_lock_is_gone(scene: &Scene) -> Result<(), Error> {
    let before = scene.fixture.databases();
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    let (parent, child) = (
        scene.fixture.table("parent"),
        scene.fixture.child("child", "parent"),
    );
    stage.create_table("parent", parent.as_bytes()).await?;
    stage.create_table("child", child.as_bytes()).await?;
    let mut worker = stage.worker().await?;
    let one = scene.batch(&mut *stage, "parent", &rows(&["one"])).await?;
    worker.load(&one).await?;
    let two = scene.batch(&mut *stage, "parent", &[row(2, "two")]).await?;
    let session = stage.session().await?;
    let asking = batch(&session, "parent", "(3, (SELECT 'three'))");
    scene.fixture.end_loader(&scene.database);

    let mut refused = Vec::new();
    let mut note = |what, outcome: Result<(), Error>| refused.push((what, refusal(&outcome)));
    note("insert", stage.insert(&asking).await.map(drop));
    note("load", worker.load(&two).await.map(drop));
    note("restore_keys", worker.restore_keys("child").await);
    note("execute", stage.execute(b"DELETE FROM parent").await);
    note("set_keys_aside", stage.set_keys_aside("parent").await);
    let opaque = stage.execute_opaque(b"UPDATE parent SET word = 'x'").await;
    note("execute_opaque", opaque.map(drop));
    let late = scene.fixture.table("late");
    note("create", stage.create_table("late", late.as_bytes()).await);
    let altered = stage.alter_table("parent", b"ALTER TABLE parent ADD more INT");
    note("alter_table", altered.await);
    note(
        "foreign_keys",
        stage.foreign_keys(&set(["parent", "child"])).await,
    );
    let seen = stage.check("SELECT 1", &set(["of_others"])).await;
    note("check", seen.map(drop));
    for (what, kind) in refused {
        assert_eq!(kind, Some(Kind::Busy), "{what}");
    }
    let staging = scene.fixture.databases();
    let staging = staging
        .difference(&before)
        .find(|database| scene.fixture.tables(database).contains("parent"));
    let staging = staging.map(String::as_str).unwrap_or_default();
    assert_eq!(scene.fixture.tables(staging), set(["parent", "child"]));
    assert_eq!(scene.fixture.rows(staging, "parent"), Ok(rows(&["one"])));
    Ok(())
}

async fn a_read_only_server_is_left_alone(scene: &Scene) -> Result<(), Error> {
    let load = scene.load()?;
    let mut target = scene.target().await?;
    scene
        .publish(&mut *target, &Draft::new(1).table("t", &["one"]))
        .await?;
    drop(target);
    scene.fixture.read_only(true);
    let refused = scene.load()?.target(scene.options()).await;
    let written = load.history().put("app", "id", "{}").await;
    let status = load.status().await;
    let read = load.history().get("app", "id").await;
    scene.fixture.read_only(false);
    assert_eq!(refusal(&refused), Some(Kind::Busy), "{:?}", refused.err());
    assert_eq!(refusal(&written), Some(Kind::Busy), "{written:?}");
    assert!(
        status?
            .iter()
            .any(|status| status.database == scene.database),
        "looking is free"
    );
    assert_eq!(read?, None);
    assert_eq!(scene.rows("t"), rows(&["one"]));
    let _ = scene.target().await?;
    Ok(())
}
