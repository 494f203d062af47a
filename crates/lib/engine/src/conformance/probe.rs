//! Looking at a server.

use crate::{Engine, Error};

/// The server's administrator, by other means than the engine under test.
pub trait Admin: Sync {
    /// Runs SQL.
    fn sql(&self, sql: &str);
    /// Makes the server refuse writes of ordinary accounts, or take them again.
    fn read_only(&self, on: bool);
    /// What holds tables: `DATABASE`, or `SCHEMA` of the session's own database. The account under test may read
    /// those whose names start with `app`.
    fn space(&self) -> &'static str;
    /// An identifier in quotes.
    fn quote(&self, name: &str) -> String;
}

/// Checks [`crate::Probe`] against a fresh, writable server that nobody loaded anything into.
///
/// # Errors
/// Where the engine refuses what it should do.
pub async fn run(engine: &dyn Engine, admin: &dyn Admin) -> Result<(), Error> {
    describes_the_server(engine, admin).await?;
    counts_rows(engine, admin).await?;
    judges_queries(engine).await?;
    assert!(
        engine.probe().live_releases().await?.is_empty(),
        "nothing was loaded"
    );
    Ok(())
}

async fn describes_the_server(engine: &dyn Engine, admin: &dyn Admin) -> Result<(), Error> {
    let before = engine.probe().server().await?;
    assert_eq!(before.flavour, engine.name());
    assert!(
        before.version.starts_with(|c: char| c.is_ascii_digit()),
        "{before:?}"
    );
    assert!(before.networking && !before.read_only, "{before:?}");
    assert_eq!(
        (before.replica, before.replica_hidden),
        (None, false),
        "it follows nobody"
    );
    assert!(before.started_at > 0, "{before:?}");
    admin.read_only(true);
    assert!(
        engine.probe().server().await?.read_only,
        "read_only was switched on"
    );
    admin.read_only(false);
    assert!(
        !engine.probe().server().await?.read_only,
        "read_only was switched off"
    );
    Ok(())
}

async fn counts_rows(engine: &dyn Engine, admin: &dyn Admin) -> Result<(), Error> {
    let probe = engine.probe();
    let absent = probe.rows_at_least(Some("app_probe"), "t", 0).await;
    assert!(
        matches!(absent, Err(Error::Denied(_) | Error::Sql { .. })),
        "{absent:?}"
    );
    admin.sql(&format!("CREATE {} app_probe", admin.space()));
    let absent = probe.rows_at_least(Some("app_probe"), "t", 0).await;
    assert!(matches!(absent, Err(Error::Sql { .. })), "{absent:?}");
    for name in ["t", "a`b.c", "a\"b", "naïve ☃"] {
        let quoted = format!("app_probe.{}", admin.quote(name));
        admin.sql(&format!("CREATE TABLE {quoted} (id INT)"));
        assert!(
            probe.rows_at_least(Some("app_probe"), name, 0).await?,
            "{name} is there"
        );
        assert!(
            !probe.rows_at_least(Some("app_probe"), name, 1).await?,
            "{name} is empty"
        );
        admin.sql(&format!("INSERT INTO {quoted} VALUES (1), (2)"));
        assert!(
            probe.rows_at_least(Some("app_probe"), name, 2).await?,
            "{name} has two rows"
        );
        assert!(
            !probe.rows_at_least(Some("app_probe"), name, 3).await?,
            "{name} has no third row"
        );
        admin.sql(&format!("DROP TABLE {quoted}"));
    }
    admin.sql(&format!("DROP {} app_probe", admin.space()));
    Ok(())
}

async fn judges_queries(engine: &dyn Engine) -> Result<(), Error> {
    let probe = engine.probe();
    for sql in [
        "SELECT 1",
        "SELECT 'yes'",
        "SELECT -0.5",
        "SELECT 1, 0",
        "SELECT 1 UNION ALL SELECT 0",
    ] {
        assert!(probe.query_is_true(sql).await?, "{sql}");
    }
    for sql in [
        "SELECT 0",
        "SELECT NULL",
        "SELECT ''",
        "SELECT 0.00",
        "SELECT 1 WHERE 1 = 0",
    ] {
        assert!(!probe.query_is_true(sql).await?, "{sql}");
    }
    let wrong = probe.query_is_true("SELEKT 1").await;
    assert!(wrong.as_ref().is_err_and(Error::is_mistake), "{wrong:?}");
    Ok(())
}
