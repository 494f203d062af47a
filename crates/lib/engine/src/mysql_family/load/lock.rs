//! One loader at a time: a user lock of the control session, gone with that session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mysql_async::Conn;

use super::names::{Names, literal};
use crate::Error;
use crate::mysql_family::ask::Ask as _;

/// Seconds for the connection of a loader that has just ended to be gone.
const LOCK_WAIT: u8 = 2;

/// So long an answer of the server counts. Another loader's first rows take longer: it looks at what is live, and drops
/// the stage of before.
const FRESH: Duration = Duration::from_millis(20);

/// The lock, as the other sessions of its loader see it.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    name: String,
    /// The control session's id on the server.
    holder: u64,
    /// When one of its loader's sessions last saw it.
    seen: Arc<Mutex<Option<Instant>>>,
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
                seen: Arc::default(),
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
        let asked = Instant::now();
        let seen = *self.seen();
        if seen.is_some_and(|seen| asked.duration_since(seen) < FRESH) {
            return Ok(());
        }
        if self.is_held(conn).await? {
            *self.seen() = Some(asked);
            return Ok(());
        }
        Err(Error::Locked(format!(
            "the server ended the session that holds the loader's lock (connection {}): load again",
            self.holder
        )))
    }

    fn seen(&self) -> MutexGuard<'_, Option<Instant>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
