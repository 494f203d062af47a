//! Drives a dump's items into the stage: definitions in the dump's order on its own session, rows
//! over several connections, keys as soon as a table's rows are in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pilotfish_dump::{Existing, Item, Marks, Position, RowOrder, Rows, Statement, Verb};
use pilotfish_engine::load::{Completed, MarkChunk, Object, RowBatch, SessionState, Stage};
use pilotfish_failure::{Context as _, Failure, Kind};
use tokio_util::sync::CancellationToken;

use crate::feed::Feed;
use crate::items::{Action, Dropped, Router};
use crate::keys::Keys;
use crate::later::Later;
use crate::pool::{Done, Job, Pool, doing};
use crate::tables::Tables;
use crate::throttle::Throttle;
use crate::{Phase, Progress};

/// Rows from which on keys are built once they are in: below, two statements that change the table cost
/// more than the keys.
const KEYS_WAIT_BYTES: usize = 256 * 1024;

/// Marks that one transaction keeps, bytes and chunks: each commit waits for the disk.
const MARKS_AT_ONCE: usize = 1 << 20;
const CHUNKS_AT_ONCE: usize = 256;

/// The verb of rows that are lines.
const COPY: &str = "COPY";

/// What stands on the stage once the dump was read.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// Tables with their rows counted in the server.
    pub(crate) tables: BTreeMap<String, Completed>,
    /// Sequences.
    pub(crate) sequences: BTreeSet<String>,
    /// Rows the server said it stored; absent where its answers cannot tell.
    pub(crate) stored: BTreeMap<String, u64>,
    /// What follows the swap, in the dump's order; digests come with the summary.
    pub(crate) objects: Vec<Object>,
}

/// See the module.
pub(crate) struct Pipeline<'a> {
    stage: &'a mut dyn Stage,
    router: Router,
    pool: Pool,
    progress: &'a Progress,
    cancel: &'a CancellationToken,
    file: Option<Arc<str>>,
    tables: Tables,
    /// Marks that wait for others.
    marks: Vec<MarkChunk>,
    sequences: BTreeSet<String>,
    later: Later,
    keys: Keys,
    /// Something was made already.
    begun: bool,
}

impl<'a> Pipeline<'a> {
    /// Opens the connections.
    pub(crate) async fn open(
        stage: &'a mut dyn Stage,
        router: Router,
        threads: usize,
        throttle: Option<&Throttle>,
        progress: &'a Progress,
        cancel: &'a CancellationToken,
    ) -> Result<Self, Failure> {
        let pool = Pool::open(stage, threads, throttle, progress).await?;
        Ok(Self {
            stage,
            router,
            pool,
            progress,
            cancel,
            file: None,
            tables: Tables::default(),
            marks: Vec::new(),
            sequences: BTreeSet::new(),
            later: Later::default(),
            keys: Keys::default(),
            begun: false,
        })
    }

    /// Stages the dump's items as far as they come.
    pub(crate) async fn read(&mut self, feed: &mut Feed) -> Result<(), Failure> {
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(stopped()),
                done = self.pool.done() => self.note(done?),
                item = feed.next() => {
                    let Some(item) = item else { break };
                    self.progress.read(feed.bytes());
                    let cancel = self.cancel;
                    tokio::select! {
                        biased;
                        () = cancel.cancelled() => return Err(stopped()),
                        outcome = self.item(item) => outcome?,
                    }
                }
            }
            self.complete_left_behind().await?;
            self.start_keys().await?;
        }
        Ok(())
    }

    /// Builds the keys that are left, once the dump has proved to be whole.
    pub(crate) async fn complete(self) -> Result<Staged, Failure> {
        self.progress.enter(Phase::Keys);
        let cancel = self.cancel;
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(stopped()),
            staged = self.end() => staged,
        }
    }

    /// Stages rows of tables that stand there already.
    pub(crate) async fn replay(mut self, items: Vec<Item>) -> Result<(), Failure> {
        for item in items {
            let cancel = self.cancel;
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(stopped()),
                outcome = self.item(item) => outcome?,
            }
        }
        self.send_marks().await?;
        self.drain_all().await?;
        self.pool.close().await;
        Ok(())
    }

    async fn item(&mut self, item: Item) -> Result<(), Failure> {
        match item {
            Item::Statement(statement) => {
                self.enter_file(&statement.position).await?;
                self.statement(statement).await
            }
            Item::Rows(rows) => {
                self.enter_file(&rows.position).await?;
                self.send_rows(rows).await
            }
            // Rows that are carried are the dump's, too.
            Item::Marks(marks) if self.router.takes(&marks.table) => self.mark(marks).await,
            Item::Marks(_) => Ok(()),
        }
    }

    async fn mark(&mut self, marks: Marks) -> Result<(), Failure> {
        let Marks {
            table,
            layer,
            seq,
            body,
        } = marks;
        self.marks.push(MarkChunk {
            table,
            layer,
            seq,
            body,
        });
        let bytes: usize = self.marks.iter().map(|marks| marks.body.len()).sum();
        if bytes < MARKS_AT_ONCE && self.marks.len() < CHUNKS_AT_ONCE {
            return Ok(());
        }
        self.send_marks().await
    }

    async fn send_marks(&mut self) -> Result<(), Failure> {
        let marks = std::mem::take(&mut self.marks);
        let Some(first) = marks.first() else {
            return Ok(());
        };
        let table = first.table.clone();
        self.send(Job::Marks(marks), &table).await
    }

    /// Each file of a set begins a session of its own, as in the stock images' entrypoint.
    async fn enter_file(&mut self, position: &Position) -> Result<(), Failure> {
        if self.file.as_ref() == Some(&position.file) {
            return Ok(());
        }
        if self.file.is_some() {
            self.drain_all().await?;
            self.stage
                .new_session()
                .await
                .context(format!("begin {}", position.file))?;
        }
        self.file = Some(Arc::clone(&position.file));
        Ok(())
    }

    async fn statement(&mut self, statement: Statement) -> Result<(), Failure> {
        let action = self.router.route(&statement)?;
        let at = &statement.position;
        self.begun |= !matches!(
            action,
            Action::Leave | Action::Session | Action::DropDatabase | Action::DropTables(_)
        );
        if !matches!(action, Action::Leave | Action::Session | Action::Key { .. }) {
            self.finish_keys().await?;
        }
        match action {
            Action::DropDatabase if self.begun => Err(filled_before(at)),
            Action::Leave | Action::DropDatabase => Ok(()),
            Action::Session => self.run(&statement).await,
            Action::Barrier(changes) => self.barrier(&changes, &statement).await,
            Action::Define => {
                self.drain_all().await?;
                self.run(&statement).await
            }
            Action::Key { tables, shared } => {
                let session = self.stage.session().await.context(doing(&statement))?;
                self.keys.push(statement, session, tables, shared);
                self.tables.leave_filled();
                Ok(())
            }
            Action::Sequence(name) => {
                self.sequences.insert(name);
                self.run(&statement).await
            }
            Action::DropSequences(dropped) => {
                self.sequences.retain(|name| !dropped.names.contains(name));
                self.drop_what_is_taken(&statement, dropped).await
            }
            Action::CreateTable { name, existing } => {
                if existing == Existing::Replace {
                    self.forget(&name).await?;
                }
                self.create_table(name, &statement).await
            }
            Action::AlterTable(name) => {
                self.drain(&name).await?;
                self.tables.alter(&name);
                let altered = self.stage.alter_table(&name, &statement.text).await;
                altered.context(doing(&statement))
            }
            Action::DropTables(dropped) => {
                for name in &dropped.names {
                    self.forget(name).await?;
                }
                self.drop_what_is_taken(&statement, dropped).await
            }
            Action::Object {
                kind,
                name,
                table,
                existing,
            } => {
                let session = self.stage.session().await;
                let object = Object {
                    kind,
                    name,
                    table,
                    session: session.context(doing(&statement))?,
                    sql: statement.text.clone(),
                    digest: String::new(),
                    origin: at.to_string(),
                };
                self.later.add(object, existing, at)
            }
            Action::DropObjects(kind, names) => {
                self.later.drop(kind, &names);
                Ok(())
            }
        }
    }

    async fn create_table(&mut self, name: String, statement: &Statement) -> Result<(), Failure> {
        self.tables.make(&name);
        let made = self.stage.create_table(&name, &statement.text).await;
        made.context(doing(statement))?;
        if !self.router.carries(&name) {
            return Ok(());
        }
        self.tables.fill(&name);
        self.send(Job::Carry(name.clone()), &name).await
    }

    async fn run(&mut self, statement: &Statement) -> Result<(), Failure> {
        let ran = self.stage.execute(&statement.text).await;
        ran.context(doing(statement))
    }

    async fn drop_what_is_taken(
        &mut self,
        statement: &Statement,
        dropped: Dropped,
    ) -> Result<(), Failure> {
        let Some(instead) = dropped.instead else {
            return self.run(statement).await;
        };
        let ran = self.stage.execute(instead.as_bytes()).await;
        ran.context(doing(statement))
    }

    /// Runs what is not understood: everything before it has happened.
    async fn barrier(
        &mut self,
        changes: &BTreeSet<String>,
        statement: &Statement,
    ) -> Result<(), Failure> {
        self.later.refuse_firing_on(changes, &statement.position)?;
        self.drain_all().await?;
        let reached = self.stage.execute_opaque(&statement.text).await;
        for name in reached.context(doing(statement))? {
            self.tables.reach(&name);
        }
        Ok(())
    }

    /// The dump drops a table, with all that it brought for it.
    async fn forget(&mut self, name: &str) -> Result<(), Failure> {
        self.drain(name).await?;
        self.marks.retain(|marks| marks.table != name);
        self.tables.forget(name);
        self.later.drop_of_table(name);
        Ok(())
    }

    async fn send_rows(&mut self, rows: Rows) -> Result<(), Failure> {
        self.begun = true;
        self.finish_keys().await?;
        self.later
            .refuse_firing(&rows.head.table.name, &rows.position)?;
        let Some(name) = self.router.rows(&rows)? else {
            return Ok(());
        };
        let session = self.stage.session().await;
        let session = session.context("read the session's settings")?;
        if self.tables.reopen(&name) {
            // Its keys may be under way: their count would speak of fewer rows.
            self.drain(&name).await?;
        }
        let many = rows.order == RowOrder::Free && rows.tuples.len() >= KEYS_WAIT_BYTES;
        let first = self.tables.fill(&name);
        if !first && rows.head.verb == Verb::Copy && rows.whole {
            // A second COPY must not come between the first one's rows.
            self.drain(&name).await?;
        }
        if first && many {
            let doing = format!("set the keys of {name} aside");
            self.stage.set_keys_aside(&name).await.context(doing)?;
        }
        let (order, position) = (rows.order, rows.position.clone());
        let mut batch = batch(rows, name, session);
        batch.whole &= first || batch.verb != COPY;
        match order {
            RowOrder::Free => self.send_batch(batch, position).await,
            RowOrder::Ordered(_) => self.send_in_order(batch, position).await,
            RowOrder::Session => self.send_on_the_dumps_session(batch, &position).await,
        }
    }

    async fn send_batch(&mut self, batch: RowBatch, position: Position) -> Result<(), Failure> {
        let name = batch.table.clone();
        self.send(Job::Rows(Box::new(batch), position), &name).await
    }

    async fn send_in_order(&mut self, batch: RowBatch, position: Position) -> Result<(), Failure> {
        let name = batch.table.clone();
        self.drain(&name).await?;
        self.restore_keys(&name).await?;
        self.send_batch(batch, position).await?;
        self.drain(&name).await
    }

    /// Expressions may ask any table: whatever comes before them in the dump must be there.
    async fn send_on_the_dumps_session(
        &mut self,
        batch: RowBatch,
        position: &Position,
    ) -> Result<(), Failure> {
        self.drain_all().await?;
        self.restore_keys(&batch.table).await?;
        let loaded = self.stage.insert(&batch).await.context(format!(
            "load the rows at {position}: {} INTO {}",
            batch.verb, batch.table
        ))?;
        self.note(Done::Rows {
            table: batch.table,
            rows: batch.rows,
            loaded,
        });
        Ok(())
    }

    /// Rows that duplicates decide about need every key in place.
    async fn restore_keys(&mut self, name: &str) -> Result<(), Failure> {
        if self.tables.is_keyed(name) {
            return Ok(());
        }
        self.send(Job::RestoreKeys(name.to_owned()), name).await?;
        self.drain(name).await
    }

    async fn send(&mut self, job: Job, table: &str) -> Result<(), Failure> {
        self.tables.sent(table);
        self.pass_on(job).await
    }

    async fn pass_on(&mut self, job: Job) -> Result<(), Failure> {
        let (tables, keys, progress) = (&mut self.tables, &mut self.keys, self.progress);
        let note = |done| {
            if let Done::Built { number } = done {
                keys.built(number);
            }
            tables.note(done, progress);
        };
        self.pool.send(job, note).await
    }

    /// Builds what can be built now.
    async fn start_keys(&mut self) -> Result<(), Failure> {
        while let Some(key) = self.keys.start(|table| self.tables.is_idle(table)) {
            self.pass_on(Job::Build(Box::new(key))).await?;
        }
        Ok(())
    }

    /// Builds all keys so far.
    async fn finish_keys(&mut self) -> Result<(), Failure> {
        self.start_keys().await?;
        while !self.keys.is_empty() {
            let done = self.pool.done().await?;
            self.note(done);
            self.start_keys().await?;
        }
        Ok(())
    }

    fn note(&mut self, done: Done) {
        if let Done::Built { number } = done {
            self.keys.built(number);
        }
        self.tables.note(done, self.progress);
    }

    async fn drain(&mut self, name: &str) -> Result<(), Failure> {
        while !self.tables.is_idle(name) {
            let done = self.pool.done().await?;
            self.note(done);
        }
        Ok(())
    }

    async fn drain_all(&mut self) -> Result<(), Failure> {
        while !self.tables.are_idle() {
            let done = self.pool.done().await?;
            self.note(done);
        }
        Ok(())
    }

    /// Builds the keys of tables that the dump has left behind.
    async fn complete_left_behind(&mut self) -> Result<(), Failure> {
        for name in self.tables.take_ready() {
            self.send(Job::Complete(name.clone()), &name).await?;
        }
        Ok(())
    }

    async fn end(mut self) -> Result<Staged, Failure> {
        self.send_marks().await?;
        self.drain_all().await?;
        self.finish_keys().await?;
        let there = self
            .stage
            .tables()
            .await
            .context("list the staged tables")?;
        self.tables.leave_all(&there);
        self.complete_left_behind().await?;
        self.drain_all().await?;
        self.pool.close().await;
        let mut staged = Staged {
            objects: self.later.into_objects(),
            ..Staged::default()
        };
        staged.sequences = self.sequences.intersection(&there).cloned().collect();
        for (name, table) in self.tables.into_known() {
            if let Some(stored) = table.stored {
                staged.stored.insert(name.clone(), stored);
            }
            staged
                .tables
                .insert(name, table.completed.unwrap_or_default());
        }
        Ok(staged)
    }
}

fn batch(rows: Rows, table: String, session: Arc<SessionState>) -> RowBatch {
    let head = &rows.head;
    RowBatch {
        table,
        columns: head.columns.clone(),
        verb: match head.verb {
            Verb::Insert => "INSERT",
            Verb::InsertIgnore => "INSERT IGNORE",
            Verb::Replace => "REPLACE",
            Verb::Copy => COPY,
        },
        tail: head.tail.clone(),
        no_backslash_escapes: head.no_backslash_escapes,
        tuples: rows.tuples,
        rows: rows.count,
        ordered: rows.order != RowOrder::Free,
        lone: rows.lone,
        whole: rows.whole,
        line: rows.position.line,
        session,
    }
}

fn filled_before(at: &Position) -> Failure {
    Failure::new(
        Kind::BadData,
        format!("read {at}: DROP DATABASE after the dump has filled it"),
    )
    .with_hint("take out what comes before it")
}

fn stopped() -> Failure {
    Failure::new(Kind::Cancelled, "stopped while loading, before the swap")
}
