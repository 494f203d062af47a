//! What reads the text of a dump: one for each dialect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pilotfish_sql::Dialect;

use crate::marks::Comparer;
use crate::window::Window;
use crate::{Difference, Error, Item, Options, Roles, TableDigest, mysql, postgres};

/// Reads file after file of one dump.
pub(crate) trait Grammar: Send {
    /// Begins a file, and a session with it.
    fn begin(&mut self, window: Window) -> Result<(), Error>;

    /// Does a little: one piece of the text, or one read.
    fn step(&mut self) -> Result<Step, Error>;

    /// What was read.
    fn ready(&mut self) -> &mut VecDeque<Item>;

    /// The database that the dump itself names, once that is known: `Some(None)` if it names none.
    fn home(&self) -> Option<Option<&str>>;

    /// Character set and collation that the dump's CREATE DATABASE gives it, as SQL spells them.
    fn charset(&self) -> Option<&str>;

    /// Rows that are stored already are left out from here on; a dialect whose rows have no marks leaves none out.
    fn compare(&mut self, _comparer: Comparer) {}

    /// What all files said; they are over.
    fn finish(self: Box<Self>) -> Contents;
}

/// The grammar of a dump for the server that the options name.
pub(crate) fn grammar(options: Options) -> Box<dyn Grammar> {
    match options.dialect.clone() {
        Dialect::MySql(server) => Box::new(mysql::Dump::new(server, options)),
        Dialect::Postgres { .. } => Box::new(postgres::Dump::new(options)),
    }
}

/// Whether a file goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    More,
    /// The file is over; whether something proved that it is whole.
    Over {
        proven: bool,
    },
}

/// See [`crate::Summary`].
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) tables: BTreeMap<String, TableDigest>,
    pub(crate) objects: BTreeMap<String, String>,
    pub(crate) opaque: bool,
    pub(crate) left_out: Vec<String>,
    pub(crate) roles: Roles,
    pub(crate) large_objects: bool,
    pub(crate) unmade: BTreeSet<String>,
    pub(crate) differences: BTreeMap<String, Difference>,
}
