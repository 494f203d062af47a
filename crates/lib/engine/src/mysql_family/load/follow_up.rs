//! What a RENAME cannot carry, and must follow it: objects to make and to drop, ends that were left open.

use std::collections::BTreeSet;

use pilotfish_sql::Flavour;

use super::ledger::{Content, Entry};
use super::names_taken::Objects;
use super::target::MysqlTarget;
use super::{objects, views};
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

/// What becomes of the tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tables<'a> {
    /// They are replaced, come or go.
    pub(super) swapped: &'a BTreeSet<String>,
    /// Those whose columns are others from then on.
    pub(super) reshaped: &'a BTreeSet<String>,
    pub(super) flavour: Flavour,
}

/// What must be made and dropped after the swap from `before` to a release with `objects`. Triggers
/// on swapped tables are always made again, those on another one all together; views whose tables come in
/// another shape too. Other unchanged objects stay untouched where they are `there`, and what an earlier swap
/// left open for tables that stay is still open.
pub(super) fn follow(
    before: &Content,
    objects: &[Entry],
    tables: Tables<'_>,
    there: &Objects,
) -> Vec<Entry> {
    let new = there.like(objects.iter().map(|entry| entry.key.as_str()));
    let regrouped = regrouped(before, objects, tables.swapped, there);
    let goes = |entry: &&Entry| !new.have(&entry.key) || is_on(entry, &regrouped);
    let open = before.todo.iter();
    let undropped = open.filter_map(|entry| entry.key.strip_prefix("drop "));
    let mut todo: Vec<Entry> = before
        .objects
        .iter()
        .filter(goes)
        .map(|entry| entry.key.as_str())
        .chain(undropped.filter(|key| !new.have(key)))
        .filter_map(objects::drop_entry)
        .collect();
    let same = |entry: &Entry| {
        let open = before.todo.iter().any(|open| open.key == entry.key);
        let made = !open && there.have(&entry.key);
        made && before.release.objects.get(&entry.key) == Some(&entry.detail.digest)
    };
    for kind in objects::ORDER {
        let of_kind = objects.iter().filter(|entry| kind_of(entry) == Some(*kind));
        match kind {
            ObjectKind::View => {
                let views = views::to_make(objects, same, tables.reshaped, tables.flavour);
                todo.extend(views.into_iter().cloned());
            }
            ObjectKind::Trigger => {
                let made = |entry: &&Entry| {
                    is_on(entry, tables.swapped) || is_on(entry, &regrouped) || !same(entry)
                };
                todo.extend(of_kind.filter(made).cloned());
            }
            _ => todo.extend(of_kind.filter(|entry| !same(entry)).cloned()),
        }
    }
    let known: BTreeSet<String> = todo.iter().map(|entry| entry.key.clone()).collect();
    let open = before.todo.iter().filter(|open| {
        let stays = open.detail.table.as_ref();
        stays.is_some_and(|table| !tables.swapped.contains(table))
            && !known.contains(&open.key)
            && !before.release.objects.contains_key(&open.key)
    });
    todo.extend(open.cloned());
    todo
}

/// The tables that stay, but not with the triggers that they have: one that is made while others are there
/// would fire after them, and one that another table has cannot be made. All of them go before any comes, and
/// come in the dump's order.
fn regrouped(
    before: &Content,
    objects: &[Entry],
    swapped: &BTreeSet<String>,
    there: &Objects,
) -> BTreeSet<String> {
    let of = |entries: &[Entry], table: &str| -> Vec<(String, String)> {
        entries
            .iter()
            .filter(|entry| kind_of(entry) == Some(ObjectKind::Trigger))
            .filter(|entry| entry.detail.table.as_deref() == Some(table))
            .map(|entry| (entry.key.clone(), entry.detail.digest.clone()))
            .collect()
    };
    let stands = |(key, _): &(String, String)| {
        there.have(key) && before.todo.iter().all(|open| open.key != *key)
    };
    let differs = |table: &&String| {
        let triggers = of(objects, table);
        triggers != of(&before.objects, table) || !triggers.iter().all(stands)
    };
    let both = before.objects.iter().chain(objects);
    let tables = both.filter(|entry| kind_of(entry) == Some(ObjectKind::Trigger));
    let tables: BTreeSet<&String> = tables
        .filter_map(|entry| entry.detail.table.as_ref())
        .filter(|table| !swapped.contains(*table))
        .collect();
    tables.into_iter().filter(differs).cloned().collect()
}

fn kind_of(entry: &Entry) -> Option<ObjectKind> {
    ObjectKind::of_key(&entry.key).map(|(kind, _)| kind)
}

fn is_on(entry: &Entry, tables: &BTreeSet<String>) -> bool {
    let table = entry.detail.table.as_ref();
    table.is_some_and(|table| tables.contains(table))
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

    fn tables(swapped: &BTreeSet<String>) -> Tables<'_> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        Tables {
            swapped,
            reshaped: &NONE,
            flavour: Flavour {
                mariadb: true,
                version: 101_119,
            },
        }
    }

    fn keys(todo: &[Entry]) -> Vec<&str> {
        todo.iter().map(|entry| entry.key.as_str()).collect()
    }

    fn release(objects: Vec<Entry>) -> Content {
        let mut content = Content {
            objects,
            ..Content::default()
        };
        let digests = content.objects.iter();
        content.release.objects = digests
            .map(|entry| (entry.key.clone(), entry.detail.digest.clone()))
            .collect();
        content
    }

    #[test]
    fn triggers_of_a_table_are_made_again_together() {
        let one = |key: &str, digest: &str, table: &str| entry(key, digest, Some(table));
        let before = release(vec![
            one("trigger x", "1", "s"),
            one("trigger y", "1", "s"),
            one("trigger z", "1", "t"),
        ]);
        let there = Objects::of(["trigger x", "trigger y", "trigger z"], false);
        let nothing = BTreeSet::new();
        let todo = |new: &[Entry], swapped: &BTreeSet<String>| {
            keys(&follow(&before, new, tables(swapped), &there)).join(", ")
        };
        let changed = [
            one("trigger x", "2", "s"),
            one("trigger y", "1", "s"),
            one("trigger z", "1", "t"),
        ];
        assert_eq!(
            todo(&changed, &nothing),
            "drop trigger x, drop trigger y, trigger x, trigger y"
        );
        let moved = [
            one("trigger y", "1", "s"),
            one("trigger z", "1", "t"),
            one("trigger x", "2", "t"),
        ];
        let all = "drop trigger x, drop trigger y, drop trigger z, trigger y, trigger z, trigger x";
        assert_eq!(todo(&moved, &nothing), all);
        let t = BTreeSet::from(["t".to_owned()]);
        assert_eq!(
            todo(&moved, &t),
            "drop trigger x, drop trigger y, trigger y, trigger z, trigger x"
        );
        assert_eq!(todo(&before.objects, &nothing), "");
        let without = Objects::of(["trigger x", "trigger z"], false);
        let todo = follow(&before, &before.objects, tables(&nothing), &without);
        assert_eq!(
            keys(&todo).join(", "),
            "drop trigger x, drop trigger y, trigger x, trigger y"
        );
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
        let todo = follow(&before, &new, tables(&BTreeSet::new()), &Objects::default());
        assert_eq!(keys(&todo), ["drop view old", "view back"]);
    }

    #[test]
    fn a_routine_in_another_case_is_the_same_and_a_view_is_not() {
        let before = Content {
            objects: vec![entry("function F", "1", None), entry("view V", "1", None)],
            ..Content::default()
        };
        let new = [entry("function f", "2", None), entry("view v", "2", None)];
        let todo = follow(&before, &new, tables(&BTreeSet::new()), &Objects::default());
        assert_eq!(keys(&todo), ["drop view V", "function f", "view v"]);
    }

    #[test]
    fn unchanged_objects_stay_but_triggers_of_swapped_tables_are_made_again() {
        let old = vec![
            entry("view v", "1", None),
            entry("view gone", "1", None),
            entry("trigger a", "1", Some("moved")),
            entry("trigger b", "1", Some("stays")),
        ];
        let before = release(old.clone());
        let new = vec![
            old[0].clone(),
            old[2].clone(),
            old[3].clone(),
            entry("function f", "1", None),
        ];
        let there = Objects::of(["view v", "trigger a", "trigger b"], false);
        let moved = BTreeSet::from(["moved".to_owned()]);
        let todo = follow(&before, &new, tables(&moved), &there);
        assert_eq!(keys(&todo), ["drop view gone", "function f", "trigger a"]);
        let without_view = Objects::of(["trigger a", "trigger b"], false);
        let todo = follow(&before, &new, tables(&moved), &without_view);
        assert!(todo.iter().any(|entry| entry.key == "view v"), "{todo:?}");
        assert_eq!(ObjectKind::of_key("view v"), Some((ObjectKind::View, "v")));
    }
}
