//! Where a swap takes the tables that it replaces, and what waits there already.

use std::collections::BTreeSet;

use super::ledger::{self, Content};
use super::names::{Marker, Names};
use super::spared::Spared;
use super::swap::moves;
use super::target::MysqlTarget;
use crate::Error;

/// What becomes of the tables that a swap replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Displaced {
    /// They are the release to go back to.
    Previous,
    /// The live release once more replaces no release: the one before it stays the way back, and they wait until
    /// they are proven.
    Kept,
    /// What a load without swap left half-written is nothing to go back to.
    Gone,
}

impl Displaced {
    pub(super) fn by(next: &Content, before: &Content) -> Self {
        if before.release.is(&next.release) {
            Self::Kept
        } else if before.release.rewriting {
            Self::Gone
        } else {
            Self::Previous
        }
    }

    /// The schema of the tables, and which marker speaks of them.
    pub(super) fn place(self, names: &Names) -> (&str, Marker) {
        match self {
            Self::Previous => (&names.previous, Marker::Previous),
            Self::Kept => (&names.kept, Marker::Gone),
            Self::Gone => (&names.gone, Marker::Gone),
        }
    }

    /// What the marker that comes live remembers of rows of others.
    pub(super) const fn remembered(self, before: Spared) -> Spared {
        match self {
            Self::Previous | Self::Gone => before.after_swap(),
            Self::Kept => before.after_repair(),
        }
    }

    /// The renames that make room for them: part of the swap itself, so that until then a rollback stays possible and
    /// rows of others stay where a person was told that they are.
    pub(super) async fn make_room(
        self,
        target: &mut MysqlTarget,
        spared: Spared,
    ) -> Result<Vec<(String, String)>, Error> {
        let names = target.access.names.clone();
        target.drop_schema(&names.gone).await?;
        ledger::drop(&mut target.conn, &names, Marker::Gone).await?;
        for schema in [&names.gone, &names.previous] {
            target.create_schema(schema).await?;
        }
        if self == Self::Kept {
            return empty_kept(target).await;
        }
        let old = tables_in(target, &names.previous).await?;
        let mut renames = Vec::new();
        if spared.previous && !old.is_empty() {
            renames.extend(empty_kept(target).await?);
            renames.extend(moves(&old, &names.previous, &names.kept));
        } else {
            renames.extend(moves(&old, &names.previous, &names.gone));
        }
        if ledger::exists(&mut target.conn, &names, Marker::Previous).await? {
            renames.push((names.marker(Marker::Previous), names.marker(Marker::Gone)));
        }
        Ok(renames)
    }
}

/// The renames that empty the schema of rows that were to wait for one more load; it is there afterwards.
pub(super) async fn empty_kept(target: &mut MysqlTarget) -> Result<Vec<(String, String)>, Error> {
    let names = target.access.names.clone();
    target.create_schema(&names.kept).await?;
    let waiting = tables_in(target, &names.kept).await?;
    Ok(moves(&waiting, &names.kept, &names.gone))
}

pub(super) async fn tables_in(
    target: &mut MysqlTarget,
    schema: &str,
) -> Result<BTreeSet<String>, Error> {
    let mut there = target.tables_of(schema).await?;
    there.retain(|_, kind| kind != "VIEW");
    Ok(there.into_keys().collect())
}
