//! What follows the swap: views and triggers, made once more if need be.

use pilotfish_failure::Kind;

use super::scene::{Draft, Scene, refusal, rows, set};
use crate::Error;

promises! {
    objects_follow_the_swap_and_finishing_may_be_repeated,
    objects_change_with_their_release,
    a_part_of_a_dump_leaves_other_objects_alone,
    a_table_may_take_the_name_of_a_view_and_give_it_back,
}

async fn objects_follow_the_swap_and_finishing_may_be_repeated(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let draft = Draft::new(1)
        .table("a", &["one"])
        .trigger("shout", "a")
        .view("seen", "a")
        .view("again", "seen");
    let (stage, plan) = scene.staged(&mut *target, &draft).await?;
    target.swap(stage, &plan).await?;
    let finishing = scene.status().await?.map(|status| status.finishing);
    assert_ne!(finishing, None, "after the swap");
    if finishing == Some(false) {
        let came_along = scene.tables();
        assert_eq!(
            came_along,
            set(["a", "again", "seen"]),
            "what is not finishing is there"
        );
    }
    for _ in 0..2 {
        target.finish().await?;
        let finishing = scene.status().await?.map(|status| status.finishing);
        assert_eq!(finishing, Some(false), "after finish");
        assert_eq!(scene.tables(), set(["a", "again", "seen"]));
    }
    scene.ask("INSERT INTO a VALUES (2, 'two')");
    assert_eq!(scene.rows("again"), rows(&["one", "TWO"]));
    assert_eq!(
        target.live().await?.unwrap_or_default().objects,
        plan.release.objects
    );
    Ok(())
}

async fn objects_change_with_their_release(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let tables = |number| {
        Draft::new(number)
            .table("a", &["of a"])
            .table("b", &["of b"])
    };
    let first = tables(1)
        .view("same", "a")
        .view("moves", "a")
        .view("goes", "a")
        .trigger("shout", "a");
    scene.publish(&mut *target, &first).await?;
    let second = tables(2)
        .view("same", "a")
        .view("moves", "b")
        .view("comes", "b")
        .trigger("shout", "b");
    let live = scene.publish(&mut *target, &second).await?;
    assert_eq!(scene.tables(), set(["a", "b", "comes", "moves", "same"]));
    assert_eq!(scene.rows("same"), rows(&["of a"]));
    assert_eq!(scene.rows("moves"), rows(&["of b"]));
    scene.ask("INSERT INTO a VALUES (2, 'quiet'); INSERT INTO b VALUES (2, 'loud')");
    assert_eq!(scene.rows("a"), rows(&["of a", "quiet"]));
    assert_eq!(scene.rows("b"), rows(&["of b", "LOUD"]));
    assert!(live.objects.contains_key("view comes"), "{live:?}");
    assert!(!live.objects.contains_key("view goes"), "{live:?}");
    Ok(())
}

async fn a_part_of_a_dump_leaves_other_objects_alone(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1)
        .table("a", &["of a"])
        .table("b", &["of b"])
        .view("seen", "b")
        .trigger("shout", "b");
    let live = scene.publish(&mut *target, &first).await?;
    let part = Draft::new(2).table("a", &["anew"]).view("more", "a");
    let (stage, mut plan) = scene.staged(&mut *target, &part).await?;
    plan.retire.clear();
    let tables = &mut plan.release.tables;
    tables.insert("b".to_owned(), live.tables["b"].clone());
    plan.keep_objects = true;
    let live = scene.go_live(&mut *target, stage, &plan).await?;
    for key in ["view seen", "view more", "trigger shout"] {
        assert!(live.objects.contains_key(key), "{key}: {live:?}");
    }
    scene.ask("INSERT INTO b VALUES (2, 'two')");
    assert_eq!(scene.rows("seen"), rows(&["of b", "TWO"]));
    assert_eq!(scene.rows("more"), rows(&["anew"]));
    Ok(())
}

async fn a_table_may_take_the_name_of_a_view_and_give_it_back(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1).table("a", &["of a"]).view("b", "a");
    scene.publish(&mut *target, &first).await?;
    let second = Draft::new(2).table("b", &["of b"]).view("a", "b");
    scene.publish(&mut *target, &second).await?;
    assert_eq!(scene.tables(), set(["a", "b"]));
    scene.ask("DELETE FROM b WHERE id = 1");
    assert_eq!(scene.rows("a"), [], "it is the view");
    Scene::rollback(&mut *target).await?;
    target.finish().await?;
    target.tidy(true).await?;
    assert_eq!(scene.tables(), set(["a", "b"]));
    assert_eq!(scene.rows("b"), rows(&["of a"]));

    scene.ask(&scene.fixture.view("theirs", "a"));
    let third = Draft::new(3)
        .table("a", &["three"])
        .table("theirs", &["ours"]);
    let (stage, plan) = scene.staged(&mut *target, &third).await?;
    let refused = target.swap(stage, &plan).await;
    assert_eq!(refusal(&refused), Some(Kind::Config), "{refused:?}");
    assert_eq!(scene.rows("theirs"), rows(&["of a"]));
    Ok(())
}
