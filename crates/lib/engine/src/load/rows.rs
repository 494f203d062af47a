//! Rows on their way to the stage, and what became of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::SessionState;

/// Rows of one INSERT statement (or several alike) on their way to the server.
#[derive(Debug, Clone)]
pub struct RowBatch {
    /// A row of it was the only one of its INSERT: NULL where none may be is an error there.
    pub lone: bool,
    /// They must stay in one INSERT: the numbers that the server gives them depend on it. Of a COPY: the table has no
    /// other rows so far, and gets none from elsewhere while these are stored.
    pub whole: bool,
    /// The line of the dump in which the first one is; 0 where that is not known.
    pub line: u64,
    /// Table, unquoted.
    pub table: String,
    /// Column list, where the statement has one.
    pub columns: Option<Vec<String>>,
    /// `INSERT`, `INSERT IGNORE` or `REPLACE`.
    pub verb: &'static str,
    /// `(..),(..)`.
    pub tuples: Bytes,
    /// What follows the rows, such as ON DUPLICATE KEY UPDATE.
    pub tail: Option<Bytes>,
    /// Number of tuples.
    pub rows: u64,
    /// The rows must be stored in this order with keys in place.
    pub ordered: bool,
    /// `\` is an ordinary character in its strings.
    pub no_backslash_escapes: bool,
    /// The session they belong to.
    pub session: Arc<SessionState>,
}

/// What a batch became.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Rows the server stored; `None` where its answer cannot tell (REPLACE, ON DUPLICATE KEY).
    pub stored: Option<u64>,
}

/// A staged table, complete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completed {
    /// Rows counted in the server.
    pub rows: u64,
    /// See [`TableRecord::proof`].
    pub proof: Option<String>,
    /// What counting and the proof took.
    pub proved_in: Duration,
}
