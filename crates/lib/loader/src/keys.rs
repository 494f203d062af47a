//! Keys that a dump makes behind its rows: built side by side, as far as they do not stand in each other's way.

use std::collections::BTreeSet;
use std::sync::Arc;

use pilotfish_dump::Statement;
use pilotfish_engine::load::SessionState;

/// Those that are not built yet, in the dump's order.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    waiting: Vec<Key>,
    next: u64,
}

/// A statement that builds one.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) number: u64,
    pub(crate) statement: Statement,
    /// The dump's session at its place.
    pub(crate) session: Arc<SessionState>,
    /// The tables that it locks; none: all of them.
    tables: BTreeSet<String>,
    /// Others may be built on the same tables at the same time.
    shared: bool,
    started: bool,
}

impl Key {
    fn bars(&self, later: &Self) -> bool {
        let both_shared = self.shared && later.shared;
        let everything = self.tables.is_empty() || later.tables.is_empty();
        everything || !both_shared && !self.tables.is_disjoint(&later.tables)
    }
}

impl Keys {
    pub(crate) fn push(
        &mut self,
        statement: Statement,
        session: Arc<SessionState>,
        tables: BTreeSet<String>,
        shared: bool,
    ) {
        self.waiting.push(Key {
            number: self.next,
            statement,
            session,
            tables,
            shared,
            started: false,
        });
        self.next += 1;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The first one that nothing before it bars and whose tables have all their rows; it counts as started.
    pub(crate) fn start(&mut self, is_idle: impl Fn(&str) -> bool) -> Option<Key> {
        let free = (0..self.waiting.len()).find(|at| {
            let key = &self.waiting[*at];
            let barred = self.waiting[..*at].iter().any(|earlier| earlier.bars(key));
            !key.started && !barred && key.tables.iter().all(|table| is_idle(table))
        })?;
        let key = self.waiting.get_mut(free)?;
        key.started = true;
        Some(key.clone())
    }

    /// One is built.
    pub(crate) fn built(&mut self, number: u64) {
        self.waiting.retain(|key| key.number != number);
    }
}

#[cfg(test)]
mod tests {
    use pilotfish_dump::{Class, Existing, Position};

    use super::*;

    fn push(keys: &mut Keys, tables: &[&str], shared: bool) {
        let statement = Statement {
            class: Class::Definition,
            text: Default::default(),
            position: Position {
                file: "dump.sql".into(),
                line: 1,
                byte: 0,
            },
            existing: Existing::Refuse,
        };
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        keys.push(statement, Arc::default(), tables, shared);
    }

    fn startable(keys: &mut Keys, busy: &str) -> Vec<u64> {
        std::iter::from_fn(|| keys.start(|table| table != busy))
            .map(|key| key.number)
            .collect()
    }

    #[test]
    fn keys_wait_for_rows_and_for_each_other() {
        let mut keys = Keys::default();
        push(&mut keys, &["a"], false);
        push(&mut keys, &["a"], true);
        push(&mut keys, &["a"], true);
        push(&mut keys, &["b"], true);
        push(&mut keys, &["b", "a"], false);
        push(&mut keys, &["c"], false);
        push(&mut keys, &[], false);
        push(&mut keys, &["d"], false);
        assert_eq!(startable(&mut keys, "c"), [0, 3]);
        keys.built(0);
        assert_eq!(startable(&mut keys, "c"), [1, 2]);
        for number in 1..=3 {
            keys.built(number);
        }
        assert_eq!(startable(&mut keys, ""), [4, 5]);
        keys.built(4);
        assert_eq!(startable(&mut keys, "").len(), 0);
        keys.built(5);
        assert_eq!(startable(&mut keys, ""), [6]);
        keys.built(6);
        assert_eq!(startable(&mut keys, ""), [7]);
        keys.built(7);
        assert!(keys.is_empty());
    }
}
