//! Assertions on the staged release.

use pilotfish_failure::Kind;

use super::scene::{Draft, Scene, refusal, rows, set};
use crate::Error;
use crate::load::TargetOptions;

promises! {
    what_is_true_passes_and_the_rest_comes_back,
    a_check_sees_the_stage_and_through_it_what_does_not_change,
    what_the_server_cannot_read_is_known_before_the_load,
}

async fn what_is_true_passes_and_the_rest_comes_back(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let draft = Draft::new(1).table("t", &["one", "two"]);
    let (mut stage, plan) = scene.staged(&mut *target, &draft).await?;
    for sql in [
        "SELECT 1",
        "SELECT -2",
        "SELECT 0.5",
        "SELECT COUNT(*) FROM t",
        "SELECT 1 FROM t",
        "SELECT 1, 0",
        "SELECT 'yes'",
    ] {
        assert_eq!(stage.check(sql, &set([])).await?, None, "{sql}");
    }
    assert_eq!(
        stage.check("SELECT 0", &set([])).await?.as_deref(),
        Some("0")
    );
    for sql in [
        "SELECT NULL",
        "SELECT 0.0",
        "SELECT 'bad'",
        "SELECT id FROM t WHERE id > 2",
        "SELECT MAX(id) FROM t WHERE id > 2",
        "SELECT COUNT(*) FROM t WHERE id > 2",
    ] {
        let answer = stage.check(sql, &set([])).await?;
        assert!(answer.is_some_and(|text| !text.is_empty()), "{sql}");
    }
    let wrong = stage.check("SELECT nothing FROM nowhere", &set([])).await;
    assert_eq!(refusal(&wrong), Some(Kind::BadData), "{wrong:?}");
    // The stage took no harm.
    scene.go_live(&mut *target, stage, &plan).await?;
    assert_eq!(scene.rows("t"), rows(&["one", "two"]));
    Ok(())
}

async fn a_check_sees_the_stage_and_through_it_what_does_not_change(
    scene: &Scene,
) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1)
        .table("a", &["one"])
        .table("b", &["kept", "too"]);
    let live = scene.publish(&mut *target, &first).await?;
    let second = Draft::new(2).table("a", &["one", "two", "three"]);
    let (mut stage, mut plan) = scene.staged(&mut *target, &second).await?;
    let unchanged = set(["b"]);
    for sql in [
        "SELECT CASE WHEN COUNT(*) = 3 THEN 1 ELSE 0 END FROM a",
        "SELECT CASE WHEN COUNT(*) = 2 THEN 1 ELSE 0 END FROM b",
        "SELECT COUNT(*) FROM a JOIN b ON a.id = b.id",
    ] {
        assert_eq!(stage.check(sql, &unchanged).await?, None, "{sql}");
    }
    let both = set(["a", "b"]);
    let staged = stage
        .check("SELECT COUNT(*) FROM a WHERE word = 'three'", &both)
        .await?;
    assert_eq!(staged, None, "what is staged hides what is live");
    let unseen = stage.check("SELECT COUNT(*) FROM b", &set([])).await;
    assert_eq!(
        refusal(&unseen),
        Some(Kind::BadData),
        "b is not of this release: {unseen:?}"
    );
    let wrong = stage.check("SELECT nothing FROM a", &unchanged).await;
    assert_eq!(refusal(&wrong), Some(Kind::BadData), "{wrong:?}");
    assert_eq!(
        stage.tables().await?,
        set(["a"]),
        "a check leaves nothing behind"
    );
    plan.retire.clear();
    plan.release
        .tables
        .insert("b".to_owned(), live.tables["b"].clone());
    scene.go_live(&mut *target, stage, &plan).await?;
    assert_eq!(scene.rows("a"), rows(&["one", "two", "three"]));
    assert_eq!(scene.rows("b"), rows(&["kept", "too"]));
    Ok(())
}

async fn what_the_server_cannot_read_is_known_before_the_load(scene: &Scene) -> Result<(), Error> {
    let look = TargetOptions {
        look_only: true,
        ..scene.options()
    };
    for options in [look, scene.options()] {
        let mut target = scene.target_with(options).await?;
        target.parse("SELECT 1", &set([])).await?;
        target
            .parse(
                "SELECT COUNT(*) FROM not_there_yet WHERE word = 'it''s'",
                &set(["view v", "function f"]),
            )
            .await?;
        let wrong = [
            ("SELECT COUNT(* FROM t", Kind::BadData),
            ("SELEKT 1", Kind::Config),
            ("DROP TABLE t", Kind::Config),
            ("SELECT COUNT(*) FROM t JOIN v ON true", Kind::Config),
            ("SELECT other.f(1)", Kind::Config),
        ];
        for (sql, kind) in wrong {
            let refused = target.parse(sql, &set(["view v"])).await;
            assert_eq!(refusal(&refused), Some(kind), "{sql}: {refused:?}");
        }
        assert_eq!(target.live().await?, None);
    }
    assert!(!scene.fixture.databases().contains(&scene.database));
    Ok(())
}
