//! One locked live database: what is in it, what a killed run left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use pilotfish_sql::postgres::quote;

use super::database::{self, Use};
use super::ledger::{self, Content, Role};
use super::lock::Lock;
use super::names::{Part, WAY_BACK, is_ours, is_system};
use super::shared::Shared;
use super::stage::PostgresStage;
use super::{
    Access, assertion, attached, difference, drift, edges, foresee, grants, marks, objects, room,
    swap, ties, way_back,
};
use crate::Error;
use crate::load::{
    Coming, DifferencePlan, Drift, MarkBook, Owner, Previous, Release, Stage, SwapPlan, Target,
};
use crate::postgres::cell;
use crate::postgres::connect::Session;

/// `duplicate_database`: another loader was quicker.
const THERE_ALREADY: &str = "42P04";

/// See the module.
pub(super) struct PostgresTarget {
    pub(super) access: Access,
    pub(super) session: Session,
    /// `None` for those who only look.
    lock: Option<Lock>,
    /// What the stage under way has made.
    shared: Option<Arc<Shared>>,
    /// What stood in the schemas before a load without swap, and was nobody's release.
    pub(super) strangers: BTreeSet<String>,
    /// There is no such database yet; the session is in another one.
    absent: bool,
    /// This run has told of rows in what its swap replaces for good: it stays until the next run.
    spares_gone: bool,
}

async fn exists(access: &Access) -> Result<bool, Error> {
    let session = access.connect_beside().await?;
    let there = database::exists(&session, &access.options.database).await?;
    session.close().await;
    Ok(there)
}

impl PostgresTarget {
    pub(super) async fn open(access: Access) -> Result<Self, Error> {
        let absent = !exists(&access).await?;
        let session = match absent {
            true => access.connect_beside().await?,
            false => access.connect().await?,
        };
        let mut lock = None;
        if !access.options.look_only {
            lock = Some(Lock::take(&*session, &access.options.database).await?);
        }
        if lock.is_some() && !absent {
            ledger::prepare(&*session).await?;
        }
        Ok(Self {
            access,
            session,
            lock,
            shared: None,
            strangers: BTreeSet::new(),
            absent,
            spares_gone: false,
        })
    }

    /// Makes the live database where it is not there, and goes there with the lock.
    async fn enter(&mut self) -> Result<(), Error> {
        if !self.absent {
            return Ok(());
        }
        let name = &self.access.options.database;
        tracing::warn!(database = name, "there is no such database: it is made");
        let sql = format!("CREATE DATABASE {}", quote(name));
        match self.session.batch_execute(&sql).await.map_err(Error::from) {
            Err(error) if error.code().is_some_and(|code| code.is(THERE_ALREADY)) => {}
            outcome => outcome?,
        }
        let session = self.access.connect().await?;
        if let Some(lock) = &self.lock {
            self.lock = Some(lock.share(&*session).await?);
        }
        ledger::prepare(&*session).await?;
        self.session = session;
        self.absent = false;
        Ok(())
    }

    /// Goes on in another session, which has the lock before the one before lets it go.
    ///
    /// # Errors
    /// `Locked` when another loader has it, since the session of before was ended.
    pub(super) async fn move_to(&mut self, session: Session) -> Result<Session, Error> {
        if let Some(lock) = &self.lock {
            self.lock = Some(lock.share(&*session).await?);
        }
        Ok(std::mem::replace(&mut self.session, session))
    }

    /// Drops a database of ours.
    async fn drop_database(&self, of: Use) -> Result<bool, Error> {
        if self.absent {
            return Ok(false);
        }
        database::drop(&self.session, &of.of(&self.access.options.database)).await
    }

    /// The record of one role.
    pub(super) async fn record(&self, role: Role) -> Result<Option<Content>, Error> {
        if self.absent {
            return Ok(None);
        }
        ledger::read(&*self.session, role).await
    }

    /// Schemas of ours for one part.
    async fn schemas_of(&self, part: Part) -> Result<Vec<String>, Error> {
        let all = room::all(&*self.session).await?;
        Ok(all.into_iter().filter(|name| part.is(name)).collect())
    }

    /// Drops schemas of ours, unless something of others depends on what is in them.
    async fn drop_part(&self, part: Part) -> Result<bool, Error> {
        if self.absent {
            return Ok(false);
        }
        let schemas = self.schemas_of(part).await?;
        if schemas.is_empty() {
            return Ok(false);
        }
        // Nobody builds on a stage but the load itself, by what it shares with the live release.
        let into = match part {
            Part::Next => Vec::new(),
            _ => edges::into(&*self.session, &schemas, &[]).await?,
        };
        if !into.is_empty() {
            tracing::warn!(
                schemas = schemas.join(", "),
                why = edges::said(&into),
                "stays: something of others depends on it"
            );
            return Ok(false);
        }
        match room::drop(&*self.session, &schemas).await {
            Err(Error::Busy { message, .. }) if part == Part::Next => Err(Error::Locked(format!(
                "somebody is in {}, the stage of a load that did not end: {message}",
                schemas.join(", ")
            ))),
            Err(Error::Busy { message, .. }) => {
                tracing::warn!(
                    schemas = schemas.join(", "),
                    why = message,
                    "stays: somebody is in it"
                );
                Ok(false)
            }
            outcome => outcome.map(|()| true),
        }
    }
}

#[async_trait]
impl Target for PostgresTarget {
    fn stages_whole(&self) -> bool {
        true
    }

    async fn refresh(&mut self) -> Result<(), Error> {
        let session = match self.absent {
            true => self.access.connect_beside().await?,
            false => self.access.connect().await?,
        };
        if let Some(lock) = &self.lock {
            self.lock = Some(lock.take_over(&*session).await?);
        }
        self.session = session;
        Ok(())
    }

    async fn recover(&mut self) -> Result<Vec<String>, Error> {
        self.shared = None;
        if self.absent {
            return Ok(Vec::new());
        }
        let mut did = self.told().await?;
        self.spares_gone = !did.is_empty();
        let undone = self.told_of_undone().await?;
        let keeps = undone.is_some();
        self.spares_gone |= keeps;
        did.extend(undone);
        let (schemas, database) = (
            self.drop_part(Part::Next).await?,
            self.drop_database(Use::Next).await?,
        );
        ledger::undo(&*self.session).await?;
        if schemas || database {
            did.push("dropped the stage of a load that did not end".to_owned());
        }
        if !keeps {
            let (schemas, database) = (
                self.drop_part(Part::Gone).await?,
                self.drop_database(Use::Gone).await?,
            );
            if schemas || database {
                did.push("dropped what the last swap had replaced".to_owned());
            }
        }
        if self
            .record(Role::Previous)
            .await?
            .is_some_and(|previous| previous.in_database)
        {
            // A rollback that was killed has opened it.
            let name = Use::Previous.of(&self.access.options.database);
            if database::exists(&self.session, &name).await? {
                database::open(&*self.session, &name, false).await?;
            }
        }
        if let Some(live) = ledger::read(&*self.session, Role::Live).await? {
            // A rollback that was killed before its swap: what is live was not undone.
            for (digest, _) in &live.release.also {
                ledger::forgive(&*self.session, digest).await?;
            }
            ledger::forgive(&*self.session, &live.release.digest).await?;
        }
        Ok(did)
    }

    async fn live(&mut self) -> Result<Option<Release>, Error> {
        let live = self.record(Role::Live).await?;
        Ok(live.map(|content| content.release))
    }

    async fn previous(&mut self) -> Result<Option<Previous>, Error> {
        let Some(content) = self.record(Role::Previous).await? else {
            return Ok(None);
        };
        if let Some(undo) = &content.undo {
            return Ok(Some(Previous {
                kept: undo.tables.keys().cloned().collect(),
                release: content.release,
                in_place: true,
                given_up_by: format!("DROP SCHEMA {} CASCADE", quote(WAY_BACK)),
            }));
        }
        if content.in_database {
            let place = Use::Previous.of(&self.access.options.database);
            return Ok(Some(Previous {
                kept: content.release.tables.keys().cloned().collect(),
                release: content.release,
                in_place: false,
                given_up_by: format!("DROP DATABASE {}", quote(&place)),
            }));
        }
        let mut kept = BTreeSet::new();
        let mut places = Vec::new();
        for schema in &content.schemas {
            let place = Part::Previous.of(schema);
            kept.extend(room::tables(&*self.session, &place, schema).await?);
            places.push(quote(&place));
        }
        Ok(Some(Previous {
            release: content.release,
            kept,
            in_place: false,
            given_up_by: format!("DROP SCHEMA {} CASCADE", places.join(", ")),
        }))
    }

    async fn rejected(&mut self) -> Result<BTreeSet<String>, Error> {
        if self.absent {
            return Ok(BTreeSet::new());
        }
        let releases = ledger::rejected(&*self.session).await?;
        Ok(releases
            .into_iter()
            .flat_map(|(digest, contents)| [digest, contents])
            .filter(|name| !name.is_empty())
            .collect())
    }

    async fn forgive(&mut self, digest: &str) -> Result<(), Error> {
        match self.absent {
            true => Ok(()),
            false => ledger::forgive(&*self.session, digest).await,
        }
    }

    async fn parse(&mut self, sql: &str, coming: &BTreeSet<String>) -> Result<(), Error> {
        assertion::refuse(&self.session, sql, coming).await?;
        self.session
            .batch_execute("SET search_path = public")
            .await?;
        let prepared = self.session.prepare(sql).await;
        self.session
            .batch_execute("SET search_path = pg_catalog")
            .await?;
        match prepared.map_err(Error::from) {
            Err(error @ Error::Sql { .. }) if error.is_mistake() => Err(error),
            // What is not there yet may come.
            Ok(_) | Err(Error::Sql { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn missing(&mut self, live: &Release) -> Result<BTreeSet<String>, Error> {
        let content = self.record(Role::Live).await?.unwrap_or_default();
        let places = objects::themselves(&content.schemas);
        let there = objects::of(&*self.session, &places).await?;
        let recorded = live.tables.keys().chain(&content.objects);
        let mut missing: BTreeSet<String> = recorded
            .filter(|name| !there.contains_key(*name))
            .cloned()
            .collect();
        missing.extend(drift::emptied(&*self.session, live, &content.schemas).await?);
        missing.extend(
            attached::taken_off(&*self.session, &content, &places, &there)
                .await?
                .into_keys(),
        );
        Ok(missing)
    }

    async fn drift(&mut self, _: &Release, tables: &BTreeSet<String>) -> Result<Drift, Error> {
        if self.absent {
            return Ok(Drift::default());
        }
        let content = self.record(Role::Live).await?;
        drift::look(&*self.session, content.as_ref(), tables).await
    }

    async fn closure(
        &mut self,
        changed: &BTreeSet<String>,
        release: &BTreeSet<String>,
        staged: &[(String, String)],
    ) -> Result<BTreeSet<String>, Error> {
        if self.absent {
            return Ok(changed.clone());
        }
        ties::closure(&*self.session, changed, release, staged).await
    }

    async fn missing_accounts(
        &mut self,
        accounts: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Error> {
        let rows = self
            .session
            .query("SELECT rolname FROM pg_catalog.pg_roles", &[])
            .await?;
        let mut known = BTreeSet::new();
        for row in &rows {
            known.insert(cell::<String>(row, 0)?);
        }
        Ok(accounts.difference(&known).cloned().collect())
    }

    async fn strange_owners(
        &mut self,
        owners: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Error> {
        let mut owners = owners.clone();
        if self.absent {
            // Who makes a database owns it.
            owners.remove("pg_database_owner");
        }
        foresee::strange_owners(self, &owners).await
    }

    async fn has_others(&mut self) -> Result<bool, Error> {
        match self.absent {
            true => Ok(false),
            false => foresee::has_others(self).await,
        }
    }

    async fn foresee(&mut self, coming: &Coming) -> Result<(), Error> {
        match self.absent || self.access.is_straight() {
            true => Ok(()),
            false => Box::pin(foresee::foresee(self, coming)).await,
        }
    }

    async fn damaged(&mut self) -> Result<BTreeMap<String, String>, Error> {
        match self.record(Role::Previous).await? {
            Some(previous) if !previous.in_database => way_back::damaged(self, &previous).await,
            // Nobody gets into a replaced database.
            _ => Ok(BTreeMap::new()),
        }
    }

    async fn stage(&mut self) -> Result<Box<dyn Stage>, Error> {
        if self.lock.is_some() {
            self.enter().await?;
        }
        let Some(lock) = self.lock.clone() else {
            return Err(Error::Config("a plan has no stage".to_owned()));
        };
        self.drop_part(Part::Next).await?;
        if self.access.is_straight() {
            let mut live = ledger::read(&*self.session, Role::Live)
                .await?
                .unwrap_or_default();
            let schemas = room::all(&*self.session).await?;
            let people = schemas
                .iter()
                .filter(|name| !is_ours(name) && !is_system(name));
            let there = objects::of(&*self.session, &objects::themselves(people)).await?;
            self.strangers = there.into_keys().filter(|key| !live.brought(key)).collect();
            // Half a release has no name.
            live.release.rewriting = true;
            live.release.digest.clear();
            live.release.contents.clear();
            live.attached = None;
            ledger::write(&*self.session, Role::Live, Some(&live)).await?;
        }
        if self.access.is_database() {
            let live = &self.access.options.database;
            database::make(&self.session, live).await?;
            let staged = self.access.connect_to_stage().await?;
            ledger::prepare(&*staged).await?;
            grants::copy_defaults(&*self.session, &*staged).await?;
            staged.close().await;
        }
        let stage = PostgresStage::open(self.access.clone(), lock).await?;
        self.shared = Some(stage.shared());
        Ok(Box::new(stage))
    }

    async fn marked(&mut self, live: &Release) -> Result<BTreeMap<String, Vec<String>>, Error> {
        if self.absent {
            return Ok(BTreeMap::new());
        }
        let marked = marks::of(&*self.session, live).await?.into_iter();
        Ok(marked.map(|(table, marked)| (table, marked.key)).collect())
    }

    async fn mark_book(&mut self, live: &Release) -> Result<Box<dyn MarkBook>, Error> {
        Ok(Box::new(marks::Book::open(&self.access, live).await?))
    }

    async fn refuses_difference(
        &mut self,
        tables: &BTreeSet<String>,
    ) -> Result<Option<String>, Error> {
        if self.spares_gone {
            let why = "rows of others wait in what the last swap replaced, until the next one";
            return Ok(Some(why.to_owned()));
        }
        let live = self.record(Role::Live).await?.unwrap_or_default();
        if live.inherits_rights != (self.access.options.owner == Owner::Drop) {
            return Ok(Some("--owner is another than before".to_owned()));
        }
        difference::in_the_way(self, tables).await
    }

    async fn apply(&mut self, stage: Box<dyn Stage>, plan: &DifferencePlan) -> Result<(), Error> {
        // Its sessions may have locks on staged tables.
        drop(stage);
        self.shared = None;
        Box::pin(difference::apply(self, plan)).await
    }

    async fn swap(&mut self, stage: Box<dyn Stage>, plan: &SwapPlan) -> Result<(), Error> {
        // Its sessions may have snapshots.
        drop(stage);
        let Some(shared) = self.shared.clone() else {
            return Err(Error::Protocol("a swap without a stage".to_owned()));
        };
        marks::book_staged(&mut self.session, plan, shared.marks).await?;
        Box::pin(swap::forward(self, &shared, plan)).await?;
        self.shared = None;
        Ok(())
    }

    async fn prove(&mut self) -> Result<Vec<String>, Error> {
        let mut told = self.told().await?;
        let undone = self.told_of_undone().await?;
        self.spares_gone |= undone.is_some();
        told.extend(undone);
        Ok(told)
    }

    async fn finish(&mut self) -> Result<(), Error> {
        // All of it is in the swap's transaction.
        Ok(())
    }

    async fn tidy(&mut self, keep_previous: bool) -> Result<(), Error> {
        self.drop_part(Part::Next).await?;
        self.drop_database(Use::Next).await?;
        if !self.absent {
            // Columns there may be of types that were replaced.
            difference::sweep(self, keep_previous).await?;
        }
        if !self.spares_gone {
            self.drop_part(Part::Gone).await?;
            self.drop_database(Use::Gone).await?;
        }
        if self.absent {
            return Ok(());
        }
        if !keep_previous {
            // The record first: half a release is none to go back to.
            ledger::write(&*self.session, Role::Previous, None).await?;
        }
        let previous = self.record(Role::Previous).await?;
        let undoes = previous.as_ref().is_some_and(|it| it.undo.is_some());
        marks::sweep(&mut self.session).await?;
        if undoes
            || previous
                .as_ref()
                .is_none_or(|previous| previous.in_database)
        {
            self.drop_part(Part::Previous).await?;
        }
        if undoes || previous.is_none_or(|previous| !previous.in_database) {
            self.drop_database(Use::Previous).await?;
        }
        Ok(())
    }

    async fn rollback(&mut self) -> Result<(Release, Release), Error> {
        Box::pin(way_back::back(self)).await
    }
}
