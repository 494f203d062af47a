//! Rows of others that a swap took out of the way unasked: where they wait, and until when.
//!
//! Whoever wrote to a table right before it was replaced finds the rows beside the live release. The run that tells
//! of them is not the one that drops them, however often it fails or finds nothing to do: the live marker remembers
//! them until a later swap is through.

use super::displaced::{empty_kept, tables_in};
use super::ledger;
use super::names::Marker;
use super::swap::moves;
use super::target::MysqlTarget;
use super::unproven::Note;
use crate::Error;
use crate::mysql_family::ask::Ask as _;

const PREVIOUS: &str = "previous";
const KEPT: &str = "kept";

/// What a live marker remembers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spared {
    /// They are in the previous release; a swap that follows takes them to `Names::kept`.
    pub(super) previous: bool,
    /// They are in `Names::kept`; a swap that follows drops them once it is through.
    pub(super) kept: bool,
}

impl Spared {
    /// After a swap that moved the previous release out of the way.
    pub(super) const fn after_swap(self) -> Self {
        Self {
            previous: false,
            kept: self.previous,
        }
    }

    /// After a swap that left the previous release where it is; what it replaced is still to be proven.
    pub(super) const fn after_repair(self) -> Self {
        Self {
            kept: false,
            ..self
        }
    }
}

/// What the live marker remembers; nothing where there is none.
pub(super) async fn read(target: &mut MysqlTarget) -> Result<Spared, Error> {
    let names = target.access.names.clone();
    if !ledger::exists(&mut target.conn, &names, Marker::Live).await? {
        return Ok(Spared::default());
    }
    let live = names.marker(Marker::Live);
    let places: Vec<String> = target
        .conn
        .query(format!("SELECT name FROM {live} WHERE kind = 'spared'"))
        .await?;
    let is_there = |place: &str| places.iter().any(|name| name == place);
    Ok(Spared {
        previous: is_there(PREVIOUS),
        kept: is_there(KEPT),
    })
}

/// Writes it into a marker, in place of what that remembers.
pub(super) async fn write(
    target: &mut MysqlTarget,
    marker: Marker,
    spared: Spared,
) -> Result<(), Error> {
    let table = target.access.names.marker(marker);
    let places = [(0, PREVIOUS, spared.previous), (1, KEPT, spared.kept)];
    for (seq, place, is_there) in places {
        let statement = if is_there {
            format!(
                "REPLACE INTO {table} (kind, seq, name, detail, body) VALUES ('spared', {seq}, '{place}', '{{}}', '')"
            )
        } else {
            format!("DELETE FROM {table} WHERE kind = 'spared' AND seq = {seq}")
        };
        target.conn.query_drop(statement).await?;
    }
    Ok(())
}

/// The swap that this note is of left rows of others where its replaced tables are.
pub(super) async fn remember(target: &mut MysqlTarget, note: &Note) -> Result<(), Error> {
    let mut spared = read(target).await?;
    if note.repair {
        spared.kept = true;
    } else {
        spared.previous = true;
    }
    write(target, Marker::Live, spared).await
}

/// Before the previous release goes without a swap: its rows of others stay, until a load after this one is through.
/// What the marker says comes first, so that a run that is killed here leaves them.
pub(super) async fn keep_previous(target: &mut MysqlTarget) -> Result<Spared, Error> {
    let mut spared = read(target).await?;
    let names = target.access.names.clone();
    let tables = tables_in(target, &names.previous).await?;
    if !spared.previous || tables.is_empty() {
        return Ok(spared);
    }
    spared.kept = true;
    write(target, Marker::Live, spared).await?;
    target.create_schema(&names.gone).await?;
    let mut renames = empty_kept(target).await?;
    renames.extend(moves(&tables, &names.previous, &names.kept));
    let renames: Vec<String> = renames
        .iter()
        .map(|(from, to)| format!("{from} TO {to}"))
        .collect();
    let statement = format!("RENAME TABLE {}", renames.join(", "));
    target.conn.query_drop(statement).await?;
    Ok(spared)
}
