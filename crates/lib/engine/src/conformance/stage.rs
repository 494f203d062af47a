//! The stage: the new release grows unseen.

use bytes::Bytes;

use super::scene::{Draft, Scene, batch, plan, row, rows, set};
use crate::Error;
use crate::load::{Loaded, RowBatch, TableRecord, TargetOptions};

promises! {
    nothing_live_changes_before_the_swap,
    a_stage_begins_empty,
    statements_of_the_dump_stay_on_the_stage,
    the_dumps_name_for_the_database_means_the_stage,
    other_databases_are_out_of_reach,
    a_new_session_begins_as_before_the_first_statement,
    a_stage_stands_in_no_readers_way,
}

async fn nothing_live_changes_before_the_swap(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1)
        .table("a", &["one"])
        .table("old", &["gone soon"])
        .view("seen", "a");
    let live = scene.publish(&mut *target, &first).await?;
    let tables = scene.tables();
    let unchanged = |step: &str| {
        assert_eq!(scene.rows("a"), rows(&["one"]), "after {step}");
        assert_eq!(scene.rows("seen"), rows(&["one"]), "after {step}");
        assert_eq!(scene.tables(), tables, "after {step}");
    };

    let mut stage = target.stage().await?;
    unchanged("stage");
    let definition = scene.fixture.table("a");
    stage.create_table("a", definition.as_bytes()).await?;
    unchanged("create_table");
    let batch = scene.batch(&mut *stage, "a", &rows(&["two"])).await?;
    let mut worker = stage.worker().await?;
    worker.load(&batch).await?;
    unchanged("load");
    worker.restore_keys("a").await?;
    unchanged("restore_keys");
    stage
        .execute(b"UPDATE a SET word = 'three' WHERE id = 1")
        .await?;
    unchanged("execute");
    stage
        .alter_table("a", b"ALTER TABLE a ADD COLUMN more INT")
        .await?;
    unchanged("alter_table");
    let completed = worker.complete("a").await?;
    unchanged("complete");
    stage.foreign_keys(&set(["a"])).await?;
    unchanged("foreign_keys");
    assert_eq!(stage.check("SELECT 1", &set(["old"])).await?, None);
    unchanged("check");
    assert_eq!(target.live().await?.as_ref(), Some(&live));

    let record = TableRecord {
        rows: completed.rows,
        proof: completed.proof,
        ..TableRecord::default()
    };
    let mut plan = plan(2, [("a".to_owned(), record)].into());
    plan.retire = set(["old"]);
    target.swap(stage, &plan).await?;
    assert_eq!(scene.rows("a"), rows(&["three"]), "after the swap");
    Ok(())
}

async fn a_stage_begins_empty(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    scene
        .publish(&mut *target, &Draft::new(1).table("live", &["one"]))
        .await?;
    for _ in 0..2 {
        let mut stage = target.stage().await?;
        assert_eq!(stage.tables().await?, set([]));
        let definition = scene.fixture.table("behind");
        stage.create_table("behind", definition.as_bytes()).await?;
        scene.fill(&mut *stage, "behind", &rows(&["one"])).await?;
        assert_eq!(stage.tables().await?, set(["behind"]));
    }
    Ok(())
}

async fn statements_of_the_dump_stay_on_the_stage(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1).table("a", &["one"]).table("b", &["one"]);
    scene.publish(&mut *target, &first).await?;
    let mut stage = target.stage().await?;
    let definition = scene.fixture.table("a");
    stage.create_table("a", definition.as_bytes()).await?;
    stage
        .execute(scene.fixture.view("seen", "a").as_bytes())
        .await?;
    assert_eq!(stage.tables().await?, set(["a"]), "a view is no table");

    let session = stage.session().await?;
    let computed = RowBatch {
        rows: 2,
        ordered: true,
        ..batch(&session, "a", "(1 + 1, 'two'), (2 + 1, LOWER('THREE'))")
    };
    let loaded = stage.insert(&computed).await?;
    assert_eq!(loaded, Loaded { stored: Some(2) });
    stage.execute(b"INSERT INTO a VALUES (4, 'four')").await?;
    let looked = stage.execute_opaque(b"SELECT COUNT(*) FROM a").await?;
    assert_eq!(looked, set([]));
    let reached = stage
        .execute_opaque(b"UPDATE a SET word = 'five' WHERE id = 4")
        .await?;
    assert_eq!(reached, set(["a"]));
    stage
        .execute_opaque(b"DELETE FROM a WHERE word = 'two'")
        .await?;
    assert_eq!(scene.rows("a"), rows(&["one"]));

    let completed = stage.worker().await?.complete("a").await?;
    assert_eq!(completed.rows, 2);
    let plan = plan(2, [("a".to_owned(), TableRecord::default())].into());
    scene.go_live(&mut *target, stage, &plan).await?;
    assert_eq!(scene.rows("a"), [row(3, "three"), row(4, "five")]);
    Ok(())
}

async fn the_dumps_name_for_the_database_means_the_stage(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    scene
        .publish(&mut *target, &Draft::new(1).table("t", &["one"]))
        .await?;
    drop(target);
    for dump_database in [None, Some("app_as_the_dump_says".to_owned())] {
        let named = dump_database.as_ref().unwrap_or(&scene.database);
        let statement = scene.fixture.reach(named, "t");
        let options = TargetOptions {
            dump_database: dump_database.clone(),
            ..scene.options()
        };
        let mut target = scene.target_with(options).await?;
        let mut stage = target.stage().await?;
        let definition = scene.fixture.table("t");
        stage.create_table("t", definition.as_bytes()).await?;
        let two = scene.batch(&mut *stage, "t", &rows(&["two"])).await?;
        for opaque in [false, true] {
            stage.insert(&two).await?;
            if opaque {
                stage.execute_opaque(statement.as_bytes()).await?;
            } else {
                stage.execute(statement.as_bytes()).await?;
            }
            let emptied = "SELECT CASE WHEN COUNT(*) = 0 THEN 1 ELSE 0 END FROM t";
            assert_eq!(stage.check(emptied, &set([])).await?, None, "{statement}");
            assert_eq!(scene.rows("t"), rows(&["one"]), "{statement}");
        }
    }
    Ok(())
}

async fn other_databases_are_out_of_reach(scene: &Scene) -> Result<(), Error> {
    let other = format!("{}_2", scene.database);
    let made = scene
        .fixture
        .ask(None, &format!("CREATE DATABASE {other}"))
        .and_then(|_| {
            let filled = format!(
                "{}; INSERT INTO t VALUES (1, 'theirs')",
                scene.fixture.table("t")
            );
            scene.fixture.ask(Some(&other), &filled)
        });
    assert!(made.is_ok(), "{made:?}");
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    let definition = scene.fixture.table("t");
    stage.create_table("t", definition.as_bytes()).await?;
    let session = stage.session().await?;
    let reach = scene.fixture.reach(&other, "t");
    let asking = RowBatch {
        tuples: Bytes::from(format!("(1, (SELECT word FROM {other}.t))")),
        ..batch(&session, "t", "")
    };
    let upsert = RowBatch {
        tail: Some(Bytes::from(format!(
            "{} , word = (SELECT word FROM {other}.t)",
            scene.fixture.upsert()
        ))),
        ..batch(&session, "t", "(1, 'one')")
    };
    let mut worker = stage.worker().await?;
    for refused in [
        stage.execute_opaque(reach.as_bytes()).await.map(drop),
        stage.execute(reach.as_bytes()).await,
        stage.insert(&asking).await.map(drop),
        stage.insert(&upsert).await.map(drop),
        worker.load(&upsert).await.map(drop),
    ] {
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    }
    assert_eq!(scene.fixture.rows(&other, "t"), Ok(rows(&["theirs"])));
    Ok(())
}

async fn a_new_session_begins_as_before_the_first_statement(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    let first = stage.session().await?;
    stage.execute(scene.fixture.time_zone(3).as_bytes()).await?;
    assert_ne!(stage.session().await?, first);
    stage.new_session().await?;
    assert_eq!(stage.session().await?, first);
    // It is in the stage still.
    stage
        .create_table("t", scene.fixture.table("t").as_bytes())
        .await?;
    let rows_of_t = RowBatch {
        tuples: Bytes::from_static(b"(1, 'one')"),
        ..batch(&first, "t", "")
    };
    stage.insert(&rows_of_t).await?;
    assert_eq!(stage.tables().await?, set(["t"]));
    assert_eq!(scene.tables(), set([]));
    Ok(())
}

async fn a_stage_stands_in_no_readers_way(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let first = Draft::new(1).table("a", &["one"]);
    scene.publish(&mut *target, &first).await?;
    let reader = scene.fixture.hold(&scene.database, "a");
    let second = Draft::new(2).table("a", &["two"]);
    let (stage, plan) = scene.staged(&mut *target, &second).await?;
    drop(reader);
    scene.go_live(&mut *target, stage, &plan).await?;
    Ok(())
}
