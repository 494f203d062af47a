//! What is swapped, and what the ledger will remember of it.

use std::collections::BTreeMap;

use pilotfish_dump::Summary;
use pilotfish_engine::load::{Object, Release, SwapPlan, TableRecord};
use pilotfish_failure::{Failure, Kind};

use crate::Options;
use crate::pipeline::Staged;
use crate::plan::Plan;

/// The swap of what was staged; the caller gives the release its names.
pub(crate) fn draw(
    live: &Release,
    plan: &Plan,
    staged: Staged,
    summary: &Summary,
    options: &Options,
    whole: bool,
) -> Result<SwapPlan, Failure> {
    let mut tables = records(live, plan, &staged, summary, whole);
    let counters = counters(&mut tables, plan, summary);
    let swap = staged
        .tables
        .keys()
        .chain(&staged.sequences)
        .filter(|name| whole || plan.load.contains(*name))
        .cloned()
        .collect();
    let is_staged = |name: &&String| whole || plan.load.contains(*name);
    let marked = plan.release();
    let marked = marked.iter().filter(is_staged).filter_map(|name| {
        let table = summary.tables.get(name).filter(|table| table.marked)?;
        let is_staged = staged.tables.contains_key(name);
        is_staged.then(|| (name.clone(), table.key.clone()))
    });
    let marked = marked.collect();
    let objects = objects(plan, staged, summary, options)?;
    // A stage that is the whole release has them all; else they follow the swap.
    let digests = if whole {
        summary.objects.clone()
    } else {
        let following = objects.iter();
        following
            .map(|object| (object.key(), object.digest.clone()))
            .collect()
    };
    Ok(SwapPlan {
        release: Release {
            tables,
            objects: digests,
            ..Release::default()
        },
        swap,
        marked,
        retire: plan.retire.clone(),
        counters,
        objects,
        keep_objects: !options.selects_all(),
        adopt: options.adopt,
        allow_non_transactional: options.allow_non_transactional,
        patience: options.swap_timeout,
    })
}

/// Every table of the new release, the unchanged ones as they are known.
fn records(
    live: &Release,
    plan: &Plan,
    staged: &Staged,
    summary: &Summary,
    whole: bool,
) -> BTreeMap<String, TableRecord> {
    let mut tables = plan.carried(live);
    for (name, completed) in &staged.tables {
        if !whole && !plan.load.contains(name) {
            continue;
        }
        let known = summary.tables.get(name);
        let record = TableRecord {
            digest: known.map(|table| table.digest.clone()).unwrap_or_default(),
            rows: completed.rows,
            proof: completed.proof.clone(),
            counter: known.and_then(|table| table.counter),
            seen: None,
            definition: known.map(|table| table.definition.clone()),
        };
        tables.insert(name.clone(), record);
    }
    let sequences = staged.sequences.iter();
    for name in sequences.filter(|name| plan.load.contains(*name)) {
        let known = summary.objects.get(&format!("sequence {name}"));
        let record = TableRecord {
            digest: known.cloned().unwrap_or_default(),
            rows: 1,
            ..TableRecord::default()
        };
        tables.insert(name.clone(), record);
    }
    tables
}

/// Which tables stay with all their rows, but count on from another number; their records say so.
fn counters(
    tables: &mut BTreeMap<String, TableRecord>,
    plan: &Plan,
    summary: &Summary,
) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    for name in &plan.unchanged {
        let wanted = summary.tables.get(name).and_then(|table| table.counter);
        let record = tables.get_mut(name);
        let (Some(wanted), Some(record)) = (wanted, record) else {
            continue;
        };
        if record.counter != Some(wanted) {
            record.counter = Some(wanted);
            counters.insert(name.clone(), wanted);
        }
    }
    counters
}

/// The objects that follow the swap, with their digests.
fn objects(
    plan: &Plan,
    staged: Staged,
    summary: &Summary,
    options: &Options,
) -> Result<Vec<Object>, Failure> {
    let takes = |object: &Object| {
        // A part of a dump brings the triggers of its tables and leaves other objects as they are.
        let table = object.table.as_ref();
        options.selects_all() || table.is_some_and(|table| plan.load.contains(table))
    };
    let taken = staged.objects.into_iter().filter(takes);
    taken
        .map(|object| match summary.objects.get(&object.key()) {
            Some(digest) => Ok(Object {
                digest: digest.clone(),
                ..object
            }),
            None => Err(Failure::new(
                Kind::Bug,
                format!("the dump's summary does not know the {}", object.key()),
            )),
        })
        .collect()
}
