use pilotfish_engine::{EngineName, Error, conformance, open};
use pilotfish_harness::{Server, ServerKind, World};

use super::settings;

async fn suite(kind: ServerKind, name: &str) {
    let world = World::new();
    let server = Server::start(kind, &world, &[]);
    let engine = open(&settings(&["--url", &server.url()])).await.unwrap();
    assert_eq!(engine.name(), name);
    conformance::probe::run(&*engine, &|sql| drop(server.sql(sql)))
        .await
        .unwrap();
}

#[tokio::test]
async fn mariadb_10_11_conforms() {
    suite(ServerKind::MariaDb1011, "mariadb").await;
}

#[tokio::test]
async fn mariadb_11_8_conforms() {
    suite(ServerKind::MariaDb118, "mariadb").await;
}

#[tokio::test]
async fn mysql_9_7_conforms() {
    suite(ServerKind::MySql97, "mysql").await;
}

#[tokio::test]
async fn the_wrong_engine_is_named() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &[]);
    let mut settings = settings(&["--url", &server.url()]);
    settings.engine = Some(EngineName::MySql);
    let engine = open(&settings).await.unwrap();
    let error = engine.probe().server().await.unwrap_err();
    assert!(
        matches!(&error, Error::Config(why) if why.contains("--engine mysql is wrong")),
        "{error}"
    );
}

#[tokio::test]
async fn an_account_that_may_not_see_replication_says_so() {
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        server.sql("CREATE USER 'plain'@'127.0.0.1' IDENTIFIED BY 'secret'");
        let url = format!("mysql://plain:secret@127.0.0.1:{}", server.port());
        let engine = open(&settings(&["--url", &url])).await.unwrap();
        let seen = engine.probe().server().await.unwrap();
        assert_eq!(
            (seen.replica, seen.replica_hidden),
            (None, true),
            "{seen:?}"
        );
    }
}
