//! Whether a dump is known: live already, or rolled back.

use std::collections::BTreeSet;

use pilotfish_dump::Summary;
use pilotfish_engine::load::Release;
use pilotfish_failure::{Context as _, Failure, Kind};

use crate::steps::{FINISHING, Opened};
use crate::{checks, release};

/// What the server knows of the database.
pub(crate) struct Ledger {
    pub(crate) live: Option<Release>,
    pub(crate) rejected: BTreeSet<String>,
    /// The dump's own digest, where it can be known before the dump is read.
    pub(crate) dump: Option<String>,
    /// Digests that `--sha256` may mean, as far as they are known then.
    pub(crate) read: Vec<String>,
}

impl Opened<'_> {
    /// What the server knows, after what an earlier load left was put right.
    pub(crate) async fn read_ledger(&mut self) -> Result<Ledger, Failure> {
        if !self.options.dry_run {
            let recovered = self.target.recover().await;
            for note in recovered.context("finish what an earlier load left")? {
                tracing::info!(note, "recovered");
                self.notes.push(note);
            }
        }
        let live = self.target.live().await.context("read the ledger")?;
        let rejected = self.target.rejected().await.context("read the ledger")?;
        let may_be_live = live.as_ref().is_some_and(|live| {
            // Reading a dump for its digest alone is a pass that most changes can spare.
            live.bytes.is_none() || self.total.is_none() || live.bytes == self.total
        });
        let asked_for = may_be_live || !rejected.is_empty();
        let dump = self.known_digest(asked_for).await?;
        if let Some(found) = &dump {
            checks::expected(self.options, found)?;
        }
        let stored = release::published_sha256(&self.pinned);
        Ok(Ledger {
            read: dump.iter().cloned().chain(stored).collect(),
            dump: dump.map(|digest| self.options.ledger_name(digest)),
            live,
            rejected,
        })
    }

    /// The live release, where it is this dump, and whole.
    pub(crate) async fn live_already<'l>(
        &mut self,
        ledger: &'l Ledger,
    ) -> Result<Option<&'l Release>, Failure> {
        let (Some(digest), Some(live)) = (&ledger.dump, &ledger.live) else {
            return Ok(None);
        };
        // Who may overrule others wants what is live looked at, row by row.
        if *digest != live.digest || self.options.overwrite_modified {
            return Ok(None);
        }
        checks::wanted(self.options, &ledger.read)?;
        let missing = self.target.missing(live).await;
        if !missing.context("look at the live tables")?.is_empty() {
            return Ok(None);
        }
        if !self.options.dry_run {
            // What cannot be made is no success, however often it is asked for.
            self.target.finish().await.context(FINISHING)?;
        }
        Ok(Some(live))
    }

    /// The dump's digest, where it can be known before the dump is read and anybody asks for it.
    pub(crate) async fn known_digest(&self, wanted: bool) -> Result<Option<String>, Failure> {
        if !wanted && self.pinned.manifest.is_none() {
            return Ok(None);
        }
        let pinned = self.pinned.clone();
        let digest = tokio::task::spawn_blocking(move || release::digest(&pinned))
            .await
            .map_err(|error| Failure::new(Kind::Bug, format!("read the dump: {error}")))??;
        Ok(digest.or_else(|| self.options.sha256.clone()))
    }

    pub(crate) fn digest(&self, summary: &Summary) -> String {
        self.options
            .ledger_name(release::name(&self.pinned, summary))
    }

    pub(crate) fn contents(&self, summary: &Summary) -> String {
        self.options.ledger_name(release::contents(summary))
    }
}

/// Refuses a dump that says what a release said which was rolled back.
pub(crate) fn refuse_rejected_content(
    rejected: &BTreeSet<String>,
    contents: &str,
) -> Result<(), Failure> {
    if rejected.contains(contents) {
        return Err(Failure::new(
            Kind::BadData,
            "the dump says the same as a release that was rolled back, under another digest, and is left alone",
        )
        .with_hint("`load status` lists what is rejected, `load resume` allows it again"));
    }
    Ok(())
}

/// Refuses a release that was rolled back.
pub(crate) fn refuse_rejected(rejected: &BTreeSet<String>, digest: &str) -> Result<(), Failure> {
    if rejected.contains(digest) {
        return Err(Failure::new(
            Kind::BadData,
            format!("the release {digest} was rolled back and is left alone"),
        )
        .with_hint("`load resume` allows it again"));
    }
    Ok(())
}
