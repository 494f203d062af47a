//! What the reader of the example has seen so far, from its log.

use crate::stage::Stage;
use pilotfish_harness::cluster::{Outcome, PATIENCE, until};

/// Counts since the reader's start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) reads: u64,
    pub(crate) errors: u64,
    pub(crate) mixes: u64,
    /// Versions that went backwards within a connection: right after a rollback only.
    pub(crate) backwards: u64,
}

impl Seen {
    /// The counts now.
    pub(crate) fn now(stage: &Stage) -> Outcome<Self> {
        let log = stage
            .cluster
            .kubectl(&["logs", "deployment/reader", "--tail=50"])?;
        log.lines()
            .rev()
            .find_map(Self::of_line)
            .ok_or_else(|| format!("the reader says nothing: {log}"))
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut seen = Self::default();
        let line = line.strip_prefix("reads=")?;
        for (at, word) in line.split_whitespace().enumerate() {
            let count = word.split('=').next_back()?.parse().ok()?;
            match at {
                0 => seen.reads = count,
                1 => seen.errors = count,
                2 => seen.mixes = count,
                3 => seen.backwards = count,
                _ => {}
            }
        }
        Some(seen)
    }

    /// What came since `before`, once the reader has read on after this moment.
    pub(crate) fn since(before: Self, stage: &Stage) -> Outcome<Self> {
        let at = Self::now(stage)?;
        let now = until("the reader to read on", PATIENCE, || {
            let now = Self::now(stage)?;
            Ok((now.reads > at.reads).then_some(now))
        })?;
        Ok(Self {
            reads: now.reads - before.reads,
            errors: now.errors - before.errors,
            mixes: now.mixes - before.mixes,
            backwards: now.backwards - before.backwards,
        })
    }

    /// The promise: no error, no mix, nothing that goes backwards.
    pub(crate) fn must_be_flawless(self, stage: &Stage) -> Outcome<()> {
        stage.say(
            "reader",
            &format!(
                "{} reads, {} errors, {} mixes",
                self.reads, self.errors, self.mixes
            ),
        );
        if self.errors + self.mixes + self.backwards == 0 {
            return Ok(());
        }
        let log = stage
            .cluster
            .kubectl(&["logs", "deployment/reader", "--tail=40"])?;
        Err(format!("the reader saw something wrong: {self:?}\n{log}"))
    }
}
