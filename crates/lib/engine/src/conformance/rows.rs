//! Rows on their way: every one of a batch, as the dump's session means it, or none and an error.

use bytes::Bytes;
use pilotfish_failure::Kind;

use super::Row;
use super::scene::{Scene, batch, plan, refusal, row, rows};
use crate::Error;
use crate::load::{Loaded, RowBatch, TableRecord};

promises! {
    a_batch_is_stored_whole_and_counted,
    rows_are_those_that_a_plain_client_stores,
    two_workers_fill_one_table,
    a_value_that_does_not_fit_stores_nothing,
    a_duplicate_key_stores_nothing,
    a_duplicate_of_a_key_that_waits_is_refused_at_the_end,
    a_batch_without_its_table_is_refused,
    ordered_rows_meet_their_keys,
    each_batch_brings_its_session,
}

/// Rows of one big table: with two workers several batches of more than one statement each.
const MANY: i64 = 40_000;

async fn a_batch_is_stored_whole_and_counted(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    stage
        .create_table("t", scene.fixture.table("t").as_bytes())
        .await?;
    let mut worker = stage.worker().await?;
    let odd: Vec<Row> = vec![
        row(1, "it's \"\\ a\tb\nc\r\u{1a}"),
        row(2, "☃ 🐟 naïve"),
        row(-3, "%\\%_\\_"),
        row(4, ""),
        (5, None),
        (6, None),
    ];
    let batch = scene.batch(&mut *stage, "t", &odd).await?;
    assert_eq!(worker.load(&batch).await?, Loaded { stored: Some(6) });
    let turned = RowBatch {
        columns: Some(vec!["word".to_owned(), "id".to_owned()]),
        tuples: Bytes::from_static(b"('seven',7)"),
        rows: 1,
        ..batch.clone()
    };
    assert_eq!(worker.load(&turned).await?, Loaded { stored: Some(1) });
    let partly = RowBatch {
        columns: Some(vec!["id".to_owned()]),
        tuples: Bytes::from_static(b"(8),(9)"),
        rows: 2,
        ..batch
    };
    assert_eq!(worker.load(&partly).await?, Loaded { stored: Some(2) });
    let completed = worker.complete("t").await?;
    assert_eq!(completed.rows, 9);
    assert!(completed.proof.is_some(), "no proof of plain rows");
    let plan = plan(1, [("t".to_owned(), TableRecord::default())].into());
    scene.go_live(&mut *target, stage, &plan).await?;
    let mut expected = odd;
    expected.extend([row(7, "seven"), (8, None), (9, None)]);
    expected.sort_by_key(|(id, _)| *id);
    assert_eq!(scene.rows("t"), expected);
    Ok(())
}

async fn rows_are_those_that_a_plain_client_stores(scene: &Scene) -> Result<(), Error> {
    let odd = scene.fixture.odd_tuples();
    let count = odd.len() as u64;
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    for table in ["singly", "together"] {
        let definition = scene.fixture.table(table);
        stage.create_table(table, definition.as_bytes()).await?;
    }
    let session = stage.session().await?;
    let mut worker = stage.worker().await?;
    for tuple in odd {
        let loaded = worker.load(&batch(&session, "singly", tuple)).await?;
        assert_eq!(loaded.stored, Some(1), "{tuple}");
    }
    let together = RowBatch {
        rows: count,
        ..batch(&session, "together", &odd.join(","))
    };
    assert_eq!(worker.load(&together).await?.stored, Some(count));
    for table in ["singly", "together"] {
        assert_eq!(worker.complete(table).await?.rows, count, "{table}");
    }
    let tables = ["singly", "together"].map(|name| (name.to_owned(), TableRecord::default()));
    scene
        .go_live(&mut *target, stage, &plan(1, tables.into()))
        .await?;
    scene.ask(&format!(
        "{}; INSERT INTO plain VALUES {}",
        scene.fixture.table("plain"),
        odd.join(",")
    ));
    assert_eq!(scene.rows("singly"), scene.rows("plain"));
    assert_eq!(scene.rows("together"), scene.rows("plain"));
    Ok(())
}

async fn two_workers_fill_one_table(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    stage
        .create_table("t", scene.fixture.table("t").as_bytes())
        .await?;
    let all: Vec<Row> = (1..=MANY)
        .map(|id| row(id, &format!("word {id}")))
        .collect();
    let mut batches = Vec::new();
    for part in all.chunks(all.len() / 4) {
        batches.push(scene.batch(&mut *stage, "t", part).await?);
    }
    let (mut one, mut two) = (stage.worker().await?, stage.worker().await?);
    for pair in batches.chunks(2) {
        let (left, right) = tokio::join!(one.load(&pair[0]), two.load(&pair[1]));
        assert_eq!(left?.stored, Some(pair[0].rows));
        assert_eq!(right?.stored, Some(pair[1].rows));
    }
    assert_eq!(two.complete("t").await?.rows, all.len() as u64);
    let plan = plan(1, [("t".to_owned(), TableRecord::default())].into());
    scene.go_live(&mut *target, stage, &plan).await?;
    assert!(scene.rows("t") == all, "other rows");
    Ok(())
}

async fn a_value_that_does_not_fit_stores_nothing(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    if let Some(strict) = scene.fixture.strict() {
        stage.execute(strict.as_bytes()).await?;
    }
    stage
        .create_table("t", scene.fixture.table("t").as_bytes())
        .await?;
    let mut worker = stage.worker().await?;
    let good = scene.batch(&mut *stage, "t", &rows(&["good"])).await?;
    worker.load(&good).await?;
    let session = stage.session().await?;
    let too_long = format!("(2,'fine'),(3,'{}')", "x".repeat(21));
    for tuples in [
        too_long.as_str(),
        "(2,'fine'),(99999999999,'number')",
        "(2,'fine'),('none','word')",
        "(2,'fine'),(NULL,'no key')",
        "(2,'fine'),(3)",
        "(2,'fine'),(3,'open",
    ] {
        let bad = RowBatch {
            rows: 2,
            ..batch(&session, "t", tuples)
        };
        let refused = worker.load(&bad).await;
        assert_eq!(
            refusal(&refused),
            Some(Kind::BadData),
            "{tuples}: {refused:?}"
        );
    }
    let later = RowBatch {
        ..batch(&session, "t", "(2,'later')")
    };
    worker.load(&later).await?;
    assert_eq!(worker.complete("t").await?.rows, 2);
    let plan = plan(1, [("t".to_owned(), TableRecord::default())].into());
    scene.go_live(&mut *target, stage, &plan).await?;
    assert_eq!(scene.rows("t"), rows(&["good", "later"]));
    Ok(())
}

async fn a_duplicate_key_stores_nothing(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    stage
        .create_table("t", scene.fixture.table("t").as_bytes())
        .await?;
    let (mut one, mut two) = (stage.worker().await?, stage.worker().await?);
    let good = scene.batch(&mut *stage, "t", &rows(&["a", "b"])).await?;
    one.load(&good).await?;
    for bad in [
        [row(3, "c"), row(2, "of another batch")],
        [row(4, "d"), row(4, "of the same")],
    ] {
        let bad = scene.batch(&mut *stage, "t", &bad).await?;
        for worker in [&mut one, &mut two] {
            let refused = worker.load(&bad).await;
            assert_eq!(refusal(&refused), Some(Kind::BadData), "{refused:?}");
        }
    }
    let later = scene.batch(&mut *stage, "t", &[row(3, "later")]).await?;
    two.load(&later).await?;
    assert_eq!(one.complete("t").await?.rows, 3);
    let plan = plan(1, [("t".to_owned(), TableRecord::default())].into());
    scene.go_live(&mut *target, stage, &plan).await?;
    assert_eq!(scene.rows("t"), rows(&["a", "b", "later"]));
    Ok(())
}

async fn a_duplicate_of_a_key_that_waits_is_refused_at_the_end(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    stage
        .create_table("t", scene.fixture.table("t").as_bytes())
        .await?;
    let twice = scene
        .batch(&mut *stage, "t", &rows(&["same", "same"]))
        .await?;
    let mut worker = stage.worker().await?;
    let refused = match worker.load(&twice).await {
        Ok(_) => worker.complete("t").await.map(drop),
        Err(error) => Err(error),
    };
    assert_eq!(refusal(&refused), Some(Kind::BadData), "{refused:?}");
    Ok(())
}

async fn a_batch_without_its_table_is_refused(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    let lost = scene.batch(&mut *stage, "t", &rows(&["one"])).await?;
    let mut worker = stage.worker().await?;
    let refused = worker.load(&lost).await;
    assert_eq!(refusal(&refused), Some(Kind::BadData), "{refused:?}");
    let refused = worker.complete("t").await;
    assert_eq!(refusal(&refused), Some(Kind::BadData), "{refused:?}");
    Ok(())
}

async fn ordered_rows_meet_their_keys(scene: &Scene) -> Result<(), Error> {
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    stage
        .create_table("t", scene.fixture.table("t").as_bytes())
        .await?;
    let mut worker = stage.worker().await?;
    let plain = scene.batch(&mut *stage, "t", &rows(&["a"])).await?;
    worker.load(&plain).await?;
    worker.restore_keys("t").await?;
    worker.restore_keys("t").await?;
    let ordered = |rows: &[Row]| RowBatch {
        tuples: Bytes::from(scene.fixture.tuples(rows)),
        rows: rows.len() as u64,
        ordered: true,
        ..plain.clone()
    };
    for replaced in [row(1, "b"), row(2, "c"), row(1, "d")] {
        let upsert = RowBatch {
            tail: Some(Bytes::from_static(scene.fixture.upsert().as_bytes())),
            ..ordered(&[replaced])
        };
        assert_eq!(worker.load(&upsert).await?.stored, None);
    }
    let refused = worker.load(&ordered(&[row(9, "d")])).await;
    assert_eq!(refusal(&refused), Some(Kind::BadData), "{refused:?}");
    let mut expected = rows(&["d", "c"]);
    for verb in scene.fixture.verbs() {
        let (batch, stored) = match *verb {
            // The second has a word that is there already.
            "INSERT IGNORE" => (ordered(&[row(3, "e"), row(4, "d")]), Some(1)),
            _ => (ordered(&[row(3, "f"), row(2, "g")]), None),
        };
        let loaded = worker.load(&RowBatch { verb, ..batch }).await?;
        assert_eq!(loaded.stored, stored, "{verb}");
        expected = match *verb {
            "INSERT IGNORE" => rows(&["d", "c", "e"]),
            _ => rows(&["d", "g", "f"]),
        };
    }
    assert_eq!(worker.complete("t").await?.rows, expected.len() as u64);
    let plan = plan(1, [("t".to_owned(), TableRecord::default())].into());
    scene.go_live(&mut *target, stage, &plan).await?;
    assert_eq!(scene.rows("t"), expected);
    Ok(())
}

async fn each_batch_brings_its_session(scene: &Scene) -> Result<(), Error> {
    /// 2024-01-01 12:00:00 at Greenwich, unix seconds.
    const NOON: i64 = 1_704_110_400;
    let mut target = scene.target().await?;
    let mut stage = target.stage().await?;
    stage
        .create_table("t", scene.fixture.moments("t").as_bytes())
        .await?;
    let (mut one, mut two) = (stage.worker().await?, stage.worker().await?);
    let mut expected = Vec::new();
    for (id, hours) in [(1_i64, 2_i8), (2, -5), (3, 2), (4, 0)] {
        let zone = scene.fixture.time_zone(hours);
        stage.execute(zone.as_bytes()).await?;
        let session = stage.session().await?;
        let moment = batch(&session, "t", &format!("({id},'2024-01-01 12:00:00')"));
        let worker = if id == 2 { &mut two } else { &mut one };
        worker.load(&moment).await?;
        expected.push(NOON - 3600 * i64::from(hours));
    }
    assert_eq!(one.complete("t").await?.rows, 4);
    let plan = plan(1, [("t".to_owned(), TableRecord::default())].into());
    scene.go_live(&mut *target, stage, &plan).await?;
    assert_eq!(scene.fixture.epochs(&scene.database, "t"), expected);
    Ok(())
}
