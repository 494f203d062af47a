//! The stage: a schema of its own in which the new release grows, unseen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use mysql_async::{Conn, Row};
use pilotfish_sql::mysql::{self, Mode, TokenKind, quote};

use super::insert;
use super::keys::Deferred;
use super::lock::Lock;
use super::names::{literal, qualified};
use super::session::{self, Carried};
use super::tables::{Table, Tables};
use super::worker::MysqlWorker;
use super::{Access, columns, ledger, objects, orphans};
use crate::Error;
use crate::load::{Loaded, RowBatch, SessionState, Stage, SwapMode, Worker};
use crate::mysql_family::ask::Ask as _;
use crate::mysql_family::truth::{is_true, shown};

/// See the module.
#[derive(Debug)]
pub(super) struct MysqlStage {
    access: Access,
    lock: Lock,
    /// The dump's own session, in the stage.
    conn: Conn,
    schema: String,
    tables: Arc<Tables>,
    /// Session settings, until a statement may have changed them.
    session: Option<Arc<SessionState>>,
    local_infile: bool,
    packet: usize,
}

/// What a session in the stage starts with: the server's own modes, as the stock client does.
const SETUP: &str = "SET SESSION lock_wait_timeout=60, SESSION foreign_key_checks=0, SESSION unique_checks=1, SESSION sql_mode=@@global.sql_mode";

/// Statements that may change staged rows in ways that only the server understands. Not among them:
/// what changes the server (SHUTDOWN, KILL, INSTALL) or hides what it does (CALL, EXECUTE).
const OPAQUE_VERBS: &[&str] = &[
    "INSERT", "REPLACE", "UPDATE", "DELETE", "TRUNCATE", "CREATE", "ALTER", "DROP", "RENAME",
    "ANALYZE", "OPTIMIZE", "CHECK", "REPAIR", "DO", "SELECT", "WITH", "SET",
];

impl MysqlStage {
    /// Opens the dump's session in an existing, empty schema.
    pub(super) async fn open(access: Access, lock: Lock) -> Result<Self, Error> {
        let schema = match access.options.swap {
            SwapMode::Rename => access.names.staging.clone(),
            SwapMode::None => access.names.live.clone(),
        };
        let mut conn = session_in(&access, &schema).await?;
        let server: Option<(bool, usize)> = conn
            .query_first("SELECT @@global.local_infile, @@session.max_allowed_packet")
            .await?;
        let (local_infile, packet) = server.unwrap_or((false, 1 << 20));
        Ok(Self {
            access,
            lock,
            conn,
            schema,
            tables: Arc::default(),
            session: None,
            local_infile,
            packet,
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

    async fn exists(&mut self, table: &str) -> Result<bool, Error> {
        let found: Option<u8> = self
            .conn
            .query_first(format!(
                "SELECT 1 FROM information_schema.tables WHERE table_schema = {} AND table_name = {}",
                literal(&self.schema),
                literal(table)
            ))
            .await?;
        Ok(found.is_some())
    }

    /// Reads a table's shape; `defer` takes its foreign keys off and notes the keys that can wait.
    async fn learn(&mut self, name: &str, defer: bool) -> Result<(), Error> {
        let table = qualified(&self.schema, name);
        let shape: Option<(Option<String>, String)> = self
            .conn
            .query_first(format!(
                "SELECT engine, table_type FROM information_schema.tables WHERE table_schema = {} AND table_name = {}",
                literal(&self.schema),
                literal(name)
            ))
            .await?;
        // A sequence, or a view that stands in for one that comes later: nothing to defer or to fill.
        let Some((engine, kind)) = shape.filter(|(_, kind)| kind != "VIEW" && kind != "SEQUENCE")
        else {
            return Ok(());
        };
        let mut deferred = Deferred::default();
        if defer {
            let definition: Option<(String, String)> = self
                .conn
                .query_first(format!("SHOW CREATE TABLE {table}"))
                .await?;
            deferred =
                Deferred::from_definition(&definition.map(|(_, text)| text).unwrap_or_default());
            let drops = deferred.drop_foreign();
            if !drops.is_empty() {
                self.conn
                    .query_drop(format!("ALTER TABLE {table} {drops}"))
                    .await?;
                deferred.aside = true;
            }
        }
        let transactional = engine.is_some_and(|engine| engine.eq_ignore_ascii_case("InnoDB"));
        self.tables.set(
            name,
            Table {
                columns: columns::read(&mut self.conn, &self.schema, name).await?,
                deferred: std::sync::Mutex::new(deferred),
                insert_only: AtomicBool::new(!transactional || kind != "BASE TABLE"),
                versioned: kind == "SYSTEM VERSIONED",
            },
        );
        Ok(())
    }

    /// Puts back what waits on `name`, on this session.
    async fn restore(&mut self, name: &str) -> Result<(), Error> {
        let Some(table) = self.tables.get(name) else {
            return Ok(());
        };
        for clauses in table.take_keys() {
            let table = qualified(&self.schema, name);
            self.conn
                .query_drop(format!("ALTER TABLE {table} {clauses}"))
                .await?;
        }
        Ok(())
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
        let sql = self.staged(sql).await?;
        self.session = None;
        self.lock.held(&mut self.conn).await?;
        Ok(self.conn.query_drop(sql).await?)
    }

    async fn execute_opaque(&mut self, sql: &[u8]) -> Result<(), Error> {
        let mode = self.mode().await?;
        let verb = objects::first_word(sql, mode);
        if self.access.options.swap == SwapMode::None {
            return Err(Error::Refused(format!(
                "{verb}: without a stage it could reach tables that are not in the dump; load with --swap rename"
            )));
        }
        // SET STATEMENT .. FOR hides its verb; INTO OUTFILE writes where the server keeps its files.
        let says = |word| mysql::tokens(sql, mode).any(|token| token.is(word));
        let hidden = verb == "SET" && says("STATEMENT");
        let writes = says("OUTFILE") || says("DUMPFILE");
        if hidden || writes || !OPAQUE_VERBS.contains(&verb.as_str()) {
            return Err(Error::Refused(format!(
                "{verb}: a load does not follow such a statement"
            )));
        }
        let staged = self.staged(sql).await?;
        let schemas: Vec<String> = self
            .conn
            .query("SELECT schema_name FROM information_schema.schemata")
            .await?;
        let foreign = objects::qualifiers(&staged, mode)
            .into_iter()
            .find(|name| *name != self.schema && schemas.contains(name));
        if let Some(database) = foreign {
            return Err(Error::Refused(format!(
                "a statement that reaches into the database {database}: a load fills one database only"
            )));
        }
        self.session = None;
        self.lock.held(&mut self.conn).await?;
        Ok(self.conn.query_drop(staged).await?)
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
        let there = self.exists(name).await?;
        let mode = self.mode().await?;
        let replaces = mysql::tokens(sql, mode)
            .filter(|token| token.kind != TokenKind::Comment)
            .nth(1)
            .is_some_and(|second| second.is("OR"));
        if self.access.options.swap == SwapMode::None {
            // Killed from here on, the next run must know whose table this is.
            ledger::claim(&mut self.conn, &self.access.names, name).await?;
        }
        let sql = self.staged(sql).await?;
        self.lock.held(&mut self.conn).await?;
        self.conn.query_drop(sql).await?;
        // CREATE TABLE IF NOT EXISTS on a table that is there: its keys may wait already.
        if there && !replaces && self.tables.get(name).is_some() {
            return Ok(());
        }
        self.learn(name, true).await
    }

    async fn set_keys_aside(&mut self, name: &str) -> Result<(), Error> {
        let Some(table) = self.tables.get(name) else {
            return Ok(());
        };
        let drops = table.deferred().drop_keys();
        let aside = table.deferred().aside;
        if !aside && !drops.is_empty() {
            self.lock.held(&mut self.conn).await?;
            let sql = format!("ALTER TABLE {} {drops}", qualified(&self.schema, name));
            self.conn.query_drop(sql).await?;
            table.deferred().aside = true;
        }
        Ok(())
    }

    async fn alter_table(&mut self, name: &str, sql: &[u8]) -> Result<(), Error> {
        self.restore(name).await?;
        let foreign = self
            .tables
            .get(name)
            .map(|table| table.take_foreign_keys())
            .unwrap_or_default();
        self.execute(sql).await?;
        self.learn(name, false).await?;
        if let Some(table) = self.tables.get(name) {
            table.give_foreign_keys(foreign);
        }
        Ok(())
    }

    async fn insert(&mut self, batch: &RowBatch) -> Result<Loaded, Error> {
        // Expressions may ask tables by their database's name.
        let mut batch = batch.clone();
        batch.tuples = self.staged(&batch.tuples).await?.into();
        if let Some(tail) = &batch.tail {
            batch.tail = Some(self.staged(tail).await?.into());
        }
        let (conn, schema) = (&mut self.conn, &self.schema);
        insert::send(conn, &self.lock, schema, &batch, self.packet).await
    }

    async fn worker(&self) -> Result<Box<dyn Worker>, Error> {
        let mut conn = self.access.connect().await?;
        conn.query_drop(SETUP).await?;
        Ok(Box::new(MysqlWorker {
            conn,
            lock: self.lock.clone(),
            schema: self.schema.clone(),
            tables: Arc::clone(&self.tables),
            mariadb: self.access.flavour.mariadb,
            local_infile: self.local_infile,
            packet: self.packet,
            carried: Carried::default(),
        }))
    }

    async fn tables(&mut self) -> Result<BTreeSet<String>, Error> {
        let tables: Vec<String> = self
            .conn
            .query(format!(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = {} AND table_type IN \
                 ('BASE TABLE', 'SEQUENCE', 'SYSTEM VERSIONED')",
                literal(&self.schema)
            ))
            .await?;
        Ok(tables.into_iter().collect())
    }

    async fn foreign_keys(&mut self, release: &BTreeSet<String>) -> Result<(), Error> {
        let staged = self.tables().await?;
        self.conn
            .query_drop("SET SESSION foreign_key_checks=0")
            .await?;
        for (name, table) in self.tables.all() {
            let foreign = table.take_foreign_keys();
            if foreign.is_empty() || !staged.contains(&name) {
                continue;
            }
            let clauses: Vec<String> = foreign
                .iter()
                .map(|(_, definition)| {
                    format!(
                        "ADD {}",
                        objects::point_outside(
                            definition,
                            &staged,
                            release,
                            &self.access.names.live
                        )
                    )
                })
                .collect();
            self.conn
                .query_drop(format!(
                    "ALTER TABLE {} {}",
                    qualified(&self.schema, &name),
                    clauses.join(", ")
                ))
                .await?;
        }
        Ok(())
    }

    async fn orphans(&mut self) -> Result<Option<String>, Error> {
        orphans::find(&self.access, &self.schema).await
    }

    async fn check(
        &mut self,
        sql: &str,
        unchanged: &BTreeSet<String>,
    ) -> Result<Option<String>, Error> {
        let mut conn = self.access.connect().await?;
        conn.query_drop(format!("USE {}", quote(&self.schema)))
            .await?;
        let staged = self.tables().await?;
        let seen_through: Vec<&String> = unchanged.difference(&staged).collect();
        for table in &seen_through {
            let (view, live) = (
                qualified(&self.schema, table),
                qualified(&self.access.names.live, table),
            );
            conn.query_drop(format!(
                "CREATE OR REPLACE VIEW {view} AS SELECT * FROM {live}"
            ))
            .await?;
        }
        // Whatever it calls: rows of live tables are within its reach.
        conn.query_drop("START TRANSACTION READ ONLY").await?;
        let answer: Result<Option<Row>, Error> = conn.query_first(sql).await.map_err(Error::from);
        conn.query_drop("ROLLBACK").await?;
        for table in seen_through {
            conn.query_drop(format!(
                "DROP VIEW IF EXISTS {}",
                qualified(&self.schema, table)
            ))
            .await?;
        }
        let answer = answer?;
        let Some(value) = answer.as_ref().and_then(|row| row.as_ref(0)) else {
            return Ok(Some("no row".to_owned()));
        };
        Ok((!is_true(value)).then(|| shown(value)))
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
