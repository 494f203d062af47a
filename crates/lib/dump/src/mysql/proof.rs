//! What proves that a dump is whole.
//!
//! A dump that broke off between two statements loads without an error: only its own words tell. The
//! dump tools write a header comment and, as the last line, `-- Dump completed`; and they restore at
//! the end the settings they saved at the top.

use crate::mysql::session::Session;

/// What one file has said about its beginning and end.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    announced: bool,
    completed: bool,
}

impl Proof {
    /// Reads a comment line that stands between two statements.
    ///
    /// # Errors
    /// Where a second dump begins although the first is not complete.
    pub(crate) fn comment(&mut self, line: &[u8]) -> Result<(), String> {
        let header = [&b"-- MySQL dump "[..], b"-- MariaDB dump "]
            .iter()
            .any(|head| line.starts_with(head));
        if header {
            self.whole()?;
            self.announced = true;
            self.completed = false;
        } else if line.starts_with(b"-- Dump completed") {
            self.completed = true;
        }
        Ok(())
    }

    /// A definition or rows come: a last line before them was that of another dump.
    pub(crate) fn goes_on(&mut self) {
        if self.completed {
            *self = Self::default();
        }
    }

    fn whole(&self) -> Result<(), String> {
        if self.announced && !self.completed {
            return Err("its last line `-- Dump completed` is missing".to_owned());
        }
        Ok(())
    }

    /// At the file's end: whether anything proved it.
    ///
    /// # Errors
    /// What was announced and is missing.
    pub(crate) fn finish(&self, session: &Session) -> Result<bool, String> {
        self.whole()?;
        if let Some(saved) = session.unrestored() {
            return Err(format!(
                "`@{saved}` is saved at its top and not restored at its end"
            ));
        }
        Ok(self.completed || session.restored())
    }
}
