//! The names pilotfish gives to its schemas and tables, derived from the live database's name.

use pilotfish_sql::mysql::quote;

/// The schema of the ledger.
pub(super) const LEDGER: &str = "pilotfish";

/// Identifiers end at 64 characters; `pilotfish_next_` takes 15 of them.
const LONGEST_STEM: usize = 48;

/// Where everything that belongs to one live database lives.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The live database.
    pub(super) live: String,
    /// Schema in which the next release is staged.
    pub(super) staging: String,
    /// Schema that holds the tables swapped out last.
    pub(super) previous: String,
    /// Schema that takes what `previous` held, until it is dropped.
    pub(super) gone: String,
    /// Schema in which replaced tables with rows of others wait until the load after.
    pub(super) kept: String,
    /// Schema of what undoes a difference.
    pub(super) undo: String,
    /// Name of the server-wide user lock.
    pub(super) lock: String,
    stem: String,
}

/// Which release a marker table speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// What readers see.
    Live,
    /// What is being staged.
    Next,
    /// What a rollback brings back.
    Previous,
    /// What nothing brings back: waits to be dropped.
    Gone,
}

impl Marker {
    /// The prefix of its table's name.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "live_",
            Self::Next => "next_",
            Self::Previous => "prev_",
            Self::Gone => "gone_",
        }
    }
}

impl Names {
    pub(super) fn of(live: &str) -> Self {
        let stem = stem(live);
        Self {
            live: live.to_owned(),
            staging: format!("{LEDGER}_next_{stem}"),
            previous: format!("{LEDGER}_prev_{stem}"),
            gone: format!("{LEDGER}_gone_{stem}"),
            kept: format!("{LEDGER}_kept_{stem}"),
            undo: format!("{LEDGER}_undo_{stem}"),
            lock: format!("{LEDGER}.{stem}"),
            stem,
        }
    }

    /// What the names of tables in the ledger end with.
    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// The qualified, quoted name of a marker table.
    pub(super) fn marker(&self, marker: Marker) -> String {
        format!("{LEDGER}.{}", quote(&self.marker_name(marker)))
    }

    /// The bare name of a marker table.
    pub(super) fn marker_name(&self, marker: Marker) -> String {
        format!("{}{}", marker.prefix(), self.stem)
    }
}

/// `schema`.`table`, quoted.
pub(super) fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", quote(schema), quote(table))
}

/// `text` as a string literal that means the same with and without NO_BACKSLASH_ESCAPES.
pub(super) fn literal(text: &str) -> String {
    if text.contains('\\') {
        let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
        return format!("CONVERT(X'{hex}' USING utf8mb4)");
    }
    format!("'{}'", text.replace('\'', "''"))
}

fn stem(live: &str) -> String {
    if live.chars().count() <= LONGEST_STEM {
        return live.to_owned();
    }
    let head: String = live.chars().take(LONGEST_STEM - 9).collect();
    format!("{head}_{:08x}", fnv1a(live.as_bytes()))
}

/// FNV-1a, 32 bits: the name must be the same in every version of pilotfish.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_stay_within_the_limit_and_apart() {
        let (a, b) = ("x".repeat(63) + "a", "x".repeat(63) + "b");
        assert!(Names::of(&a).staging.chars().count() <= 64);
        assert_ne!(Names::of(&a).staging, Names::of(&b).staging);
        assert_eq!(
            Names::of("app").marker(Marker::Next),
            "pilotfish.`next_app`"
        );
    }

    #[test]
    fn literals_survive_every_sql_mode() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\"), "CONVERT(X'615C' USING utf8mb4)");
    }
}
