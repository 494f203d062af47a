//! Views over tables that come in another shape.
//!
//! The server spells a view's `*` out when the view is made, and keeps that: the same text over other
//! columns is another view. So is a view over such a one, which has to be made after it.

use std::collections::{BTreeMap, BTreeSet};

use pilotfish_sql::Flavour;
use pilotfish_sql::mysql;

use super::ledger::Entry;
use super::names::literal;
use super::objects;
use super::target::MysqlTarget;
use crate::Error;
use crate::load::ObjectKind;
use crate::mysql_family::ask::Ask as _;

/// Those of `tables` that have other columns in `to` than in `from`, or are in one of them only; as far as a
/// view of `release` may name them.
pub(super) async fn reshaped(
    target: &mut MysqlTarget,
    release: &[Entry],
    tables: &BTreeSet<String>,
    (from, to): (&str, &str),
) -> Result<BTreeSet<String>, Error> {
    let flavour = target.access.flavour;
    let views = release.iter().filter(|entry| is_view(entry));
    let named: BTreeSet<String> = views.flat_map(|view| names(view, flavour)).collect();
    let seen = |table: &&String| named.contains(&table.to_lowercase());
    let tables: BTreeSet<&String> = tables.iter().filter(seen).collect();
    if tables.is_empty() {
        return Ok(BTreeSet::new());
    }
    let old = shapes(target, from, &tables).await?;
    let new = shapes(target, to, &tables).await?;
    let differs = |table: &&&String| old.get(**table) != new.get(**table);
    Ok(tables
        .iter()
        .filter(differs)
        .map(|it| (*it).clone())
        .collect())
}

/// All that a view takes over from each column, by table.
async fn shapes(
    target: &mut MysqlTarget,
    schema: &str,
    tables: &BTreeSet<&String>,
) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let list: Vec<String> = tables.iter().map(|table| literal(table)).collect();
    let columns: Vec<(String, String)> = target
        .conn
        .query(format!(
            "SELECT table_name, CONCAT_WS('|', column_name, column_type, is_nullable, COALESCE(collation_name, ''), \
             COALESCE(column_default, ''), extra, column_comment) FROM information_schema.columns WHERE \
             table_schema = {} AND table_name IN ({}) ORDER BY table_name, ordinal_position",
            literal(schema),
            list.join(", ")
        ))
        .await?;
    let mut shapes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, column) in columns {
        shapes.entry(table).or_default().push(column);
    }
    Ok(shapes)
}

/// The views of `release` to make: those that are not `same`, and those that name a `reshaped` table, or
/// another view that is made; each after those that it names.
pub(super) fn to_make<'a>(
    release: &'a [Entry],
    same: impl Fn(&Entry) -> bool,
    reshaped: &BTreeSet<String>,
    flavour: Flavour,
) -> Vec<&'a Entry> {
    let views: Vec<View<'_>> = release
        .iter()
        .filter(|entry| is_view(entry))
        .map(|entry| View {
            name: name(entry),
            names: names(entry, flavour),
            entry,
        })
        .collect();
    let mut changed: BTreeSet<String> = reshaped.iter().map(|it| it.to_lowercase()).collect();
    let (mut made, mut same): (Vec<&View<'_>>, Vec<&View<'_>>) =
        views.iter().partition(|view| !same(view.entry));
    changed.extend(made.iter().map(|view| view.name.clone()));
    loop {
        let (more, rest): (Vec<&View<'_>>, Vec<&View<'_>>) = same
            .into_iter()
            .partition(|view| !view.names.is_disjoint(&changed));
        changed.extend(more.iter().map(|view| view.name.clone()));
        same = rest;
        if more.is_empty() {
            break;
        }
        made.extend(more);
    }
    in_order(&views, &made)
}

/// A view, by names in lower case: one that differs in case only is made once too often, which is no harm.
struct View<'a> {
    name: String,
    /// Whatever its text names: tables and views, and columns, functions and words too.
    names: BTreeSet<String>,
    entry: &'a Entry,
}

/// Those that are `made`, in the dump's order as far as none of them names one that comes later.
fn in_order<'a>(views: &[View<'a>], made: &[&View<'a>]) -> Vec<&'a Entry> {
    let made: BTreeSet<&str> = made.iter().map(|view| view.name.as_str()).collect();
    let is_made = |view: &&View<'_>| made.contains(view.name.as_str());
    let views: Vec<&View<'_>> = views.iter().filter(is_made).collect();
    let mut named_by: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, view) in views.iter().enumerate() {
        for name in &view.names {
            named_by.entry(name).or_default().push(at);
        }
    }
    let namers = |view: &View<'_>| named_by.get(view.name.as_str()).into_iter().flatten();
    let mut names_waiting = vec![0_usize; views.len()];
    for view in &views {
        for at in namers(view) {
            names_waiting[*at] += 1;
        }
    }
    let mut waiting: BTreeSet<usize> = (0..views.len()).collect();
    let mut free: BTreeSet<usize> = waiting
        .iter()
        .copied()
        .filter(|at| names_waiting[*at] == 0)
        .collect();
    let mut ordered = Vec::with_capacity(views.len());
    // Names of columns and words count too: what seems to go round in circles does not.
    while let Some(next) = free.pop_first().or_else(|| waiting.first().copied()) {
        waiting.remove(&next);
        ordered.push(views[next].entry);
        for at in namers(views[next]) {
            names_waiting[*at] -= 1;
            if names_waiting[*at] == 0 && waiting.contains(at) {
                free.insert(*at);
            }
        }
    }
    ordered
}

fn is_view(entry: &Entry) -> bool {
    matches!(ObjectKind::of_key(&entry.key), Some((ObjectKind::View, _)))
}

fn name(view: &Entry) -> String {
    ObjectKind::of_key(&view.key)
        .map(|(_, name)| name.to_lowercase())
        .unwrap_or_default()
}

fn names(view: &Entry, flavour: Flavour) -> BTreeSet<String> {
    let mode = objects::mode(flavour, &view.detail.session);
    let own = name(view);
    mysql::tokens(&view.sql, mode)
        .filter_map(|token| token.name())
        .map(|name| name.to_lowercase())
        .filter(|name| *name != own)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &str, over: &str) -> Entry {
        let sql = format!("CREATE OR REPLACE VIEW {name} AS SELECT * FROM {over}");
        Entry::plain(&format!("view {name}"), sql)
    }

    fn made(views: &[Entry], changed: &str, reshaped: &str) -> String {
        let flavour = Flavour {
            mariadb: true,
            version: 101_119,
        };
        let reshaped = BTreeSet::from([reshaped.to_owned()]);
        let same = |entry: &Entry| name(entry) != changed;
        let made = to_make(views, same, &reshaped, flavour);
        made.iter().map(|it| name(it)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn views_follow_what_they_name_in_order() {
        let views = [
            view("a", "b"),
            view("b", "T"),
            view("c", "u"),
            view("d", "c JOIN a"),
        ];
        assert_eq!(made(&views, "", "t"), "b a d");
        assert_eq!(made(&views, "", "u"), "c d");
        assert_eq!(made(&views, "b", "nothing"), "b a d");
        assert_eq!(made(&views, "", "nothing"), "");
        // No server has such views, but names of columns may look like it.
        assert_eq!(made(&[view("a", "b"), view("b", "a")], "a", ""), "a b");
    }
}
