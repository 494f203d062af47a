//! The stage: schemas beside the live ones, in which the next release grows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use pilotfish_sql::postgres::{Mode, quote, tokens};
use tokio_postgres::types::Type;

use super::extensions::Extensions;
use super::ledger::{self, Role};
use super::lock::Lock;
use super::schemas::{Schemas, mentions, parts, qualified, refuse_foreign};
use super::shared::{AtSwap, Shared};
use super::statement::{self, Step};
use super::text::{PUBLIC, first_of_path, is_partitioned, says_whose, utf8};
use super::withheld::Withheld;
use super::{
    Access, assertion, bodies, difference, extensions, marks, room, session, statistics, worker,
};
use crate::Error;
use crate::load::{Loaded, Owner, RowBatch, SessionState, Stage, TableRecord, Worker};
use crate::postgres::cell;
use crate::postgres::connect::Session;

/// SQLSTATEs of what a database has already, or does not let an ordinary account say.
const SHARED_ALREADY: [&str; 4] = ["42710", "42723", "42501", "42704"];
/// `undefined_object` and `cant_change_runtime_param`: a setting that this version of the server does not know.
const UNKNOWN_SETTING: [&str; 2] = ["42704", "55P02"];

/// See the module.
pub(super) struct PostgresStage {
    shared: Arc<Shared>,
    /// The dump's own session.
    session: Session,
    settings: Option<Arc<SessionState>>,
    /// The live name of the schema in which names without one are made.
    default_schema: String,
    /// What is said of schemas that the dump has put nothing into.
    awaiting: BTreeMap<String, Vec<String>>,
    withheld: Withheld,
}

impl PostgresStage {
    pub(super) async fn open(access: Access, lock: Lock) -> Result<Self, Error> {
        let session = access.connect_to_stage().await?;
        let extensions = Extensions::of(&*session).await?;
        let withheld = Withheld::of(&*session).await?;
        let schemas = Schemas::new(access.keeps_names(), extensions);
        let marks = marks::next_id(&*session).await?;
        let shared = Arc::new(Shared::new(access, lock, marks, schemas));
        let mut stage = Self {
            shared,
            session,
            settings: None,
            default_schema: PUBLIC.to_owned(),
            awaiting: BTreeMap::new(),
            withheld,
        };
        stage.begin().await?;
        Ok(stage)
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// The dump's session as the stock client's: names without a schema are those of `public`.
    async fn begin(&mut self) -> Result<(), Error> {
        self.default_schema = PUBLIC.to_owned();
        self.settings = None;
        let place = self.shared.schemas().place(PUBLIC);
        // Bodies name what is live, and are read when they run.
        let sql = format!(
            "SET check_function_bodies = off; SET search_path = {}",
            quote(&place)
        );
        Ok(self.session.batch_execute(&sql).await?)
    }

    async fn run(&self, sql: &[u8]) -> Result<(), Error> {
        let text = self.shared.rewritten(sql)?;
        Ok(self.session.batch_execute(&text).await?)
    }

    /// Makes what the live release would use too; it is unmade if it does not come to a swap.
    async fn share(&self, sql: &[u8], mode: Mode) -> Result<(), Error> {
        // What is there must be told from what was made.
        let sql = &*statement::strictly(sql, mode);
        if self.tolerate(sql, &SHARED_ALREADY).await?
            && let Some(undo) = statement::undo(sql, mode)
        {
            let undo = self.shared.rewritten(undo.as_bytes())?;
            ledger::note_undo(&*self.session, &undo).await?;
        }
        Ok(())
    }

    /// Whether it was done.
    async fn tolerate(&self, sql: &[u8], states: &[&str]) -> Result<bool, Error> {
        match self.run(sql).await {
            Err(error)
                if error
                    .code()
                    .is_some_and(|code| states.iter().any(|state| code.is(state))) =>
            {
                tracing::debug!(%error, "left as it is");
                Ok(false)
            }
            // Rights on what belongs to all are not needed to load.
            Err(Error::Denied(why)) => {
                tracing::debug!(why, "left as it is");
                Ok(false)
            }
            outcome => outcome.map(|()| true),
        }
    }

    /// The dump puts something into a schema: from here on it is the dump's own.
    async fn own(&mut self, schema: &str) -> Result<(), Error> {
        if self.shared.schemas().is_own(schema) {
            return Ok(());
        }
        refuse_foreign(schema)?;
        if !self.shared.access.keeps_names() {
            if let Some(rooted) = self.shared.schemas().extensions.rooted_in(schema) {
                return Err(Error::NeedsDatabase(format!(
                    "the extension {rooted} lives in the schema {schema}, and cannot be moved to another one, or not by \
                     this account"
                )));
            }
            room::make(&*self.session, schema).await?;
        }
        self.shared.change(|schemas| schemas.add(schema));
        for sql in self.awaiting.remove(schema).unwrap_or_default() {
            self.run(sql.as_bytes()).await?;
        }
        Ok(())
    }

    async fn define(&mut self, sql: &[u8]) -> Result<(), Error> {
        let keeps_owner = self.shared.access.options.owner == Owner::Keep;
        let mode = self.shared.mode();
        let grants = statement::grants(sql, mode);
        if !keeps_owner && statement::closes(sql, mode) {
            // A function that runs with its owner's rights is open to everybody unless the dump says otherwise.
            return self.run(sql).await;
        }
        if !keeps_owner && (says_whose(sql, mode) || grants) {
            return Ok(());
        }
        if grants {
            // What the dump takes away it takes away for good.
            self.withheld.give_back(&*self.session).await?;
        }
        if statement::forces_row_security(sql, mode) {
            self.refuse_to_be_bound().await?;
        }
        if self.shared.access.keeps_names() {
            return self.define_straight(sql, mode).await;
        }
        let step = statement::step(sql, mode, &self.shared.schemas())?;
        match step {
            Step::Run => {
                if statement::refreshes(sql, mode) {
                    self.refuse_bodies().await?;
                }
                self.run(sql).await
            }
            Step::Create(schema) => {
                let schema = schema.unwrap_or_else(|| self.default_schema.clone());
                self.own(&schema).await?;
                self.run(sql).await
            }
            Step::Share => self.share(sql, mode).await,
            Step::Leave(why) => {
                tracing::debug!(why, "left out");
                Ok(())
            }
            Step::Await(schema) => {
                let sql = utf8(sql.to_vec())?;
                self.awaiting.entry(schema).or_default().push(sql);
                Ok(())
            }
            Step::Schema { name, owner } => {
                self.own(&name).await?;
                match owner.filter(|_| keeps_owner) {
                    Some(owner) => room::give(&*self.session, &name, &owner).await,
                    None => Ok(()),
                }
            }
            Step::Extension(name) => self.extension(&name, sql).await,
            Step::AtSwap { first, tolerant } => {
                let sql = utf8(sql.to_vec())?;
                self.shared.at_swap().push(AtSwap {
                    first,
                    tolerant,
                    in_schema: false,
                    sql,
                });
                Ok(())
            }
        }
    }

    /// As the stock client, but for what no load may do; who fills a schema is noted for the ledger.
    async fn define_straight(&mut self, sql: &[u8], mode: Mode) -> Result<(), Error> {
        let step = statement::step(sql, mode, &self.shared.schemas());
        match step {
            Ok(Step::Leave(why)) if statement::is_left_out_everywhere(why) => return Ok(()),
            Ok(Step::Create(schema)) => {
                let schema = schema.unwrap_or_else(|| self.default_schema.clone());
                self.own(&schema).await?;
            }
            Ok(Step::Schema { name, .. }) => self.own(&name).await?,
            _ => {}
        }
        self.run(sql).await
    }

    async fn extension(&mut self, name: &str, sql: &[u8]) -> Result<(), Error> {
        if self.shared.schemas().extensions.has(name) {
            return Ok(());
        }
        let mode = self.shared.mode();
        let staged = mentions(sql, mode)
            .into_iter()
            .any(|(schema, _)| self.shared.schemas().is_own(&schema));
        if staged
            && !self.shared.access.keeps_names()
            && extensions::is_rooted(&*self.session, name).await?
        {
            return Err(Error::NeedsDatabase(format!(
                "the extension {name} cannot be moved out of the schema that it is made in"
            )));
        }
        self.run(sql).await?;
        if !self.shared.access.keeps_names() {
            let undo = format!("DROP EXTENSION IF EXISTS {}", quote(name));
            ledger::note_undo(&*self.session, &undo).await?;
        }
        let extensions = Extensions::of(&*self.session).await?;
        self.shared
            .change(|schemas| schemas.extensions = extensions);
        Ok(())
    }

    /// Whose own tables hide rows from him cannot tell at the next load whether anybody wrote to them.
    async fn refuse_to_be_bound(&self) -> Result<(), Error> {
        const BOUND: &str = "SELECT NOT (rolsuper OR rolbypassrls) FROM pg_catalog.pg_roles WHERE rolname = session_user";
        if !cell(&self.session.query_one(BOUND, &[]).await?, 0)? {
            return Ok(());
        }
        Err(Error::Config(
            "the dump forces row level security on the owner of a table, so that this account would not see what it loaded: \
             ALTER ROLE .. BYPASSRLS"
                .to_owned(),
        ))
    }

    /// Rule 14: what is computed while staging must not ask what is live.
    async fn refuse_bodies(&self) -> Result<(), Error> {
        let own: Vec<String> = self.shared.schemas().own().iter().cloned().collect();
        let places: Vec<String> = own
            .iter()
            .map(|schema| self.shared.schemas().place(schema))
            .collect();
        match bodies::computed(&*self.session, &places, &own).await? {
            None => Ok(()),
            Some((who, function)) => Err(Error::NeedsDatabase(format!(
                "{who} is computed by {function}, whose body names what is live until the swap"
            ))),
        }
    }

    /// Rows that name objects would name live ones, which leave with the swap.
    async fn refuse_names_in_rows(&self, table: &str) -> Result<(), Error> {
        const NAMES: &str = "SELECT a.attname::text, a.atttypid::pg_catalog.regtype::text FROM pg_catalog.pg_attribute a \
            WHERE a.attrelid = $1::text::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped \
            AND a.atttypid::pg_catalog.regtype::text LIKE 'reg%' AND a.atttypid < 16384 LIMIT 1";
        let staged = self.shared.schemas().table(table)?;
        match self
            .session
            .query_typed(NAMES, &[(&staged, Type::TEXT)])
            .await?
            .first()
        {
            None => Ok(()),
            Some(row) => Err(Error::NeedsDatabase(format!(
                "rows of {table} name objects: its column {} is a {}",
                cell::<String>(row, 0)?,
                cell::<String>(row, 1)?
            ))),
        }
    }

    /// The body of a function names tables by itself, and on a stage those are the live ones.
    async fn refuse_functions(&self, called: &[String]) -> Result<(), Error> {
        match room::own_function(&*self.session, called).await? {
            None => Ok(()),
            Some(name) => Err(Error::NeedsDatabase(format!(
                "it calls {name}(), whose body may name what is live"
            ))),
        }
    }

    async fn set(&mut self, sql: &[u8]) -> Result<(), Error> {
        self.settings = None;
        let mode = self.shared.mode();
        if self.shared.access.options.owner == Owner::Drop && says_whose(sql, mode) {
            return Ok(());
        }
        let text = utf8(self.shared.schemas().rewrite_path(sql, mode)?.into_owned())?;
        match self.session.batch_execute(&text).await.map_err(Error::from) {
            Err(error)
                if error
                    .code()
                    .is_some_and(|code| UNKNOWN_SETTING.iter().any(|state| code.is(state))) =>
            {
                tracing::debug!(%error, "left out a setting");
            }
            outcome => outcome?,
        }
        if let Some(schema) = first_of_path(sql, mode) {
            self.default_schema = schema;
        }
        let row = self
            .session
            .query_one(
                "SELECT pg_catalog.current_setting('standard_conforming_strings') = 'on'",
                &[],
            )
            .await?;
        let mode = Mode {
            standard_conforming_strings: cell(&row, 0)?,
        };
        self.shared.read_by(mode);
        Ok(())
    }
}

#[async_trait]
impl Stage for PostgresStage {
    async fn execute_opaque(&mut self, sql: &[u8]) -> Result<BTreeSet<String>, Error> {
        let sql = &*self.shared.at_home(sql);
        let mode = self.shared.mode();
        self.shared.lock.held(&*self.session).await?;
        let says_whose = says_whose(sql, mode) || statement::grants(sql, mode);
        if says_whose && self.shared.access.options.owner == Owner::Drop {
            // Of a large object.
            return Ok(BTreeSet::new());
        }
        if !self.shared.access.keeps_names() {
            statement::refuse_code(sql, mode, &self.shared.schemas())?;
            self.refuse_functions(&statement::called(sql, mode)).await?;
        }
        self.run(sql).await?;
        if statement::looks(sql, mode) {
            return Ok(BTreeSet::new());
        }
        self.shared.lose_count();
        let names = statement::names(sql, mode);
        let mut reached = self.tables().await?;
        reached.retain(|key| parts(key).is_ok_and(|(_, name)| names.contains(&name)));
        Ok(reached)
    }

    async fn execute(&mut self, sql: &[u8]) -> Result<(), Error> {
        let sql = &*self.shared.at_home(sql);
        self.shared.lock.held(&*self.session).await?;
        let first = tokens(sql, self.shared.mode()).next();
        let sets = first.is_some_and(|token| token.is("SET") || token.is("RESET"));
        if sets || first_of_path(sql, self.shared.mode()).is_some() {
            return self.set(sql).await;
        }
        let changes = ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "MERGE", "WITH"];
        if first.is_some_and(|token| changes.iter().any(|word| token.is(word))) {
            self.shared.lose_count();
        }
        self.define(sql).await
    }

    async fn session(&mut self) -> Result<Arc<SessionState>, Error> {
        if let Some(settings) = &self.settings {
            return Ok(Arc::clone(settings));
        }
        let settings = Arc::new(session::settings(&*self.session).await?);
        self.settings = Some(Arc::clone(&settings));
        Ok(settings)
    }

    async fn create_table(&mut self, name: &str, sql: &[u8]) -> Result<(), Error> {
        self.shared.lock.held(&*self.session).await?;
        if self.shared.access.is_straight() {
            // Killed from here on, the next run must know whose table this is.
            let mut live = ledger::read(&*self.session, Role::Live)
                .await?
                .unwrap_or_default();
            live.schemas.insert(parts(name)?.0);
            live.objects.insert(name.to_owned());
            live.release
                .tables
                .insert(name.to_owned(), TableRecord::default());
            ledger::write(&*self.session, Role::Live, Some(&live)).await?;
        }
        self.define(sql).await?;
        if !self.shared.access.is_straight() {
            let staged = self.shared.schemas().table(name)?;
            self.withheld.take(&*self.session, &staged).await?;
        }
        if !self.shared.access.keeps_names() {
            self.refuse_names_in_rows(name).await?;
        }
        let kind = tokens(sql, self.shared.mode()).nth(1);
        if kind.is_some_and(|kind| kind.is("FOREIGN")) {
            self.shared.leads_elsewhere(name);
        }
        if is_partitioned(sql, self.shared.mode()) {
            self.shared.has_partitions(name);
        }
        Ok(())
    }

    async fn stand_in(&mut self, name: &str) -> Result<(), Error> {
        self.shared.lock.held(&*self.session).await?;
        let (schema, table) = parts(name)?;
        self.own(&schema).await?;
        let staged = self.shared.schemas().table(name)?;
        let sql = difference::stand_in(&qualified(&schema, &table), &staged);
        self.session.batch_execute(&sql).await?;
        self.shared.stands_in(name);
        self.withheld.take(&*self.session, &staged).await
    }

    async fn set_keys_aside(&mut self, _: &str) -> Result<(), Error> {
        // The dump has them behind its rows.
        self.shared.lock.held(&*self.session).await
    }

    async fn new_session(&mut self) -> Result<(), Error> {
        self.session = self.shared.access.connect_to_stage().await?;
        self.shared.read_by(Mode::default());
        self.begin().await
    }

    async fn alter_table(&mut self, _: &str, sql: &[u8]) -> Result<(), Error> {
        self.execute(sql).await
    }

    async fn insert(&mut self, batch: &RowBatch) -> Result<Loaded, Error> {
        self.shared.lock.held(&*self.session).await?;
        worker::store(&self.shared, &self.session, batch).await
    }

    async fn worker(&self) -> Result<Box<dyn Worker>, Error> {
        let worker = worker::PostgresWorker::open(self.shared()).await?;
        Ok(Box::new(worker))
    }

    async fn tables(&mut self) -> Result<BTreeSet<String>, Error> {
        let own = self.shared.schemas().own().clone();
        let mut tables = BTreeSet::new();
        for schema in own {
            let place = self.shared.schemas().place(&schema);
            tables.extend(room::tables(&*self.session, &place, &schema).await?);
        }
        Ok(tables)
    }

    async fn foreign_keys(&mut self, _: &BTreeSet<String>) -> Result<(), Error> {
        self.shared.lock.held(&*self.session).await?;
        self.withheld.give_back(&*self.session).await?;
        let own = self.shared.schemas().own().clone();
        if !self.shared.access.keeps_names() {
            self.refuse_bodies().await?;
        }
        let known = self.shared.known_by_statistics();
        for schema in &own {
            let place = self.shared.schemas().place(schema);
            statistics::complete(&*self.session, &place, schema, &known).await?;
        }
        Ok(())
    }

    async fn orphans(&mut self) -> Result<Option<String>, Error> {
        // The server looked for them when the foreign keys were made.
        Ok(None)
    }

    async fn check(
        &mut self,
        sql: &str,
        unchanged: &BTreeSet<String>,
    ) -> Result<Option<String>, Error> {
        self.shared.lock.held(&*self.session).await?;
        assertion::ask(&self.shared, sql, unchanged).await
    }

    fn row_path(&self) -> String {
        "COPY".to_owned()
    }
}
