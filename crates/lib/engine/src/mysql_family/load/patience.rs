//! DDL that never waits in a lock queue.
//!
//! Readers that come later queue behind a DDL that waits, so it takes all of its locks at once or tries
//! again a moment later. MySQL cannot wait for less than a second.

use std::time::{Duration, Instant};

use pilotfish_sql::Flavour;

use super::journal;
use super::ledger::Entry;
use super::target::MysqlTarget;
use crate::Error;
use crate::mysql_family::ask::Ask as _;

/// Between two tries for the locks: long enough to let readers through (measured: 0 errors, 0 mixes).
const PAUSE: Duration = Duration::from_millis(2);
/// `ER_LOCK_WAIT_TIMEOUT`; `ER_LOCK_DEADLOCK`, where MySQL chooses the DDL as victim.
pub(super) const LOCKED: &[u16] = &[1205, 1213];

/// How long to look for a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    deadline: Instant,
    /// What was begun is put right also when the process shall end.
    stubborn: bool,
}

impl Limit {
    /// So long, or until the process shall end.
    pub(super) fn of(patience: Duration) -> Self {
        Self {
            deadline: Instant::now() + patience,
            stubborn: false,
        }
    }

    /// The same, and no longer than this.
    pub(super) fn at_most(self, longest: Duration) -> Self {
        let deadline = self.deadline.min(Instant::now() + longest);
        Self { deadline, ..self }
    }

    pub(super) fn is_over(self) -> bool {
        Instant::now() >= self.deadline
    }

    /// So long, whatever happens.
    pub(super) fn stubborn(patience: Duration) -> Self {
        Self {
            stubborn: true,
            ..Self::of(patience)
        }
    }
}

/// Runs an entry until it found a moment, or the limit is reached.
pub(super) async fn patiently(
    target: &mut MysqlTarget,
    entry: &Entry,
    limit: Limit,
) -> Result<(), Error> {
    target
        .conn
        .query_drop(without_queueing(target.access.flavour))
        .await?;
    let mut tries = 0_u32;
    let outcome = loop {
        tries += 1;
        match journal::run(target, entry).await {
            Err(error) if found_locks(&error) => {
                if target.access.options.cancel.is_cancelled() && !limit.stubborn {
                    break Err(Error::Stopped(entry.key.clone()));
                }
                if Instant::now() >= limit.deadline {
                    let who = holder(target).await;
                    break Err(Error::Locked(format!(
                        "{}: others held the tables at each of {tries} tries; {who}",
                        entry.key
                    )));
                }
                tokio::time::sleep(PAUSE).await;
            }
            outcome => break outcome,
        }
    };
    tracing::debug!(doing = entry.key, tries, "took the locks");
    target.settle().await?;
    outcome
}

/// Who probably holds the tables, as advice; a right to ask is not needed for a load.
async fn holder(target: &mut MysqlTarget) -> String {
    let oldest: Result<Option<(u64, String, String, i64)>, _> = target
        .conn
        .query_first(
            "SELECT p.id, p.user, p.host, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) FROM \
             information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = \
             t.trx_mysql_thread_id WHERE p.id <> CONNECTION_ID() ORDER BY t.trx_started LIMIT 1",
        )
        .await;
    match oldest {
        Ok(Some((id, user, host, seconds))) => format!(
            "end connection {id} of {user}@{host}, whose transaction is open since {seconds} s"
        ),
        _ => "end long transactions (SHOW PROCESSLIST)".to_owned(),
    }
}

/// The setting under which DDL takes its locks at once or fails; MySQL waits for a second at least.
fn without_queueing(flavour: Flavour) -> String {
    format!(
        "SET SESSION lock_wait_timeout={}",
        u8::from(!flavour.mariadb)
    )
}

/// Whether somebody held a lock that DDL needs.
fn found_locks(error: &Error) -> bool {
    error.number().is_some_and(|code| LOCKED.contains(&code))
}
