//! Who may load: one at a time, into a server that takes writes; looking is free.
//!
//! Wants a server that nobody has loaded anything into.

use pilotfish_failure::Kind;

use super::scene::{Draft, Scene, refusal, rows, set};
use crate::Error;
use crate::load::{Drift, Release, TargetOptions};

promises! {
    the_dialect_answers,
    a_look_neither_locks_nor_writes,
    a_database_has_one_loader_at_a_time,
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
