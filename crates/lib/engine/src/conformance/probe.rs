//! Looking at a server.

use crate::{Engine, Error};

/// Runs SQL on the server as its administrator, by other means than the engine under test.
pub type Admin<'a> = &'a (dyn Fn(&str) + Sync);

/// Checks [`crate::Probe`] against a fresh, writable server that nobody loaded anything into. The
/// account under test may read databases whose names start with `app`.
///
/// # Errors
/// Where the engine refuses what it should do.
pub async fn run(engine: &dyn Engine, admin: Admin<'_>) -> Result<(), Error> {
    describes_the_server(engine, admin).await?;
    counts_rows(engine, admin).await?;
    judges_queries(engine).await?;
    assert!(
        engine.probe().live_releases().await?.is_empty(),
        "nothing was loaded"
    );
    Ok(())
}

async fn describes_the_server(engine: &dyn Engine, admin: Admin<'_>) -> Result<(), Error> {
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
    admin("SET GLOBAL read_only = ON");
    assert!(
        engine.probe().server().await?.read_only,
        "read_only was switched on"
    );
    admin("SET GLOBAL read_only = OFF");
    assert!(
        !engine.probe().server().await?.read_only,
        "read_only was switched off"
    );
    Ok(())
}

async fn counts_rows(engine: &dyn Engine, admin: Admin<'_>) -> Result<(), Error> {
    let probe = engine.probe();
    let absent = probe.rows_at_least(Some("app_probe"), "t", 0).await;
    assert!(
        matches!(absent, Err(Error::Denied(_) | Error::Sql { .. })),
        "{absent:?}"
    );
    admin("CREATE DATABASE app_probe");
    let absent = probe.rows_at_least(Some("app_probe"), "t", 0).await;
    assert!(matches!(absent, Err(Error::Sql { .. })), "{absent:?}");
    for name in ["t", "a`b.c", "naïve ☃"] {
        let quoted = format!("app_probe.`{}`", name.replace('`', "``"));
        admin(&format!("CREATE TABLE {quoted} (id INT)"));
        assert!(
            probe.rows_at_least(Some("app_probe"), name, 0).await?,
            "{name} is there"
        );
        assert!(
            !probe.rows_at_least(Some("app_probe"), name, 1).await?,
            "{name} is empty"
        );
        admin(&format!("INSERT INTO {quoted} VALUES (1), (2)"));
        assert!(
            probe.rows_at_least(Some("app_probe"), name, 2).await?,
            "{name} has two rows"
        );
        assert!(
            !probe.rows_at_least(Some("app_probe"), name, 3).await?,
            "{name} has no third row"
        );
    }
    admin("DROP DATABASE app_probe");
    Ok(())
}

async fn judges_queries(engine: &dyn Engine) -> Result<(), Error> {
    let probe = engine.probe();
    for sql in [
        "SELECT 1",
        "SELECT 'yes'",
        "SELECT -0.5",
        "SELECT 1, 0",
        "SELECT 1 UNION SELECT 0",
    ] {
        assert!(probe.query_is_true(sql).await?, "{sql}");
    }
    for sql in [
        "SELECT 0",
        "SELECT NULL",
        "SELECT ''",
        "SELECT 0.00",
        "DO 1",
        "SELECT 1 WHERE 1 = 0",
    ] {
        assert!(!probe.query_is_true(sql).await?, "{sql}");
    }
    let wrong = probe.query_is_true("SELEKT 1").await;
    assert!(
        matches!(wrong, Err(Error::Sql { code: 1064, .. })),
        "{wrong:?}"
    );
    Ok(())
}
