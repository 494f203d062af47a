//! What a RENAME cannot carry, and must follow it: objects to make and to drop, ends that were left open.

use std::collections::BTreeSet;

use super::ledger::{Content, Entry};
use super::names_taken::Objects;
use super::objects;
use super::target::MysqlTarget;
use crate::load::{Object, ObjectKind};

/// The objects of a dump as the ledger keeps them.
pub(super) fn entries(target: &MysqlTarget, objects: &[Object]) -> Vec<Entry> {
    let access = &target.access;
    objects
        .iter()
        .map(|object| {
            objects::entry(
                object,
                access.flavour,
                &access.dump_database(),
                &access.names.live,
                access.options.definer,
            )
        })
        .collect()
}

/// The live objects that a part of a dump leaves as they are.
pub(super) fn kept_objects(
    before: &Content,
    objects: &[Entry],
    swapped: &BTreeSet<String>,
) -> Vec<Entry> {
    let replaced = |entry: &&Entry| {
        let named = objects.iter().any(|new| new.key == entry.key);
        named
            || entry
                .detail
                .table
                .as_ref()
                .is_some_and(|table| swapped.contains(table))
    };
    before
        .objects
        .iter()
        .filter(|entry| !replaced(entry))
        .cloned()
        .collect()
}

/// What must be made and dropped after the swap from `before` to a release with `objects`; triggers
/// on swapped tables are always made again, other unchanged objects stay untouched where they are `there`,
/// and what an earlier swap left open for tables that stay is still open.
pub(super) fn follow(
    before: &Content,
    objects: &[Entry],
    swapped: &BTreeSet<String>,
    there: &Objects,
) -> Vec<Entry> {
    let new = there.like(objects.iter().map(|entry| entry.key.as_str()));
    let open = before.todo.iter();
    let undropped = open.filter_map(|entry| entry.key.strip_prefix("drop "));
    let mut todo: Vec<Entry> = before
        .objects
        .iter()
        .map(|entry| entry.key.as_str())
        .chain(undropped)
        .filter(|key| !new.have(key))
        .filter_map(objects::drop_entry)
        .collect();
    let kind_of = |entry: &Entry| ObjectKind::of_key(&entry.key).map(|(kind, _)| kind);
    for kind in objects::ORDER {
        todo.extend(
            objects
                .iter()
                .filter(|entry| kind_of(entry) == Some(*kind))
                .filter_map(|entry| {
                    let open = before.todo.iter().any(|open| open.key == entry.key);
                    let made = !open && there.have(&entry.key);
                    let same = made
                        && before.release.objects.get(&entry.key) == Some(&entry.detail.digest);
                    let on_swapped = entry
                        .detail
                        .table
                        .as_ref()
                        .is_some_and(|table| swapped.contains(table));
                    (!same || on_swapped).then(|| entry.clone())
                }),
        );
    }
    let known: BTreeSet<String> = todo.iter().map(|entry| entry.key.clone()).collect();
    let open = before.todo.iter().filter(|open| {
        let stays = open.detail.table.as_ref();
        stays.is_some_and(|table| !swapped.contains(table))
            && !known.contains(&open.key)
            && !before.release.objects.contains_key(&open.key)
    });
    todo.extend(open.cloned());
    todo
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Detail;
    use super::*;
    use crate::load::SessionState;

    fn entry(key: &str, digest: &str, table: Option<&str>) -> Entry {
        Entry {
            key: key.to_owned(),
            detail: Detail {
                digest: digest.to_owned(),
                table: table.map(str::to_owned),
                session: SessionState::default(),
                before: None,
            },
            sql: key.as_bytes().to_vec(),
        }
    }

    #[test]
    fn what_the_swap_before_could_not_drop_is_dropped_unless_it_comes_again() {
        let before = Content {
            todo: [
                objects::drop_entry("view old"),
                objects::drop_entry("view back"),
            ]
            .into_iter()
            .flatten()
            .collect(),
            ..Content::default()
        };
        let new = [entry("view back", "1", None)];
        let todo = follow(&before, &new, &BTreeSet::new(), &Objects::default());
        let keys: Vec<&str> = todo.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["drop view old", "view back"]);
    }

    #[test]
    fn a_routine_in_another_case_is_the_same_and_a_view_is_not() {
        let before = Content {
            objects: vec![entry("function F", "1", None), entry("view V", "1", None)],
            ..Content::default()
        };
        let new = [entry("function f", "2", None), entry("view v", "2", None)];
        let todo = follow(&before, &new, &BTreeSet::new(), &Objects::default());
        let keys: Vec<&str> = todo.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["drop view V", "function f", "view v"]);
    }

    #[test]
    fn unchanged_objects_stay_but_triggers_of_swapped_tables_are_made_again() {
        let old = vec![
            entry("view v", "1", None),
            entry("view gone", "1", None),
            entry("trigger a", "1", Some("moved")),
            entry("trigger b", "1", Some("stays")),
        ];
        let mut before = Content {
            objects: old.clone(),
            ..Content::default()
        };
        before.release.objects = old
            .iter()
            .map(|entry| (entry.key.clone(), entry.detail.digest.clone()))
            .collect();
        let new = vec![
            old[0].clone(),
            old[2].clone(),
            old[3].clone(),
            entry("function f", "1", None),
        ];
        let there = Objects::of(["view v", "trigger a", "trigger b"], false);
        let moved = BTreeSet::from(["moved".to_owned()]);
        let todo = follow(&before, &new, &moved, &there);
        let keys: Vec<&str> = todo.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["drop view gone", "function f", "trigger a"]);
        let without_view = Objects::of(["trigger a", "trigger b"], false);
        let todo = follow(&before, &new, &moved, &without_view);
        assert!(todo.iter().any(|entry| entry.key == "view v"), "{todo:?}");
        assert_eq!(ObjectKind::of_key("view v"), Some((ObjectKind::View, "v")));
    }
}
