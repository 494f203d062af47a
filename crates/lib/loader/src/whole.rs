//! Whether a dump is whole. A dump tool that dies leaves a file that ends between two statements, and no
//! checksum of that file knows better: only the dump's own last words do, or who published it.
//!
//! Where nothing proves it, a dump with less than what is live is not believed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pilotfish_dump::{Source, Summary, Trailer};
use pilotfish_engine::load::{ObjectKind, Release};
use pilotfish_failure::{Failure, Kind};

use crate::Options;
use crate::checks::mismatch;
use crate::plan::Plan;
use crate::release::Pinned;

/// What is missing is named so many times at most.
const SHOWN: usize = 5;

/// Longest checksum file that is read, in bytes.
const CHECKSUM_LIMIT: u64 = 64 << 10;

const UNPROVEN: &str = "nothing proves that the dump is whole: it has no trailer of mariadb-dump or mysqldump, and no \
     .sha256 lies beside it";

/// Whether the dump says itself that it is whole, or somebody else does. The manifest of a release does not:
/// it knows what was fetched, not what was dumped.
///
/// # Errors
/// `BadData` when a `NAME.sha256` beside a file does not fit it.
pub(crate) fn is_proven(
    pinned: &Pinned,
    summary: &Summary,
    options: &Options,
) -> Result<bool, Failure> {
    let own = summary.trailer == Trailer::Present;
    Ok(sums_fit(pinned, summary)? || own || options.sha256.is_some() || options.no_trailer)
}

/// Whether every file has its checksum beside it.
fn sums_fit(pinned: &Pinned, summary: &Summary) -> Result<bool, Failure> {
    let Source::Path(source) = &pinned.source else {
        return Ok(false);
    };
    let mut all = !summary.files.is_empty();
    for (name, found) in &summary.files {
        let file = if name.is_empty() {
            source.clone()
        } else {
            source.join(name)
        };
        let (sums, checksum) = beside(&file)?;
        match checksum {
            None => all = false,
            Some(wanted) if wanted.eq_ignore_ascii_case(found) => {}
            Some(wanted) => {
                return Err(mismatch(&sums.display().to_string(), &wanted, found));
            }
        }
    }
    Ok(all)
}

/// The checksum file of `file`, and its first word where it is there.
fn beside(file: &Path) -> Result<(PathBuf, Option<String>), Failure> {
    use std::io::Read as _;
    let mut sums = file.as_os_str().to_owned();
    sums.push(".sha256");
    let sums = PathBuf::from(sums);
    let unreadable = |error| Failure::from(error).context(format!("read {}", sums.display()));
    let mut text = String::new();
    match std::fs::File::open(&sums) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((sums, None)),
        opened => opened
            .and_then(|file| file.take(CHECKSUM_LIMIT).read_to_string(&mut text))
            .map_err(unreadable)?,
    };
    let word = text.split_whitespace().next().unwrap_or_default();
    let word = word.to_owned();
    Ok((sums, Some(word)))
}

/// Judges a dump against what is live; `rows` are those that it brings for a table, where they are known.
/// Where nothing proves it and nothing speaks against it, that is a note.
///
/// # Errors
/// `BadData` when an unproven dump has less than what is live.
pub(crate) fn judge(
    pinned: &Pinned,
    live: &Release,
    plan: &Plan,
    summary: &Summary,
    options: &Options,
    rows: impl Fn(&str) -> Option<u64>,
) -> Result<Option<String>, Failure> {
    if is_proven(pinned, summary, options)? {
        return Ok(None);
    }
    let mut missing: Vec<String> = Vec::new();
    if !live.rewriting {
        missing.extend(plan.retire.iter().map(|table| format!("no table {table}")));
        missing.extend(plan.load.iter().filter_map(|table| {
            let (before, now) = (live.tables.get(table)?.rows, rows(table)?);
            // --max-shrink says how much less is meant.
            (now < before && options.max_shrink.is_none())
                .then(|| format!("{now} rows for {table} where {before} are live"))
        }));
    }
    // A part of a dump leaves other objects as they are.
    if options.selects_all() {
        let brought = summary.objects.keys();
        let brought: BTreeSet<String> = brought.map(|key| ObjectKind::folded_key(key)).collect();
        let gone = live.objects.keys();
        let gone = gone.filter(|key| !brought.contains(&ObjectKind::folded_key(key)));
        missing.extend(gone.map(|key| format!("no {key}")));
    }
    if missing.is_empty() {
        return Ok(Some(UNPROVEN.to_owned()));
    }
    let more = match missing.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    missing.truncate(SHOWN);
    Err(Failure::new(
        Kind::BadData,
        format!(
            "{UNPROVEN}; and it has less than what is live: {}{more}",
            missing.join(", ")
        ),
    )
    .with_hint(
        "dump again with comments, or give --sha256, or --no-trailer if it is meant to have less",
    ))
}

/// The rows that a dump brings, before any is stored; statements that are not understood may bring others.
pub(crate) fn rows_of(summary: &Summary) -> impl Fn(&str) -> Option<u64> {
    |table| {
        let known = summary.tables.get(table).filter(|_| !summary.opaque);
        known.map(|table| table.rows)
    }
}
