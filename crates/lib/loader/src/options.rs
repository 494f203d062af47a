//! What a load may and shall do.

use std::collections::BTreeSet;
use std::time::Duration;

use pilotfish_engine::load::{Definer, Owner, SwapMode};

use crate::{Limits, release};

/// Settings of one load; see the flags of [`crate::LoadArgs`].
#[derive(Debug, Clone)]
pub struct Options {
    /// How staged tables become live.
    pub swap: SwapMode,
    /// SQL that must give a true value before the swap.
    pub checks: Vec<String>,
    /// Largest loss of rows of one table, in percent; `None` allows any, also vanished tables.
    pub max_shrink: Option<f64>,
    /// Most tables that one swap may move where something is live.
    pub max_renames: usize,
    /// Whether the release that is replaced stays for a rollback.
    pub keep_previous: bool,
    /// Connections that carry rows.
    pub threads: usize,
    /// Only these tables; empty means all.
    pub only: BTreeSet<String>,
    /// Not these tables.
    pub skip: BTreeSet<String>,
    /// The live database; else the one the dump names, else `default_database`.
    pub into: Option<String>,
    /// The live database where neither `into` nor the dump names one.
    pub default_database: Option<String>,
    /// Live tables that no release brought may be replaced.
    pub adopt: bool,
    /// Live tables that were written to since their load may be replaced.
    pub overwrite_modified: bool,
    /// Rows whose parents are not there may go live.
    pub allow_orphans: bool,
    /// Tables may be swapped of which a crash of the server in the swap would leave a part.
    pub allow_non_transactional: bool,
    /// Changed tables are loaded whole, also where few rows differ.
    pub whole: bool,
    /// Keep the rows out of the binary log.
    pub no_binlog: bool,
    /// Whose rights views, triggers and routines run with.
    pub definer: Definer,
    /// To whom what the dump makes belongs, where it says so.
    pub owner: Owner,
    /// The dump's SHA-256 must be this, 64 lower-case hex digits.
    pub sha256: Option<String>,
    /// What the caller saw there, by [`crate::release_digest`]: where something else is read, it came in
    /// between.
    pub expected: Option<String>,
    /// Nothing needs to prove that the dump is whole.
    pub no_trailer: bool,
    /// How long to look for a moment without readers in the way of the swap.
    pub swap_timeout: Duration,
    /// What the server may be put to while rows go in.
    pub throttle: Option<Limits>,
    /// An empty server need not wait for its disk while rows go in.
    pub first_load: bool,
    /// Say what would be done, change nothing.
    pub dry_run: bool,
}

impl Options {
    /// Whether a table of the dump takes part.
    #[must_use]
    pub fn selects(&self, table: &str) -> bool {
        (self.only.is_empty() || self.only.contains(table)) && !self.skip.contains(table)
    }

    /// What the ledger calls the release whose dump has this digest: a part of a dump is another release
    /// than the whole.
    #[must_use]
    pub fn ledger_name(&self, digest: String) -> String {
        if self.selects_all() {
            return digest;
        }
        let parts = format!("{digest} only {:?} skip {:?}", self.only, self.skip);
        release::sha256_hex(parts.as_bytes())
    }

    /// Whether the whole dump takes part.
    #[must_use]
    pub fn selects_all(&self) -> bool {
        self.only.is_empty() && self.skip.is_empty()
    }
}
