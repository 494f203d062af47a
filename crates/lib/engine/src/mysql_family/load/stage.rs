//! The stage: a schema of its own in which the new release grows, unseen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::Conn;
use pilotfish_sql::mysql::{self, Mode, TokenKind, quote};
use tokio::sync::Mutex;

use super::definitions::Definitions;
use super::insert;
use super::lock::Lock;
use super::made::Made;
use super::names::qualified;
use super::session::{self, Carried};
use super::tables::Tables;
use super::worker::MysqlWorker;
use super::{Access, assertion, ledger, objects, orphans, reach};
use crate::Error;
use crate::load::{Loaded, RowBatch, SessionState, Stage, SwapMode, Worker};
use crate::mysql_family::ask::Ask as _;

/// See the module.
#[derive(Debug)]
pub(super) struct MysqlStage {
    access: Access,
    lock: Lock,
    /// The dump's own session, in the stage.
    conn: Conn,
    schema: String,
    definitions: Arc<Mutex<Definitions>>,
    tables: Arc<Tables>,
    made: Made,
    /// Session settings, until a statement may have changed them.
    session: Option<Arc<SessionState>>,
    local_infile: bool,
    packet: usize,
    /// What the marks of its rows are kept under.
    marks: u64,
}

/// What a session in the stage starts with: the server's own modes, as the stock client does.
const SETUP: &str = "SET SESSION lock_wait_timeout=60, SESSION foreign_key_checks=0, SESSION unique_checks=1, SESSION sql_mode=@@global.sql_mode";

/// `ER_TABLE_EXISTS_ERROR`.
const TABLE_EXISTS: u16 = 1050;

/// `ER_CANT_DROP_FIELD_OR_KEY`.
const NOT_THERE: u16 = 1091;

impl MysqlStage {
    /// Opens the dump's session in an existing, empty schema.
    pub(super) async fn open(access: Access, lock: Lock, marks: u64) -> Result<Self, Error> {
        let schema = match access.options.swap {
            SwapMode::None => access.names.live.clone(),
            _ => access.names.staging.clone(),
        };
        let mut conn = session_in(&access, &schema).await?;
        let server: Option<(bool, usize)> = conn
            .query_first("SELECT @@global.local_infile, @@session.max_allowed_packet")
            .await?;
        let (local_infile, packet) = server.unwrap_or((false, 1 << 20));
        let tables = Arc::<Tables>::default();
        let definitions = Definitions::open(
            session_in(&access, &schema).await?,
            lock.clone(),
            schema.clone(),
            access.flavour.mariadb,
            Arc::clone(&tables),
        )
        .await?;
        Ok(Self {
            access,
            lock,
            conn,
            schema,
            definitions: Arc::new(Mutex::new(definitions)),
            tables,
            made: Made::default(),
            session: None,
            local_infile,
            packet,
            marks,
        })
    }

    /// How the dump's session reads its statements.
    async fn mode(&mut self) -> Result<Mode, Error> {
        Ok(objects::mode(self.access.flavour, &*self.session().await?))
    }

    /// The dump's text as it must read here.
    async fn staged(&mut self, sql: &[u8]) -> Result<Vec<u8>, Error> {
        let dump = self.access.dump_database();
        // Most statements name no database: they need no question to the server about its quotes.
        if !mysql::may_name(sql, &dump) {
            return Ok(sql.to_vec());
        }
        let mode = self.mode().await?;
        Ok(objects::requalify(sql, mode, &dump, &self.schema))
    }

    /// Runs a statement as it reads here.
    async fn run(&mut self, staged: &[u8]) -> Result<(), Error> {
        self.session = None;
        self.lock.held(&mut self.conn).await?;
        Ok(self.conn.query_drop(staged).await?)
    }

    /// Learns what a new table is like while the dump goes on: its next table takes the server longer to make.
    async fn learn_behind(&self, name: &str) {
        let slot = self.tables.expect(name);
        // In the dump's order: one after the other, and before whatever the stage asks next.
        let mut definitions = Arc::clone(&self.definitions).lock_owned().await;
        let name = name.to_owned();
        tokio::spawn(async move { definitions.fill(&slot, &name, true).await });
    }

    /// Notes what the statement makes, unless there is nothing for it to do.
    async fn drops_nothing(&mut self, staged: &[u8]) -> Result<bool, Error> {
        if self.access.options.swap == SwapMode::None {
            return Ok(false);
        }
        // No name is needed to tell these apart, so that any way of quoting them does.
        let words = Mode::new(self.access.flavour);
        self.made.statement(staged, words);
        if objects::first_word(staged, words) != "DROP" {
            return Ok(false);
        }
        let mode = self.mode().await?;
        if self.made.drops_nothing(staged, mode) {
            return Ok(true);
        }
        // What goes is learned first.
        drop(self.definitions.lock().await);
        Ok(false)
    }

    /// See [`reach::refuse_foreign`].
    async fn refuse_foreign(&mut self, staged: &[u8]) -> Result<(), Error> {
        if !staged.contains(&b'.') {
            return Ok(());
        }
        let mode = self.mode().await?;
        let conn = &mut self.definitions.lock().await.conn;
        reach::refuse_foreign(conn, &self.schema, staged, mode).await
    }
}

#[async_trait]
impl Stage for MysqlStage {
    async fn new_session(&mut self) -> Result<(), Error> {
        self.conn = session_in(&self.access, &self.schema).await?;
        self.session = None;
        Ok(())
    }

    async fn execute(&mut self, sql: &[u8]) -> Result<(), Error> {
        let staged = self.staged(sql).await?;
        if self.drops_nothing(&staged).await? {
            return Ok(());
        }
        self.refuse_foreign(&staged).await?;
        self.run(&staged).await
    }

    async fn execute_opaque(&mut self, sql: &[u8]) -> Result<BTreeSet<String>, Error> {
        let mode = self.mode().await?;
        if self.access.options.swap == SwapMode::None {
            let verb = objects::first_word(sql, mode);
            return Err(Error::Refused(format!(
                "{verb}: without a stage it could reach tables that are not in the dump; load without --swap none"
            )));
        }
        reach::refuse_unfollowed(sql, mode)?;
        reach::refuse_later(sql, mode)?;
        self.made.statement(sql, mode);
        let staged = self.staged(sql).await?;
        self.refuse_foreign(&staged).await?;
        let reached = reach::reached(&staged, mode, self.tables.names().into_iter());
        for name in &reached {
            self.definitions.lock().await.restore_keys(name).await?;
        }
        self.run(&staged).await?;
        Ok(reached)
    }

    async fn session(&mut self) -> Result<Arc<SessionState>, Error> {
        if let Some(session) = &self.session {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(session::snapshot(&mut self.conn, self.access.flavour).await?);
        self.session = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn create_table(&mut self, name: &str, sql: &[u8]) -> Result<(), Error> {
        let mode = self.mode().await?;
        let is_conditional = mysql::tokens(sql, mode)
            .filter(|token| token.kind != TokenKind::Comment)
            .nth(2)
            .is_some_and(|third| third.is("IF"));
        let there = is_conditional && self.definitions.lock().await.exists(name).await?;
        if self.access.options.swap == SwapMode::None {
            self.lock.held(&mut self.conn).await?;
            // Killed from here on, the next run must know whose table this is.
            ledger::claim(&mut self.conn, &self.access.names, name).await?;
        }
        let staged = self.staged(sql).await?;
        self.lock.held(&mut self.conn).await?;
        let made = self.conn.query_drop(staged).await.map_err(Error::from);
        made.map_err(|error| match self.access.options.swap {
            SwapMode::None => error.because(
                TABLE_EXISTS,
                "without a swap the dump itself has to drop what is there: dump with DROP TABLE, or load with \
                 --swap rename",
            ),
            _ => error,
        })?;
        self.made.table(name);
        // Its keys may wait already.
        if there && self.tables.get(name).await?.is_some() {
            return Ok(());
        }
        // A foreign key goes at once: its statement holds the parent, too, which the next one may want.
        if mysql::tokens(sql, mode).any(|token| token.is("REFERENCES")) {
            return self.definitions.lock().await.learn(name, true).await;
        }
        self.learn_behind(name).await;
        Ok(())
    }

    async fn stand_in(&mut self, name: &str) -> Result<(), Error> {
        let live = qualified(&self.access.names.live, name);
        let staged = qualified(&self.schema, name);
        let mut definitions = self.definitions.lock().await;
        self.lock.held(&mut definitions.conn).await?;
        let like = format!("CREATE TABLE {staged} LIKE {live}");
        definitions.conn.query_drop(like).await?;
        self.made.table(name);
        definitions.learn(name, false).await
    }

    async fn set_keys_aside(&mut self, name: &str) -> Result<(), Error> {
        self.definitions.lock().await.set_keys_aside(name).await
    }

    async fn alter_table(&mut self, name: &str, sql: &[u8]) -> Result<(), Error> {
        self.definitions.lock().await.restore_keys(name).await?;
        let known = self.tables.get(name).await?;
        let foreign = known.map(|table| table.take_foreign_keys());
        let foreign = foreign.unwrap_or_default();
        let staged = self.staged(sql).await?;
        // It may give the table another name.
        self.made.statement(&staged, Mode::new(self.access.flavour));
        let altered = self.run(&staged).await;
        altered.map_err(|error| {
            if foreign.is_empty() {
                return error;
            }
            error.because(
                NOT_THERE,
                "a load makes foreign keys once all rows are in: leave out of CREATE TABLE what the dump drops again",
            )
        })?;
        self.definitions.lock().await.learn(name, false).await?;
        if let Some(table) = self.tables.get(name).await? {
            table.give_foreign_keys(foreign);
        }
        Ok(())
    }

    async fn insert(&mut self, batch: &RowBatch) -> Result<Loaded, Error> {
        // Expressions may ask tables by their database's name, and call what is in others.
        let mut batch = batch.clone();
        batch.tuples = self.staged(&batch.tuples).await?.into();
        self.refuse_foreign(&batch.tuples).await?;
        if let Some(tail) = &batch.tail {
            let tail = self.staged(tail).await?;
            self.refuse_foreign(&tail).await?;
            batch.tail = Some(tail.into());
        }
        let (conn, schema) = (&mut self.conn, &self.schema);
        insert::send(conn, &self.lock, schema, &batch, self.packet).await
    }

    async fn worker(&self) -> Result<Box<dyn Worker>, Error> {
        let mut conn = self.access.connect().await?;
        conn.query_drop(SETUP).await?;
        session::plain(&mut conn).await?;
        Ok(Box::new(MysqlWorker {
            conn,
            lock: self.lock.clone(),
            schema: self.schema.clone(),
            tables: Arc::clone(&self.tables),
            flavour: self.access.flavour,
            local_infile: self.local_infile,
            packet: self.packet,
            carried: Carried::default(),
            converting: Duration::ZERO,
            names: self.access.names.clone(),
            marks: self.marks,
        }))
    }

    async fn tables(&mut self) -> Result<BTreeSet<String>, Error> {
        self.definitions.lock().await.tables().await
    }

    async fn foreign_keys(&mut self, release: &BTreeSet<String>) -> Result<(), Error> {
        let mut definitions = self.definitions.lock().await;
        definitions.add_foreign_keys(&self.access, release).await
    }

    async fn orphans(&mut self) -> Result<Option<String>, Error> {
        orphans::find(&self.access, &self.schema).await
    }

    async fn check(
        &mut self,
        sql: &str,
        unchanged: &BTreeSet<String>,
    ) -> Result<Option<String>, Error> {
        let staged = self.tables().await?;
        let seen_through = unchanged.difference(&staged).collect();
        let sql = assertion::on_the_stage(&self.access, sql, &self.schema);
        assertion::ask(&self.access, &self.lock, &self.schema, &sql, seen_through).await
    }

    fn row_path(&self) -> String {
        if self.local_infile {
            "LOAD DATA".to_owned()
        } else {
            "INSERT, since the server runs with local_infile=OFF; --local-infile=1 makes loads faster".to_owned()
        }
    }
}

async fn session_in(access: &Access, schema: &str) -> Result<Conn, Error> {
    let mut conn = access.connect().await?;
    conn.query_drop(format!("USE {}", quote(schema))).await?;
    // The driver's handshake names a collation that is not the server's default for utf8mb4.
    conn.query_drop("SET NAMES utf8mb4").await?;
    conn.query_drop(SETUP).await?;
    if !access.flavour.mariadb && access.flavour.version >= 8_00_30 {
        hide_no_primary_key(&mut conn).await?;
    }
    Ok(conn)
}

/// MySQL: a table without primary key must stay as the dump has it. The setting needs a right that a
/// loader need not have; it is off by default.
async fn hide_no_primary_key(conn: &mut Conn) -> Result<(), Error> {
    let on: Option<bool> = conn
        .query_first("SELECT @@session.sql_generate_invisible_primary_key")
        .await?;
    if on == Some(true) {
        conn.query_drop("SET SESSION sql_generate_invisible_primary_key=OFF")
            .await?;
    }
    Ok(())
}
