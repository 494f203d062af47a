//! The releases of all databases of a server.

use super::database::is_ours;
use super::ledger::{self, Role};
use super::objects;
use crate::Error;
use crate::load::Status;
use crate::postgres::connect::Session;
use crate::postgres::{Postgres, cell};

/// Databases that an account may look into. The ledger is in each: one session per database, one after the other.
const DATABASES: &str = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate \
    AND pg_catalog.has_database_privilege(datname, 'CONNECT') ORDER BY 1";

/// Every database with a ledger, in name order.
pub(super) async fn all(server: &Postgres) -> Result<Vec<Status>, Error> {
    let mut all = Vec::new();
    let mut hidden = Vec::new();
    for database in databases(server).await? {
        let session = match server.session(Some(&database)).await {
            Ok(session) => {
                session.batch_execute(super::SETUP).await?;
                session
            }
            // Dropped or renamed since it was listed, or closed to this account by pg_hba.conf.
            Err(
                error @ (Error::Config(_)
                | Error::Denied(_)
                | Error::LoginRefused(_)
                | Error::Sql { .. }),
            ) => {
                tracing::debug!(database, %error, "not looked into");
                continue;
            }
            Err(error) => return Err(error),
        };
        match one(&session, &database).await {
            // Of several, those of others are none of this account's business.
            Err(Error::Denied(why)) => hidden.push(format!("{database}: {why}")),
            status => all.extend(status?),
        }
        session.close().await;
    }
    if all.is_empty() && !hidden.is_empty() {
        return Err(Error::Denied(format!(
            "read the ledger in the database {}",
            hidden.join(", ")
        )));
    }
    Ok(all)
}

pub(super) async fn databases(server: &Postgres) -> Result<Vec<String>, Error> {
    let session = server.session(None).await?;
    let rows = session.query(DATABASES, &[]).await?;
    session.close().await;
    let mut names = Vec::new();
    for row in &rows {
        let name: String = cell(row, 0)?;
        if !is_ours(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether a database has a ledger. Asked of the catalogue: a server writes into its log what is not there.
pub(in crate::postgres) const HAS_LEDGER: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'pilotfish' AND c.relname = 'releases')";

/// What the ledger of the session's database says; `None` where there is none.
pub(in crate::postgres) async fn one(
    session: &Session,
    database: &str,
) -> Result<Option<Status>, Error> {
    if !cell(&session.query_one(HAS_LEDGER, &[]).await?, 0)? {
        return Ok(None);
    }
    let live = match ledger::read(&**session, Role::Live).await {
        Ok(None) => return Ok(None),
        outcome => outcome?.unwrap_or_default(),
    };
    let previous = ledger::read(&**session, Role::Previous).await?;
    let (rejected, rejected_contents) = ledger::rejected(&**session).await?.into_iter().unzip();
    let there = objects::of(&**session, &objects::themselves(&live.schemas)).await?;
    let recorded = live.release.tables.keys().chain(&live.objects);
    let missing: std::collections::BTreeSet<_> =
        recorded.filter(|name| !there.contains_key(*name)).collect();
    Ok(Some(Status {
        database: database.to_owned(),
        digest: live.release.digest.clone(),
        contents: live.release.contents.clone(),
        rewriting: live.release.rewriting,
        since: live.release.since,
        finishing: false,
        previous: previous.map(|previous| previous.release.digest),
        rejected,
        rejected_contents,
        tables: live.release.tables.len() as u64,
        missing: missing.len() as u64,
    }))
}
