//! Definitions: what was set aside while rows came is there at the end.

use pilotfish_failure::Kind;

use super::scene::{Draft, Scene, batch, plan, refusal, rows, set};
use crate::Error;
use crate::load::{RowBatch, TableRecord};

promises! {
    keys_and_foreign_keys_are_there_at_the_end,
    an_altered_table_has_its_rows_and_keys,
    what_is_not_understood_meets_the_keys,
    rows_without_a_parent_are_told,
}

async fn keys_and_foreign_keys_are_there_at_the_end(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let draft = Draft::new(1)
        .table("parent", &["a", "b"])
        .child("child", "parent", &["a", "a", "b"])
        .child("grandchild", "parent", &[]);
    scene.publish(&mut *target, &draft).await?;
    let twin = twin(
        scene,
        &[
            scene.fixture.table("parent"),
            scene.fixture.child("child", "parent"),
            scene.fixture.child("grandchild", "parent"),
        ],
    );
    for table in ["parent", "child", "grandchild"] {
        let keys = scene.fixture.keys(&scene.database, table);
        assert!(!keys.is_empty(), "{table} has no keys");
        assert_eq!(keys, scene.fixture.keys(&twin, table), "{table}");
    }
    for (statement, why) in [
        ("INSERT INTO child VALUES (9, 'c')", "an orphan"),
        ("DELETE FROM parent WHERE word = 'a'", "a parent in use"),
        ("INSERT INTO parent VALUES (9, 'a')", "a word twice"),
        ("INSERT INTO parent VALUES (1, 'c')", "a number twice"),
    ] {
        let refused = scene.fixture.ask(Some(&scene.database), statement);
        assert!(refused.is_err(), "{why} was let in");
    }
    scene.ask("INSERT INTO grandchild VALUES (1, 'b')");
    Ok(())
}

async fn an_altered_table_has_its_rows_and_keys(scene: &Scene) -> Result<(), Error> {
    const ALTERED: [&str; 2] = [
        "ALTER TABLE child ADD COLUMN more VARCHAR(20) DEFAULT 'none'",
        "CREATE INDEX more_key ON child (more)",
    ];
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    let (parent, child) = (
        scene.fixture.table("parent"),
        scene.fixture.child("child", "parent"),
    );
    stage.create_table("parent", parent.as_bytes()).await?;
    scene
        .fill(&mut *stage, "parent", &rows(&["a", "b"]))
        .await?;
    stage.create_table("child", child.as_bytes()).await?;
    let mut worker = stage.worker().await?;
    let before = scene.batch(&mut *stage, "child", &rows(&["a"])).await?;
    worker.load(&before).await?;
    for statement in ALTERED {
        stage.alter_table("child", statement.as_bytes()).await?;
    }
    let session = stage.session().await?;
    let after = batch(&session, "child", "(2,'b','much')");
    assert_eq!(worker.load(&after).await?.stored, Some(1));
    let named = RowBatch {
        columns: Some(vec!["id".to_owned(), "more".to_owned()]),
        ..batch(&session, "child", "(3,'little')")
    };
    assert_eq!(worker.load(&named).await?.stored, Some(1));
    assert_eq!(worker.complete("child").await?.rows, 3);
    stage.foreign_keys(&set(["parent", "child"])).await?;
    let tables = ["parent", "child"].map(|name| (name.to_owned(), TableRecord::default()));
    scene
        .go_live(&mut *target, stage, &plan(1, tables.into()))
        .await?;
    let seen = scene.ask("SELECT id, COALESCE(word, '-'), more FROM child ORDER BY id");
    assert_eq!(seen, "1\ta\tnone\n2\tb\tmuch\n3\t-\tlittle\n");
    let twin = twin(
        scene,
        &[parent, child, ALTERED[0].to_owned(), ALTERED[1].to_owned()],
    );
    let keys = scene.fixture.keys(&scene.database, "child");
    assert_eq!(keys, scene.fixture.keys(&twin, "child"));
    Ok(())
}

async fn what_is_not_understood_meets_the_keys(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    for table in ["t", "other"] {
        let definition = scene.fixture.table(table);
        stage.create_table(table, definition.as_bytes()).await?;
        stage.set_keys_aside(table).await?;
    }
    let two = scene.batch(&mut *stage, "t", &rows(&["a", "b"])).await?;
    stage.worker().await?.load(&two).await?;
    let twice = stage
        .execute_opaque(b"UPDATE t SET word = 'a' WHERE id = 2")
        .await;
    assert_eq!(refusal(&twice), Some(Kind::BadData), "{twice:?}");
    stage
        .execute_opaque(b"DELETE FROM t WHERE word = 'b'")
        .await?;
    assert_eq!(stage.worker().await?.complete("t").await?.rows, 1);
    Ok(())
}

async fn rows_without_a_parent_are_told(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let whole =
        Draft::new(1)
            .table("parent", &["a", "b"])
            .child("child", "parent", &["a", "b", "b"]);
    let (mut stage, _) = scene.staged(&mut *target, &whole).await?;
    stage.execute(b"INSERT INTO child VALUES (9, NULL)").await?;
    assert_eq!(stage.orphans().await?, None);
    drop(stage);
    let broken = Draft::new(2)
        .table("parent", &["a"])
        .child("child", "parent", &["a", "b"]);
    // Where the server itself looks at the rows, the foreign keys cannot be added.
    let told = match scene.staged(&mut *target, &broken).await {
        Ok((mut stage, _)) => stage.orphans().await?,
        Err(error) => Some(error.to_string()),
    };
    assert!(
        told.as_ref().is_some_and(|why| why.contains("child")),
        "{told:?}"
    );
    Ok(())
}

/// A database in which the plain client made the same tables.
#[track_caller]
fn twin(scene: &Scene, statements: &[String]) -> String {
    let twin = format!("{}_2", scene.database);
    let made = scene
        .fixture
        .ask(None, &format!("CREATE DATABASE {twin}"))
        .and_then(|_| scene.fixture.ask(Some(&twin), &statements.join(";\n")));
    assert!(made.is_ok(), "{made:?}");
    twin
}
