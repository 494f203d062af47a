//! An empty server need not be able to lose nothing while its first release comes.

use pilotfish_engine::load::Loosened;
use pilotfish_failure::{Context as _, Failure};

use crate::steps::Opened;

impl Opened<'_> {
    /// Lets an empty server work without waiting for its disk.
    pub(crate) async fn loosen(&mut self) -> Result<(), Failure> {
        // Set before it is done: what fails half-way is put back.
        self.loosened = true;
        let loosened = self.target.loosen().await;
        match loosened.context("prepare the server for its first load")? {
            Loosened::Yes => {
                tracing::warn!(
                    "nothing waits for the disk until the rows are in: MySQL needs a new data directory, accounts and all, if it crashes meanwhile"
                );
            }
            Loosened::No(why) => {
                self.loosened = false;
                let note = format!("--first-load changes nothing: {why}");
                tracing::warn!(note, "loads as always");
                self.notes.push(note);
            }
        }
        Ok(())
    }

    /// Has it wait again, before anything is live.
    pub(crate) async fn tighten(&mut self) -> Result<(), Failure> {
        if self.loosened {
            let tightened = self.target.tighten().await;
            tightened.context("have the server wait for its disk again")?;
            self.loosened = false;
        }
        Ok(())
    }
}
