//! The ability to load a dump aside and swap it in.
//!
//! The engine promises: nothing live changes before [`Target::swap`], the swap is one atomic
//! statement that also says which release is live, and whatever a killed run left is finished or
//! undone by [`Target::recover`]. It does not know where statements come from: framing, scheduling
//! and the order of the steps belong to the loader.

mod difference;
mod object;
mod rows;
mod seen;
mod strain;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::Error;
use difference::unmarked;

pub use difference::{DifferencePlan, MarkBook, TableDifference};
pub use object::{Object, ObjectKind};
pub use rows::{Completed, Loaded, RowBatch};
pub(crate) use seen::Seen;
pub use strain::{Gauge, Strain};

/// Loading into one kind of server.
#[async_trait]
pub trait Load: Send + Sync {
    /// What the server reads with; asks it.
    async fn dialect(&self) -> Result<pilotfish_sql::Dialect, Error>;

    /// Locks one live database for this loader.
    ///
    /// # Errors
    /// `Busy` when another loader holds it, or the server is read-only or a replica.
    async fn target(&self, options: TargetOptions) -> Result<Box<dyn Target>, Error>;

    /// Every database with a ledger, in name order; reads only.
    async fn status(&self) -> Result<Vec<Status>, Error>;

    /// What tells how hard the server works, and how far these replicas are behind, by host and port; PostgreSQL knows
    /// its standbys itself.
    async fn gauge(&self, replicas: &[(String, u16)]) -> Result<Box<dyn Gauge>, Error>;

    /// Whether the rows of a stage can be kept with their marks; see [`Worker::keep_marks`].
    fn marks(&self) -> bool {
        false
    }

    /// The book of loads that were asked for.
    fn history(&self) -> &dyn History;
}

/// The book of loads asked for by people and schedulers; ids survive restarts. Each `asker` sees its own
/// entries only: several may share a server, with ids of their own.
#[async_trait]
pub trait History: Send + Sync {
    /// Writes or replaces the entry of `id`; `body` is the caller's JSON.
    async fn put(&self, asker: &str, id: &str, body: &str) -> Result<(), Error>;
    /// The entry of `id`.
    async fn get(&self, asker: &str, id: &str) -> Result<Option<String>, Error>;
    /// The `limit` newest entries, newest first.
    async fn recent(&self, asker: &str, limit: u32) -> Result<Vec<String>, Error>;
}

/// What a loader may do to a live database.
#[derive(Debug, Clone)]
pub struct TargetOptions {
    /// The live database.
    pub database: String,
    /// The name the dump uses for it, where that differs.
    pub dump_database: Option<String>,
    /// Character set and collation of the live database where it is made anew, as SQL spells them.
    pub charset: Option<String>,
    /// Stage aside and rename, or write straight into the live database.
    pub swap: SwapMode,
    /// Whose rights views, triggers and routines run with.
    pub definer: Definer,
    /// To whom what the dump makes belongs.
    pub owner: Owner,
    /// Keep the rows out of the binary log: replicas never see them.
    pub no_binlog: bool,
    /// Rows that others wrote to live tables may go.
    pub overwrite_modified: bool,
    /// Neither lock nor write: for plans.
    pub look_only: bool,
    /// Ends the search for a moment to swap.
    pub cancel: CancellationToken,
}

/// How staged tables become live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SwapMode {
    /// As the server can: one RENAME; on PostgreSQL schemas, or databases where a dump needs its own.
    Auto,
    /// MariaDB, MySQL: one RENAME of all tables.
    Rename,
    /// PostgreSQL: all schemas in one transaction; readers see no error.
    Schema,
    /// PostgreSQL: two databases; ENDS the sessions of readers.
    Database,
    /// Straight into the LIVE tables: readers see them come and go; no way back.
    None,
}

impl SwapMode {
    /// Whether what is live stays until a swap.
    #[must_use]
    pub const fn is_aside(self) -> bool {
        !matches!(self, Self::None)
    }
}

/// To whom what a dump makes belongs, where the dump says it (PostgreSQL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// As the dump says; its roles must be there.
    Keep,
    /// To the account that loads.
    Drop,
}

/// Whose rights views, triggers, routines and events run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Definer {
    /// The account the dump names; needs the right to set another definer.
    Keep,
    /// The account that loads.
    Current,
}

/// One release as the ledger records it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// SHA-256 of the dump as it was published, hex.
    pub digest: String,
    /// Digest of what the dump says: the same release's other name, whatever its bytes.
    #[serde(default)]
    pub contents: String,
    /// Other releases, by both names, that were live with these very tables: the whole of which a part was loaded
    /// that brought nothing, say. Who rejects this one rejects them.
    #[serde(default)]
    pub also: Vec<(String, String)>,
    /// When it became live, unix seconds.
    pub since: u64,
    /// Size of the dump as it was published: another size is another dump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// It never reached the binary log, so that replicas do not have it.
    #[serde(default)]
    pub unlogged: bool,
    /// A load without swap writes into it, or broke off: it is no release.
    #[serde(default)]
    pub rewriting: bool,
    /// Its tables by name.
    pub tables: BTreeMap<String, TableRecord>,
    /// Its other objects by key (`view v`, `trigger t`), as digests.
    pub objects: BTreeMap<String, String>,
}

impl Release {
    /// Whether both say the same, by either name.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let same = |a: &str, b: &str| !a.is_empty() && a == b;
        same(&self.digest, &other.digest) || same(&self.contents, &other.contents)
    }

    /// All releases that were live with these tables, for the next one that is.
    #[must_use]
    pub fn passed_on(&self, next: &Self) -> Vec<(String, String)> {
        const MOST: usize = 16;
        let mut also = self.also.clone();
        if !self.digest.is_empty() && !self.is(next) {
            also.push((self.digest.clone(), self.contents.clone()));
        }
        also.retain(|(digest, _)| *digest != next.digest);
        also.drain(..also.len().saturating_sub(MOST));
        also
    }
}

/// One table of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRecord {
    /// Digest of its definition and rows as the dump spells them.
    pub digest: String,
    /// Rows the server counted after staging.
    pub rows: u64,
    /// What the server said the table holds, to prove later that nobody wrote to it.
    pub proof: Option<String>,
    /// When somebody last wrote to it, by the server, as far as that is known beside the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Digest of its definition alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// The `AUTO_INCREMENT` counter that the dump asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
}

/// One database of the ledger, for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The live database.
    pub database: String,
    /// Digest of the live release; empty where tables of somebody else came back.
    pub digest: String,
    /// See [`Release::contents`].
    #[serde(default)]
    pub contents: String,
    /// See [`Release::rewriting`].
    #[serde(default)]
    pub rewriting: bool,
    /// When it became live, unix seconds.
    pub since: u64,
    /// Objects that follow the swap are still being made.
    pub finishing: bool,
    /// Digest of the release that `rollback` would bring back.
    pub previous: Option<String>,
    /// Digests that were rolled back and are left alone.
    pub rejected: Vec<String>,
    /// Their contents, in the same order.
    #[serde(default)]
    pub rejected_contents: Vec<String>,
    /// Number of tables.
    pub tables: u64,
    /// How many of them, and of its views, routines and triggers, somebody dropped.
    #[serde(default)]
    pub missing: u64,
}

impl Status {
    /// Nobody dropped a part of the release, and no load writes straight into it.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        !self.rewriting && self.missing == 0
    }
}

/// One locked live database.
#[async_trait]
pub trait Target: Send + Sync {
    /// Whether the stage is always the whole release: what did not change is staged with the rest.
    fn stages_whole(&self) -> bool {
        false
    }
    /// Which of these accounts, whom the dump makes owners or grants rights, the server does not have.
    async fn missing_accounts(
        &mut self,
        _accounts: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Error> {
        Ok(BTreeSet::new())
    }
    /// To which of these accounts, whom the dump makes owners, this one may give nothing.
    async fn strange_owners(
        &mut self,
        _owners: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Error> {
        Ok(BTreeSet::new())
    }
    /// Whether something stands in the live database that no release brought and a dump may collide with; asked
    /// where [`Self::stages_whole`].
    async fn has_others(&mut self) -> Result<bool, Error> {
        Ok(false)
    }
    /// What would stop the swap of such a release, as far as it can be told before anything is staged.
    ///
    /// # Errors
    /// `Config` with the name of what is in the way and what to do about it.
    async fn foresee(&mut self, _coming: &Coming) -> Result<(), Error> {
        Ok(())
    }
    /// Tables of the release before that are not as they were when it was replaced, so that a rollback would not
    /// bring them back whole; the value says how that was seen.
    async fn damaged(&mut self) -> Result<BTreeMap<String, String>, Error> {
        Ok(BTreeMap::new())
    }
    /// Takes a connection of its own again after a call was dropped half-way: the answer of one question
    /// would be read as that of the next.
    async fn refresh(&mut self) -> Result<(), Error>;
    /// Finishes or undoes what a killed run left; says what it did.
    async fn recover(&mut self) -> Result<Vec<String>, Error>;
    /// The live release.
    async fn live(&mut self) -> Result<Option<Release>, Error>;
    /// What a rollback brings back.
    async fn previous(&mut self) -> Result<Option<Previous>, Error>;
    /// Both names of every release that was rolled back.
    async fn rejected(&mut self) -> Result<BTreeSet<String>, Error>;
    /// Forgives the rejected release that has this name.
    async fn forgive(&mut self, digest: &str) -> Result<(), Error>;
    /// Whether an assertion is a SELECT that the server understands; tables that are not there yet are no
    /// error. `coming` are the keys (`view v`) of what follows the swap, as far as that is known.
    ///
    /// # Errors
    /// `Config` when it would not ask the release to come: by a stored function, or a view.
    async fn parse(&mut self, sql: &str, coming: &BTreeSet<String>) -> Result<(), Error>;
    /// Recorded tables and objects (`view v`) that are not there any more, or hold nothing where they had rows, as
    /// far as that is told without reading; cheap.
    async fn missing(&mut self, live: &Release) -> Result<BTreeSet<String>, Error>;
    /// Of these live tables: which somebody else made, which were written to since the load.
    async fn drift(&mut self, live: &Release, tables: &BTreeSet<String>) -> Result<Drift, Error>;
    /// The live tables tied to `changed` by foreign keys, in either direction, `changed` included;
    /// `staged` adds the edges (child, parent) of the new release.
    ///
    /// # Errors
    /// `Config` when a table outside `release` has a foreign key into the set.
    async fn closure(
        &mut self,
        changed: &BTreeSet<String>,
        release: &BTreeSet<String>,
        staged: &[(String, String)],
    ) -> Result<BTreeSet<String>, Error>;
    /// Lets an empty server work without waiting for its disk, until [`Self::tighten`] or [`Self::recover`].
    async fn loosen(&mut self) -> Result<Loosened, Error> {
        let why = "this kind of server has nothing that can be loosened while it runs";
        Ok(Loosened::No(why.to_owned()))
    }
    /// Puts back what was loosened; everything is on the disk then.
    async fn tighten(&mut self) -> Result<(), Error> {
        Ok(())
    }
    /// Makes an empty stage; an old one is dropped.
    async fn stage(&mut self) -> Result<Box<dyn Stage>, Error>;
    /// The tables of the live release whose rows are marked, so that a small change of them can be found; the columns of
    /// their keys, where the dump does not say them before its rows.
    async fn marked(&mut self, _live: &Release) -> Result<BTreeMap<String, Vec<String>>, Error> {
        Ok(BTreeMap::new())
    }
    /// Those marks.
    async fn mark_book(&mut self, _live: &Release) -> Result<Box<dyn MarkBook>, Error> {
        Err(unmarked())
    }
    /// Why these live tables cannot be changed in place; `None` where they can.
    async fn refuses_difference(
        &mut self,
        _tables: &BTreeSet<String>,
    ) -> Result<Option<String>, Error> {
        Ok(Some("this kind of server is loaded as a whole".to_owned()))
    }
    /// Changes live tables in place, in one transaction that also says which release is live; the rows that come are
    /// on the stage. [`Self::rollback`] undoes it.
    ///
    /// # Errors
    /// Whatever it is, nothing was changed.
    async fn apply(&mut self, _stage: Box<dyn Stage>, _plan: &DifferencePlan) -> Result<(), Error> {
        Err(unmarked())
    }
    /// Makes the staged release live; afterwards readers see it.
    async fn swap(&mut self, stage: Box<dyn Stage>, plan: &SwapPlan) -> Result<(), Error>;
    /// What others did to replaced tables in the last moment before the swap, in words: rows that they wrote
    /// wait with the previous release. Where this was never asked, [`Self::recover`] says it.
    async fn prove(&mut self) -> Result<Vec<String>, Error>;
    /// Makes the objects that follow the swap; safe to repeat.
    async fn finish(&mut self) -> Result<(), Error>;
    /// Drops what the swap left over.
    async fn tidy(&mut self, keep_previous: bool) -> Result<(), Error>;
    /// Swaps the previous release back and rejects the live one; returns (undone, live again). A table that
    /// somebody wrote to in the last moment turns it back, unless `overwrite_modified` allows that; who
    /// wrote before is the caller's question: see [`Self::drift`].
    ///
    /// # Errors
    /// `Config` when there is no previous release, `Locked` when it was turned back.
    async fn rollback(&mut self) -> Result<(Release, Release), Error>;
}

/// What is known of a release before it is staged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coming {
    /// Its tables, and those of the live one that it retires.
    pub tables: BTreeSet<String>,
    /// Keys of its other objects (`view v`).
    pub objects: BTreeSet<String>,
    /// See [`SwapPlan::adopt`].
    pub adopt: bool,
}

/// The release before the live one, as long as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Previous {
    /// As it was live.
    pub release: Release,
    /// Its tables that were swapped out; the others are live still.
    pub kept: BTreeSet<String>,
    /// It comes back by undoing rows: nothing is replaced, and what hangs on its tables stays.
    pub in_place: bool,
    /// The statement by which a person drops those tables, and the way back with them.
    pub given_up_by: String,
}

/// Live tables that are not what the ledger says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Not recorded: somebody else made them.
    pub unrecorded: BTreeSet<String>,
    /// Recorded, but written to since they were loaded; the value says how that was seen.
    pub modified: BTreeMap<String, String>,
    /// Recorded, but not there any more.
    pub missing: BTreeSet<String>,
    /// What somebody made on recorded tables and would be gone with them, such as `policy p on app.t`.
    pub attached: BTreeSet<String>,
    /// The same of what only makes queries faster, such as `index i on app.t`.
    pub helpers: BTreeSet<String>,
}

/// What the swap shall do.
#[derive(Debug, Clone)]
pub struct SwapPlan {
    /// The release as the ledger will record it; `since` is set by the swap.
    pub release: Release,
    /// Staged tables that go live.
    pub swap: BTreeSet<String>,
    /// Those of them all of whose rows are marked, with the columns of their keys.
    pub marked: BTreeMap<String, Vec<String>>,
    /// Live tables that go away.
    pub retire: BTreeSet<String>,
    /// Live tables that stay, with the `AUTO_INCREMENT` counter that they shall have.
    pub counters: BTreeMap<String, u64>,
    /// Objects of the release, in the dump's order.
    pub objects: Vec<Object>,
    /// A part of a dump: live objects that `objects` does not name stay.
    pub keep_objects: bool,
    /// Live tables and objects that no release brought may be replaced.
    pub adopt: bool,
    /// Tables may take part that a server which dies in the swap leaves behind.
    pub allow_non_transactional: bool,
    /// How long to look for a moment without readers in the way.
    pub patience: std::time::Duration,
}

/// Session settings of the dump that every worker must share: variable to value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState(pub BTreeMap<String, String>);

/// Whether a server was loosened for its first load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loosened {
    /// It was.
    Yes,
    /// Why not.
    No(String),
}

/// Marks of some rows of a table.
#[derive(Debug, Clone)]
pub struct MarkChunk {
    /// The table.
    pub table: String,
    /// Rows whose places the chunks of another layer have passed are in one of their own.
    pub layer: u8,
    /// Number of the chunk within its table and layer, from 0.
    pub seq: u32,
    /// The marks; only the dump's reader understands them.
    pub body: bytes::Bytes,
}

/// The stage: where the new release grows, unseen.
#[async_trait]
pub trait Stage: Send + Sync {
    /// Runs a statement of the dump that is not understood on the dump's own session, with the keys of the
    /// tables that it may change in place; no worker may be at work. Returns these tables.
    ///
    /// # Errors
    /// `Refused` when it names another database of this server.
    async fn execute_opaque(&mut self, sql: &[u8]) -> Result<BTreeSet<String>, Error>;
    /// Runs a statement of the dump on the dump's own session.
    ///
    /// # Errors
    /// `Refused` when it names another database of this server.
    async fn execute(&mut self, sql: &[u8]) -> Result<(), Error>;
    /// The session settings in force on the dump's session.
    async fn session(&mut self) -> Result<Arc<SessionState>, Error>;
    /// Creates a table, its foreign keys set aside.
    async fn create_table(&mut self, name: &str, sql: &[u8]) -> Result<(), Error>;
    /// Makes a table like the live one of its name, for rows that [`Target::apply`] takes there.
    async fn stand_in(&mut self, _name: &str) -> Result<(), Error> {
        Err(unmarked())
    }
    /// Sets the keys that can wait aside, until the rows are in: worth it where many come.
    async fn set_keys_aside(&mut self, name: &str) -> Result<(), Error>;
    /// Begins the dump's session anew, as before its first statement.
    async fn new_session(&mut self) -> Result<(), Error>;
    /// Runs an ALTER TABLE or CREATE INDEX of the dump, keys put back first.
    async fn alter_table(&mut self, name: &str, sql: &[u8]) -> Result<(), Error>;
    /// Sends rows on the dump's own session, in order: expressions and user variables work.
    ///
    /// # Errors
    /// `Refused` when they name another database of this server.
    async fn insert(&mut self, batch: &RowBatch) -> Result<Loaded, Error>;
    /// A further connection for rows and keys.
    async fn worker(&self) -> Result<Box<dyn Worker>, Error>;
    /// The tables on the stage now; views and placeholders are not among them.
    async fn tables(&mut self) -> Result<BTreeSet<String>, Error>;
    /// Adds foreign keys, once all tables are there; `release` names all tables of the release.
    async fn foreign_keys(&mut self, release: &BTreeSet<String>) -> Result<(), Error>;
    /// The first foreign key with rows whose parent is not there; says which and how many.
    async fn orphans(&mut self) -> Result<Option<String>, Error>;
    /// Runs an assertion against the staged release, which it cannot change; `unchanged` live tables are seen
    /// through.
    /// Returns what came back when it is not true.
    async fn check(
        &mut self,
        sql: &str,
        unchanged: &BTreeSet<String>,
    ) -> Result<Option<String>, Error>;
    /// How rows travel, for people: `LOAD DATA` or `INSERT` and why.
    fn row_path(&self) -> String;
}

/// One of several connections that fill the stage.
#[async_trait]
pub trait Worker: Send {
    /// What turning rows into the server's words has taken since this was last asked; the rest of [`Self::load`] is
    /// the server's.
    fn converting(&mut self) -> Duration {
        Duration::ZERO
    }
    /// Stores a batch: all of its rows or an error.
    async fn load(&mut self, batch: &RowBatch) -> Result<Loaded, Error>;
    /// Copies the rows of a live table into the staged one of its name, where [`Target::stages_whole`].
    async fn carry(&mut self, _table: &str) -> Result<Loaded, Error> {
        Err(Error::Protocol(
            "live tables stay where they are".to_owned(),
        ))
    }
    /// Runs a statement of the dump that builds a key, the rows of its tables being in; `session` is the dump's then.
    async fn build(&mut self, _sql: &[u8], _session: &Arc<SessionState>) -> Result<(), Error> {
        Err(Error::Protocol(
            "this kind of dump has its keys in its tables".to_owned(),
        ))
    }
    /// Keeps marks of staged rows for the next load.
    async fn keep_marks(&mut self, _marks: &[MarkChunk]) -> Result<(), Error> {
        Err(unmarked())
    }
    /// Puts the keys that were set aside back, before rows that need them in place.
    async fn restore_keys(&mut self, table: &str) -> Result<(), Error>;
    /// Builds the keys, counts the rows and takes the proof.
    async fn complete(&mut self, table: &str) -> Result<Completed, Error>;
}
