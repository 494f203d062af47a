use pilotfish_engine::conformance::probe::{self, Admin};
use pilotfish_engine::{EngineName, Error, open};
use pilotfish_harness::{Postgres, PostgresKind, Server, ServerKind, World};

use super::settings;

/// The root of a MariaDB or MySQL.
struct Root<'a>(&'a Server);

impl Admin for Root<'_> {
    fn sql(&self, sql: &str) {
        self.0.sql(sql);
    }

    fn read_only(&self, on: bool) {
        self.sql(&format!("SET GLOBAL read_only = {}", u8::from(on)));
    }

    fn space(&self) -> &'static str {
        "DATABASE"
    }

    fn quote(&self, name: &str) -> String {
        format!("`{}`", name.replace('`', "``"))
    }
}

/// The superuser of a PostgreSQL, in the database `app`.
struct Superuser<'a>(&'a Postgres);

impl Admin for Superuser<'_> {
    fn sql(&self, sql: &str) {
        self.0.sql("app", &format!("SET ROLE pilotfish; {sql}"));
    }

    fn read_only(&self, on: bool) {
        let on = format!("ALTER SYSTEM SET default_transaction_read_only = {on}");
        self.0.sql("app", &on);
        self.0.sql("app", "SELECT pg_reload_conf(), pg_sleep(0.2)");
    }

    fn space(&self) -> &'static str {
        "SCHEMA"
    }

    fn quote(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

async fn postgres_suite(kind: PostgresKind) {
    let world = World::new();
    let server = Postgres::start(kind, &world, &[]);
    let engine = open(&settings(&["--url", &server.url()])).await.unwrap();
    assert_eq!(engine.name(), "postgres");
    probe::run(&*engine, &Superuser(&server)).await.unwrap();
}

#[tokio::test]
async fn postgres_15_conforms() {
    postgres_suite(PostgresKind::Postgres15).await;
}

#[tokio::test]
async fn postgres_18_conforms() {
    postgres_suite(PostgresKind::Postgres18).await;
}

async fn suite(kind: ServerKind, name: &str) {
    let world = World::new();
    let server = Server::start(kind, &world, &[]);
    let engine = open(&settings(&["--url", &server.url()])).await.unwrap();
    assert_eq!(engine.name(), name);
    probe::run(&*engine, &Root(&server)).await.unwrap();
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
