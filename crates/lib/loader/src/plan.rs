//! Which tables change: the difference between the live release and the dump.

use std::collections::{BTreeMap, BTreeSet};

use pilotfish_dump::Summary;
use pilotfish_engine::load::{Coming, Drift, Release, TableRecord, Target};
use pilotfish_failure::{Context as _, Failure, Kind};

use crate::Options;

/// What a load does to each table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Staged and swapped in.
    pub(crate) load: BTreeSet<String>,
    /// Of the release, and left as they are.
    pub(crate) unchanged: BTreeSet<String>,
    /// Of the live release, but no longer of the dump.
    pub(crate) retire: BTreeSet<String>,
    /// Of the live release and not selected: they stay, whatever the dump says.
    pub(crate) kept: BTreeSet<String>,
    /// All of the dump is staged for what is no table: it changed, or somebody dropped it.
    pub(crate) objects_change: bool,
    /// What somebody made on tables that leave, and leaves with them.
    pub(crate) given_up: BTreeSet<String>,
}

impl Plan {
    /// Every table that the new release will have.
    pub(crate) fn release(&self) -> BTreeSet<String> {
        self.load
            .iter()
            .chain(&self.unchanged)
            .chain(&self.kept)
            .cloned()
            .collect()
    }

    /// The release has another name, and that is all.
    pub(crate) fn changes_nothing(&self) -> bool {
        self.load.is_empty()
            && self.retire.is_empty()
            && self.kept.is_empty()
            && !self.objects_change
    }

    /// The live tables that the ledger keeps as they are, with their records.
    pub(crate) fn carried<'a>(&'a self, live: &'a Release) -> BTreeMap<String, TableRecord> {
        let stay = self.unchanged.iter().chain(&self.kept);
        stay.filter_map(|name| Some((name.clone(), live.tables.get(name)?.clone())))
            .collect()
    }
}

/// What differs by digests, for a change in place where a swap would move everything: nobody's rows but those of changed
/// tables are touched, and whoever changes them looks at them under a lock.
pub(crate) fn touched(live: &Release, summary: &Summary, options: &Options) -> Plan {
    compare(live, summary, options, true)
}

/// Compares, looks at what others did to the live tables, and closes the set over foreign keys.
pub(crate) async fn decide(
    target: &mut dyn Target,
    live: &Release,
    summary: &Summary,
    options: &Options,
) -> Result<Plan, Failure> {
    refuse_unknown_names(live, summary, options)?;
    let whole = target.stages_whole();
    let mut plan = compare(live, summary, options, whole);
    let drift = target
        .drift(live, &concerned(&plan))
        .await
        .context("look at the live tables")?;
    let reload = refuse_drift(&drift, &plan, options)?;
    plan.load.extend(reload);
    plan.unchanged.retain(|table| !plan.load.contains(table));
    if whole {
        return stage_whole(target, plan, live, summary, &drift, options).await;
    }

    let edges: Vec<(String, String)> = summary
        .tables
        .iter()
        .flat_map(|(child, table)| {
            table
                .references
                .iter()
                .map(move |parent| (child.clone(), parent.clone()))
        })
        .collect();
    let changed: BTreeSet<String> = plan.load.union(&plan.retire).cloned().collect();
    let known: BTreeSet<String> = plan.release().union(&plan.retire).cloned().collect();
    let set = target
        .closure(&changed, &known, &edges)
        .await
        .context("follow the foreign keys")?;
    let drawn_in: BTreeSet<String> = set.intersection(&plan.kept).cloned().collect();
    if !drawn_in.is_empty() {
        return Err(Failure::new(
            Kind::Config,
            format!(
                "foreign keys tie live tables that are not to be loaded to those that are: {}",
                list(&drawn_in)
            ),
        )
        .with_hint("load these too, as the dump has them, or drop the foreign keys"));
    }
    plan.load.extend(
        set.into_iter()
            .filter(|table| summary.tables.contains_key(table)),
    );
    plan.unchanged.retain(|table| !plan.load.contains(table));
    refuse_lost_parents(&plan, &edges)?;
    take_sequences(&mut plan, live, summary, options);
    Ok(plan)
}

/// All of the dump where anything of it changed; what did not is staged from what is live.
async fn stage_whole(
    target: &mut dyn Target,
    mut plan: Plan,
    live: &Release,
    summary: &Summary,
    drift: &Drift,
    options: &Options,
) -> Result<Plan, Failure> {
    let missing = target.missing(live).await;
    let missing = missing.context("look at the live release")?;
    plan.objects_change = live.objects != summary.objects || !missing.is_empty();
    if plan.changes_nothing() {
        return Ok(plan);
    }
    if !options.overwrite_modified {
        refuse_attached(drift)?;
    }
    plan.given_up = drift.helpers.union(&drift.attached).cloned().collect();
    let leaving: BTreeSet<String> = plan.release().union(&plan.retire).cloned().collect();
    let closure = target.closure(&leaving, &leaving, &[]).await;
    closure.context("follow the foreign keys")?;
    if options.swap.is_aside() {
        let coming = Coming {
            tables: leaving,
            objects: summary.objects.keys().cloned().collect(),
            adopt: options.adopt,
        };
        target
            .foresee(&coming)
            .await
            .context("look ahead to the swap")?;
    }
    Ok(plan)
}

/// A live table that the dump no longer has leaves with the swap, and the server would let a foreign key to
/// it go along: to the previous release.
fn refuse_lost_parents(plan: &Plan, edges: &[(String, String)]) -> Result<(), Failure> {
    let lost = edges
        .iter()
        .find(|(child, parent)| plan.load.contains(child) && plan.retire.contains(parent));
    lost.map_or(Ok(()), |(child, parent)| {
        Err(Failure::new(
            Kind::BadData,
            format!(
                "the parent of a foreign key of {child} is not in the dump: {parent}, which the live release has"
            ),
        )
        .with_hint("dump both, or make the dump without that foreign key"))
    })
}

/// Asks again right before the swap: a big load takes hours, and people go on working.
pub(crate) async fn still_holds(
    target: &mut dyn Target,
    live: &Release,
    plan: &Plan,
    options: &Options,
) -> Result<(), Failure> {
    if !options.swap.is_aside() {
        return Ok(());
    }
    let mut leaving: BTreeSet<String> = plan.load.union(&plan.retire).cloned().collect();
    if target.stages_whole() && !plan.changes_nothing() {
        leaving.extend(plan.unchanged.iter().cloned());
    }
    let drift = target
        .drift(live, &leaving)
        .await
        .context("look at the live tables again")?;
    let written = refuse_drift(&drift, plan, options)?;
    if !plan.changes_nothing() && !options.overwrite_modified {
        refuse_attached(&drift)?;
    }
    // Their rows were copied from the live ones, or are left there.
    if let Some(table) = written.intersection(&plan.unchanged).next() {
        return Err(Failure::new(
            Kind::Busy,
            format!("somebody changed {table} while the dump was loaded: load again"),
        ));
    }
    let known: BTreeSet<String> = plan.release().union(&plan.retire).cloned().collect();
    let tied = target
        .closure(&leaving, &known, &[])
        .await
        .context("follow the foreign keys again")?;
    let tied: BTreeSet<String> = tied.difference(&leaving).cloned().collect();
    if tied.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Config,
        format!(
            "somebody tied live tables by foreign keys to those that are replaced, while the dump was loaded: {}",
            list(&tied)
        ),
    )
    .with_hint("drop these foreign keys, or load again"))
}

/// A name that nobody knows is a typing error, not an empty choice.
fn refuse_unknown_names(
    live: &Release,
    summary: &Summary,
    options: &Options,
) -> Result<(), Failure> {
    let unknown: BTreeSet<String> = options
        .only
        .iter()
        .chain(&options.skip)
        .filter(|name| !summary.tables.contains_key(*name) && !live.tables.contains_key(*name))
        .cloned()
        .collect();
    if !unknown.is_empty() {
        return Err(Failure::new(
            Kind::Config,
            format!(
                "--only or --skip names tables that neither the dump nor the live release has: {}",
                list(&unknown)
            ),
        ));
    }
    if summary.opaque && !options.selects_all() {
        return Err(Failure::new(
            Kind::Config,
            "the dump makes rows of what stands elsewhere (UPDATE, INSERT .. SELECT, variables, questions, sequences, NOW()): --only and --skip cannot cut it",
        ));
    }
    Ok(())
}

/// Keys of the dump's views, triggers, routines and events; a sequence counts as a table.
pub(crate) fn objects(summary: &Summary) -> impl Iterator<Item = &String> {
    let keys = summary.objects.keys();
    keys.filter(|key| !key.starts_with("sequence "))
}

/// Says which views, routines and events a part of the dump leaves as they are.
pub(crate) fn left_objects(summary: &Summary, options: &Options) -> Option<String> {
    if options.selects_all() {
        return None;
    }
    let left: BTreeSet<String> = objects(summary)
        .filter(|key| !key.starts_with("trigger "))
        .cloned()
        .collect();
    (!left.is_empty()).then(|| {
        format!(
            "--only and --skip choose tables: what else the dump has stays as it is, or away: {}",
            list(&left)
        )
    })
}

/// A staged table draws from a staged sequence, whatever became of the live one; other sequences are loaded
/// where the dump says something new of them, and go on where they are.
fn take_sequences(plan: &mut Plan, live: &Release, summary: &Summary, options: &Options) {
    let staged = plan.load.iter().filter_map(|name| summary.tables.get(name));
    let drawn: BTreeSet<String> = staged.flat_map(|table| table.draws.clone()).collect();
    for (key, digest) in &summary.objects {
        let Some(name) = key.strip_prefix("sequence ") else {
            continue;
        };
        let recorded = live.tables.get(name);
        let selected = options.selects_all() || options.only.contains(name);
        let changed = recorded.is_none_or(|record| record.digest != *digest);
        // One that somebody dropped is to be loaded already.
        if plan.load.contains(name) || drawn.contains(name) || (selected && changed) {
            plan.kept.remove(name);
            plan.unchanged.remove(name);
            plan.load.insert(name.to_owned());
        } else if recorded.is_some() {
            let set = if selected {
                &mut plan.unchanged
            } else {
                &mut plan.kept
            };
            set.insert(name.to_owned());
        }
    }
}

fn compare(live: &Release, summary: &Summary, options: &Options, whole: bool) -> Plan {
    let mut plan = Plan::default();
    for (name, table) in &summary.tables {
        let recorded = live.tables.get(name);
        if !options.selects(name) {
            if recorded.is_some() {
                plan.kept.insert(name.clone());
            }
        } else if !summary.opaque && recorded.is_some_and(|record| record.digest == table.digest) {
            plan.unchanged.insert(name.clone());
        } else {
            plan.load.insert(name.clone());
        }
    }
    if !whole {
        take_sequences(&mut plan, live, summary, options);
    }
    for name in live.tables.keys() {
        let known = [&plan.load, &plan.unchanged, &plan.kept]
            .iter()
            .any(|set| set.contains(name));
        if !summary.tables.contains_key(name) && !known {
            let set = if options.selects(name) {
                &mut plan.retire
            } else {
                &mut plan.kept
            };
            set.insert(name.clone());
        }
    }
    plan
}

fn concerned(plan: &Plan) -> BTreeSet<String> {
    plan.load
        .iter()
        .chain(&plan.unchanged)
        .chain(&plan.retire)
        .cloned()
        .collect()
}

/// The unchanged tables to load again: somebody dropped them, or wrote to them and may be overruled.
fn refuse_drift(
    drift: &Drift,
    plan: &Plan,
    options: &Options,
) -> Result<BTreeSet<String>, Failure> {
    if !drift.unrecorded.is_empty() && !options.adopt {
        return Err(Failure::new(
            Kind::Config,
            format!("the live database has tables that no release brought: {}", list(&drift.unrecorded)),
        )
        .with_hint("--adopt replaces them (the old rows stay for one rollback), and views, routines and events of the dump's names for good; --into takes another database"));
    }
    if !options.overwrite_modified {
        refuse_modified(drift)?;
    }
    let modified = drift.modified.keys().chain(&drift.missing);
    Ok(modified
        .filter(|table| plan.unchanged.contains(*table))
        .cloned()
        .collect())
}

/// Rows that people wrote are not thrown away unasked.
pub(crate) fn refuse_modified(drift: &Drift) -> Result<(), Failure> {
    if drift.modified.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Config,
        format!(
            "live tables were written to since they were loaded: {}",
            reasoned(&drift.modified)
        ),
    )
    .with_hint("--overwrite-modified drops what was written"))
}

/// A policy that somebody made, or a trigger, would leave with the replaced table, and its protection with it.
pub(crate) fn refuse_attached(drift: &Drift) -> Result<(), Failure> {
    if drift.attached.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Config,
        format!(
            "live tables have what no release brought, and it would leave with them: {}",
            list(&drift.attached)
        ),
    )
    .with_hint("bring it in the dump; --overwrite-modified gives it up"))
}

/// What somebody made and leaves with its table, in words.
pub(crate) fn given_up(names: &BTreeSet<String>) -> Option<String> {
    let words = || {
        format!(
            "made by hand on tables that are replaced, and gone with them: {}",
            list(names)
        )
    };
    (!names.is_empty()).then(words)
}

/// Names, each with what was seen of it.
pub(crate) fn reasoned(names: &BTreeMap<String, String>) -> String {
    let words = names.iter().map(|(name, how)| format!("{name} ({how})"));
    words.collect::<Vec<_>>().join(", ")
}

/// Names for people.
pub(crate) fn list(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 10;
    let mut text = names
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
