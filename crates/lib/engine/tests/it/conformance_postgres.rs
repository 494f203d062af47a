//! PostgreSQL and the promises of `Load`: what its fixture spells is what the server means.

use std::sync::Arc;

use pilotfish_engine::conformance::Fixture;
use pilotfish_harness::PostgresKind;

use super::fixture_postgres::PostgresFixture;

conforms! { postgres_15: PostgresFixture::start(PostgresKind::Postgres15); }
conforms! { postgres_18: PostgresFixture::start(PostgresKind::Postgres18); }

const DATABASE: &str = "app_fixture";

fn ask(fixture: &Arc<dyn Fixture>, sql: &str) -> String {
    let answer = fixture.ask(Some(DATABASE), sql);
    assert!(answer.is_ok(), "{sql}: {answer:?}");
    answer.unwrap()
}

async fn fixture_with_database(kind: PostgresKind) -> Arc<dyn Fixture> {
    let fixture = PostgresFixture::start(kind).await;
    fixture
        .ask(None, &format!("CREATE DATABASE {DATABASE}"))
        .unwrap();
    fixture
}

#[tokio::test]
async fn rows_read_back_as_they_were_spelt() {
    for kind in PostgresKind::all() {
        let fixture = fixture_with_database(kind).await;
        let odd = fixture.odd_tuples();
        for table in ["singly", "together", "plain"] {
            ask(&fixture, &fixture.table(table));
        }
        for tuple in odd {
            ask(&fixture, &format!("INSERT INTO singly VALUES {tuple}"));
        }
        ask(
            &fixture,
            &format!("INSERT INTO together VALUES {}", odd.join(",")),
        );
        let singly = fixture.rows(DATABASE, "singly").unwrap();
        assert_eq!(singly.len(), odd.len());
        assert_eq!(fixture.rows(DATABASE, "together").unwrap(), singly);
        ask(
            &fixture,
            &format!("INSERT INTO plain VALUES {}", fixture.tuples(&singly)),
        );
        assert_eq!(fixture.rows(DATABASE, "plain").unwrap(), singly);
    }
}

#[tokio::test]
async fn definitions_and_statements_do_what_the_suites_mean() {
    for kind in PostgresKind::all() {
        let fixture = fixture_with_database(kind).await;
        ask(&fixture, &fixture.table("a"));
        ask(&fixture, &fixture.child("b", "a"));
        ask(&fixture, &fixture.moments("m"));
        ask(&fixture, &fixture.view("v", "a"));
        for (_, _, sql) in fixture.trigger("shout", "a") {
            ask(&fixture, &sql);
        }
        ask(&fixture, "INSERT INTO a VALUES (1, 'one')");
        let again = format!("INSERT INTO a VALUES (1, 'two') {}", fixture.upsert());
        ask(&fixture, &again);
        assert_eq!(ask(&fixture, "SELECT word FROM v"), "TWO\n");
        assert!(
            fixture
                .ask(Some(DATABASE), "INSERT INTO b VALUES (1, 'none')")
                .is_err()
        );
        for (id, hours) in [(1, 2), (2, -5)] {
            let zone = fixture.time_zone(hours);
            ask(
                &fixture,
                &format!("{zone}; INSERT INTO m VALUES ({id}, '1970-01-01 00:00:00')"),
            );
        }
        assert_eq!(fixture.epochs(DATABASE, "m"), [-7200, 18000]);
        let names: Vec<_> = fixture.tables(DATABASE).into_iter().collect();
        assert_eq!(names, ["a", "b", "m", "v"]);
        // Three constraints of `a` and the index of each; `NOT NULL` is a fourth since 18.
        let keys = fixture.keys(DATABASE, "a");
        assert!(keys.len() >= 6, "{keys:?}");
        assert!(!keys.iter().any(|key| key.contains("public")), "{keys:?}");
        ask(&fixture, &fixture.reach(DATABASE, "a"));
        assert_eq!(fixture.rows(DATABASE, "a").unwrap(), []);
    }
}

#[tokio::test]
async fn the_administrator_has_the_means_that_the_suites_use() {
    let fixture = fixture_with_database(PostgresKind::Postgres15).await;
    ask(&fixture, &fixture.table("a"));
    ask(&fixture, "CREATE SCHEMA pilotfish_next_public");
    let beside = format!("{DATABASE}/pilotfish_next_public");
    fixture
        .ask(Some(&beside), &fixture.table("staged"))
        .unwrap();
    assert!(fixture.databases().contains(&beside));
    assert_eq!(fixture.rows(&beside, "staged"), Ok(Vec::new()));
    assert!(fixture.tables(&beside).contains("staged"));
    assert!(fixture.tables("nowhere").is_empty());

    let reader = fixture.hold(DATABASE, "a");
    let impatient = "SET lock_timeout = '50ms'; ALTER TABLE a ADD more integer";
    assert!(fixture.ask(Some(DATABASE), impatient).is_err());
    drop(reader);
    ask(&fixture, impatient);

    fixture.read_only(true);
    let insert = "INSERT INTO a VALUES (1, 'one')";
    assert!(fixture.ask(Some(DATABASE), insert).is_err());
    fixture.read_only(false);
    ask(&fixture, insert);
    fixture.restart();
    assert_eq!(fixture.rows(DATABASE, "a").unwrap().len(), 1);
}
