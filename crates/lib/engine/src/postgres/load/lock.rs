//! One loader at a time in a database: an advisory lock of the control session, gone with that session.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::GenericClient;

use crate::Error;
use crate::load::Seen;
use crate::postgres::cell;

/// The lock's first number, `pilo`; the second is the name of the database, since a lock may be taken from another one
/// before that is made.
const KEY: i32 = 0x7069_6c6f;

/// For the session of a loader that has just ended to be gone.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

const TRY: &str = "SELECT pg_try_advisory_lock($1, hashtext($2)), pg_backend_pid()";
const LET_GO: &str = "SELECT pg_advisory_unlock($1, hashtext($2))";

/// Who has the lock, in any database. The view shows a lock of two numbers with `objsubid` 2.
const HOLDERS: &str = "SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
    AND classid = $1::int4::oid AND objid::int8 = (hashtext($2)::int8 & 4294967295) AND objsubid = 2";

/// The lock, as the other sessions of its loader see it.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    database: String,
    /// The control session's process on the server.
    holder: i32,
    /// When one of its loader's sessions last saw it.
    seen: Seen,
}

impl Lock {
    /// Takes the lock of a database.
    ///
    /// # Errors
    /// `Locked` when another loader has it.
    pub(super) async fn take(client: &impl GenericClient, database: &str) -> Result<Self, Error> {
        Self::obtain(client, database, None).await
    }

    /// The same lock for another session of its loader, which may be in another database: one of them has it at any
    /// moment.
    ///
    /// # Errors
    /// `Locked` when another loader has it.
    pub(super) async fn share(&self, client: &impl GenericClient) -> Result<Self, Error> {
        Self::obtain(client, &self.database, Some(self.holder)).await
    }

    async fn obtain(
        client: &impl GenericClient,
        database: &str,
        mine: Option<i32>,
    ) -> Result<Self, Error> {
        let until = Instant::now() + PATIENCE;
        loop {
            let row = client.query_one(TRY, &[&KEY, &database]).await?;
            let (granted, own): (bool, i32) = (cell(&row, 0)?, cell(&row, 1)?);
            // The server knows one such lock in each database; a loader that renames them is in another one.
            let others = holders(client, database).await?;
            let other = others
                .into_iter()
                .find(|pid| *pid != own && Some(*pid) != mine);
            if granted && other.is_none() {
                return Ok(Self {
                    database: database.to_owned(),
                    holder: own,
                    seen: Seen::default(),
                });
            }
            if granted {
                client.execute(LET_GO, &[&KEY, &database]).await?;
            }
            if Instant::now() >= until {
                let holder = other.unwrap_or_default();
                return Err(Error::Locked(format!(
                    "another loader is at work on {database} (process {holder}): wait for it, or end it"
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes the lock over from the loader's own session of before, which ends.
    ///
    /// # Errors
    /// `Locked` when another loader was quicker.
    pub(super) async fn take_over(&self, client: &impl GenericClient) -> Result<Self, Error> {
        // After a restart of the server the number may be a stranger's.
        if self.is_held(client).await? {
            let ended = client
                .execute("SELECT pg_terminate_backend($1)", &[&self.holder])
                .await;
            if let Err(error) = ended {
                tracing::debug!(%error, "the session of before is not ended");
            }
        }
        Self::take(client, &self.database).await
    }

    async fn is_held(&self, client: &impl GenericClient) -> Result<bool, Error> {
        let holders = holders(client, &self.database).await?;
        Ok(holders.contains(&self.holder))
    }

    /// Asked before each write to the stage: whoever ended the control session may have started another
    /// loader, and this one's rows must not end up among its rows.
    ///
    /// # Errors
    /// `Locked` when the control session is gone.
    pub(super) async fn held(&self, client: &impl GenericClient) -> Result<(), Error> {
        if self.seen.is_fresh() {
            return Ok(());
        }
        let asked = Instant::now();
        if self.is_held(client).await? {
            self.seen.note(asked);
            return Ok(());
        }
        Err(Error::Locked(format!(
            "the server ended the session that holds the loader's lock (process {}): load again",
            self.holder
        )))
    }
}

/// The processes that have the lock of a database, in whichever database they are.
async fn holders(client: &impl GenericClient, database: &str) -> Result<Vec<i32>, Error> {
    let rows = client.query(HOLDERS, &[&KEY, &database]).await?;
    rows.iter().map(|row| cell(row, 0)).collect()
}
