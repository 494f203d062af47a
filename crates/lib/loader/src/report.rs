//! What a load did.

use std::collections::{BTreeMap, BTreeSet};

use pilotfish_dump::Summary;
use pilotfish_engine::load::Release;
use serde::{Deserialize, Serialize};

use crate::plan::{self, Plan};
use crate::steps::Opened;

/// How a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new release is live.
    Loaded,
    /// The release is live already.
    NothingToDo,
    /// A dry run: nothing was changed.
    Planned,
    /// The previous release is live again.
    RolledBack,
}

/// The result of a load; a stable contract as JSON: fields are added, never changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The live database.
    pub database: String,
    /// SHA-256 of the release that is live now.
    pub digest: String,
    /// SHA-256 of the release it replaced.
    pub previous: Option<String>,
    /// Tables that were loaded and swapped in.
    pub tables_loaded: Vec<String>,
    /// Tables that were left as they are.
    pub tables_unchanged: Vec<String>,
    /// Tables that went away.
    pub tables_retired: Vec<String>,
    /// Views, triggers, routines and events of the release; sequences count as tables.
    pub objects: usize,
    /// Rows stored.
    pub rows: u64,
    /// Few rows differed: they changed in the live tables, in one transaction, instead of a swap.
    #[serde(default)]
    pub in_place: bool,
    /// Bytes of the stored dump.
    pub bytes: u64,
    /// Wall time.
    pub seconds: f64,
    /// Seconds by stage: `opening`, `surveying`, `staging`, `keys`, `checking`, `swapping`, `finishing`,
    /// `tidying`, one after the other. Beside one another, during `staging` and `keys`: `unpacking` (reading, hashing,
    /// decompressing) and `framing` of the one reader; and, summed over the connections, `converting` rows for the
    /// server, `storing` them, which is mostly waiting for it, `building` keys, and `proving`: counting tables and their
    /// checksums. `waiting` is what `--throttle` held back.
    #[serde(default)]
    pub stages: BTreeMap<String, f64>,
    /// What was noticed on the way, in sentences.
    pub notes: Vec<String>,
}

impl Report {
    /// The report in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let digest: String = self.digest.chars().take(12).collect();
        match self.outcome {
            Outcome::NothingToDo => format!(
                "{}: release {digest} is live already, nothing to do",
                self.database
            ),
            Outcome::RolledBack if digest.is_empty() => {
                format!(
                    "{}: the tables from before the first release are live again",
                    self.database
                )
            }
            Outcome::RolledBack => format!("{}: release {digest} is live again", self.database),
            Outcome::Loaded if self.in_place => format!(
                "{}: release {digest} is live: {} rows came in {} tables, changed in place, {} tables unchanged, in {:.1} s",
                self.database,
                self.rows,
                self.tables_loaded.len(),
                self.tables_unchanged.len(),
                self.seconds
            ),
            Outcome::Loaded => format!(
                "{}: release {digest} is live: {} tables loaded ({} rows), {} unchanged, {} retired, in {:.1} s",
                self.database,
                self.tables_loaded.len(),
                self.rows,
                self.tables_unchanged.len(),
                self.tables_retired.len(),
                self.seconds
            ),
            Outcome::Planned => format!(
                "{}: release {digest} would load {} tables, leave {} unchanged, retire {}",
                self.database,
                self.tables_loaded.len(),
                self.tables_unchanged.len(),
                self.tables_retired.len()
            ),
        }
    }
}

impl Opened<'_> {
    pub(crate) fn nothing_to_do(&self, live: &Release) -> Report {
        Report {
            outcome: Outcome::NothingToDo,
            database: self.database.clone(),
            digest: live.digest.clone(),
            previous: None,
            tables_loaded: Vec::new(),
            tables_unchanged: live.tables.keys().cloned().collect(),
            tables_retired: Vec::new(),
            objects: live.objects.len(),
            rows: 0,
            in_place: false,
            bytes: 0,
            seconds: 0.0,
            stages: BTreeMap::new(),
            notes: self.notes.clone(),
        }
    }

    pub(crate) fn report(
        &self,
        outcome: Outcome,
        live: &Release,
        summary: &Summary,
        plan: &Plan,
    ) -> Report {
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        Report {
            outcome,
            database: self.database.clone(),
            digest: self.digest(summary),
            previous: Some(live.digest.clone()).filter(|digest| !digest.is_empty()),
            tables_loaded: list(&plan.load),
            tables_unchanged: list(&plan.unchanged),
            tables_retired: list(&plan.retire),
            objects: plan::objects(summary).count(),
            rows: 0,
            in_place: false,
            bytes: self.progress.snapshot().bytes,
            seconds: 0.0,
            stages: BTreeMap::new(),
            notes: self.notes.clone(),
        }
    }
}
