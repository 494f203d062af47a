//! What must be true before anything live is touched.

use std::collections::BTreeSet;

use pilotfish_dump::{Source, Summary};
use pilotfish_engine::load::{Previous, Release, Stage, Target};
use pilotfish_failure::{Classify as _, Context as _, Failure, Kind};

use crate::pipeline::Staged;
use crate::plan::Plan;
use crate::release::{self, Pinned};
use crate::{Options, left_out, whole};

/// The dump is the one that was asked for, and whole.
pub(crate) fn identity(
    pinned: &Pinned,
    summary: &Summary,
    options: &Options,
) -> Result<(), Failure> {
    if let Some(wanted) = &options.sha256 {
        let published = pinned.manifest.as_ref().map(|manifest| &manifest.sha256);
        if *wanted != summary.sha256 && published != Some(wanted) {
            return Err(mismatch("--sha256", wanted, &summary.sha256));
        }
    }
    if let Some(wanted) = release::published_sha256(pinned)
        && wanted != summary.sha256
    {
        return Err(mismatch("release.json", &wanted, &summary.sha256));
    }
    release::refuse_gone(pinned, summary)?;
    left_out::refuse_tab(pinned, summary, options)?;
    expected(options, &release::name(pinned, summary))?;
    let proven = whole::is_proven(pinned, summary, options)?;
    if matches!(pinned.source, Source::Stdin) && !proven {
        return Err(Failure::new(
            Kind::BadData,
            "the stream has no trailer of mariadb-dump or mysqldump, so nothing proves that it is whole",
        )
        .with_hint("dump with comments, or give --sha256, or --no-trailer if you know that it is whole"));
    }
    Ok(())
}

/// What the caller looked at is what is read.
pub(crate) fn expected(options: &Options, found: &str) -> Result<(), Failure> {
    match &options.expected {
        Some(expected) if expected != found => Err(Failure::new(
            Kind::Busy,
            format!("the dump changed: its SHA-256 was {expected}, and {found} was read"),
        )
        .with_hint("publish dumps by a rename")),
        _ => Ok(()),
    }
}

/// As [`identity`], for a dump that is not read since it is live.
pub(crate) fn wanted(options: &Options, read: &[String]) -> Result<(), Failure> {
    match &options.sha256 {
        Some(wanted) if !read.contains(wanted) => {
            Err(mismatch("--sha256", wanted, &read.join(" or ")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn mismatch(who: &str, wanted: &str, found: &str) -> Failure {
    Failure::new(
        Kind::BadData,
        format!(
            "the dump's SHA-256 is {found}, but {who} says {wanted}: it is damaged or another one"
        ),
    )
    .with_hint("fetch it again")
}

/// Every row that was sent is there.
pub(crate) fn counts(staged: &Staged) -> Result<(), Failure> {
    for (table, completed) in &staged.tables {
        if let Some(sent) = staged.stored.get(table)
            && *sent != completed.rows
        {
            return Err(Failure::new(
                Kind::BadData,
                format!(
                    "the dump has {sent} rows for {table}, but the server counts {}",
                    completed.rows
                ),
            )
            .with_hint("look for triggers or partitions that drop rows"));
        }
    }
    Ok(())
}

/// Every row has the parents that its foreign keys name. Without a swap nothing can be held back any more.
pub(crate) async fn orphans(stage: &mut dyn Stage, options: &Options) -> Result<(), Failure> {
    if options.allow_orphans || !options.swap.is_aside() {
        return Ok(());
    }
    match stage.orphans().await.context("look for rows without parent")? {
        None => Ok(()),
        Some(which) => Err(Failure::new(Kind::BadData, which).with_hint(
            "dump both tables at one moment (--single-transaction), or give --allow-orphans if the source is like that too",
        )),
    }
}

/// Nothing stands on the stage that the ledger would not know.
pub(crate) async fn nothing_unknown(stage: &mut dyn Stage, staged: &Staged) -> Result<(), Failure> {
    let there = stage.tables().await.context("list the staged tables")?;
    let known =
        |table: &&String| !staged.tables.contains_key(*table) && !staged.sequences.contains(*table);
    match there.iter().find(known) {
        None => Ok(()),
        Some(table) => Err(Failure::new(
            Kind::BadData,
            format!("the dump makes the table {table} by CREATE TABLE .. LIKE, .. AS SELECT or a RENAME, which a load does not follow"),
        )
        .with_hint("dump the table itself, with its definition and its rows")),
    }
}

/// A dump of definitions alone does not empty what is live; `rows` are those that it brings for a table, where they are
/// known. Tables that are not selected say nothing, and a sequence, which has no proof, is no table.
pub(crate) fn no_row_at_all(
    live: &Release,
    plan: &Plan,
    summary: &Summary,
    options: &Options,
    rows: impl Fn(&str) -> Option<u64>,
) -> Result<(), Failure> {
    if options.max_shrink.is_some() || !options.swap.is_aside() {
        return Ok(());
    }
    let live_rows = |name: &String| {
        let record = live
            .tables
            .get(name)
            .filter(|record| record.proof.is_some());
        record.map_or(0, |record| record.rows)
    };
    let leaving = plan.load.union(&plan.retire);
    let before: u64 = leaving.map(live_rows).sum();
    let stays = plan.unchanged.iter().any(|name| live_rows(name) > 0);
    let tables = plan
        .load
        .iter()
        .filter(|name| summary.tables.contains_key(*name));
    let comes = tables.into_iter().any(|name| rows(name) != Some(0));
    if before == 0 || stays || comes {
        return Ok(());
    }
    Err(Failure::new(
        Kind::BadData,
        format!("the dump has no row at all, and {before} are live"),
    )
    .with_hint("was it made with --no-data? --max-shrink 100 loads it nevertheless"))
}

/// Readers wait until the RENAME is over, which takes MySQL some milliseconds for each table, and MariaDB the square of
/// that: it looks through all its locks for each (`MDL_context::find_ticket`; measured, see `docs/guarantees.md`).
/// The tables of the release before the live one, `before_last`, leave in the same statement. Where nothing is live yet
/// nobody waits.
pub(crate) fn renames(
    live: &Release,
    plan: &Plan,
    before_last: Option<&Previous>,
    options: &Options,
) -> Result<(), Failure> {
    let nothing_live = live.tables.is_empty() && !options.adopt;
    if !options.swap.is_aside() || nothing_live {
        return Ok(());
    }
    let leaving = plan.load.union(&plan.retire).count();
    let old = before_last.map_or(0, |previous| previous.kept.len());
    let moved = leaving + old;
    if leaving == 0 || moved <= options.max_renames {
        return Ok(());
    }
    let most = options.max_renames;
    let refused = |which: &str| {
        let what = format!(
            "the swap would move {moved} tables in one RENAME{which}, more than --max-renames {most}: readers would wait for minutes"
        );
        Failure::new(Kind::Config, what)
    };
    if let Some(previous) = before_last.filter(|_| leaving <= most) {
        let which = format!(", {old} of them of the release before the live one");
        return Err(refused(&which).with_hint(format!(
            "`{}` gives up the way back to it, or raise --max-renames where readers can wait",
            previous.given_up_by
        )));
    }
    Err(refused("").with_hint(
        "load them part by part with --only, or raise --max-renames where readers can wait",
    ))
}

/// The dump, or what is chosen of it, has something to load. A part of a dump brings its tables and their triggers,
/// so that views are a release of their own in a whole dump only.
pub(crate) fn nothing_left(
    live: &Release,
    plan: &Plan,
    summary: &Summary,
    options: &Options,
) -> Result<(), Failure> {
    let objects_alone =
        live.tables.is_empty() && options.selects_all() && !summary.objects.is_empty();
    let brings = !plan.load.is_empty() || !plan.unchanged.is_empty();
    // A part may do no more than retire a table that the dump no longer has, beside others that stay.
    let retires = !plan.retire.is_empty() && !plan.kept.is_empty();
    if objects_alone || brings || retires {
        return Ok(());
    }
    let message = match live.tables.len() {
        _ if !options.selects_all() && !summary.tables.is_empty() => {
            "--only and --skip leave no table of the dump".to_owned()
        }
        0 if summary.tables.is_empty() => "the dump makes no table and no view".to_owned(),
        live => format!("the dump has no table at all, and {live} are live"),
    };
    Err(Failure::new(Kind::BadData, message).with_hint(
        "look whether the account that dumped may read the tables, and at --only and --skip",
    ))
}

/// No table lost more rows than allowed; `rows` are those that the dump brings for it, where they are known.
pub(crate) fn shrink(
    live: &Release,
    plan: &Plan,
    options: &Options,
    rows: impl Fn(&str) -> Option<u64>,
) -> Result<(), Failure> {
    let Some(percent) = options.max_shrink else {
        return Ok(());
    };
    let refuse = |what: String| {
        Err(Failure::new(
            Kind::BadData,
            format!("{what}, more than --max-shrink {percent} allows"),
        )
        .with_hint("raise --max-shrink if this is meant"))
    };
    if let Some(table) = plan
        .retire
        .iter()
        .find(|table| live.tables[*table].rows > 0)
    {
        return refuse(format!("the table {table} vanished from the dump"));
    }
    for table in &plan.load {
        let before = live.tables.get(table).map(|record| record.rows);
        let (Some(before), Some(now)) = (before, rows(table)) else {
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let too_few = (now as f64) < before as f64 * (1.0 - percent / 100.0);
        if too_few {
            return refuse(format!(
                "the table {table} went from {before} to {now} rows"
            ));
        }
    }
    Ok(())
}

/// A slip in an assertion shows before hours of loading, not after; `coming` follows the swap.
pub(crate) async fn parse(
    target: &mut dyn Target,
    coming: &BTreeSet<String>,
    options: &Options,
) -> Result<(), Failure> {
    for sql in &options.checks {
        let parsed = target.parse(sql, coming).await;
        let doing = format!("read --check {sql}");
        parsed.map_err(|error| match error.kind() {
            Kind::BadData => Failure::new(Kind::Config, format!("{doing}: {error}")),
            _ => Failure::from(error).context(doing),
        })?;
    }
    Ok(())
}

/// What the user asserts with `--check`.
pub(crate) async fn assertions(
    stage: &mut dyn Stage,
    unchanged: &BTreeSet<String>,
    options: &Options,
) -> Result<(), Failure> {
    for sql in &options.checks {
        let answer = stage
            .check(sql, unchanged)
            .await
            .context(format!("run --check {sql}"))?;
        if let Some(answer) = answer {
            return Err(Failure::new(
                Kind::BadData,
                format!("--check gave {answer} instead of a true value: {sql}"),
            )
            .with_hint("what was live still is"));
        }
    }
    Ok(())
}
