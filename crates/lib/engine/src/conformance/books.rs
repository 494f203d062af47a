//! What the ledger tells: which release is where, and which loads were asked for.
//!
//! Wants a server that nobody has loaded anything into.

use super::scene::{Draft, Scene, digest};
use crate::Error;
use crate::load::TargetOptions;

promises! {
    nothing_is_known_of_a_server_that_was_never_loaded_into,
    the_first_entries_may_come_all_at_once,
    entries_come_back_as_they_were_put,
    entries_come_newest_first_and_keep_their_place,
    status_tells_each_database,
    the_books_survive_a_restart,
}

async fn nothing_is_known_of_a_server_that_was_never_loaded_into(
    scene: &Scene,
) -> Result<(), Error> {
    let before = scene.fixture.databases();
    let load = scene.load()?;
    assert!(load.status().await?.is_empty());
    assert_eq!(load.history().get("app", "id").await?, None);
    assert!(load.history().recent("app", 10).await?.is_empty());
    assert_eq!(scene.fixture.databases(), before, "asking writes nothing");
    Ok(())
}

async fn the_first_entries_may_come_all_at_once(scene: &Scene) -> Result<(), Error> {
    let history = scene.load()?.history();
    let ids = ["0", "1", "2", "3", "4", "5", "6", "7"];
    let puts = ids.map(|id| history.put("many", id, "{}"));
    for put in futures_util::future::join_all(puts).await {
        put?;
    }
    assert_eq!(history.recent("many", 9).await?.len(), ids.len());
    Ok(())
}

async fn entries_come_back_as_they_were_put(scene: &Scene) -> Result<(), Error> {
    let history = scene.load()?.history();
    let long = format!("{{\"error\":\"{}\"}}", "x".repeat(100_000));
    let entries = [
        ("id", "{}"),
        ("ID", "{\"other\": true}"),
        ("it's \"☃\" \\ %_", "{\"text\":\"it's ☃ \\\\ \\n\"}"),
        ("long", &long),
    ];
    for (id, body) in entries {
        assert_eq!(history.get("app", id).await?, None, "{id}");
        history.put("app", id, body).await?;
    }
    for (id, body) in entries {
        assert_eq!(history.get("app", id).await?.as_deref(), Some(body), "{id}");
    }
    assert_eq!(history.get("app", "unknown").await?, None);
    assert_eq!(history.get("other", "id").await?, None, "of another asker");
    history.put("other", "id", "\"other's\"").await?;
    assert_eq!(history.get("app", "id").await?.as_deref(), Some("{}"));
    assert_eq!(history.recent("other", 9).await?, ["\"other's\""]);
    let status = scene.load()?.status().await?;
    assert!(status.is_empty(), "an entry is no release: {status:?}");
    Ok(())
}

async fn entries_come_newest_first_and_keep_their_place(scene: &Scene) -> Result<(), Error> {
    let history = scene.load()?.history();
    for id in ["c", "a", "b"] {
        history.put("app", id, &format!("\"{id} 1\"")).await?;
    }
    assert_eq!(
        history.recent("app", 3).await?,
        ["\"b 1\"", "\"a 1\"", "\"c 1\""]
    );
    history.put("app", "c", "\"c 2\"").await?;
    history.put("app", "c", "\"c 2\"").await?;
    history.put("app", "d", "\"d 1\"").await?;
    let newest = ["\"d 1\"", "\"b 1\"", "\"a 1\"", "\"c 2\""];
    assert_eq!(history.recent("app", 4).await?, newest);
    assert_eq!(history.recent("app", 1).await?, newest[..1]);
    assert!(history.recent("app", 0).await?.is_empty());
    assert_eq!(history.get("app", "c").await?.as_deref(), Some("\"c 2\""));
    Ok(())
}

async fn status_tells_each_database(scene: &Scene) -> Result<(), Error> {
    let load = scene.load()?;
    let other = TargetOptions {
        database: format!("{}_2", scene.database),
        ..scene.options()
    };
    let mut second = scene.target_with(other.clone()).await?;
    let draft = Draft::new(7).table("a", &["one"]);
    scene.publish(&mut *second, &draft).await?;
    let mut target = scene.target().await?;
    for number in 1..=3 {
        let draft = Draft::new(number)
            .table("a", &["one"])
            .table("b", &[])
            .view("seen", "a");
        scene.publish(&mut *target, &draft).await?;
    }
    Scene::rollback(&mut *target).await?;
    target.finish().await?;
    let fourth = Draft::new(4).table("a", &["one"]);
    let live = scene.publish(&mut *target, &fourth).await?;

    let all = load.status().await?;
    let names: Vec<&str> = all.iter().map(|status| status.database.as_str()).collect();
    assert_eq!(names, [&scene.database, &other.database], "in name order");
    let (here, there) = (&all[0], &all[1]);
    assert_eq!((&here.digest, here.since), (&digest(4), live.since));
    assert_eq!(here.previous, Some(digest(2)));
    assert!(here.rejected.contains(&digest(3)), "{here:?}");
    assert_eq!((here.tables, here.finishing), (1, false));
    assert_eq!(there.digest, digest(7));
    assert_eq!((&there.previous, there.rejected.len()), (&None, 0));
    Ok(())
}

async fn the_books_survive_a_restart(scene: &Scene) -> Result<(), Error> {
    let load = scene.load()?;
    let mut target = scene.target().await?;
    scene
        .publish(&mut *target, &Draft::new(1).table("a", &["one"]))
        .await?;
    load.history().put("app", "before", "\"here\"").await?;
    let live = target.live().await?;
    drop(target);
    scene.fixture.restart();
    assert_eq!(
        load.history().get("app", "before").await?.as_deref(),
        Some("\"here\"")
    );
    assert_eq!(scene.target().await?.live().await?, live);
    let status = scene.status().await?;
    assert_eq!(status.map(|status| status.digest), Some(digest(1)));
    Ok(())
}
