//! What the readers have seen so far, from their logs: the example's, and one for each pod.

use crate::stage::Stage;
use pilotfish_harness::cluster::{Outcome, PATIENCE, until};

/// The example's own, which meets whichever pod the Service gives it, and those that stay with one pod.
const READERS: [&str; 3] = ["reader", "reader-0", "reader-1"];
/// What each must have read after the moment in question, for its silence to mean something.
const ENOUGH: u64 = 20;

/// Counts of all readers since their start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) reads: u64,
    pub(crate) errors: u64,
    pub(crate) mixes: u64,
    /// Versions that went backwards within a connection: right after a rollback only.
    pub(crate) backwards: u64,
    /// The slowest answer of all, in milliseconds.
    pub(crate) slowest: u64,
}

impl Seen {
    /// The counts now.
    pub(crate) fn now(stage: &Stage) -> Outcome<Self> {
        let mut all = Self::default();
        for reader in READERS {
            let one = Self::of(stage, reader)?;
            all.reads += one.reads;
            all.errors += one.errors;
            all.mixes += one.mixes;
            all.backwards += one.backwards;
            all.slowest = all.slowest.max(one.slowest);
        }
        Ok(all)
    }

    fn of(stage: &Stage, reader: &str) -> Outcome<Self> {
        let deployment = format!("deployment/{reader}");
        let log =
            stage
                .cluster
                .kubectl(&["logs", &deployment, "--container=reader", "--tail=50"])?;
        log.lines()
            .rev()
            .find_map(Self::of_line)
            .ok_or_else(|| format!("{reader} says nothing: {log}"))
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut seen = Self::default();
        let line = line.strip_prefix("reads=")?;
        for (at, word) in line.split_whitespace().enumerate() {
            let count = word.split('=').next_back()?;
            let count = count.trim_end_matches("ms").parse().ok()?;
            match at {
                0 => seen.reads = count,
                1 => seen.errors = count,
                2 => seen.mixes = count,
                3 => seen.backwards = count,
                5 => seen.slowest = count,
                _ => {}
            }
        }
        Some(seen)
    }

    /// What came since `before`, once every reader has read on after this moment.
    pub(crate) fn since(before: Self, stage: &Stage) -> Outcome<Self> {
        for reader in READERS {
            let at = Self::of(stage, reader)?.reads;
            until(&format!("{reader} to read on"), PATIENCE, || {
                let reads = Self::of(stage, reader)?.reads;
                Ok((reads >= at + ENOUGH).then_some(()))
            })?;
        }
        let now = Self::now(stage)?;
        Ok(Self {
            reads: now.reads - before.reads,
            errors: now.errors - before.errors,
            mixes: now.mixes - before.mixes,
            backwards: now.backwards - before.backwards,
            slowest: now.slowest,
        })
    }

    /// The promise: no error, no mix, nothing that goes backwards.
    pub(crate) fn must_be_flawless(self, stage: &Stage) -> Outcome<()> {
        stage.say(
            "readers",
            &format!(
                "{} reads, {} errors, {} mixes; the slowest answer so far took {} ms",
                self.reads, self.errors, self.mixes, self.slowest
            ),
        );
        if self.errors + self.mixes + self.backwards == 0 {
            return Ok(());
        }
        let mut logs = String::new();
        for reader in READERS {
            let deployment = format!("deployment/{reader}");
            logs += &stage.cluster.kubectl(&["logs", &deployment, "--tail=40"])?;
        }
        Err(format!("a reader saw something wrong: {self:?}\n{logs}"))
    }
}
