//! How far each table of the stage is: rows under way, left behind by the dump, complete.

use std::collections::{BTreeMap, BTreeSet};

use pilotfish_engine::load::Completed;

use crate::Progress;
use crate::pool::Done;

/// The tables that the dump has made so far.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    known: BTreeMap<String, Table>,
    /// Made last, or whose rows come now; the dump has left the others behind.
    open: BTreeSet<String>,
    /// Left behind and not complete: completed when nothing is under way.
    leaving: BTreeSet<String>,
}

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Jobs under way.
    in_flight: usize,
    /// Keys are in place, since its rows need them.
    pub(crate) keyed: bool,
    /// Rows came.
    begun: bool,
    /// A statement that was not understood may have changed its rows: no sum tells how many there are.
    reached: bool,
    /// Rows the server said it stored; absent where its answers cannot tell.
    pub(crate) stored: Option<u64>,
    pub(crate) completed: Option<Completed>,
}

impl Tables {
    /// The dump makes a table: it is done with those whose rows came until now.
    pub(crate) fn make(&mut self, name: &str) {
        self.open(name);
        self.known.entry(name.to_owned()).or_default();
    }

    /// Rows come for a table; whether the dump had left it behind.
    pub(crate) fn reopen(&mut self, name: &str) -> bool {
        !self.open.contains(name) && self.open(name)
    }

    fn open(&mut self, name: &str) -> bool {
        self.leave_filled();
        self.leaving.remove(name);
        self.open.insert(name.to_owned())
    }

    /// No more rows come for those whose rows came until now. What has none yet may get some: pg_dump makes all tables
    /// first.
    pub(crate) fn leave_filled(&mut self) {
        let open = std::mem::take(&mut self.open);
        let is_filled = |name: &String| self.known.get(name).is_some_and(|table| table.begun);
        self.leaving.extend(open.into_iter().filter(is_filled));
    }

    /// A table whose rows come; whether they are its first ones.
    pub(crate) fn fill(&mut self, name: &str) -> bool {
        let table = self.entry(name);
        table.completed = None;
        let first = !std::mem::replace(&mut table.begun, true);
        if first && !table.reached {
            table.stored = Some(0);
        }
        first && !table.reached
    }

    /// The dump changes a table: what was counted is counted again.
    pub(crate) fn alter(&mut self, name: &str) {
        if let Some(table) = self.known.get_mut(name) {
            table.completed = None;
            if !self.open.contains(name) {
                self.leaving.insert(name.to_owned());
            }
        }
    }

    /// A statement that was not understood may have changed a table's rows.
    pub(crate) fn reach(&mut self, name: &str) {
        self.alter(name);
        if let Some(table) = self.known.get_mut(name) {
            (table.reached, table.stored) = (true, None);
        }
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.known.remove(name);
        self.open.remove(name);
        self.leaving.remove(name);
    }

    pub(crate) fn is_keyed(&self, name: &str) -> bool {
        self.known.get(name).is_some_and(|table| table.keyed)
    }

    pub(crate) fn is_idle(&self, name: &str) -> bool {
        self.known
            .get(name)
            .is_none_or(|table| table.in_flight == 0)
    }

    pub(crate) fn are_idle(&self) -> bool {
        self.known.values().all(|table| table.in_flight == 0)
    }

    /// A job for a table is on its way.
    pub(crate) fn sent(&mut self, name: &str) {
        self.entry(name).in_flight += 1;
    }

    /// A job is done.
    pub(crate) fn note(&mut self, done: Done, progress: &Progress) {
        let Some(table) = self.known.get_mut(done.table()) else {
            return;
        };
        table.in_flight = table.in_flight.saturating_sub(1);
        match done {
            Done::Rows {
                table: name,
                rows,
                loaded,
            } => {
                let both = table.stored.zip(loaded.stored);
                table.stored = both.map(|(sum, more)| sum + more);
                progress.stored(&name, rows);
            }
            Done::KeysRestored { .. } => table.keyed = true,
            Done::Built { .. } | Done::Marked { .. } => {}
            Done::Completed { completed, .. } => {
                progress.spent("proving", completed.proved_in);
                table.completed = Some(completed);
            }
        }
    }

    /// The tables that can be completed now; each is named once.
    pub(crate) fn take_ready(&mut self) -> BTreeSet<String> {
        let leaving = std::mem::take(&mut self.leaving);
        let (ready, busy) = leaving.into_iter().partition(|name| self.is_idle(name));
        self.leaving = busy;
        ready
    }

    /// The dump is over: these tables are there.
    pub(crate) fn leave_all(&mut self, there: &BTreeSet<String>) {
        self.known.retain(|name, _| there.contains(name));
        for (name, table) in &self.known {
            if table.completed.is_none() {
                self.leaving.insert(name.clone());
            }
        }
        self.leaving.retain(|name| there.contains(name));
    }

    pub(crate) fn into_known(self) -> BTreeMap<String, Table> {
        self.known
    }

    fn entry(&mut self, name: &str) -> &mut Table {
        self.known.entry(name.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use pilotfish_engine::load::Loaded;

    use super::*;

    #[test]
    fn only_what_a_statement_reached_loses_its_count() {
        let (mut tables, progress) = (Tables::default(), Progress::default());
        for name in ["a", "b"] {
            tables.make(name);
            tables.fill(name);
            let (table, loaded) = (name.to_owned(), Loaded { stored: Some(2) });
            let rows = 2;
            tables.note(
                Done::Rows {
                    table,
                    rows,
                    loaded,
                },
                &progress,
            );
            let (table, completed) = (name.to_owned(), Completed::default());
            tables.note(Done::Completed { table, completed }, &progress);
        }
        tables.make("filled by it");
        tables.take_ready();
        tables.reach("b");
        tables.reach("filled by it");
        tables.fill("filled by it");
        let there = tables.known.keys().cloned().collect();
        tables.leave_all(&there);
        assert_eq!(
            tables.take_ready(),
            ["b", "filled by it"].map(str::to_owned).into()
        );
        let known = tables.into_known();
        assert_eq!(known["a"].stored, Some(2));
        assert_eq!(known["b"].stored, None);
        assert_eq!(known["filled by it"].stored, None);
    }
}
