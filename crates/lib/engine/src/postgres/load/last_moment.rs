//! What others did to replaced tables in the last moment before they were, told once: those rows wait where nobody reads.

use super::database::Use;
use super::ledger::{self, Role};
use super::names::Part;
use super::schemas::{parts, qualified};
use super::target::PostgresTarget;
use super::{swap_database, way_back};
use crate::Error;

impl PostgresTarget {
    /// What a rollback replaced and nobody looked at yet: it is dropped only where nobody wrote to it.
    pub(super) async fn told_of_undone(&mut self) -> Result<Option<String>, Error> {
        let Some(undone) = self.record(Role::Undone).await? else {
            return Ok(None);
        };
        let written = match undone.in_database {
            _ if self.access.options.overwrite_modified => None,
            true => swap_database::written_to(self, &undone, Use::Gone).await?,
            false => way_back::written_to(self, &undone, Part::Gone).await?,
        };
        let Some(table) = written else {
            ledger::write(&*self.session, Role::Undone, None).await?;
            return Ok(None);
        };
        let place = self.place_of(&table, undone.in_database.then_some(Use::Gone), Part::Gone);
        Ok(Some(format!(
            "somebody wrote to {table} right before it was replaced: those rows are in {place}, which stays until you drop it"
        )))
    }

    /// Where a table of a replaced release is, for people.
    fn place_of(&self, table: &str, database: Option<Use>, part: Part) -> String {
        match (database, parts(table)) {
            (Some(of), _) => format!(
                "the closed database {}",
                of.of(&self.access.options.database)
            ),
            (None, Ok((schema, name))) => qualified(&part.of(&schema), &name),
            (None, Err(_)) => table.to_owned(),
        }
    }

    /// What others did to the replaced tables in the last moment, where that was not looked at yet.
    pub(super) async fn told(&mut self) -> Result<Vec<String>, Error> {
        let Some(mut live) = self.record(Role::Live).await? else {
            return Ok(Vec::new());
        };
        if !live.unproven {
            return Ok(Vec::new());
        }
        let previous = ledger::read(&*self.session, Role::Previous).await?;
        let mut notes = Vec::new();
        let mut database = None;
        let written = match previous.filter(|_| !self.access.options.overwrite_modified) {
            Some(previous) if previous.in_database => {
                database = Some(Use::Previous);
                swap_database::written_to(self, &previous, Use::Previous).await?
            }
            Some(previous) => way_back::written_to(self, &previous, Part::Previous).await?,
            None => None,
        };
        if let Some(table) = written {
            let place = self.place_of(&table, database, Part::Previous);
            notes.push(format!(
                "somebody wrote to {table} right before the swap: those rows wait with the previous release, in {place}"
            ));
        }
        live.unproven = false;
        ledger::write(&*self.session, Role::Live, Some(&live)).await?;
        Ok(notes)
    }
}
