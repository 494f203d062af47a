//! The six steps of a load, and the commands beside it.

use std::collections::BTreeSet;
use std::time::Instant;

use pilotfish_dump::{Source, Summary};
use pilotfish_engine::Engine;
use pilotfish_engine::load::{
    Load, Object, Release, Stage, Status, SwapPlan, TableRecord, Target, TargetOptions,
};
use pilotfish_failure::{Context as _, Failure, Kind};
use pilotfish_sql::Dialect;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::feed::{Feed, survey};
use crate::items::{Router, Selection};
use crate::pipeline::{Pipeline, Staged};
use crate::plan::{self, Plan};
use crate::release::{self, Pinned};
use crate::{Definer, Options, Outcome, Phase, Progress, Report, SwapMode, checks};

/// Loads a dump and makes it live.
///
/// # Errors
/// See [`Kind`]; whatever it is, live data is the old release or the new one.
pub async fn load(
    engine: &dyn Engine,
    source: &Source,
    options: &Options,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Report, Failure> {
    let started = Instant::now();
    progress.enter(Phase::Opening);
    let mut load = Opened::open(engine, source, options, progress, cancel).await?;
    let mut report = load.run().await?;
    report.seconds = started.elapsed().as_secs_f64();
    progress.enter(Phase::Done);
    Ok(report)
}

/// A load whose dump, server and database are known.
struct Opened<'a> {
    target: Box<dyn Target>,
    feed: Option<Feed>,
    pinned: Pinned,
    dump_options: pilotfish_dump::Options,
    dump_database: Option<String>,
    database: String,
    options: &'a Options,
    progress: &'a Progress,
    cancel: &'a CancellationToken,
    notes: Vec<String>,
}

impl<'a> Opened<'a> {
    async fn open(
        engine: &dyn Engine,
        source: &Source,
        options: &'a Options,
        progress: &'a Progress,
        cancel: &'a CancellationToken,
    ) -> Result<Self, Failure> {
        let load = ability(engine)?;
        let Dialect::MySql(flavour) = load.dialect().await.context("reach the server")? else {
            return Err(Failure::new(
                Kind::Config,
                "dumps of this kind of server cannot be read yet",
            ));
        };
        let pinned = release::pin(source)?;
        let dump_options = pilotfish_dump::Options::new(flavour);
        let feed = Feed::open(&pinned.source, dump_options.clone()).await?;
        let dump_database = feed.database.clone();
        let database = choose_database(options, dump_database.as_deref())?;
        let target = load
            .target(TargetOptions {
                database: database.clone(),
                dump_database: dump_database.clone(),
                swap: options.swap,
                definer: options.definer,
                no_binlog: options.no_binlog,
                look_only: options.dry_run,
            })
            .await
            .context(format!("open the database {database}"))?;
        progress.expect(feed.total, None);
        Ok(Self {
            target,
            feed: Some(feed),
            pinned,
            dump_options,
            dump_database,
            database,
            options,
            progress,
            cancel,
            notes: Vec::new(),
        })
    }

    async fn run(&mut self) -> Result<Report, Failure> {
        if !self.options.dry_run {
            self.notes = self
                .target
                .recover()
                .await
                .context("finish what an earlier load left")?;
            for note in &self.notes {
                tracing::info!(note, "recovered");
            }
        }
        let live = self.target.live().await.context("read the ledger")?;
        let rejected = self.target.rejected().await.context("read the ledger")?;
        let known = self
            .known_digest(live.is_some() || !rejected.is_empty())
            .await?;
        if let Some(report) = known
            .as_ref()
            .and_then(|digest| self.nothing_to_do(live.as_ref(), digest))
        {
            return Ok(report);
        }
        if let Some(digest) = &known {
            refuse_rejected(&rejected, digest)?;
        }
        let surveyed = self.survey(live.as_ref()).await?;
        let live = live.unwrap_or_default();
        let planned = match &surveyed {
            Some(summary) => {
                let plan = plan::decide(self.target.as_mut(), &live, summary, self.options).await?;
                Some(plan)
            }
            None => None,
        };
        if self.options.dry_run {
            let summary =
                surveyed.ok_or_else(|| Failure::new(Kind::Bug, "a dry run without survey"))?;
            return Ok(self.report(
                Outcome::Planned,
                &live,
                &summary,
                &planned.unwrap_or_default(),
            ));
        }

        let mut stage = self.target.stage().await.context("make a stage")?;
        let staged = self.fill(stage.as_mut(), planned.as_ref()).await?;
        let Some(summary) = self.read_whole(surveyed.as_ref()).await? else {
            return Err(Failure::new(Kind::Bug, "the dump's reader is gone"));
        };
        let digest = self.digest(&summary);
        if known.is_none() {
            refuse_rejected(&rejected, &digest)?;
        }
        let plan = match planned {
            Some(plan) => plan,
            None => plan::decide(self.target.as_mut(), &live, &summary, self.options).await?,
        };
        let cancel = self.cancel;
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(stopped()),
            checked = self.check(stage.as_mut(), &live, &plan, &staged, &summary) => checked?,
        }
        let rows = staged.rows;
        let swap = swap_plan(digest, &live, &plan, staged, &summary, self.options)?;
        self.swap(stage, &swap).await?;
        let mut report = self.report(Outcome::Loaded, &live, &summary, &plan);
        report.rows = rows;
        Ok(report)
    }

    /// The dump's digest, where it can be known before the dump is read and anybody asks for it.
    async fn known_digest(&self, wanted: bool) -> Result<Option<String>, Failure> {
        if !wanted && self.pinned.manifest.is_none() {
            return Ok(None);
        }
        let pinned = self.pinned.clone();
        let digest = tokio::task::spawn_blocking(move || release::digest(&pinned))
            .await
            .map_err(|error| Failure::new(Kind::Bug, format!("read the dump: {error}")))??;
        let digest = digest.or_else(|| self.options.sha256.clone());
        Ok(digest.map(|digest| self.selected(digest)))
    }

    fn digest(&self, summary: &Summary) -> String {
        let published = self
            .pinned
            .manifest
            .as_ref()
            .map(|manifest| manifest.sha256.clone());
        self.selected(published.unwrap_or_else(|| summary.sha256.clone()))
    }

    /// A part of a dump is another release than the whole.
    fn selected(&self, digest: String) -> String {
        if self.options.selects_all() {
            return digest;
        }
        let parts = format!(
            "{digest} only {:?} skip {:?}",
            self.options.only, self.options.skip
        );
        Sha256::digest(parts.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn nothing_to_do(&self, live: Option<&Release>, digest: &str) -> Option<Report> {
        let live = live.filter(|live| live.digest == digest)?;
        Some(Report {
            outcome: Outcome::NothingToDo,
            database: self.database.clone(),
            digest: digest.to_owned(),
            previous: None,
            tables_loaded: Vec::new(),
            tables_unchanged: live.tables.keys().cloned().collect(),
            tables_retired: Vec::new(),
            objects: live.objects.len(),
            rows: 0,
            bytes: 0,
            seconds: 0.0,
            notes: self.notes.clone(),
        })
    }

    /// Reads a dump ahead where that can save work, or where nothing may be written before the plan.
    async fn survey(&self, live: Option<&Release>) -> Result<Option<Summary>, Failure> {
        let plan_first = self.options.dry_run || self.options.swap == SwapMode::None;
        if !matches!(self.pinned.source, Source::Path(_)) {
            if plan_first {
                return Err(Failure::new(
                    Kind::Usage,
                    "--dry-run and --swap none read the dump before they plan: give a file, not a stream",
                ));
            }
            return Ok(None);
        }
        if live.is_none() && !plan_first && self.options.selects_all() {
            return Ok(None);
        }
        self.progress.enter(Phase::Surveying);
        let summary = survey(
            &self.pinned.source,
            self.dump_options.clone(),
            self.progress,
            self.cancel,
        )
        .await?;
        checks::identity(&self.pinned, &summary, self.options)?;
        Ok(Some(summary))
    }

    async fn fill(
        &mut self,
        stage: &mut dyn Stage,
        plan: Option<&Plan>,
    ) -> Result<Staged, Failure> {
        self.progress.enter(Phase::Staging);
        tracing::info!(
            database = self.database,
            rows_by = stage.row_path(),
            threads = self.options.threads,
            "loads"
        );
        let selection = match plan {
            Some(plan) => Selection {
                only: Some(plan.load.clone()),
                skip: BTreeSet::new(),
            },
            None => Selection {
                only: (!self.options.only.is_empty()).then(|| self.options.only.clone()),
                skip: self.options.skip.clone(),
            },
        };
        let router = Router::new(self.dump_database.clone(), selection);
        let feed = self
            .feed
            .as_mut()
            .ok_or_else(|| Failure::new(Kind::Bug, "the dump is read twice"))?;
        let pipeline = Pipeline::open(
            stage,
            router,
            self.options.threads,
            self.progress,
            self.cancel,
        )
        .await?;
        pipeline.run(feed).await
    }

    /// The verdict on the dump: an error of the reader ended the pipeline early, and comes out here.
    async fn read_whole(&mut self, surveyed: Option<&Summary>) -> Result<Option<Summary>, Failure> {
        let Some(feed) = self.feed.take() else {
            return Ok(None);
        };
        let summary = feed.finish().await?;
        checks::identity(&self.pinned, &summary, self.options)?;
        if surveyed.is_some_and(|before| before.sha256 != summary.sha256) {
            return Err(
                Failure::new(Kind::Busy, "the dump changed while it was read")
                    .with_hint("nothing live was changed; publish dumps by a rename"),
            );
        }
        Ok(Some(summary))
    }

    async fn check(
        &mut self,
        stage: &mut dyn Stage,
        live: &Release,
        plan: &Plan,
        staged: &Staged,
        summary: &Summary,
    ) -> Result<(), Failure> {
        self.progress.enter(Phase::Checking);
        stage
            .foreign_keys(&plan.release())
            .await
            .context("add the foreign keys")?;
        checks::counts(staged)?;
        if let Some(table) = summary
            .tables
            .keys()
            .find(|table| plan.load.contains(*table) && !staged.tables.contains_key(*table))
        {
            return Err(Failure::new(
                Kind::BadData,
                format!("the dump has rows for {table} but no such table at its end"),
            ));
        }
        checks::shrink(live, plan, staged, self.options)?;
        let unchanged: BTreeSet<String> = plan.unchanged.union(&plan.kept).cloned().collect();
        checks::assertions(stage, &unchanged, self.options).await
    }

    async fn swap(&mut self, stage: Box<dyn Stage>, plan: &SwapPlan) -> Result<(), Failure> {
        self.progress.enter(Phase::Swapping);
        if self.cancel.is_cancelled() {
            return Err(stopped());
        }
        self.target
            .swap(stage, plan)
            .await
            .context("swap the new release in")?;
        self.progress.enter(Phase::Finishing);
        self.target.finish().await.context(
            "make the views, triggers and routines of the new release, whose rows are live already",
        )?;
        self.progress.enter(Phase::Tidying);
        self.target
            .tidy(self.options.keep_previous)
            .await
            .context("drop what the swap left over")
    }

    fn report(&self, outcome: Outcome, live: &Release, summary: &Summary, plan: &Plan) -> Report {
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        Report {
            outcome,
            database: self.database.clone(),
            digest: self.digest(summary),
            previous: Some(live.digest.clone()).filter(|digest| !digest.is_empty()),
            tables_loaded: list(&plan.load),
            tables_unchanged: list(&plan.unchanged),
            tables_retired: list(&plan.retire),
            objects: summary.objects.len(),
            rows: 0,
            bytes: self.progress.snapshot().bytes,
            seconds: 0.0,
            notes: self.notes.clone(),
        }
    }
}

fn stopped() -> Failure {
    Failure::new(
        Kind::Cancelled,
        "stopped before the swap; nothing live was changed",
    )
}

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
/// `Config` when there is no previous release.
pub async fn rollback(engine: &dyn Engine, database: Option<&str>) -> Result<Report, Failure> {
    let started = Instant::now();
    let database = one_database(engine, database).await?;
    let mut target = open_target(engine, &database).await?;
    let notes = target
        .recover()
        .await
        .context("finish what an earlier load left")?;
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
        bytes: 0,
        seconds: started.elapsed().as_secs_f64(),
        notes,
    })
}

/// Forgives rejected digests of `database`: `digest` (or a prefix of it), or all of them. Returns those.
///
/// # Errors
/// `Config` when no such digest is rejected.
pub async fn resume(
    engine: &dyn Engine,
    database: Option<&str>,
    digest: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let database = one_database(engine, database).await?;
    let mut target = open_target(engine, &database).await?;
    let rejected = target.rejected().await.context("read the ledger")?;
    let wanted = digest.unwrap_or_default();
    let chosen: Vec<String> = rejected
        .into_iter()
        .filter(|known| known.starts_with(wanted))
        .collect();
    if chosen.is_empty() {
        return Err(Failure::new(
            Kind::Config,
            format!("{database} has no rejected release {wanted}"),
        )
        .with_hint("load status shows them"));
    }
    for digest in &chosen {
        target
            .set_rejected(digest, false)
            .await
            .context("write the ledger")?;
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

async fn open_target(engine: &dyn Engine, database: &str) -> Result<Box<dyn Target>, Failure> {
    ability(engine)?
        .target(TargetOptions {
            database: database.to_owned(),
            dump_database: None,
            swap: SwapMode::Rename,
            definer: Definer::Current,
            no_binlog: false,
            look_only: false,
        })
        .await
        .context(format!("open the database {database}"))
}

/// The named database, or the only one of the ledger.
async fn one_database(engine: &dyn Engine, named: Option<&str>) -> Result<String, Failure> {
    let known: Vec<String> = status(engine)
        .await?
        .into_iter()
        .map(|status| status.database)
        .collect();
    match (named, known.as_slice()) {
        (Some(name), known) if known.iter().any(|database| database == name) => Ok(name.to_owned()),
        (None, [only]) => Ok(only.clone()),
        (Some(name), _) => Err(Failure::new(
            Kind::Config,
            format!("no release was ever loaded into {name}"),
        )),
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

fn choose_database(options: &Options, dump: Option<&str>) -> Result<String, Failure> {
    options
        .into
        .as_deref()
        .or(dump)
        .or(options.default_database.as_deref())
        .map(str::to_owned)
        .ok_or_else(|| {
            Failure::new(Kind::Config, "which database to load is not said, neither by the dump nor by the server's settings")
                .with_hint("give --into DB")
        })
}

fn refuse_rejected(rejected: &BTreeSet<String>, digest: &str) -> Result<(), Failure> {
    if rejected.contains(digest) {
        return Err(Failure::new(
            Kind::BadData,
            format!("the release {digest} was rolled back and is left alone"),
        )
        .with_hint("`load resume` allows it again"));
    }
    Ok(())
}

fn swap_plan(
    digest: String,
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
    for object in staged.objects {
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
            digest,
            since: 0,
            tables,
            objects: digests,
        },
        swap,
        retire: plan.retire.clone(),
        objects,
        patience: options.swap_timeout,
    })
}
