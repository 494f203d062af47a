//! What undoes a difference: the rows that went and the keys of those that came, as long as the marker of the previous
//! release says that they are the way back to it.

use std::collections::{BTreeMap, BTreeSet};

use mysql_async::{Conn, params};
use serde::{Deserialize, Serialize};

use super::Changed;
use crate::Error;
use crate::mysql_family::ask::Ask as _;
use crate::mysql_family::load::ledger;
use crate::mysql_family::load::names::{Marker, Names, qualified};
use crate::mysql_family::load::target::MysqlTarget;

/// Where one table's undoing lies.
pub(super) struct Place {
    /// Name of the table with the rows.
    pub(super) name: String,
    keys_name: String,
    /// Both, qualified and quoted.
    pub(super) rows: String,
    pub(super) keys: String,
}

impl Place {
    pub(super) fn of(names: &Names, stamp: &str, at: usize) -> Self {
        let (name, keys_name) = (format!("rows_{stamp}_{at}"), format!("keys_{stamp}_{at}"));
        Self {
            rows: qualified(&names.undo, &name),
            keys: qualified(&names.undo, &keys_name),
            name,
            keys_name,
        }
    }
}

/// The way back to the previous release, as its marker has it: each live table with what undoes its difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::mysql_family::load) struct Undo {
    pub(super) tables: BTreeMap<String, UndoTable>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UndoTable {
    /// Name of the table with the rows that went.
    pub(super) rows: String,
    /// Name of the one with the keys of those that came.
    pub(super) keys: String,
    /// How many there are of either.
    pub(super) went: u64,
    pub(super) came: u64,
    /// What proves the rows that came.
    pub(super) proof: String,
}

impl Undo {
    /// The live tables that differ from the previous release.
    pub(in crate::mysql_family::load) fn tables(&self) -> BTreeSet<String> {
        self.tables.keys().cloned().collect()
    }

    /// The way back, where the previous release has this one.
    pub(in crate::mysql_family::load) async fn read(
        conn: &mut Conn,
        names: &Names,
    ) -> Result<Option<Self>, Error> {
        if !ledger::exists(conn, names, Marker::Previous).await? {
            return Ok(None);
        }
        let marker = names.marker(Marker::Previous);
        let undo: Option<String> = conn
            .query_first(format!("SELECT detail FROM {marker} WHERE kind = 'undo'"))
            .await?;
        undo.map(|undo| ledger::parse(&undo)).transpose()
    }
}

/// Notes the way back in the marker of the previous release; `came` proves the rows that came in each table.
pub(super) async fn note(
    conn: &mut Conn,
    names: &Names,
    changed: &[Changed<'_>],
    came: Vec<String>,
) -> Result<(), Error> {
    let tables = changed.iter().zip(came).map(|(table, proof)| {
        let undo = UndoTable {
            rows: table.undo.name.clone(),
            keys: table.undo.keys_name.clone(),
            went: table.difference.going(),
            came: table.difference.come,
            proof,
        };
        (table.name.to_owned(), undo)
    });
    let undo = Undo {
        tables: tables.collect(),
    };
    let marker = names.marker(Marker::Previous);
    conn.exec_drop(
        format!(
            "INSERT INTO {marker} (kind, seq, name, detail, body) VALUES ('undo', 0, '', :undo, '')"
        ),
        params! { "undo" => ledger::json(&undo)? },
    )
    .await?;
    Ok(())
}

/// Makes the marker of the previous release, where there is none: an empty one speaks of no release.
pub(super) async fn make_room(target: &mut MysqlTarget) -> Result<(), Error> {
    let names = target.access.names.clone();
    sweep(target).await?;
    if ledger::exists(&mut target.conn, &names, Marker::Previous).await? {
        return Ok(());
    }
    ledger::create(&mut target.conn, &names, Marker::Previous).await
}

/// Drops what undoes nothing any more, and tables of a previous release that is reached by undoing instead.
pub(in crate::mysql_family::load) async fn sweep(target: &mut MysqlTarget) -> Result<(), Error> {
    let names = target.access.names.clone();
    let Some(undo) = Undo::read(&mut target.conn, &names).await? else {
        target.drop_schema(&names.undo).await?;
        return Ok(());
    };
    target.drop_schema(&names.previous).await?;
    let used: BTreeSet<&String> = undo
        .tables
        .values()
        .flat_map(|table| [&table.rows, &table.keys])
        .collect();
    for table in target
        .tables_of(&names.undo)
        .await?
        .keys()
        .filter(|table| !used.contains(table))
    {
        let drop = format!("DROP TABLE IF EXISTS {}", qualified(&names.undo, table));
        target.conn.query_drop(drop).await?;
    }
    Ok(())
}
