//! One locked live database: what is in it, what a killed run left, what else points into it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use mysql_async::Conn;
use pilotfish_sql::mysql::quote;

use super::difference::{self, Undo};
use super::ledger::{self, Content};
use super::lock::Lock;
use super::marks::Booking;
use super::names::{Marker, literal};
use super::names_taken::objects_of;
use super::patience::Limit;
use super::stage::MysqlStage;
use super::unproven::Note;
use super::{
    Access, assertion, journal, loosened, marks, objects, proof, rejected, seen, spared, swap,
    ties, unproven, way_back,
};
use crate::Error;
use crate::load::{
    DifferencePlan, Drift, Loosened, MarkBook, Previous, Release, Stage, SwapMode, SwapPlan, Target,
};
use crate::mysql_family::ask::Ask as _;

/// What the control session works under, whatever the server's defaults are.
const SETUP: &str = "SET SESSION sql_mode='', SESSION foreign_key_checks=0, SESSION autocommit=1, SESSION lock_wait_timeout=60, \
     SESSION time_zone='+00:00'";

/// Verbs of statements that look.
const ASSERTIONS: &[&str] = &["SELECT", "WITH", "VALUES", "TABLE"];

/// `ER_PARSE_ERROR`.
const SYNTAX: u16 = 1064;

/// See the module.
#[derive(Debug)]
pub(super) struct MysqlTarget {
    pub(super) access: Access,
    pub(super) conn: Conn,
    /// `None` for those who only look.
    lock: Option<Lock>,
    /// What the marks of the rows on the stage are kept under.
    marks: u64,
    /// When the oldest transaction began that was open right before a swap.
    horizon: Option<String>,
    /// This load has the server loosened.
    loosened: bool,
}

impl MysqlTarget {
    pub(super) async fn open(access: Access) -> Result<Self, Error> {
        let mut conn = access.connect().await?;
        conn.query_drop(SETUP).await?;
        let mut lock = None;
        if !access.options.look_only {
            lock = Some(Lock::take(&mut conn, &access.names).await?);
            ledger::prepare(&mut conn).await?;
            marks::prepare(&mut conn, &access.names).await?;
            if access.any_case {
                ledger::take_over(&mut conn, &access.names).await?;
            }
        }
        Ok(Self {
            access,
            conn,
            lock,
            marks: 0,
            horizon: None,
            loosened: false,
        })
    }

    /// Another load may have begun to loosen the server since this one began, or was killed over it. One that begins
    /// now finds the tables of this one and leaves it.
    async fn refuse_loosened(&mut self) -> Result<(), Error> {
        if !self.loosened
            && let Some(note) = loosened::recover(&mut self.conn).await?
        {
            tracing::info!(note, "recovered");
        }
        Ok(())
    }

    /// The marker of the live release, whole.
    pub(super) async fn live_content(&mut self) -> Result<Option<Content>, Error> {
        ledger::read(&mut self.conn, &self.access.names, Marker::Live).await
    }

    /// Triggers in the live database, name and table: those of one table in the order in which they fire.
    pub(super) async fn live_triggers(&mut self) -> Result<Vec<(String, String)>, Error> {
        Ok(self
            .conn
            .query(format!(
                "SELECT trigger_name, event_object_table FROM information_schema.triggers WHERE trigger_schema = {} \
                 ORDER BY event_object_table, action_timing, event_manipulation, action_order",
                literal(&self.access.names.live)
            ))
            .await?)
    }

    /// Whether what follows reaches the binary log; nothing of a load does that shall stay out of it.
    pub(super) async fn log_statements(&mut self, log: bool) -> Result<(), Error> {
        let log = log && !self.access.options.no_binlog;
        let setting = format!("SET SESSION sql_log_bin={}", u8::from(log));
        Ok(self.conn.query_drop(setting).await?)
    }

    /// Decides about a swap that a killed run left unproven; in words what others did.
    async fn told(&mut self, note: &Note) -> Result<Vec<String>, Error> {
        let decided = unproven::decide(self, note).await?;
        let mut notes = decided.notes();
        for note in &notes {
            tracing::warn!(note, "others were at work");
        }
        if decided.outlives(note) {
            spared::remember(self, note).await?;
            if !note.repair {
                let kept = &self.access.names.kept;
                notes.push(format!(
                    "a swap that follows leaves that release in {kept} until the load after it"
                ));
            }
        }
        Ok(notes)
    }

    /// Books the marks of the staged tables; content has them, whether it comes live or not.
    async fn book_marks(&mut self, plan: &SwapPlan) -> Result<(), Error> {
        let names = self.access.names.clone();
        self.conn.query_drop("START TRANSACTION").await?;
        let marked = plan.marked.keys().filter_map(|table| {
            let record = plan.release.tables.get(table)?;
            Some(Booking {
                table,
                digest: &record.digest,
                layers: Vec::new(),
            })
        });
        marks::book(&mut self.conn, &names, marked.collect(), self.marks).await?;
        Ok(self.conn.query_drop("COMMIT").await?)
    }

    /// Drops what swaps took out of the way, unless rows of others wait there.
    async fn drop_leftovers(&mut self) -> Result<(), Error> {
        let names = self.access.names.clone();
        self.drop_schema(&names.gone).await?;
        ledger::drop(&mut self.conn, &names, Marker::Gone).await?;
        difference::sweep(self).await?;
        if !spared::read(self).await?.kept {
            self.drop_schema(&names.kept).await?;
        }
        Ok(())
    }

    /// Brings the session back to its own settings after journalled statements.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        self.conn.query_drop("SET NAMES utf8mb4").await?;
        Ok(self.conn.query_drop(SETUP).await?)
    }
}

#[async_trait]
impl Target for MysqlTarget {
    async fn refresh(&mut self) -> Result<(), Error> {
        let mut conn = self.access.connect().await?;
        conn.query_drop(SETUP).await?;
        if let Some(lock) = &self.lock {
            self.lock = Some(lock.take_over(&mut conn, &self.access.names).await?);
        }
        self.conn = conn;
        Ok(())
    }

    async fn recover(&mut self) -> Result<Vec<String>, Error> {
        let mut did: Vec<String> = Vec::new();
        did.extend(loosened::recover(&mut self.conn).await?);
        let names = self.access.names.clone();
        let note = unproven::left(self).await?;
        let unlogged = note.as_ref().is_some_and(|note| note.unlogged);
        if unlogged {
            self.log_statements(false).await?;
        }
        if let Some(note) = &note
            && (note.turn_back.is_none() || !self.access.options.overwrite_modified)
        {
            did.extend(self.told(note).await?);
        }
        let left = ledger::exists(&mut self.conn, &names, Marker::Next).await?;
        if self.drop_schema(&names.staging).await? || left {
            ledger::drop(&mut self.conn, &names, Marker::Next).await?;
            did.push("dropped the stage of a load that did not end".to_owned());
        }
        self.drop_leftovers().await?;
        let Some(live) = self.live_content().await? else {
            return Ok(did);
        };
        // A rollback that was killed before its swap: what is live was not undone.
        self.forgive(&live.release.digest).await?;
        for (digest, _) in &live.release.also {
            self.forgive(digest).await?;
        }
        if live.release.unlogged {
            self.log_statements(false).await?;
        }
        let open = live.todo.len();
        // What cannot be made must not keep the next release, or a rollback, from coming.
        match self.finish().await {
            Ok(()) if open == 0 => {}
            Ok(()) => did.push(format!("finished {open} statements of the last swap")),
            Err(error @ (Error::Unreachable(_) | Error::Protocol(_))) => return Err(error),
            Err(error) => did.push(format!("the last swap is still not finished: {error}")),
        }
        if note.is_some() {
            unproven::leave(self, Marker::Live, None).await?;
        }
        if unlogged || live.release.unlogged {
            self.log_statements(true).await?;
        }
        Ok(did)
    }

    async fn live(&mut self) -> Result<Option<Release>, Error> {
        Ok(self.live_content().await?.map(|content| content.release))
    }

    async fn previous(&mut self) -> Result<Option<Previous>, Error> {
        let names = self.access.names.clone();
        let Some(content) = ledger::read(&mut self.conn, &names, Marker::Previous).await? else {
            return Ok(None);
        };
        if let Some(undo) = Undo::read(&mut self.conn, &names).await? {
            return Ok(Some(Previous {
                release: content.release,
                kept: undo.tables(),
                in_place: true,
                given_up_by: format!("DROP TABLE {}", names.marker(Marker::Previous)),
            }));
        }
        let kept = self.tables_of(&names.previous).await?;
        let given_up_by = format!("DROP DATABASE {}", quote(&names.previous));
        let given_up_by = if spared::read(self).await?.previous {
            format!("{given_up_by} /* and the rows that others wrote right before the last swap */")
        } else {
            given_up_by
        };
        Ok(Some(Previous {
            release: content.release,
            kept: kept.into_keys().collect(),
            in_place: false,
            given_up_by,
        }))
    }

    async fn rejected(&mut self) -> Result<BTreeSet<String>, Error> {
        let releases = rejected::list(&mut self.conn, &self.access.names.live).await?;
        Ok(releases
            .into_iter()
            .flat_map(|(digest, contents)| [digest, contents])
            .filter(|name| !name.is_empty())
            .collect())
    }

    async fn forgive(&mut self, digest: &str) -> Result<(), Error> {
        rejected::forgive(&mut self.conn, &self.access.names.live, digest).await
    }

    async fn parse(&mut self, sql: &str, coming: &BTreeSet<String>) -> Result<(), Error> {
        let verb = objects::first_word(sql.as_bytes(), assertion::mode(&self.access));
        if !ASSERTIONS.contains(&verb.as_str()) {
            return Err(Error::Config(format!(
                "an assertion looks and changes nothing: it begins with SELECT, not `{verb}`"
            )));
        }
        assertion::refuse_detours(&self.access, sql, coming)?;
        // A variable: MySQL's PREPARE takes no expression, such as a literal with a backslash is here.
        let text = format!("SET @assertion = {}", literal(sql));
        self.conn.query_drop(text).await?;
        let prepared = self.conn.query_drop("PREPARE assertion FROM @assertion");
        match prepared.await.map_err(Error::from) {
            Ok(()) => Ok(self.conn.query_drop("DEALLOCATE PREPARE assertion").await?),
            Err(error) if error.number().is_some_and(|code| code != SYNTAX) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn missing(&mut self, live: &Release) -> Result<BTreeSet<String>, Error> {
        let database = self.access.names.live.clone();
        let tables = self.tables_of(&database).await?;
        let objects = objects_of(self).await?;
        let gone = live.objects.keys().filter(|key| !objects.have(key));
        Ok(live
            .tables
            .keys()
            .filter(|name| !tables.contains_key(*name))
            .chain(gone)
            .cloned()
            .collect())
    }

    async fn drift(&mut self, live: &Release, tables: &BTreeSet<String>) -> Result<Drift, Error> {
        let mut drift = Drift::default();
        let database = self.access.names.live.clone();
        let there = self.tables_of(&database).await?;
        drift.missing = tables
            .iter()
            .filter(|name| live.tables.contains_key(*name) && !there.contains_key(*name))
            .cloned()
            .collect();
        let mariadb = self.access.flavour.mariadb;
        let horizon = seen::horizon(&mut self.conn).await?;
        let times = seen::times(&mut self.conn, &database, mariadb).await?;
        let mut looked_at = Release::default();
        for (name, kind) in there.iter().filter(|(name, _)| tables.contains(*name)) {
            let Some(record) = live.tables.get(name) else {
                if kind != "VIEW" || !live.objects.contains_key(&format!("view {name}")) {
                    drift.unrecorded.insert(name.clone());
                }
                continue;
            };
            let Some(proof) = &record.proof else { continue };
            if record.seen.is_some() && times.get(name) == record.seen.as_ref() {
                continue;
            }
            let now = proof::of(&mut self.conn, &database, name, mariadb).await?;
            if proof::holds(proof, now.as_deref()) {
                looked_at.tables.insert(name.clone(), record.clone());
            } else {
                drift.modified.insert(
                    name.clone(),
                    "its checksum is not what was loaded".to_owned(),
                );
            }
        }
        // Replicas do not have the marker of a release that they never saw.
        if self.lock.is_some() && !live.unlogged {
            seen::note_looked_at(self, &looked_at, &times, horizon.as_deref()).await?;
        }
        for (trigger, table) in self.live_triggers().await? {
            if tables.contains(&table) && !live.objects.contains_key(&format!("trigger {trigger}"))
            {
                drift.modified.insert(
                    table,
                    format!("it has the trigger {trigger}, which no release brought"),
                );
            }
        }
        Ok(drift)
    }

    async fn closure(
        &mut self,
        changed: &BTreeSet<String>,
        release: &BTreeSet<String>,
        staged: &[(String, String)],
    ) -> Result<BTreeSet<String>, Error> {
        ties::closure(self, changed, release, staged).await
    }

    async fn stage(&mut self) -> Result<Box<dyn Stage>, Error> {
        self.refuse_loosened().await?;
        let names = self.access.names.clone();
        let Some(lock) = self.lock.clone() else {
            return Err(Error::Config("a plan has no stage".to_owned()));
        };
        self.drop_schema(&names.staging).await?;
        self.marks = marks::next_id(&mut self.conn, &names).await?;
        // The live one first: without rights on it nothing is left behind.
        self.create_live().await?;
        self.create_schema(&names.staging).await?;
        ledger::create(&mut self.conn, &names, Marker::Next).await?;
        if self.access.options.swap == SwapMode::None {
            swap::begin_rewriting(self).await?;
        }
        let stage = MysqlStage::open(self.access.clone(), lock, self.marks).await?;
        Ok(Box::new(stage))
    }

    async fn marked(&mut self, live: &Release) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let names = self.access.names.clone();
        let marked = marks::of(&mut self.conn, &names, live).await?;
        Ok(marked
            .into_keys()
            .map(|table| (table, Vec::new()))
            .collect())
    }

    async fn mark_book(&mut self, live: &Release) -> Result<Box<dyn MarkBook>, Error> {
        let names = self.access.names.clone();
        Ok(Box::new(marks::Book {
            access: self.access.clone(),
            layers: marks::of(&mut self.conn, &names, live).await?,
        }))
    }

    async fn refuses_difference(
        &mut self,
        tables: &BTreeSet<String>,
    ) -> Result<Option<String>, Error> {
        difference::in_the_way(self, tables).await
    }

    async fn apply(&mut self, stage: Box<dyn Stage>, plan: &DifferencePlan) -> Result<(), Error> {
        // Its session may hold locks on staged tables.
        drop(stage);
        self.refuse_loosened().await?;
        difference::apply(self, plan).await
    }

    async fn loosen(&mut self) -> Result<Loosened, Error> {
        let loosened = loosened::loosen(self).await?;
        self.loosened = loosened == Loosened::Yes;
        Ok(loosened)
    }

    async fn tighten(&mut self) -> Result<(), Error> {
        loosened::tighten(&mut self.conn).await?;
        self.loosened = false;
        Ok(())
    }

    async fn swap(&mut self, stage: Box<dyn Stage>, plan: &SwapPlan) -> Result<(), Error> {
        // Its session may hold locks on staged tables.
        drop(stage);
        self.book_marks(plan).await?;
        self.horizon = seen::horizon(&mut self.conn).await?;
        swap::forward(self, plan).await
    }

    async fn finish(&mut self) -> Result<(), Error> {
        journal::finish(self, Limit::of, journal::PATIENCE).await
    }

    async fn prove(&mut self) -> Result<Vec<String>, Error> {
        let note = unproven::left(self).await?;
        let Some(note) = note.filter(|note| note.turn_back.is_none()) else {
            return Ok(Vec::new());
        };
        let decided = unproven::decide(self, &note).await?;
        // What waits in the previous release stays there until the next swap anyway.
        if note.repair && decided.outlives(&note) {
            spared::remember(self, &note).await?;
        }
        Ok(decided.notes())
    }

    async fn tidy(&mut self, keep_previous: bool) -> Result<(), Error> {
        let names = self.access.names.clone();
        unproven::leave(self, Marker::Live, None).await?;
        self.drop_schema(&names.staging).await?;
        // A swap moves it, a change in place does not.
        ledger::drop(&mut self.conn, &names, Marker::Next).await?;
        self.drop_leftovers().await?;
        if !keep_previous && !spared::read(self).await?.previous {
            // The marker first: half a schema is no release to go back to.
            ledger::drop(&mut self.conn, &names, Marker::Previous).await?;
            self.drop_schema(&names.previous).await?;
            self.drop_schema(&names.undo).await?;
        }
        if let Some(live) = self.live().await?
            && let Some(horizon) = self.horizon.take()
        {
            let mariadb = self.access.flavour.mariadb;
            seen::note(&mut self.conn, &names, &live, &horizon, mariadb).await?;
        }
        // Unlogged, replicas would keep marks whose numbers come again.
        match self.access.options.no_binlog {
            true => Ok(()),
            false => marks::sweep(self).await,
        }
    }

    async fn rollback(&mut self) -> Result<(Release, Release), Error> {
        way_back::back(self).await
    }
}
