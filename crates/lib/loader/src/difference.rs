//! A dump of which few rows are other than the live ones: these change in place, instead of a swap of whole tables.
//!
//! The survey compares every row with the marks that the last load kept. Nothing is changed in place where the rule
//! below does not hold; whatever goes wrong on the way leaves the live tables as they are, and the dump is loaded whole.

use std::collections::{BTreeMap, BTreeSet};

use pilotfish_dump::{Chunks, Class, Item, KnownRows, Statement, Summary, has_value, is_value};
use pilotfish_engine::load::{DifferencePlan, MarkBook, Release, TableDifference, TableRecord};
use pilotfish_failure::{Context as _, Failure, Kind};
use tokio::runtime::Handle;

use crate::identity::refuse_rejected;
use crate::items::Selection;
use crate::pipeline::Pipeline;
use crate::plan::{self, Plan};
use crate::steps::{FINISHING, Opened};
use crate::{Outcome, Phase, Report, whole};

/// Rows that may differ: a tenth of those that a swap would load, foreign keys followed. A row that changes in place costs
/// as much as four to eight that are loaded (measured, docs/performance.md), and its readers wait for none.
const SHARE: u64 = 10;
/// Most rows that may differ: their keys and marks are in memory, 32 bytes each.
const MOST: u64 = 500_000;
/// Bytes of rows that are kept for it.
const FRESH_BYTES: usize = 32 << 20;
/// Connections for them.
const THREADS: usize = 2;

/// What the rows of a dump are compared with.
pub(crate) struct Comparison {
    pub(crate) known: Box<dyn KnownRows>,
    /// Most rows that may differ.
    pub(crate) limit: u64,
    /// The tables whose rows are marked, with the columns of their keys.
    pub(crate) marked: BTreeMap<String, Vec<String>>,
}

/// Rows that are not live yet, between the statements that set their sessions.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    /// The tables that can be compared.
    marked: BTreeSet<String>,
    items: Vec<Item>,
    bytes: usize,
    /// Tables whose rows were too many.
    left: BTreeSet<String>,
    /// Statements that say where sequences go on.
    sequence_values: Vec<Statement>,
}

impl Fresh {
    pub(crate) fn of(marked: BTreeSet<String>) -> Self {
        Self {
            marked,
            ..Self::default()
        }
    }

    fn takes(&self, table: &String) -> bool {
        self.marked.contains(table) && !self.left.contains(table)
    }

    /// Keeps what is needed of an item.
    pub(crate) fn take(&mut self, item: Item) {
        match &item {
            Item::Rows(rows) if self.takes(&rows.head.table.name) => {
                self.bytes += rows.tuples.len();
                if self.bytes > FRESH_BYTES {
                    let table = rows.head.table.name.clone();
                    self.leave(table);
                } else {
                    self.items.push(item);
                }
            }
            Item::Statement(statement) if statement.class == Class::Session => {
                self.items.push(item);
            }
            Item::Statement(statement) if statement.class == Class::SequenceValue => {
                self.sequence_values.push(statement.clone());
            }
            _ => {}
        }
    }

    fn leave(&mut self, table: String) {
        self.items
            .retain(|item| !matches!(item, Item::Rows(rows) if rows.head.table.name == table));
        let rows = self.items.iter().map(|item| match item {
            Item::Rows(rows) => rows.tuples.len(),
            _ => 0,
        });
        self.bytes = rows.sum();
        self.left.insert(table);
    }
}

/// The marks in the server, for the thread that reads the dump.
struct Kept {
    book: Box<dyn MarkBook>,
    handle: Handle,
}

impl KnownRows for Kept {
    fn layers(&mut self, table: &str) -> Option<Vec<Chunks>> {
        let layers = self.handle.block_on(self.book.layers(table));
        let layers =
            layers.inspect_err(|error| tracing::debug!(%error, table, "marks cannot be read"));
        let chunks = layers.ok()??.into_iter().map(|mut chunks| -> Chunks {
            Box::new(std::iter::from_fn(move || chunks.blocking_recv()))
        });
        Some(chunks.collect())
    }
}

impl Opened<'_> {
    /// What the survey compares rows with, where a difference may do.
    pub(crate) async fn comparison(
        &mut self,
        live: &Release,
    ) -> Result<Option<Comparison>, Failure> {
        let options = self.options;
        // An assertion asks the release before it is live; whoever may overrule others gets all rows anew.
        let may = self.dump_options.marks
            && !options.dry_run
            && options.selects_all()
            && options.checks.is_empty()
            && !options.overwrite_modified
            && !options.whole
            // Replicas must have the rows that change.
            && !live.unlogged
            && !live.rewriting;
        if !may {
            return Ok(None);
        }
        let marked = self.target.marked(live).await.context("read the ledger")?;
        if marked.is_empty() {
            return Ok(None);
        }
        let rows: u64 = live.tables.values().map(|table| table.rows).sum();
        let book = self
            .target
            .mark_book(live)
            .await
            .context("read the ledger")?;
        Ok(Some(Comparison {
            known: Box::new(Kept {
                book,
                handle: Handle::current(),
            }),
            limit: (rows / SHARE).min(MOST),
            marked,
        }))
    }

    /// Changes the live tables in place, where the difference is small and can be told; `None` where the dump is to be
    /// loaded.
    pub(crate) async fn by_difference(
        &mut self,
        live: &Release,
        rejected: &BTreeSet<String>,
        plan: &Plan,
        summary: &Summary,
        fresh: Fresh,
    ) -> Result<Option<Report>, Failure> {
        let changed = match self.changed_in_place(live, plan, summary, &fresh).await? {
            Ok(changed) => changed,
            Err(reason) => {
                tracing::info!(reason, "loads whole tables");
                return Ok(None);
            }
        };
        refuse_rejected(rejected, &self.digest(summary))?;
        self.judge(live, plan, summary, whole::rows_of(summary))?;
        let plan = self.draw_difference(live, &changed, summary, &fresh);
        match self.exchange(&plan, fresh).await {
            Ok(()) => {}
            Err(failure) if matches!(failure.kind(), Kind::Cancelled | Kind::Unreachable) => {
                return Err(failure);
            }
            Err(failure) => {
                tracing::warn!(reason = %failure, "nothing was changed in place: loads whole tables");
                return Ok(None);
            }
        }
        self.staged = false;
        self.progress.enter(Phase::Finishing);
        self.target.finish().await.context(FINISHING)?;
        self.progress.enter(Phase::Tidying);
        let tidied = self.target.tidy(self.options.keep_previous).await;
        tidied.context("drop what the change left over")?;
        Ok(Some(self.report_difference(live, &changed, summary)))
    }

    /// The tables that change; or why they cannot in place.
    async fn changed_in_place(
        &mut self,
        live: &Release,
        plan: &Plan,
        summary: &Summary,
        fresh: &Fresh,
    ) -> Result<Result<BTreeSet<String>, String>, Failure> {
        let other = |(name, table): (&String, &pilotfish_dump::TableDigest)| {
            let record = live.tables.get(name)?;
            (record.digest != table.digest).then(|| name.clone())
        };
        let changed: BTreeSet<String> = summary.tables.iter().filter_map(other).collect();
        if let Some(reason) = told_apart(live, plan, summary, &changed) {
            return Ok(Err(reason.to_owned()));
        }
        for name in &changed {
            if let Some(why) = more_than_rows(name, live, summary, fresh) {
                return Ok(Err(format!("{name} differs by more than some rows: {why}")));
            }
        }
        // Where all of it changes places, the rest is copied.
        let moved = summary.tables.iter();
        let moved =
            moved.filter(|(name, _)| self.target.stages_whole() || plan.load.contains(*name));
        let rows = moved.map(|(_, table)| table.rows);
        let differences = changed
            .iter()
            .filter_map(|name| summary.differences.get(name));
        let differing: u64 = differences.map(|it| it.come.max(it.going())).sum();
        if differing > rows.sum::<u64>() / SHARE {
            return Ok(Err(format!("{differing} rows differ")));
        }
        let missing = self
            .target
            .missing(live)
            .await
            .context("look at the live tables")?;
        if !missing.is_empty() {
            return Ok(Err(format!(
                "live tables are gone: {}",
                plan::list(&missing)
            )));
        }
        let refused = self.target.refuses_difference(&changed).await;
        let refused = refused.context("look at the live tables")?;
        Ok(refused.map_or(Ok(changed), Err))
    }

    /// The ledger's words for the change.
    fn draw_difference(
        &self,
        live: &Release,
        changed: &BTreeSet<String>,
        summary: &Summary,
        fresh: &Fresh,
    ) -> DifferencePlan {
        let mut plan = DifferencePlan {
            release: Release {
                digest: self.digest(summary),
                contents: self.contents(summary),
                bytes: self.total,
                tables: live.tables.clone(),
                objects: summary.objects.clone(),
                ..Release::default()
            },
            tables: BTreeMap::new(),
            counters: BTreeMap::new(),
            sequence_values: fresh
                .sequence_values
                .iter()
                .map(|it| it.text.clone())
                .collect(),
            allow_orphans: self.options.allow_orphans,
        };
        for (name, record) in &mut plan.release.tables {
            let Some(table) = summary.tables.get(name) else {
                continue;
            };
            if let Some(counter) = table
                .counter
                .filter(|counter| record.counter != Some(*counter))
            {
                plan.counters.insert(name.clone(), counter);
                record.counter = Some(counter);
            }
            let Some(difference) = summary
                .differences
                .get(name)
                .filter(|_| changed.contains(name))
            else {
                continue;
            };
            *record = TableRecord {
                digest: table.digest.clone(),
                rows: table.rows,
                seen: None,
                ..record.clone()
            };
            let difference = TableDifference {
                gone: difference.gone.clone(),
                key: table.key.clone(),
                come: difference.come,
                patch: difference.patch.clone(),
            };
            plan.tables.insert(name.clone(), difference);
        }
        plan
    }

    /// Stages the rows that come, and changes the live tables.
    async fn exchange(&mut self, plan: &DifferencePlan, fresh: Fresh) -> Result<(), Failure> {
        self.progress.enter(Phase::Staging);
        self.staged = true;
        let mut stage = self.target.stage().await.context("make a stage")?;
        for table in plan.tables.keys() {
            stage
                .stand_in(table)
                .await
                .context(format!("make a table like {table}"))?;
        }
        let router = self.router(Selection {
            only: Some(plan.tables.keys().cloned().collect()),
            ..self.selection()
        });
        let threads = self.options.threads.min(THREADS);
        let pipeline = Pipeline::open(
            stage.as_mut(),
            router,
            threads,
            None,
            self.progress,
            self.cancel,
        );
        pipeline.await?.replay(fresh.items).await?;
        self.progress.enter(Phase::Swapping);
        if self.cancel.is_cancelled() {
            return Err(self.stopped());
        }
        let applied = self.target.apply(stage, plan).await;
        applied.context("change the live tables")
    }

    fn report_difference(
        &self,
        live: &Release,
        changed: &BTreeSet<String>,
        summary: &Summary,
    ) -> Report {
        let of_changed = summary
            .differences
            .iter()
            .filter(|(name, _)| changed.contains(*name));
        let plan = Plan {
            load: changed.clone(),
            unchanged: summary
                .tables
                .keys()
                .filter(|name| !changed.contains(*name))
                .cloned()
                .collect(),
            ..Plan::default()
        };
        let mut report = self.report(Outcome::Loaded, live, summary, &plan);
        report.in_place = true;
        report.rows = of_changed.map(|(_, difference)| difference.come).sum();
        report
    }
}

/// Why a changed table cannot be told row by row; `None` where it can.
fn more_than_rows(
    name: &str,
    live: &Release,
    summary: &Summary,
    fresh: &Fresh,
) -> Option<&'static str> {
    let record = live.tables.get(name);
    let record = record.and_then(|record| record.definition.as_ref());
    if record != summary.tables.get(name).map(|table| &table.definition) {
        Some("its definition does")
    } else if !fresh.marked.contains(name) {
        Some(
            "its rows are not known: it has no primary key of integers, or they were loaded from a stream, in too wild an order \
             or before the server crashed",
        )
    } else if fresh.left.contains(name) {
        Some("too many bytes of rows do")
    } else if !summary.differences.contains_key(name) {
        Some(
            "too many rows do, or its rows do not come as before: by INSERT instead of COPY, or in too wild an order",
        )
    } else {
        None
    }
}

/// Why a dump is more than some rows of the live release; `None` where it is no more.
fn told_apart(
    live: &Release,
    plan: &Plan,
    summary: &Summary,
    changed: &BTreeSet<String>,
) -> Option<&'static str> {
    let mut kinds = summary.objects.keys();
    let sequences = kinds
        .clone()
        .any(|key| key.starts_with("sequence ") && !has_value(&summary.objects, key));
    let computed = kinds.any(|key| key.starts_with("materialized view "));
    // Whose values a dump sets is a definition, too: those of others are not the dump's to set.
    let defined = |objects: &BTreeMap<String, String>| {
        let mut objects = objects.clone();
        for (_, digest) in objects.iter_mut().filter(|(key, _)| is_value(key)) {
            digest.clear();
        }
        objects
    };
    let same_tables = live.tables.keys().eq(summary.tables.keys());
    if summary.opaque {
        Some("rows come from more than what they say")
    } else if sequences || !same_tables || !plan.retire.is_empty() || !plan.kept.is_empty() {
        Some("tables come or go, or there are sequences")
    } else if changed.is_empty() && live.objects == summary.objects {
        Some("no row differs")
    } else if computed {
        Some("materialized views are computed from its rows")
    } else if defined(&live.objects) != defined(&summary.objects) {
        Some("views, triggers or routines differ")
    } else {
        None
    }
}
