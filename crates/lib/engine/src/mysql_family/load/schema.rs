//! The schemas of a load: made, listed, dropped.

use std::collections::BTreeMap;

use pilotfish_sql::mysql::quote;

use super::names::{literal, qualified};
use super::target::MysqlTarget;
use crate::Error;
use crate::mysql_family::ask::Ask as _;

/// `ER_NO_SUCH_TABLE`; rights are looked at before it.
const NO_TABLE: u16 = 1146;

impl MysqlTarget {
    /// Tables of a schema: name to type (`BASE TABLE`, `SEQUENCE`, `SYSTEM VERSIONED`, `VIEW`).
    pub(super) async fn tables_of(
        &mut self,
        schema: &str,
    ) -> Result<BTreeMap<String, String>, Error> {
        let tables: Vec<(String, String)> = self
            .conn
            .query(format!(
                "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = {}",
                literal(schema)
            ))
            .await?;
        Ok(tables.into_iter().collect())
    }

    /// Makes a schema like the live database, or the server's default where that is not there yet.
    pub(super) async fn create_schema(&mut self, schema: &str) -> Result<(), Error> {
        let charset: Option<(String, String)> = self
            .conn
            .query_first(format!(
                "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata \
                 WHERE schema_name = {}",
                literal(&self.access.names.live)
            ))
            .await?;
        let charset = charset
            .map(|(charset, collation)| format!("CHARACTER SET {charset} COLLATE {collation}"))
            .or_else(|| self.access.options.charset.clone())
            .map(|charset| format!(" {charset}"))
            .unwrap_or_default();
        self.conn
            .query_drop(format!(
                "CREATE DATABASE IF NOT EXISTS {}{charset}",
                quote(schema)
            ))
            .await?;
        Ok(())
    }

    /// Whether the live database is.
    pub(super) async fn is_there(&mut self) -> Result<bool, Error> {
        let there: Option<u8> = self
            .conn
            .query_first(format!(
                "SELECT 1 FROM information_schema.schemata WHERE schema_name = {}",
                literal(&self.access.names.live)
            ))
            .await?;
        Ok(there.is_some())
    }

    /// Makes the live database where it is not there; where it is, asks for the rights of the swap before
    /// hours of loading. CREATE DATABASE would ask too, but on MySQL it waits for open transactions, and
    /// new readers wait behind it (measured).
    pub(super) async fn create_live(&mut self) -> Result<(), Error> {
        let live = self.access.names.live.clone();
        if !self.is_there().await? {
            return self.create_schema(&live).await;
        }
        let (from, to) = (
            qualified(&live, "pilotfish_none"),
            qualified(&live, "pilotfish_nowhere"),
        );
        let asked = self
            .conn
            .query_drop(format!("RENAME TABLE {from} TO {to}"))
            .await;
        match asked.map_err(Error::from) {
            Err(error) if error.number() == Some(NO_TABLE) => Ok(()),
            outcome => outcome,
        }
    }

    /// Drops a schema of ours, table by table: one big DROP holds the server up.
    pub(super) async fn drop_schema(&mut self, schema: &str) -> Result<bool, Error> {
        let tables = self.tables_of(schema).await?;
        let there: Option<u8> = self
            .conn
            .query_first(format!(
                "SELECT 1 FROM information_schema.schemata WHERE schema_name = {}",
                literal(schema)
            ))
            .await?;
        if there.is_none() {
            return Ok(false);
        }
        // Sequences last: a table's default needs them.
        for last in [false, true] {
            for (name, _) in tables
                .iter()
                .filter(|(_, kind)| (*kind == "SEQUENCE") == last)
            {
                let kind = if tables[name] == "VIEW" {
                    "VIEW"
                } else {
                    "TABLE"
                };
                self.conn
                    .query_drop(format!("DROP {kind} IF EXISTS {}", qualified(schema, name)))
                    .await?;
            }
        }
        self.conn
            .query_drop(format!("DROP DATABASE IF EXISTS {}", quote(schema)))
            .await?;
        Ok(true)
    }
}
