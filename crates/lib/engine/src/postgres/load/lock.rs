//! One loader at a time in a database: an advisory lock of the control session, gone with that session.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::GenericClient;

use crate::Error;
use crate::postgres::cell;

/// The lock's first number, `pilo`; the second is the name of the database, since a lock may be taken from another one
/// before that is made.
const KEY: i32 = 0x7069_6c6f;

/// For the session of a loader that has just ended to be gone.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// Who has the lock, if anybody. The view shows a lock of two numbers with `objsubid` 2.
const HOLDER: &str = "SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
    AND classid = $1::int4::oid AND objid::int8 = (hashtext($2)::int8 & 4294967295) AND objsubid = 2";

/// The lock, as the other sessions of its loader see it.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    database: String,
    /// The control session's process on the server.
    holder: i32,
}

impl Lock {
    /// Takes the lock of the session's database.
    ///
    /// # Errors
    /// `Locked` when another loader has it.
    pub(super) async fn take(client: &impl GenericClient, database: &str) -> Result<Self, Error> {
        let until = Instant::now() + PATIENCE;
        loop {
            let row = client
                .query_one(
                    "SELECT pg_try_advisory_lock($1, hashtext($2)), pg_backend_pid()",
                    &[&KEY, &database],
                )
                .await?;
            if cell(&row, 0)? {
                let holder = cell(&row, 1)?;
                let database = database.to_owned();
                return Ok(Self { database, holder });
            }
            if Instant::now() >= until {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let holder = holder(client, database).await?.unwrap_or_default();
        Err(Error::Locked(format!(
            "another loader is at work on {database} (process {holder}): wait for it, or end it"
        )))
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
        let rows = client.query(HOLDER, &[&KEY, &self.database]).await?;
        for row in &rows {
            if cell::<i32>(row, 0)? == self.holder {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Asked before each write to the stage: whoever ended the control session may have started another
    /// loader, and this one's rows must not end up among its rows.
    ///
    /// # Errors
    /// `Locked` when the control session is gone.
    pub(super) async fn held(&self, client: &impl GenericClient) -> Result<(), Error> {
        if self.is_held(client).await? {
            return Ok(());
        }
        Err(Error::Locked(format!(
            "the server ended the session that holds the loader's lock (process {}): load again",
            self.holder
        )))
    }
}

/// The process that has the lock of a database.
async fn holder(client: &impl GenericClient, database: &str) -> Result<Option<i32>, Error> {
    let rows = client.query(HOLDER, &[&KEY, &database]).await?;
    rows.first().map(|row| cell(row, 0)).transpose()
}
