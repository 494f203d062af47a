//! One loader at a time: a user lock of the control session, gone with that session.

use mysql_async::Conn;
use tokio::time::Instant;

use super::names::{Names, literal};
use crate::Error;
use crate::load::Seen;
use crate::mysql_family::ask::Ask as _;

/// Seconds for the connection of a loader that has just ended to be gone.
const LOCK_WAIT: u8 = 2;

/// The lock, as the other sessions of its loader see it.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    name: String,
    /// The control session's id on the server.
    holder: u64,
    /// When one of its loader's sessions last saw it.
    seen: Seen,
}

impl Lock {
    /// Takes the lock of a live database for this session.
    ///
    /// # Errors
    /// `Locked` when another loader has it.
    pub(super) async fn take(conn: &mut Conn, names: &Names) -> Result<Self, Error> {
        let name = literal(&names.lock);
        // Behind a proxy the greeting has another id than the server.
        let answer: Option<(Option<u8>, Option<u64>, u64)> = conn
            .query_first(format!(
                "SELECT GET_LOCK({name}, {LOCK_WAIT}), IS_USED_LOCK({name}), CONNECTION_ID()"
            ))
            .await?;
        match answer {
            Some((Some(1), _, holder)) => Ok(Self {
                name,
                holder,
                seen: Seen::default(),
            }),
            answer => {
                let holder = answer.and_then(|(_, holder, _)| holder).unwrap_or(0);
                Err(Error::Locked(format!(
                    "another loader is at work on {} (connection {holder}): wait for it, or end it",
                    names.live
                )))
            }
        }
    }

    /// Takes the lock over from the loader's own session of before, which ends.
    ///
    /// # Errors
    /// `Locked` when another loader was quicker.
    pub(super) async fn take_over(&self, conn: &mut Conn, names: &Names) -> Result<Self, Error> {
        // After a restart of the server the number may be a stranger's.
        if self.is_held(conn).await?
            && let Err(error) = conn.query_drop(format!("KILL {}", self.holder)).await
        {
            tracing::debug!(%error, "the session of before is not ended");
        }
        Self::take(conn, names).await
    }

    async fn is_held(&self, conn: &mut Conn) -> Result<bool, Error> {
        let held: Option<Option<bool>> = conn
            .query_first(format!(
                "SELECT IS_USED_LOCK({}) = {}",
                self.name, self.holder
            ))
            .await?;
        Ok(held.flatten() == Some(true))
    }

    /// Asked before each write to the stage: whoever ended the control session may have started another
    /// loader, and this one's rows must not end up among its rows.
    ///
    /// # Errors
    /// `Locked` when the control session is gone.
    pub(super) async fn held(&self, conn: &mut Conn) -> Result<(), Error> {
        if self.seen.is_fresh() {
            return Ok(());
        }
        let asked = Instant::now();
        if self.is_held(conn).await? {
            self.seen.note(asked);
            return Ok(());
        }
        Err(Error::Locked(format!(
            "the server ended the session that holds the loader's lock (connection {}): load again",
            self.holder
        )))
    }
}
