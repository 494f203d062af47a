//! What follows the swap: views, triggers, routines and events, as the dump leaves them at its end.

use std::collections::BTreeSet;

use pilotfish_dump::{Existing, Position};
use pilotfish_engine::load::{Object, ObjectKind};
use pilotfish_failure::{Failure, Kind};

/// In the dump's order.
#[derive(Debug, Default)]
pub(crate) struct Later(Vec<Object>);

impl Later {
    /// Takes an object; one of the same name gives way only where the dump says so.
    pub(crate) fn add(
        &mut self,
        object: Object,
        existing: Existing,
        at: &Position,
    ) -> Result<(), Failure> {
        let twin = self.0.iter().position(|other| {
            other.kind == object.kind && same(object.kind, &other.name, &object.name)
        });
        match (twin, existing) {
            (None, _) => self.0.push(object),
            (Some(twin), Existing::Replace) => {
                self.0.remove(twin);
                self.0.push(object);
            }
            (Some(_), Existing::Keep) => {}
            (Some(_), Existing::Refuse) => {
                return Err(Failure::new(
                    Kind::BadData,
                    format!("read {at}: the dump makes the {} twice", object.key()),
                )
                .with_hint("leave one of them, or write CREATE OR REPLACE"));
            }
        }
        Ok(())
    }

    pub(crate) fn drop(&mut self, kind: ObjectKind, names: &[String]) {
        // A package takes its body with it.
        let goes = |other: ObjectKind| {
            other == kind || (kind == ObjectKind::Package && other == ObjectKind::PackageBody)
        };
        self.0.retain(|object| {
            !(goes(object.kind) && names.iter().any(|name| same(kind, name, &object.name)))
        });
    }

    /// A table's triggers go with it.
    pub(crate) fn drop_of_table(&mut self, table: &str) {
        self.0
            .retain(|object| object.table.as_deref() != Some(table));
    }

    /// Triggers are made after the rows: one that the client would have fired on them is no dump's.
    pub(crate) fn refuse_firing(&self, table: &str, at: &Position) -> Result<(), Failure> {
        let fires = |object: &&Object| object.table.as_deref() == Some(table);
        match self.0.iter().find(fires) {
            None => Ok(()),
            Some(trigger) => Err(Failure::new(
                Kind::BadData,
                format!(
                    "read {at}: rows of {table} come after its trigger {}, which a load makes after all rows",
                    trigger.name
                ),
            )
            .with_hint("put the trigger behind the rows, as the dump tools do")),
        }
    }

    /// As [`Self::refuse_firing`], for a statement that may change any of these.
    pub(crate) fn refuse_firing_on(
        &self,
        changes: &BTreeSet<String>,
        at: &Position,
    ) -> Result<(), Failure> {
        let watched = self.0.iter().filter_map(|object| object.table.as_ref());
        let mut changed = watched.filter(|table| changes.contains(*table));
        changed
            .next()
            .map_or(Ok(()), |table| self.refuse_firing(table, at))
    }

    pub(crate) fn into_objects(self) -> Vec<Object> {
        self.0
    }
}

fn same(kind: ObjectKind, one: &str, other: &str) -> bool {
    kind.folded(one) == kind.folded(other)
}
