//! What a dump consists of: statements and rows, each with its place.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use pilotfish_sql::mysql::Name;

use crate::Marks;

/// A place in a dump; lines and bytes are those of the decompressed text, lines counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file's name as errors show it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u64,
    /// Byte offset, from 0.
    pub byte: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} (byte {})", self.file, self.line, self.byte)
    }
}

/// One piece of a dump, in the dump's order.
///
/// Each file begins a session of its own, as the stock entrypoint runs it: where `position.file`
/// changes, session settings and the current database start anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A statement that is no list of rows.
    Statement(Statement),
    /// Rows of one table.
    Rows(Rows),
    /// Marks of rows, where they are asked for; the last ones of a table come before the end of its file.
    Marks(Marks),
}

impl Item {
    /// Bytes of its text.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Statement(statement) => statement.text.len(),
            Self::Rows(rows) => rows.tuples.len(),
            Self::Marks(marks) => marks.body.len(),
        }
    }
}

/// A statement as the dump spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What the server would do with it.
    pub class: Class,
    /// Its bytes without delimiter and without the ordinary comments before it.
    pub text: Bytes,
    /// Where it begins.
    pub position: Position,
    /// What it does with one of the same name.
    pub existing: Existing,
}

/// What a CREATE does where there is one of that name already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// It is an error; also for statements that create nothing.
    #[default]
    Refuse,
    /// `OR REPLACE`.
    Replace,
    /// `IF NOT EXISTS`.
    Keep,
}

/// What a statement does, as far as a loader must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// SET of session or user variables.
    Session,
    /// `USE db`.
    UseDatabase(String),
    /// `CREATE DATABASE db`.
    CreateDatabase(String),
    /// `DROP DATABASE db`.
    DropDatabase(String),
    /// `ALTER DATABASE db`: dumps set and restore its character set around routines.
    AlterDatabase(String),
    /// `CREATE TABLE` with a column list; `.. AS SELECT` and `.. LIKE` are [`Class::Other`].
    CreateTable {
        /// The table.
        name: Name,
        /// Targets of its foreign keys, in the text's order.
        references: Vec<Name>,
    },
    /// `ALTER TABLE`.
    AlterTable {
        /// The table.
        name: Name,
        /// Targets of the foreign keys it adds.
        references: Vec<Name>,
        /// Whether it only says DISABLE KEYS or ENABLE KEYS.
        keys_switch: bool,
    },
    /// `CREATE INDEX .. ON table`.
    CreateIndex {
        /// The table.
        table: Name,
    },
    /// `DROP TABLE`.
    DropTable {
        /// The tables.
        names: Vec<Name>,
    },
    /// `CREATE SEQUENCE`.
    CreateSequence(Name),
    /// `DO SETVAL(..)` or `SELECT SETVAL(..)` of one sequence.
    SetSequence(Name),
    /// `DROP SEQUENCE`.
    DropSequence {
        /// The sequences.
        names: Vec<Name>,
    },
    /// `CREATE VIEW`.
    CreateView {
        /// The view.
        name: Name,
        /// Whether it only stands in for the view that comes later: constants, no FROM.
        placeholder: bool,
    },
    /// `DROP VIEW`.
    DropView {
        /// The views.
        names: Vec<Name>,
    },
    /// `CREATE TRIGGER`.
    CreateTrigger {
        /// The trigger.
        name: Name,
        /// The table it watches.
        table: Name,
    },
    /// `DROP TRIGGER`.
    DropTrigger(Name),
    /// `CREATE PROCEDURE`, `FUNCTION`, `PACKAGE`, `PACKAGE BODY`.
    CreateRoutine {
        /// Which of them.
        kind: RoutineKind,
        /// The routine.
        name: Name,
    },
    /// `DROP` of a routine.
    DropRoutine {
        /// Which kind.
        kind: RoutineKind,
        /// The routine.
        name: Name,
    },
    /// `CREATE EVENT`.
    CreateEvent(Name),
    /// `DROP EVENT`.
    DropEvent(Name),
    /// `LOCK TABLES`, `UNLOCK TABLES`.
    Lock,
    /// `START TRANSACTION`, `BEGIN`, `COMMIT`, `ROLLBACK`, SET of autocommit or of isolation.
    Transaction,
    /// State of the whole server: GTIDs, replication, `SET GLOBAL`, `SQL_LOG_BIN`, RESET, FLUSH.
    ServerState,
    /// Accounts and rights.
    Account,
    /// Only comments that this flavour does not run.
    Empty,
    /// `SELECT setval(..)` of one sequence with plain values (PostgreSQL): in the dump's order, as a definition.
    SequenceValue,
    /// A definition, or a property of one, that nothing else here tells: in the dump's order, on its session.
    Definition,
    /// May run on any connection once the rows of these tables are in.
    Key {
        /// The table first, then those it points at; none: everything before it must have happened.
        tables: Vec<Name>,
        /// Whether others like it may run on the same table at the same time.
        shared: bool,
    },
    /// A large object, its bytes or its rights.
    LargeObject,
    /// Not understood: everything before it must have happened, nothing after it may have.
    Other {
        /// The names in it where it changes rows, and may fire triggers of tables that are among them.
        changes: BTreeSet<String>,
    },
}

/// The kinds of stored routines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutineKind {
    /// `PROCEDURE`.
    Procedure,
    /// `FUNCTION`; a loadable one (`SONAME`) is [`Class::Other`].
    Function,
    /// `PACKAGE` (MariaDB).
    Package,
    /// `PACKAGE BODY` (MariaDB).
    PackageBody,
}

/// A chunk of rows of one table, cut from one INSERT or merged from several with the same head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The INSERT they came in; chunks cut from the same head share it.
    pub head: Arc<InsertHead>,
    /// `(..),(..)`, without a comma at the end; at least one tuple. Of a COPY: its lines, each with its end.
    pub tuples: Bytes,
    /// Number of tuples.
    pub count: u64,
    /// Where the first tuple begins.
    pub position: Position,
    /// Whether and where they may be moved.
    pub order: RowOrder,
    /// One of them was the only row of its INSERT, where servers are stricter with NULL.
    pub lone: bool,
    /// They must reach the server as one INSERT of their own: the numbers it gives them depend on it. Of a COPY: it
    /// has no other rows.
    pub whole: bool,
}

/// What an INSERT says before and after its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsertHead {
    /// The table.
    pub table: Name,
    /// The column list, if there is one.
    pub columns: Option<Vec<String>>,
    /// What happens to duplicates.
    pub verb: Verb,
    /// The text up to and with VALUES, or FROM stdin.
    pub text: Bytes,
    /// The text after the rows: `ON DUPLICATE KEY UPDATE ..`.
    pub tail: Option<Bytes>,
    /// How the strings in the tuples are to be read.
    pub no_backslash_escapes: bool,
}

/// The verb of an INSERT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `INSERT`.
    Insert,
    /// `INSERT IGNORE`.
    InsertIgnore,
    /// `REPLACE`.
    Replace,
    /// `COPY .. FROM stdin`: the rows are lines in its text format.
    Copy,
}

/// Whether rows may go in on another connection and in another order than the dump's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// Any connection, any order.
    Free,
    /// One connection, in the dump's order; the reason in words.
    Ordered(&'static str),
    /// They hold expressions or variables: on the dump's own session, in its order.
    Session,
}
