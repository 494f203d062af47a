//! What is swapped, and what the ledger will remember of it.

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
) -> Result<SwapPlan, Failure> {
    let mut tables = plan.carried(live);
    for (name, completed) in staged
        .tables
        .iter()
        .filter(|(name, _)| plan.load.contains(*name))
    {
        let digest = summary
            .tables
            .get(name)
            .map(|table| table.digest.clone())
            .unwrap_or_default();
        tables.insert(
            name.clone(),
            TableRecord {
                digest,
                rows: completed.rows,
                proof: completed.proof.clone(),
            },
        );
    }
    for name in &staged.sequences {
        let digest = summary
            .objects
            .get(&format!("sequence {name}"))
            .cloned()
            .unwrap_or_default();
        tables.insert(
            name.clone(),
            TableRecord {
                digest,
                rows: 1,
                proof: None,
            },
        );
    }
    let mut objects = Vec::with_capacity(staged.objects.len());
    let takes = |object: &Object| {
        // A part of a dump brings the triggers of its tables and leaves other objects as they are.
        options.selects_all()
            || object
                .table
                .as_ref()
                .is_some_and(|table| plan.load.contains(table))
    };
    for object in staged.objects.into_iter().filter(takes) {
        let key = object.key();
        let digest = summary.objects.get(&key).cloned().ok_or_else(|| {
            Failure::new(
                Kind::Bug,
                format!("the dump's summary does not know the {key}"),
            )
        })?;
        objects.push(Object { digest, ..object });
    }
    let digests = objects
        .iter()
        .map(|object| (object.key(), object.digest.clone()))
        .collect();
    let swap = staged
        .tables
        .keys()
        .filter(|table| plan.load.contains(*table))
        .chain(&staged.sequences)
        .cloned()
        .collect();
    Ok(SwapPlan {
        release: Release {
            tables,
            objects: digests,
            ..Release::default()
        },
        swap,
        retire: plan.retire.clone(),
        objects,
        keep_objects: !options.selects_all(),
        adopt: options.adopt,
        patience: options.swap_timeout,
    })
}
