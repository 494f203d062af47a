//! Removing releases that no reader needs any more.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Publisher, remove};
use crate::Error;
use crate::release::{live_folder, missing, releases};

/// A release on its way out: renamed, so that no reader takes what is left of it for one.
pub(super) const GONE: &str = "..gone-";
/// What [`Publisher::sweep`] removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Names of the releases that are gone.
    pub releases: Vec<String>,
}

impl Publisher {
    /// Removes old releases, but never the live one, the newest `keep` (the live one among them), or
    /// one that was replaced less than `keep_for` ago: a reader may still be in it.
    ///
    /// # Errors
    /// [`Error::LeaseLost`], [`Error::Io`] when the volume cannot be listed or a folder not removed.
    pub fn sweep(&self, keep: usize, keep_for: Duration) -> Result<Swept, Error> {
        // What another publisher made live since looks unborn to a clock that is behind.
        self.lease.check()?;
        let Some(live) = live_folder(&self.root)? else {
            return Ok(Swept::default());
        };
        let live = self.root.join(live);
        let mut swept = Swept::default();
        let all = releases(&self.root)?;
        let Some(position) = all.iter().position(|release| release.path == live) else {
            return Ok(swept);
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        // Newer than the live one: named by a publisher that was killed before the swap.
        let unborn = all[position + 1..].iter();
        let old = all[..position].iter().enumerate().filter(|(at, _)| {
            let replaced_at = all[at + 1]
                .manifest
                .as_ref()
                .map_or(0, |next| next.fetched_at);
            let newer = position - at;
            newer >= keep.max(1) && now.saturating_sub(replaced_at) >= keep_for.as_secs()
        });
        for release in unborn.chain(old.map(|(_, release)| release)) {
            self.remove_release(&release.path)?;
            swept.releases.push(release.name().to_owned());
        }
        Ok(swept)
    }

    /// Takes the release away in one step, and its files after that: a reader finds it whole or not.
    pub(super) fn remove_release(&self, path: &Path) -> Result<(), Error> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Ok(());
        };
        let gone = (self.root).join(format!("{GONE}{}", name.trim_start_matches('.')));
        remove(&gone)?;
        match fs::rename(path, &gone) {
            Err(error) if missing(&error) => Ok(()),
            Err(error) => Err(Error::io("remove", path)(error)),
            Ok(()) => remove(&gone),
        }
    }

    /// Removes what a publisher that was killed left of the releases that it removed.
    pub(super) fn sweep_gone(&self) {
        let entries = fs::read_dir(&self.root).into_iter().flatten();
        for entry in entries.map_while(Result::ok) {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(GONE))
                && let Err(error) = remove(&entry.path())
            {
                tracing::warn!(%error, "what is left of a removed release stays");
            }
        }
    }
}
