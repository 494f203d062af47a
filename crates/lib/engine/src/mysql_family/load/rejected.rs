//! The book of releases that were rolled back: they stay away until somebody forgives them.

use mysql_async::{Conn, params};

use super::ledger::ABSENT;
use super::names::LEDGER;
use super::target::MysqlTarget;
use crate::Error;
use crate::load::Release;
use crate::mysql_family::ask::Ask as _;

/// Makes the book where it is not there yet.
pub(super) async fn prepare(conn: &mut Conn) -> Result<(), Error> {
    conn.query_drop(format!(
        "CREATE TABLE IF NOT EXISTS {LEDGER}.rejected (db VARCHAR(64) CHARACTER SET utf8mb4 COLLATE \
         utf8mb4_bin NOT NULL, digest CHAR(64) CHARACTER SET ascii NOT NULL, contents CHAR(64) CHARACTER SET \
         ascii NOT NULL DEFAULT '', PRIMARY KEY (db, digest)) ENGINE=InnoDB"
    ))
    .await?;
    Ok(())
}

/// See [`super::ledger::take_over`].
pub(super) async fn take_over(conn: &mut Conn, database: &str) -> Result<(), Error> {
    conn.exec_drop(
        format!("UPDATE IGNORE {LEDGER}.rejected SET db = :db WHERE db <> :db AND LOWER(db) = LOWER(:db)"),
        params! { "db" => database },
    )
    .await?;
    Ok(())
}

/// The releases rolled back in this database: digest and contents of each.
pub(super) async fn list(conn: &mut Conn, database: &str) -> Result<Vec<(String, String)>, Error> {
    let releases = conn
        .exec(
            format!(
                "SELECT digest, contents FROM {LEDGER}.rejected WHERE db = :db ORDER BY digest"
            ),
            params! { "db" => database },
        )
        .await
        .map_err(Error::from);
    match releases {
        Err(error) if error.number().is_some_and(|code| ABSENT.contains(&code)) => Ok(Vec::new()),
        releases => releases,
    }
}

/// Notes that a release is rejected, or not: also on replicas that never had it.
pub(super) async fn book(
    target: &mut MysqlTarget,
    release: &Release,
    reject: bool,
) -> Result<(), Error> {
    if release.unlogged {
        target.log_statements(true).await?;
    }
    let live = target.access.names.live.clone();
    let own = std::iter::once((&release.digest, &release.contents));
    let also = release
        .also
        .iter()
        .map(|(digest, contents)| (digest, contents));
    for (digest, contents) in own.chain(also) {
        if reject {
            add(&mut target.conn, &live, digest, contents).await?;
        } else {
            forgive(&mut target.conn, &live, digest).await?;
        }
    }
    if release.unlogged {
        target.log_statements(false).await?;
    }
    Ok(())
}

/// Notes that a release was rolled back, by both of its names.
async fn add(conn: &mut Conn, database: &str, digest: &str, contents: &str) -> Result<(), Error> {
    conn.exec_drop(
        format!(
            "REPLACE INTO {LEDGER}.rejected (db, digest, contents) VALUES (:db, :digest, :contents)"
        ),
        params! { "db" => database, "digest" => digest, "contents" => contents },
    )
    .await?;
    Ok(())
}

/// Takes a release off that list, by either name.
pub(super) async fn forgive(conn: &mut Conn, database: &str, digest: &str) -> Result<(), Error> {
    // Tables that were taken over are a release without name; many releases have no second one.
    if digest.is_empty() {
        return Ok(());
    }
    conn.exec_drop(
        format!(
            "DELETE FROM {LEDGER}.rejected WHERE db = :db AND (digest = :digest OR contents = :digest)"
        ),
        params! { "db" => database, "digest" => digest },
    )
    .await?;
    Ok(())
}
