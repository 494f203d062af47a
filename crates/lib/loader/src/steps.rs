//! The six steps of a load.

use std::collections::BTreeSet;
use std::time::Instant;

use pilotfish_dump::{Source, Summary};
use pilotfish_engine::load::{Gauge, Release, Stage, SwapPlan, Target, TargetOptions};
use pilotfish_engine::{Engine, Error};
use pilotfish_failure::{Context as _, Failure, Kind};
use tokio_util::sync::CancellationToken;

use crate::commands::ability;
use crate::feed::Feed;
use crate::identity::{Ledger, refuse_rejected, refuse_rejected_content};
use crate::items::{Router, Selection};
use crate::pipeline::{Pipeline, Staged};
use crate::plan::{self, Plan};
use crate::release::{self, Pinned};
use crate::throttle::Throttle;
use crate::{Options, Outcome, Phase, Progress, Report, SwapMode};
use crate::{checks, database, left_out, second_look, swap_plan, whole};

/// Bytes of rows that travel together. A chunk is held as text and as LOAD DATA while it is under way, so
/// that each connection costs about four times as much with what waits for it.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

pub(crate) const FINISHING: &str =
    "make the views, triggers and routines of the new release, whose rows are live already";

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
    let outcome = one_way(engine, source, options, progress, cancel).await;
    let Err(failure) = &outcome else {
        return outcome;
    };
    let Some(Error::NeedsDatabase(why)) = failure.cause() else {
        return outcome;
    };
    if options.swap != SwapMode::Auto || !matches!(source, Source::Path(_)) {
        return outcome.map_err(|failure| {
            failure.with_hint("--swap database stages a database of its own; its swap ends the sessions of readers")
        });
    }
    let note = format!("the dump takes a database of its own: {why}");
    tracing::warn!(note, "begins again with --swap database");
    let another = Options {
        swap: SwapMode::Database,
        ..options.clone()
    };
    let mut report = one_way(engine, source, &another, progress, cancel).await?;
    report.notes.push(note);
    Ok(report)
}

/// As [`load`], with one way to swap.
async fn one_way(
    engine: &dyn Engine,
    source: &Source,
    options: &Options,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Report, Failure> {
    let started = Instant::now();
    progress.enter(Phase::Opening);
    let opened = Opened::open(engine, source, options, progress, cancel).await;
    let mut load = opened.map_err(named_rights)?;
    let mut report = match load.run().await {
        Ok(report) => report,
        Err(failure) => {
            load.clear_stage(failure.kind() == Kind::Cancelled).await;
            return Err(load.pinned.vanished(named_rights(failure)));
        }
    };
    report.seconds = started.elapsed().as_secs_f64();
    progress.enter(Phase::Done);
    report.stages = progress.stages();
    Ok(report)
}

/// The server's words name one right at best, and the next one is missing too, often.
fn named_rights(failure: Failure) -> Failure {
    match failure.kind() {
        Kind::Denied => failure
            .with_hint("compare the grants of the account with those that the README lists, for PostgreSQL docs/postgresql.md"),
        _ => failure,
    }
}

/// A load whose dump, server and database are known.
pub(crate) struct Opened<'a> {
    pub(crate) target: Box<dyn Target>,
    pub(crate) feed: Option<Feed>,
    pub(crate) pinned: Pinned,
    pub(crate) dump_options: pilotfish_dump::Options,
    dump_database: Option<String>,
    pub(crate) database: String,
    pub(crate) options: &'a Options,
    pub(crate) progress: &'a Progress,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) notes: Vec<String>,
    /// Size of the stored dump, where that is known.
    pub(crate) total: Option<u64>,
    gauge: Option<Box<dyn Gauge>>,
    /// A stage was made and nothing swapped.
    pub(crate) staged: bool,
    /// The server does not wait for its disk.
    pub(crate) loosened: bool,
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
        let dialect = load.dialect().await.context("reach the server")?;
        let pinned = release::pin(source)?;
        let mut dump_options = pilotfish_dump::Options::new(dialect);
        dump_options.chunk_bytes = CHUNK_BYTES;
        // Marks that replicas do not have would stop them once they are swept.
        // A database of its own has a ledger of its own.
        let shares = options.swap.is_aside() && options.swap != SwapMode::Database;
        dump_options.marks = load.marks() && shares && !options.no_binlog;
        dump_options.database = options
            .into
            .clone()
            .or_else(|| options.default_database.clone());
        let feed = Feed::open(&pinned.source, dump_options.clone()).await?;
        let mut notes = Vec::new();
        if let Some(note) = left_out::look(&pinned, &feed.ignored)? {
            tracing::warn!(note, "left out");
            notes.push(note);
        }
        let dump_database = feed.database.clone();
        let database = database::choose(options, dump_database.as_deref())?;
        if let Some(other) = dump_database.as_ref().filter(|name| **name != database) {
            tracing::info!(
                dump = other,
                into = database,
                "the dump is of another database"
            );
        }
        let target = load
            .target(TargetOptions {
                database: database.clone(),
                dump_database: dump_database.clone(),
                charset: feed.database_charset.clone(),
                swap: options.swap,
                definer: options.definer,
                owner: options.owner,
                no_binlog: options.no_binlog,
                overwrite_modified: options.overwrite_modified,
                look_only: options.dry_run,
                cancel: cancel.clone(),
            })
            .await
            .context(format!("open the database {database}"))?;
        if target.stages_whole() && !options.selects_all() {
            return Err(Failure::new(
                Kind::Usage,
                "--only and --skip need a server that swaps tables, such as MariaDB: this one swaps whole schemas",
            ));
        }
        let gauge = match &options.throttle {
            Some(limits) => {
                let gauge = load.gauge(&limits.replicas).await;
                Some(gauge.context("look at the server")?)
            }
            None => None,
        };
        progress.expect(feed.total, None);
        Ok(Self {
            target,
            total: feed.total,
            feed: Some(feed),
            pinned,
            dump_options,
            dump_database,
            database,
            options,
            progress,
            cancel,
            notes,
            gauge,
            staged: false,
            loosened: false,
        })
    }

    async fn run(&mut self) -> Result<Report, Failure> {
        let ledger = self.read_ledger().await?;
        if let Some(live) = self.live_already(&ledger).await? {
            self.say_unasked();
            return Ok(self.nothing_to_do(live));
        }
        if let Some(digest) = &ledger.dump {
            refuse_rejected(&ledger.rejected, digest)?;
        }
        let target = self.target.as_mut();
        checks::parse(target, &BTreeSet::new(), self.options).await?;
        let surveyed = self.survey(ledger.live.as_ref()).await?;
        let Ledger { live, rejected, .. } = ledger;
        let live = live.unwrap_or_default();
        let mut planned = None;
        let (surveyed, mut fresh) =
            surveyed.map_or((None, None), |found| (Some(found.summary), found.fresh));
        if let Some(summary) = &surveyed {
            refuse_rejected_content(&rejected, &self.contents(summary))?;
            self.say_left_out(summary);
            if let Some(fresh) = fresh.take_if(|_| self.target.stages_whole()) {
                let plan = plan::touched(&live, summary, self.options);
                let changed = self.by_difference(&live, &rejected, &plan, summary, fresh);
                if let Some(report) = Box::pin(changed).await? {
                    return Ok(report);
                }
            }
            let plan = self.plan(&live, summary).await?;
            if self.options.dry_run || !self.options.swap.is_aside() {
                let rows = whole::rows_of(summary);
                self.judge(&live, &plan, summary, rows)?;
            }
            if self.options.dry_run {
                return Ok(self.report(Outcome::Planned, &live, summary, &plan));
            }
            if let Some(fresh) = fresh
                && let Some(report) =
                    Box::pin(self.by_difference(&live, &rejected, &plan, summary, fresh)).await?
            {
                return Ok(report);
            }
            planned = Some(plan);
        }
        self.stage_and_swap(&live, &rejected, planned, surveyed.as_ref())
            .await
    }

    async fn stage_and_swap(
        &mut self,
        live: &Release,
        rejected: &BTreeSet<String>,
        planned: Option<Plan>,
        surveyed: Option<&Summary>,
    ) -> Result<Report, Failure> {
        self.staged = self.options.swap.is_aside();
        if self.options.first_load {
            self.loosen().await?;
        }
        let mut stage = self.target.stage().await.context("make a stage")?;
        let whole = self.target.stages_whole();
        let (staged, summary) = match (&planned, surveyed) {
            // What did not change would be staged with the rest.
            (Some(plan), Some(summary)) if whole && plan.changes_nothing() => {
                (Staged::default(), summary.clone())
            }
            _ => {
                self.fill(stage.as_mut(), planned.as_ref(), surveyed)
                    .await?
            }
        };
        let (digest, contents) = (self.digest(&summary), self.contents(&summary));
        refuse_rejected(rejected, &digest)?;
        refuse_rejected_content(rejected, &contents)?;
        let plan = match planned {
            Some(plan) => plan,
            None => {
                self.say_left_out(&summary);
                self.plan(live, &summary).await?
            }
        };
        if let Some(note) = plan::given_up(&plan.given_up) {
            tracing::warn!(note, "given up");
            self.notes.push(note);
        }
        let cancel = self.cancel;
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(self.stopped()),
            checked = self.check(stage.as_mut(), live, &plan, &staged, &summary) => checked?,
        }
        let rows = staged
            .tables
            .iter()
            .filter(|(name, _)| plan.load.contains(*name));
        let rows = rows.map(|(_, table)| table.rows).sum();
        let mut swap = swap_plan::draw(live, &plan, staged, &summary, self.options, whole)?;
        (swap.release.digest, swap.release.contents) = (digest, contents);
        swap.release.bytes = self.total;
        self.swap(stage, &swap).await?;
        let mut report = self.report(Outcome::Loaded, live, &summary, &plan);
        report.rows = rows;
        report.objects = swap.objects.len();
        Ok(report)
    }

    /// An assertion is about a release to come.
    fn say_unasked(&mut self) {
        if self.options.checks.is_empty() {
            return;
        }
        let note = "--check was not asked: its release is live already".to_owned();
        // `watch` comes here after each restart: nothing is wrong.
        tracing::info!(note, "unasked");
        self.notes.push(note);
    }

    /// What the user chose; the plan may take less.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            only: (!self.options.only.is_empty()).then(|| self.options.only.clone()),
            skip: self.options.skip.clone(),
            carried: BTreeSet::new(),
            sequences: None,
        }
    }

    pub(crate) fn router(&self, selection: Selection) -> Router {
        let own = self.dump_database.as_ref().unwrap_or(&self.database);
        Router::new(own.clone(), selection)
    }

    /// Says what of a dump no load brings.
    fn say_left_out(&mut self, summary: &Summary) {
        let of_the_server = (!summary.left_out.is_empty()).then(|| {
            format!(
                "a load fills a database and leaves out what a dump says of the server: {}",
                summary.left_out.join(", ")
            )
        });
        let of_others = plan::left_objects(summary, self.options);
        for note in of_others.into_iter().chain(of_the_server) {
            tracing::warn!(note, "left out");
            self.notes.push(note);
        }
    }

    async fn plan(&mut self, live: &Release, summary: &Summary) -> Result<Plan, Failure> {
        let target = self.target.as_mut();
        let coming = match target.stages_whole() {
            true => BTreeSet::new(),
            false => plan::objects(summary).cloned().collect(),
        };
        checks::parse(target, &coming, self.options).await?;
        let plan = plan::decide(target, live, summary, self.options).await?;
        let previous = self.target.previous().await.context("read the ledger")?;
        // The live release once more leaves the one before where it is.
        let again = live.is(&Release {
            digest: self.digest(summary),
            contents: self.contents(summary),
            ..Release::default()
        });
        let before_last = previous.as_ref().filter(|_| !again);
        if !plan.retire.is_empty() {
            tracing::warn!(
                tables = plan::list(&plan.retire),
                "retires: the dump does not have them any more"
            );
        }
        if !self.target.stages_whole() {
            checks::renames(live, &plan, before_last, self.options)?;
        }
        Ok(plan)
    }

    async fn fill(
        &mut self,
        stage: &mut dyn Stage,
        plan: Option<&Plan>,
        surveyed: Option<&Summary>,
    ) -> Result<(Staged, Summary), Failure> {
        self.progress.enter(Phase::Staging);
        tracing::info!(
            database = self.database,
            rows_by = stage.row_path(),
            threads = self.options.threads,
            "loads"
        );
        let selection = match plan.zip(surveyed) {
            Some((plan, summary)) => Selection {
                only: Some(plan.load.union(&summary.unmade).cloned().collect()),
                skip: BTreeSet::new(),
                carried: match self.target.stages_whole() {
                    true => plan.unchanged.clone(),
                    false => BTreeSet::new(),
                },
                sequences: Some(plan.load.clone()),
            },
            None => self.selection(),
        };
        let router = self.router(selection);
        let mut feed = self
            .feed
            .take()
            .ok_or_else(|| Failure::new(Kind::Bug, "the dump is read twice"))?;
        let threads = self.options.threads;
        let limits = self.options.throttle.clone().zip(self.gauge.take());
        let watching = limits.map(|(limits, gauge)| Throttle::watch(limits, gauge, self.progress));
        let throttle = watching.as_ref().map(|(throttle, _)| throttle);
        let mut pipeline =
            Pipeline::open(stage, router, threads, throttle, self.progress, self.cancel).await?;
        if let Err(refused) = pipeline.read(&mut feed).await {
            return Err(second_look::at_damage(&self.pinned.source, refused, self.cancel).await);
        }
        // The verdict before the keys: an error of the reader looks like the end of the items.
        let read = feed.finish().await?;
        self.progress.spent("unpacking", read.unpacking);
        self.progress.spent("framing", read.framing);
        let summary = read.summary;
        checks::identity(&self.pinned, &summary, self.options)?;
        if surveyed.is_some_and(|before| before.sha256 != summary.sha256) {
            return Err(
                Failure::new(Kind::Busy, "the dump changed while it was read")
                    .with_hint("publish dumps by a rename"),
            );
        }
        Ok((pipeline.complete().await?, summary))
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
        checks::orphans(stage, self.options).await?;
        if self.options.swap.is_aside() {
            checks::nothing_unknown(stage, staged).await?;
        }
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
        if self.options.swap.is_aside() {
            let rows = |table: &str| staged.tables.get(table).map(|table| table.rows);
            self.judge(live, plan, summary, rows)?;
        }
        plan::still_holds(self.target.as_mut(), live, plan, self.options).await?;
        let mut unchanged: BTreeSet<String> = plan.unchanged.union(&plan.kept).cloned().collect();
        if self.target.stages_whole() && !plan.changes_nothing() {
            unchanged.clear();
        }
        checks::assertions(stage, &unchanged, self.options).await
    }

    /// Refuses a dump that has too little, and one that nothing proves and that has less than what is live.
    pub(crate) fn judge(
        &mut self,
        live: &Release,
        plan: &Plan,
        summary: &Summary,
        rows: impl Fn(&str) -> Option<u64>,
    ) -> Result<(), Failure> {
        checks::nothing_left(live, plan, summary, self.options)?;
        checks::no_row_at_all(live, plan, summary, self.options, &rows)?;
        checks::shrink(live, plan, self.options, &rows)?;
        let pinned = &self.pinned;
        if let Some(note) = whole::judge(pinned, live, plan, summary, self.options, rows)? {
            tracing::warn!(note, "unproven");
            // A change in place that came to nothing has said it already.
            self.notes.retain(|other| *other != note);
            self.notes.push(note);
        }
        Ok(())
    }

    async fn swap(&mut self, stage: Box<dyn Stage>, plan: &SwapPlan) -> Result<(), Failure> {
        self.progress.enter(Phase::Swapping);
        if self.cancel.is_cancelled() {
            return Err(self.stopped());
        }
        self.tighten().await?;
        let swapped = self.target.swap(stage, plan).await;
        swapped
            .context("swap the new release in")
            .map_err(|failure| match failure.kind() {
                Kind::Busy => {
                    failure.with_hint("--swap-timeout sets how long to look for a moment")
                }
                _ => failure,
            })?;
        self.staged = false;
        self.progress.enter(Phase::Finishing);
        self.target.finish().await.context(FINISHING)?;
        self.progress.enter(Phase::Tidying);
        let others = self.target.prove().await;
        let others = others.context("look at the replaced tables")?;
        let keep = self.options.keep_previous || !others.is_empty();
        for note in others {
            tracing::warn!(note, "others were at work");
            self.notes.push(note);
        }
        self.target
            .tidy(keep)
            .await
            .context("drop what the swap left over")
    }

    pub(crate) fn stopped(&self) -> Failure {
        let message = match self.options.swap {
            SwapMode::None => "stopped half-way: load again, live tables are incomplete",
            _ => "stopped before the swap; nothing live was changed",
        };
        Failure::new(Kind::Cancelled, message)
    }
}
