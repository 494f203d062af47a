//! What the dispatcher knows of releases: one on the volume, those in the ledger.

use std::path::PathBuf;

use pilotfish_volume::Fingerprint;

/// Fewer digits of a digest could mean another release by chance.
pub(crate) const FEWEST_DIGITS: usize = 12;

/// A release on the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// SHA-256 of the stored bytes, hex.
    pub(crate) digest: String,
    /// The source's own mark of this version, where a manifest tells it.
    pub(crate) version: Option<String>,
    /// What to load: the resolved folder of a published release, or the path of plain files.
    pub(crate) path: PathBuf,
    /// Of plain files, what they looked like when they got this digest: somebody may write to them while
    /// they are read. `None` for what is published, which nobody changes.
    pub(crate) stamps: Option<Fingerprint>,
}

impl Release {
    /// Whether a caller means this release: by its digest, the beginning of that, or its version.
    pub(crate) fn answers_to(&self, name: &str) -> bool {
        let name = name.trim_matches('"');
        let digits = name.strip_prefix("sha256:").unwrap_or(name);
        let begins = digits.len() >= FEWEST_DIGITS.min(self.digest.len())
            && self
                .digest
                .get(..digits.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(digits));
        begins
            || self
                .version
                .as_deref()
                .is_some_and(|version| version.trim_matches('"') == name)
    }
}

/// What the ledger says of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    /// Digest of the live release.
    pub(crate) digest: String,
    /// Nobody dropped a part of it, and no load writes straight into it.
    pub(crate) whole: bool,
    /// Objects that follow the swap are still being made.
    pub(crate) finishing: bool,
    /// Digests that were rolled back.
    pub(crate) rejected: Vec<String>,
}
