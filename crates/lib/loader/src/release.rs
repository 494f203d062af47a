//! From a path to a pinned release: what to read and what it is called.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pilotfish_dump::{Source, Summary};
use pilotfish_failure::{Context as _, Failure, Kind};
use pilotfish_volume::{FileEntry, MANIFEST, Manifest};
use sha2::{Digest as _, Sha256};

/// A source that does not change under the reader.
#[derive(Debug, Clone)]
pub(crate) struct Pinned {
    pub(crate) source: Source,
    /// What the publisher wrote beside it.
    pub(crate) manifest: Option<Manifest>,
}

impl Pinned {
    /// What is missing while it is read is gone where its publisher removed it: there is another one by now.
    pub(crate) fn vanished(&self, failure: Failure) -> Failure {
        let unread = matches!(failure.kind(), Kind::Config | Kind::Unreachable);
        match &self.source {
            Source::Path(path) if unread && !path.exists() => Failure::new(
                Kind::Busy,
                format!(
                    "{} was taken away while it was read: {failure}",
                    path.display()
                ),
            )
            .with_hint("load again: that reads what is published now"),
            _ => failure,
        }
    }
}

/// A folder without a manifest that went away under its reader may have been half gone when it was listed.
pub(crate) fn refuse_gone(pinned: &Pinned, summary: &Summary) -> Result<(), Failure> {
    let whole = summary.files.iter().all(|(name, _)| name.is_empty());
    match &pinned.source {
        Source::Path(path) if pinned.manifest.is_none() && !whole && !path.is_dir() => {
            Err(Failure::new(
                Kind::Busy,
                format!("{} was taken away while it was read", path.display()),
            )
            .with_hint("load again: that reads what is published now"))
        }
        _ => Ok(()),
    }
}

/// Resolves a path once: a volume to its live release, a link to its file.
pub(crate) fn pin(source: &Source) -> Result<Pinned, Failure> {
    let Source::Path(path) = source else {
        return Ok(Pinned {
            source: Source::Stdin,
            manifest: None,
        });
    };
    let resolved = resolve(path)?;
    if !resolved.is_dir() && !resolved.is_file() {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "{} is neither a file nor a folder: send it to standard input and give -",
                path.display()
            ),
        ));
    }
    let folder = if resolved.is_dir() {
        Some(resolved.as_path())
    } else {
        resolved.parent()
    };
    let mut manifest = match folder {
        Some(folder) => read_manifest(folder)?,
        None => None,
    };
    // A file that somebody put beside a release is none of it.
    if resolved.is_file() {
        let name = resolved.file_name().and_then(|name| name.to_str());
        manifest = manifest.filter(|manifest| {
            let mut files = manifest.files.iter();
            files.any(|file| Some(file.name.as_str()) == name)
        });
    }
    Ok(Pinned {
        source: Source::Path(resolved),
        manifest,
    })
}

fn resolve(path: &Path) -> Result<PathBuf, Failure> {
    if path.is_dir()
        && let Some(release) =
            pilotfish_volume::current(path).context(format!("open {}", path.display()))?
    {
        return Ok(release.path);
    }
    std::fs::canonicalize(path)
        .context(format!("open {}", path.display()))
        .map_err(|failure| {
            failure.with_hint("give a dump file, a folder of them, or - for standard input")
        })
}

fn read_manifest(folder: &Path) -> Result<Option<Manifest>, Failure> {
    let path = folder.join(MANIFEST);
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| {
            Failure::new(Kind::BadData, format!("read {}: {error}", path.display()))
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            refuse_swept(folder)?;
            Ok(None)
        }
        Err(error) => Err(Failure::from(error).context(format!("read {}", path.display()))),
    }
}

/// What `fetch` publishes has a manifest: without one it is half removed, and what is left of it is not
/// the release.
fn refuse_swept(folder: &Path) -> Result<(), Failure> {
    let hidden = folder.file_name().unwrap_or_default().to_string_lossy();
    let Some(root) = folder.parent().filter(|_| hidden.starts_with("..")) else {
        return Ok(());
    };
    let releases = pilotfish_volume::releases(root).context(format!("list {}", root.display()))?;
    if !releases.iter().any(|release| release.path == folder) {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Busy,
        format!(
            "{} has no {MANIFEST} any more: it is being removed",
            folder.display()
        ),
    )
    .with_hint("load again: that reads what is published now"))
}

/// The name of the release at `path`: the published one's SHA-256, else that of the stored bytes.
///
/// # Errors
/// When nothing is there or it cannot be read.
pub async fn release_digest(path: &Path) -> Result<String, Failure> {
    let source = Source::Path(path.to_owned());
    tokio::task::spawn_blocking(move || {
        let pinned = pin(&source)?;
        digest(&pinned)?.ok_or_else(|| Failure::new(Kind::Bug, "a path without digest"))
    })
    .await
    .map_err(|error| Failure::new(Kind::Bug, format!("read the dump: {error}")))?
}

/// What the ledger calls the release whose dump was read whole.
pub(crate) fn name(pinned: &Pinned, summary: &Summary) -> String {
    published_digest(pinned).unwrap_or_else(|| summary.sha256.clone())
}

/// The release's own name, where all of it is read; one file of several is another release.
pub(crate) fn published_digest(pinned: &Pinned) -> Option<String> {
    let manifest = pinned.manifest.as_ref()?;
    let Source::Path(path) = &pinned.source else {
        return None;
    };
    (path.is_dir() || manifest.files.len() == 1).then(|| manifest.sha256.clone())
}

/// What [`pilotfish_dump::identify`] must give for what is read, as the publisher wrote it down.
pub(crate) fn published_sha256(pinned: &Pinned) -> Option<String> {
    let manifest = pinned.manifest.as_ref()?;
    let Source::Path(path) = &pinned.source else {
        return None;
    };
    if !path.is_dir() {
        let name = path.file_name()?.to_str()?;
        return manifest
            .files
            .iter()
            .find(|file| file.name == name)
            .map(|file| file.sha256.clone());
    }
    let names = manifest.files.iter().map(|file| file.name.as_str());
    let read: HashSet<&str> = pilotfish_dump::read_of(names).into_iter().collect();
    let read = |file: &&FileEntry| read.contains(&*file.name);
    let mut files: Vec<&FileEntry> = manifest.files.iter().filter(read).collect();
    files.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let lines: String = files
        .iter()
        .map(|file| format!("{}  {}\n", file.sha256, file.name))
        .collect();
    Some(sha256_hex(lines.as_bytes()))
}

/// The release's other name: a digest of what the dump says, whatever it was compressed with, whenever it
/// was made and by which route it came. Statements that are not understood are part of it by their bytes.
pub(crate) fn contents(summary: &Summary) -> String {
    if summary.opaque {
        return summary.sha256.clone();
    }
    let tables = summary.tables.iter();
    let tables = tables.map(|(name, table)| format!("table {name} {}\n", table.digest));
    let objects = summary.objects.iter();
    let objects = objects.map(|(key, digest)| format!("{key} {digest}\n"));
    let lines: String = tables.chain(objects).collect();
    sha256_hex(lines.as_bytes())
}

/// SHA-256 as 64 lower-case hex digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// As [`release_digest`]; `None` for a stream.
pub(crate) fn digest(pinned: &Pinned) -> Result<Option<String>, Failure> {
    if let Some(digest) = published_digest(pinned) {
        return Ok(Some(digest));
    }
    match &pinned.source {
        Source::Path(path) => pilotfish_dump::identify(path)
            .context(format!("read {}", path.display()))
            .map(Some),
        Source::Stdin => Ok(None),
    }
}
