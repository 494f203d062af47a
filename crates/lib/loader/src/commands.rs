//! The commands beside a load: what is live, the way back, and forgiveness.

use std::collections::BTreeMap;
use std::time::Instant;

use pilotfish_engine::Engine;
use pilotfish_engine::load::{Load, Status, Target, TargetOptions};
use pilotfish_failure::{Context as _, Failure, Kind};
use tokio_util::sync::CancellationToken;

use crate::plan;
use crate::{Definer, Outcome, Owner, Report, SwapMode};

/// The releases of a server's databases.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn status(engine: &dyn Engine) -> Result<Vec<Status>, Failure> {
    ability(engine)?.status().await.context("read the ledger")
}

/// Brings the previous release of `database` back and rejects the live one.
///
/// # Errors
/// `Config` when there is no previous release, or when somebody wrote to a table that would go and
/// `overwrite_modified` does not allow it.
pub async fn rollback(
    engine: &dyn Engine,
    database: Wanted<'_>,
    overwrite_modified: bool,
    cancel: &CancellationToken,
) -> Result<Report, Failure> {
    let started = Instant::now();
    // Looked at once and first: what a load under way makes live meanwhile is not what anybody wants undone.
    let known = status(engine).await?;
    let database = one_database(&known, database)?;
    let mut here = known
        .into_iter()
        .filter(|status| status.database == database);
    let seen = here.next().map(|status| status.digest);
    let mut target = open_target(engine, &database, overwrite_modified, cancel).await?;
    let mut notes = target
        .recover()
        .await
        .context("finish what an earlier load left")?;
    for note in &notes {
        tracing::info!(note, "recovered");
    }
    let live = target.live().await.context("read the ledger")?;
    if live.map(|live| live.digest) != seen {
        return Err(Failure::new(
            Kind::Busy,
            format!("another release is live in {database} than when the rollback began"),
        )
        .with_hint("look at `load status`: it would be that one that is rolled back"));
    }
    refuse_no_way(target.as_mut()).await?;
    let lost = lost(target.as_mut(), overwrite_modified).await?;
    notes.extend(lost);
    let previous = target.previous().await.context("read the ledger")?;
    let in_place = previous.is_some_and(|previous| previous.in_place);
    let (undone, live) = target.rollback().await.context("roll back")?;
    target
        .finish()
        .await
        .context("make the views, triggers and routines of the previous release")?;
    target
        .tidy(true)
        .await
        .context("drop what the rollback left over")?;
    Ok(Report {
        outcome: Outcome::RolledBack,
        database,
        digest: live.digest,
        previous: Some(undone.digest),
        tables_loaded: Vec::new(),
        tables_unchanged: live.tables.keys().cloned().collect(),
        tables_retired: Vec::new(),
        objects: live.objects.len(),
        rows: 0,
        in_place,
        bytes: 0,
        stages: BTreeMap::new(),
        seconds: started.elapsed().as_secs_f64(),
        notes,
    })
}

/// A release that an older version loaded once more has replaced itself.
async fn refuse_no_way(target: &mut dyn Target) -> Result<(), Failure> {
    let live = target.live().await.context("read the ledger")?;
    let previous = target.previous().await.context("read the ledger")?;
    match (live, previous) {
        (Some(live), Some(previous)) if previous.release.is(&live) => Err(Failure::new(
            Kind::Config,
            "there is nothing to go back to: what the live release replaced is itself",
        )
        .with_hint("load the dump of the release that you want")),
        _ => Ok(()),
    }
}

/// A rollback drops the live tables that it replaces, with whatever was written to them and hangs on them, and brings
/// back what is left of the others. Returns what it gives up without being told to, in words.
async fn lost(target: &mut dyn Target, may_lose: bool) -> Result<Option<String>, Failure> {
    let live = target.live().await.context("read the ledger")?;
    let previous = target.previous().await.context("read the ledger")?;
    let (Some(live), Some(previous)) = (live, previous) else {
        return Ok(None);
    };
    let goes = |table: &&String| {
        previous.kept.contains(*table) || !previous.release.tables.contains_key(*table)
    };
    let leaving = live.tables.keys().filter(goes).cloned().collect();
    let drift = target
        .drift(&live, &leaving)
        .await
        .context("look at the live tables")?;
    if !may_lose {
        plan::refuse_modified(&drift)?;
        if !previous.in_place {
            plan::refuse_attached(&drift)?;
        }
        let damaged = target.damaged().await;
        refuse_damage(&damaged.context("look at the previous release")?)?;
    }
    let mut given_up = drift.helpers;
    given_up.extend(drift.attached);
    if previous.in_place {
        given_up.clear();
    }
    Ok(plan::given_up(&given_up))
}

/// What was emptied since it was replaced is not what anybody wants back.
fn refuse_damage(damaged: &BTreeMap<String, String>) -> Result<(), Failure> {
    if damaged.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Config,
        format!(
            "the previous release is not as it was when it was replaced: {}",
            plan::reasoned(damaged)
        ),
    )
    .with_hint("load its dump again; --overwrite-modified brings back what is left of it"))
}

/// Forgives rejected digests of `database`: `digest` (or a prefix of it), or all of them. Returns those.
///
/// # Errors
/// `Config` when no such digest is rejected.
pub async fn resume(
    engine: &dyn Engine,
    database: Wanted<'_>,
    digest: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let database = one_database(&status(engine).await?, database)?;
    let cancel = CancellationToken::new();
    let mut target = open_target(engine, &database, false, &cancel).await?;
    let wanted = digest.unwrap_or_default();
    let here = status(engine).await?.into_iter();
    let here = here.filter(|status| status.database == database);
    let chosen: Vec<String> = here
        .flat_map(|status| std::iter::zip(status.rejected, status.rejected_contents))
        .filter(|(digest, contents)| digest.starts_with(wanted) || contents.starts_with(wanted))
        .map(|(digest, _)| digest)
        .collect();
    if chosen.is_empty() {
        return Err(Failure::new(
            Kind::Config,
            format!("{database} has no rejected release {wanted}"),
        )
        .with_hint("load status shows them"));
    }
    for digest in &chosen {
        target.forgive(digest).await.context("write the ledger")?;
    }
    Ok(chosen)
}

/// The engine's ability to load.
pub(crate) fn ability(engine: &dyn Engine) -> Result<&dyn Load, Failure> {
    engine.load().ok_or_else(|| {
        Failure::new(
            Kind::Config,
            format!("loading into {} is not possible yet", engine.name()),
        )
    })
}

async fn open_target(
    engine: &dyn Engine,
    database: &str,
    overwrite_modified: bool,
    cancel: &CancellationToken,
) -> Result<Box<dyn Target>, Failure> {
    ability(engine)?
        .target(TargetOptions {
            database: database.to_owned(),
            dump_database: None,
            charset: None,
            swap: SwapMode::Auto,
            definer: Definer::Current,
            owner: Owner::Keep,
            no_binlog: false,
            overwrite_modified,
            look_only: false,
            cancel: cancel.clone(),
        })
        .await
        .context(format!("open the database {database}"))
}

/// Which database somebody means.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Said with the command.
    pub named: Option<&'a str>,
    /// The one of the server's settings.
    pub default: Option<&'a str>,
}

/// The named database, else that of the settings, else the only one of the ledger.
fn one_database(ledger: &[Status], wanted: Wanted<'_>) -> Result<String, Failure> {
    let known: Vec<&str> = ledger
        .iter()
        .map(|status| status.database.as_str())
        .collect();
    // Where the settings name a database, nothing is done to another one.
    let named = wanted
        .named
        .or(wanted.default.filter(|_| !known.is_empty()));
    match (named, known.as_slice()) {
        (Some(name), known) if known.contains(&name) => Ok(name.to_owned()),
        (None, [only]) => Ok((*only).to_owned()),
        (Some(name), []) => Err(never(name)),
        (Some(name), known) => Err(never(name).with_hint(format!(
            "releases are in {}: name one with --into",
            known.join(", ")
        ))),
        (None, []) => Err(Failure::new(
            Kind::Config,
            "no release was ever loaded into this server",
        )),
        (None, several) => Err(Failure::new(
            Kind::Config,
            format!("several databases have releases: {}", several.join(", ")),
        )
        .with_hint("name one with --into")),
    }
}

fn never(database: &str) -> Failure {
    Failure::new(
        Kind::Config,
        format!("no release was ever loaded into {database}"),
    )
}
