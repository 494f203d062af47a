//! Definitions on the stage: what the server says of its tables, and the keys that go and come back.
//!
//! On a session of the loader's own. In the dump's, the server answers in the dump's character set, where
//! letters are lost, and under its sql_mode, where a name may be in `"` and a text end elsewhere.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use mysql_async::Conn;

use super::keys::Deferred;
use super::lock::Lock;
use super::names::{literal, qualified};
use super::tables::{Learned, Slot, Table, Tables};
use super::{Access, columns, objects, proof, session};
use crate::Error;
use crate::mysql_family::ask::Ask as _;

/// `ER_LOCK_DEADLOCK`: of two statements that change tables with a foreign key between them, one goes on.
const DEADLOCK: u16 = 1213;
const TRIES: u32 = 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Definitions {
    pub(super) conn: Conn,
    lock: Lock,
    schema: String,
    mariadb: bool,
    tables: Arc<Tables>,
}

impl Definitions {
    /// Takes a connection in the stage.
    pub(super) async fn open(
        mut conn: Conn,
        lock: Lock,
        schema: String,
        mariadb: bool,
        tables: Arc<Tables>,
    ) -> Result<Self, Error> {
        session::plain(&mut conn).await?;
        Ok(Self {
            conn,
            lock,
            schema,
            mariadb,
            tables,
        })
    }

    /// The tables on the stage, sequences included.
    pub(super) async fn tables(&mut self) -> Result<BTreeSet<String>, Error> {
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

    pub(super) async fn exists(&mut self, table: &str) -> Result<bool, Error> {
        Ok(self.kind(table).await?.is_some())
    }

    /// Engine and type of a table, or whatever has its name.
    async fn kind(&mut self, table: &str) -> Result<Option<(Option<String>, String)>, Error> {
        let sql = format!(
            "SELECT engine, table_type FROM information_schema.tables WHERE table_schema = {} AND table_name = {}",
            literal(&self.schema),
            literal(table)
        );
        Ok(self.conn.query_first(sql).await?)
    }

    /// Reads a table's shape; see [`Self::fill`].
    pub(super) async fn learn(&mut self, name: &str, defer: bool) -> Result<(), Error> {
        let slot = self.tables.expect(name);
        self.fill(&slot, name, defer).await;
        self.tables.get(name).await.map(drop)
    }

    /// Reads a table's shape for those who wait for it; `defer` takes its foreign keys off and notes the keys that can
    /// wait.
    pub(super) async fn fill(&mut self, slot: &Slot, name: &str, defer: bool) {
        let learned = match self.look(name, defer).await {
            Ok(Some(table)) => Learned::Table(Arc::new(table)),
            Ok(None) => Learned::Other,
            Err(error) => Learned::Failed(error),
        };
        // Each slot is filled once.
        let _ = slot.set(learned);
    }

    async fn look(&mut self, name: &str, defer: bool) -> Result<Option<Table>, Error> {
        let kind = self.kind(name).await?;
        let Some((engine, kind)) = kind.filter(|(_, kind)| kind != "VIEW" && kind != "SEQUENCE")
        else {
            return Ok(None);
        };
        let definition = self.definition(name).await?;
        // Before its keys go: they come back.
        let array_key = !self.mariadb
            && definition.contains(" array)")
            && proof::has_array_key(&mut self.conn, &self.schema, name).await?;
        let deferred = if defer {
            self.defer(name, &definition).await?
        } else {
            Deferred::default()
        };
        let transactional = engine.is_some_and(|engine| engine.eq_ignore_ascii_case("InnoDB"));
        Ok(Some(Table {
            columns: columns::read(&mut self.conn, &self.schema, name).await?,
            deferred: Mutex::new(deferred),
            insert_only: AtomicBool::new(!transactional || kind != "BASE TABLE"),
            versioned: kind == "SYSTEM VERSIONED",
            array_key,
        }))
    }

    async fn definition(&mut self, name: &str) -> Result<String, Error> {
        let table = qualified(&self.schema, name);
        let definition: Option<(String, String)> = self
            .conn
            .query_first(format!("SHOW CREATE TABLE {table}"))
            .await?;
        Ok(definition.map(|(_, text)| text).unwrap_or_default())
    }

    /// What of a new table can wait; where it has foreign keys, that is taken off at once.
    async fn defer(&mut self, name: &str, definition: &str) -> Result<Deferred, Error> {
        let mut deferred = Deferred::from_definition(definition);
        let drops = deferred.drop_foreign();
        if !drops.is_empty() {
            self.alter(name, &drops).await?;
            deferred.aside = true;
        }
        Ok(deferred)
    }

    /// Takes off the keys that can wait.
    pub(super) async fn set_keys_aside(&mut self, name: &str) -> Result<(), Error> {
        let Some(table) = self.tables.get(name).await? else {
            return Ok(());
        };
        let drops = table.deferred().drop_keys();
        let aside = table.deferred().aside;
        if !aside && !drops.is_empty() {
            self.alter(name, &drops).await?;
            table.deferred().aside = true;
        }
        Ok(())
    }

    /// Puts back the keys that wait on a table; from here on none of them waits.
    pub(super) async fn restore_keys(&mut self, name: &str) -> Result<(), Error> {
        let Some(table) = self.tables.get(name).await? else {
            return Ok(());
        };
        let waits = !table.deferred().adds().is_empty();
        // The dump may have dropped it.
        if waits && !self.exists(name).await? {
            return Ok(());
        }
        restore_keys(&mut self.conn, &self.lock, &self.schema, name, &table).await
    }

    /// Adds the foreign keys that wait; see [`crate::load::Stage::foreign_keys`].
    pub(super) async fn add_foreign_keys(
        &mut self,
        access: &Access,
        release: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let staged = self.tables().await?;
        for name in self.tables.names() {
            if !staged.contains(&name) {
                continue;
            }
            let known = self.tables.get(&name).await?;
            let foreign = known.map(|table| table.take_foreign_keys());
            let foreign = foreign.unwrap_or_default();
            if foreign.is_empty() {
                continue;
            }
            let adds: Vec<String> = foreign
                .iter()
                .map(|(_, definition)| {
                    objects::point_outside(definition, &staged, release, &access.names.live)
                })
                .map(|definition| format!("ADD {definition}"))
                .collect();
            let added = self.alter(&name, &adds.join(", ")).await;
            added.map_err(|error| named(&name, &foreign, error))?;
        }
        Ok(())
    }

    async fn alter(&mut self, name: &str, clauses: &str) -> Result<(), Error> {
        alter(&mut self.conn, &self.lock, &self.schema, name, clauses).await
    }
}

/// The server's refusal of foreign keys, with their table: it names a constraint at best.
fn named(table: &str, foreign: &[(String, String)], error: Error) -> Error {
    let text: Vec<&str> = foreign.iter().map(|(_, text)| text.as_str()).collect();
    let at = format!("table {table}, {}", text.join(", "));
    error.reworded(|message| format!("{at}: {message}"))
}

/// Puts back the keys that wait on a table, by a session that is plain.
pub(super) async fn restore_keys(
    conn: &mut Conn,
    lock: &Lock,
    schema: &str,
    name: &str,
    table: &Table,
) -> Result<(), Error> {
    for clauses in table.take_keys() {
        alter(conn, lock, schema, name, &clauses).await?;
    }
    Ok(())
}

async fn alter(
    conn: &mut Conn,
    lock: &Lock,
    schema: &str,
    name: &str,
    clauses: &str,
) -> Result<(), Error> {
    let sql = format!("ALTER TABLE {} {clauses}", qualified(schema, name));
    let mut tries = 0;
    loop {
        lock.held(conn).await?;
        tries += 1;
        match conn.query_drop(&sql).await.map_err(Error::from) {
            Err(error) if error.number() == Some(DEADLOCK) && tries < TRIES => {
                tracing::debug!(
                    name,
                    tries,
                    "two tables tied by a foreign key change at once"
                );
            }
            outcome => return outcome,
        }
    }
}
