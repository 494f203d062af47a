//! What is known about a dump once its end was seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::Difference;

/// Everything about a whole dump that decides whether and what to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Hex SHA-256 of the stored (compressed) bytes; of a directory: of its `<hex>  <name>\n` lines.
    pub sha256: String,
    /// What proves that the dump is complete.
    pub trailer: Trailer,
    /// Tables by name; with `database.` before it where that is not the dump's own database.
    pub tables: BTreeMap<String, TableDigest>,
    /// Digests of `view v`, `trigger t`, `procedure p`, `function f`, `package p`,
    /// `package body p`, `event e`, `sequence s`: definition and the session it is made under.
    pub objects: BTreeMap<String, String>,
    /// Statements that are not understood change tables, or rows come from variables, questions, sequences
    /// or the clock: no table can be judged or loaded alone.
    pub opaque: bool,
    /// Roles that the dump names.
    pub roles: Roles,
    /// It has large objects: they belong to the whole database, by fixed numbers.
    pub large_objects: bool,
    /// Tables that it has rows for and does not make: an extension's (PostgreSQL). The objects have a digest of these rows.
    pub unmade: BTreeSet<String>,
    /// Statements about the server that a load leaves out and somebody may miss (`CREATE SERVER`, `INSTALL`), each
    /// with its place; the first ones.
    pub left_out: Vec<String>,
    /// What is other than the marks that the dump was compared with say, of every table that has some and could be
    /// compared; see [`crate::Reader::compare`].
    pub differences: BTreeMap<String, Difference>,
    /// Every file that was read: its name in the directory, empty without one, and the hex SHA-256 of its
    /// stored bytes.
    pub files: Vec<(String, String)>,
}

/// Begins the keys of [`Summary::objects`] that say where a sequence goes on: `value of sequence s`.
pub(crate) const VALUE_OF: &str = "value of ";

/// Whether a key of [`Summary::objects`] says where a sequence goes on, and defines nothing.
#[must_use]
pub fn is_value(object: &str) -> bool {
    object.starts_with(VALUE_OF)
}

/// Whether objects say where this one goes on apart from what it is.
#[must_use]
pub fn has_value(objects: &BTreeMap<String, String>, sequence: &str) -> bool {
    objects.contains_key(&format!("{VALUE_OF}{sequence}"))
}

/// Roles of a server that a dump names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// Whom it gives objects or rights to.
    pub named: BTreeSet<String>,
    /// Those of them that get objects: whoever loads must be able to act for them.
    pub owners: BTreeSet<String>,
}

/// The proof of a dump's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trailer {
    /// Every file that announced a trailer, or saved variables to restore, kept its word.
    Present,
    /// At least one file was made without comments: only `--sha256` could prove it.
    Absent,
}

/// One table of a dump, so that two dumps of the same content agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDigest {
    /// 32 hex digits over definition, session state and rows in any order; comments and the cutting into
    /// INSERTs do not matter, `AUTO_INCREMENT=n` only where the server numbers rows.
    pub digest: String,
    /// 32 hex digits over its definition and the session that it was made under.
    pub definition: String,
    /// All its rows were handed out with their marks, see [`crate::Options::marks`], and are stored as they say.
    pub marked: bool,
    /// The columns of its primary key, where that is known for sure.
    pub key: Vec<String>,
    /// Number of rows.
    pub rows: u64,
    /// Bytes of the rows' tuples.
    pub bytes: u64,
    /// Tables its foreign keys point at, named as in [`Summary::tables`].
    pub references: BTreeSet<String>,
    /// Sequences its columns draw from, named as in [`Summary::tables`].
    pub draws: BTreeSet<String>,
    /// What its `AUTO_INCREMENT=n` says; it changes by itself.
    pub counter: Option<u64>,
}
