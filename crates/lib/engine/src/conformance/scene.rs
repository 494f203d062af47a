//! A database for one promise, and the steps that most promises share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pilotfish_failure::{Classify, Kind};
use tokio_util::sync::CancellationToken;

use super::{Fixture, Row};
use crate::Error;
use crate::load::{
    Definer, Load, Object, ObjectKind, Owner, Release, RowBatch, SessionState, Stage, Status,
    SwapMode, SwapPlan, TableRecord, Target, TargetOptions,
};

/// Long enough for a busy machine; no promise waits for it to run out.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Scene {
    pub(super) fixture: Arc<dyn Fixture>,
    /// The live database; not there yet.
    pub(super) database: String,
}

impl Scene {
    pub(super) fn new(fixture: &Arc<dyn Fixture>, promise: &str) -> Self {
        let head: String = promise.chars().take(40).collect();
        Self {
            fixture: Arc::clone(fixture),
            database: format!("app_{head}"),
        }
    }

    pub(super) fn load(&self) -> Result<&dyn Load, Error> {
        let engine = self.fixture.engine();
        let load = engine.load();
        load.ok_or_else(|| Error::Config(format!("{} does not load", engine.name())))
    }

    pub(super) fn options(&self) -> TargetOptions {
        TargetOptions {
            database: self.database.clone(),
            dump_database: None,
            charset: None,
            swap: SwapMode::Auto,
            definer: Definer::Current,
            owner: Owner::Keep,
            no_binlog: false,
            overwrite_modified: true,
            look_only: false,
            cancel: CancellationToken::new(),
        }
    }

    pub(super) async fn target(&self) -> Result<Box<dyn Target>, Error> {
        self.target_with(self.options()).await
    }

    /// Opens a database that nobody else holds, once the loader before is really gone: its server
    /// notices in its own time.
    pub(super) async fn target_with(
        &self,
        options: TargetOptions,
    ) -> Result<Box<dyn Target>, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let target = self.load()?.target(options.clone()).await;
            if refusal(&target) != Some(Kind::Busy) || Instant::now() >= deadline {
                return target;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the ledger says of this database.
    pub(super) async fn status(&self) -> Result<Option<Status>, Error> {
        let all = self.load()?.status().await?;
        Ok(all
            .into_iter()
            .find(|status| status.database == self.database))
    }

    /// Runs SQL in the live database, past the engine.
    #[track_caller]
    pub(super) fn ask(&self, sql: &str) -> String {
        let answer = self.fixture.ask(Some(&self.database), sql);
        assert!(answer.is_ok(), "{sql}: {answer:?}");
        answer.unwrap_or_default()
    }

    /// The rows of a live table.
    #[track_caller]
    pub(super) fn rows(&self, table: &str) -> Vec<Row> {
        let rows = self.fixture.rows(&self.database, table);
        assert!(rows.is_ok(), "read {table}: {rows:?}");
        rows.unwrap_or_default()
    }

    /// Live tables and views.
    pub(super) fn tables(&self) -> BTreeSet<String> {
        self.fixture.tables(&self.database)
    }

    /// A batch of plain INSERT rows under the stage's session.
    pub(super) async fn batch(
        &self,
        stage: &mut dyn Stage,
        table: &str,
        rows: &[Row],
    ) -> Result<RowBatch, Error> {
        let session = stage.session().await?;
        Ok(RowBatch {
            lone: false,
            whole: false,
            line: 0,
            rows: rows.len() as u64,
            ..batch(&session, table, &self.fixture.tuples(rows))
        })
    }

    /// Fills a staged table and completes it.
    pub(super) async fn fill(
        &self,
        stage: &mut dyn Stage,
        table: &str,
        rows: &[Row],
    ) -> Result<TableRecord, Error> {
        let batch = self.batch(stage, table, rows).await?;
        let mut worker = stage.worker().await?;
        if !rows.is_empty() {
            worker.load(&batch).await?;
        }
        let completed = worker.complete(table).await?;
        Ok(TableRecord {
            digest: format!("{table} {rows:?}"),
            rows: completed.rows,
            proof: completed.proof,
            ..TableRecord::default()
        })
    }

    /// Stages a draft whole; the plan swaps all of it in and retires what it no longer has.
    pub(super) async fn staged(
        &self,
        target: &mut dyn Target,
        draft: &Draft,
    ) -> Result<(Box<dyn Stage>, SwapPlan), Error> {
        let mut stage = target.stage().await?;
        let mut tables = BTreeMap::new();
        for table in &draft.tables {
            let definition = match &table.parent {
                Some(parent) => self.fixture.child(&table.name, parent),
                None => self.fixture.table(&table.name),
            };
            stage
                .create_table(&table.name, definition.as_bytes())
                .await?;
            let record = self.fill(&mut *stage, &table.name, &table.rows).await?;
            tables.insert(table.name.clone(), record);
        }
        stage
            .foreign_keys(&tables.keys().cloned().collect())
            .await?;
        let objects = self.objects(&mut *stage, draft).await?;
        let mut plan = plan(draft.number, tables);
        let live = target.live().await?.unwrap_or_default();
        plan.retire = live.tables.keys().cloned().collect();
        plan.retire.retain(|table| !plan.swap.contains(table));
        plan.release.objects = objects
            .iter()
            .map(|object| (object.key(), object.digest.clone()))
            .collect();
        plan.objects = objects;
        Ok((stage, plan))
    }

    /// Stages a draft, makes it live and keeps what it replaces; returns what is live then.
    pub(super) async fn publish(
        &self,
        target: &mut dyn Target,
        draft: &Draft,
    ) -> Result<Release, Error> {
        let (stage, plan) = self.staged(target, draft).await?;
        self.go_live(target, stage, &plan).await
    }

    /// As [`Self::publish`], over tables of others too.
    pub(super) async fn adopt(
        &self,
        target: &mut dyn Target,
        draft: &Draft,
    ) -> Result<Release, Error> {
        let (stage, plan) = self.staged(target, draft).await?;
        let adopting = SwapPlan {
            adopt: true,
            ..plan
        };
        self.go_live(target, stage, &adopting).await
    }

    /// Swap, finish, tidy.
    pub(super) async fn go_live(
        &self,
        target: &mut dyn Target,
        stage: Box<dyn Stage>,
        plan: &SwapPlan,
    ) -> Result<Release, Error> {
        target.swap(stage, plan).await?;
        target.finish().await?;
        target.tidy(true).await?;
        let live = target.live().await?;
        assert!(live.is_some(), "nothing is live after a swap");
        Ok(live.unwrap_or_default())
    }

    /// As a person who does not mind what was written since.
    pub(super) async fn rollback(target: &mut dyn Target) -> Result<(Release, Release), Error> {
        target.rollback().await
    }

    async fn objects(&self, stage: &mut dyn Stage, draft: &Draft) -> Result<Vec<Object>, Error> {
        let session = stage.session().await?;
        let mut objects = Vec::new();
        for (name, table) in &draft.triggers {
            for (kind, name, sql) in self.fixture.trigger(name, table) {
                let table = (kind == ObjectKind::Trigger).then(|| table.clone());
                objects.push(object(kind, &name, table, sql, &session));
            }
        }
        for (name, table) in &draft.views {
            let sql = self.fixture.view(name, table);
            objects.push(object(ObjectKind::View, name, None, sql, &session));
        }
        Ok(objects)
    }
}

/// A release to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    number: u8,
    tables: Vec<DraftTable>,
    views: Vec<(String, String)>,
    triggers: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
struct DraftTable {
    name: String,
    parent: Option<String>,
    rows: Vec<Row>,
}

impl Draft {
    pub(super) fn new(number: u8) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    pub(super) fn table(self, name: &str, words: &[&str]) -> Self {
        self.with(name, None, words)
    }

    /// A table whose words are words of `parent`, which comes before it.
    pub(super) fn child(self, name: &str, parent: &str, words: &[&str]) -> Self {
        self.with(name, Some(parent.to_owned()), words)
    }

    pub(super) fn view(mut self, name: &str, table: &str) -> Self {
        self.views.push((name.to_owned(), table.to_owned()));
        self
    }

    pub(super) fn trigger(mut self, name: &str, table: &str) -> Self {
        self.triggers.push((name.to_owned(), table.to_owned()));
        self
    }

    fn with(mut self, name: &str, parent: Option<String>, words: &[&str]) -> Self {
        self.tables.push(DraftTable {
            name: name.to_owned(),
            parent,
            rows: rows(words),
        });
        self
    }
}

/// The plan that swaps staged tables in and does nothing else.
pub(super) fn plan(number: u8, tables: BTreeMap<String, TableRecord>) -> SwapPlan {
    SwapPlan {
        swap: tables.keys().cloned().collect(),
        marked: BTreeMap::new(),
        release: Release {
            digest: digest(number),
            contents: contents(number),
            tables,
            ..Release::default()
        },
        retire: BTreeSet::new(),
        counters: BTreeMap::new(),
        objects: Vec::new(),
        keep_objects: false,
        adopt: false,
        allow_non_transactional: false,
        patience: PATIENCE,
    }
}

/// A digest as long as a real one.
pub(super) fn digest(number: u8) -> String {
    format!("{number:064x}")
}

/// The other name of a draft: even ones have one, as dumps that are stored compressed.
pub(super) fn contents(number: u8) -> String {
    match number % 2 {
        0 => format!("{number:a>64x}"),
        _ => String::new(),
    }
}

/// Rows with the numbers 1, 2, ... and these words.
pub(super) fn rows(words: &[&str]) -> Vec<Row> {
    (1..)
        .zip(words)
        .map(|(id, word)| (id, Some((*word).to_owned())))
        .collect()
}

/// One row.
pub(super) fn row(id: i64, word: &str) -> Row {
    (id, Some(word.to_owned()))
}

/// A set of names.
pub(super) fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// A batch with one row of plain INSERT.
pub(super) fn batch(session: &Arc<SessionState>, table: &str, tuples: &str) -> RowBatch {
    RowBatch {
        lone: false,
        whole: false,
        line: 0,
        table: table.to_owned(),
        columns: None,
        verb: "INSERT",
        tuples: Bytes::copy_from_slice(tuples.as_bytes()),
        tail: None,
        rows: 1,
        ordered: false,
        no_backslash_escapes: false,
        session: Arc::clone(session),
    }
}

/// What a refusal means; `None` where nothing was refused.
pub(super) fn refusal<T>(outcome: &Result<T, Error>) -> Option<Kind> {
    outcome.as_ref().err().map(Classify::kind)
}

fn object(
    kind: ObjectKind,
    name: &str,
    table: Option<String>,
    sql: String,
    session: &Arc<SessionState>,
) -> Object {
    Object {
        kind,
        name: name.to_owned(),
        table,
        digest: sql.clone(),
        sql: Bytes::from(sql),
        session: Arc::clone(session),
        origin: "scene.sql:1".to_owned(),
    }
}
