//! What one kind of server brings to the suites: its SQL, and a way to it past the engine.

use std::any::Any;
use std::collections::BTreeSet;

use crate::Engine;
use crate::load::ObjectKind;

/// A row of the suites' tables: `id` and `word`.
pub type Row = (i64, Option<String>);

/// A server with an engine under test, and its administrator's plain client. Names that the suites
/// give need no quotes in any SQL.
pub trait Fixture: Send + Sync {
    /// The engine; its account may fill databases whose names start with `app`.
    fn engine(&self) -> &dyn Engine;

    /// Runs statements in `database`, or in none, and returns one line per row, columns split by tabs.
    ///
    /// # Errors
    /// The server's words.
    fn ask(&self, database: Option<&str>, sql: &str) -> Result<String, String>;
    /// The rows of a table, in the order of `id`, byte for byte.
    ///
    /// # Errors
    /// The server's words.
    fn rows(&self, database: &str, table: &str) -> Result<Vec<Row>, String>;
    /// The moments of a [`Fixture::moments`] table in the order of `id`, unix seconds.
    fn epochs(&self, database: &str, table: &str) -> Vec<i64>;
    /// Everything that holds tables on the server: live databases, and what the engine keeps beside.
    fn databases(&self) -> BTreeSet<String>;
    /// Tables and views of a database; empty where that is not there.
    fn tables(&self, database: &str) -> BTreeSet<String>;
    /// Keys and foreign keys of a table, in words that are the same in every database.
    fn keys(&self, database: &str, table: &str) -> BTreeSet<String>;

    /// Opens a transaction that has read a table and stays open until the guard is dropped.
    fn hold(&self, database: &str, table: &str) -> Box<dyn Any>;
    /// Ends the session that holds the loader's lock of a database.
    fn end_loader(&self, database: &str);
    /// Makes the server refuse writes of ordinary accounts, or take them again.
    fn read_only(&self, on: bool);
    /// Stops the server in good order and starts it again.
    fn restart(&self);

    /// CREATE TABLE: a whole number `id` of 32 bits, the primary key; a text `word` of 20 characters
    /// in Unicode, which may be NULL and is unique; a further key over both.
    fn table(&self, name: &str) -> String;
    /// CREATE TABLE: as [`Fixture::table`], but `word` refers to `word` of `parent` and may repeat.
    fn child(&self, name: &str, parent: &str) -> String;
    /// CREATE TABLE: `id` as above, and a moment `at` whose text means what the session's time zone
    /// says.
    fn moments(&self, name: &str) -> String;
    /// The rows of an INSERT, as the stock dump program writes them.
    fn tuples(&self, rows: &[Row]) -> String;
    /// Rows for [`Fixture::table`], one each, in every spelling the server has for a number and a text.
    fn odd_tuples(&self) -> &'static [&'static str];
    /// CREATE VIEW: `id` and `word` of `table`.
    fn view(&self, name: &str, table: &str) -> String;
    /// What turns the word of each new row of `table` into capitals: kind, name and statement of every
    /// object it takes, the trigger last.
    fn trigger(&self, name: &str, table: &str) -> Vec<(ObjectKind, String, String)>;

    /// The statement that sets the session's time zone, in hours east of Greenwich.
    fn time_zone(&self, hours: i8) -> String;
    /// The statement after which the session refuses values that do not fit, where it needs one.
    fn strict(&self) -> Option<&'static str>;
    /// A statement that removes all rows of a table and names its database.
    fn reach(&self, database: &str, table: &str) -> String;
    /// What follows the rows of an INSERT that replaces the word where the id is there already.
    fn upsert(&self) -> &'static str;
    /// Verbs of a [`crate::load::RowBatch`] that this server knows beside `INSERT`.
    fn verbs(&self) -> &'static [&'static str];
}
