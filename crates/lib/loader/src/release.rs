//! From a path to a pinned release: what to read and what it is called.

use std::path::{Path, PathBuf};

use pilotfish_dump::Source;
use pilotfish_failure::{Context as _, Failure, Kind};
use pilotfish_volume::{MANIFEST, Manifest};

/// A source that does not change under the reader.
#[derive(Debug, Clone)]
pub(crate) struct Pinned {
    pub(crate) source: Source,
    /// What the publisher wrote beside it.
    pub(crate) manifest: Option<Manifest>,
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
    let folder = if resolved.is_dir() {
        Some(resolved.as_path())
    } else {
        resolved.parent()
    };
    let manifest = match folder {
        Some(folder) if folder.join(MANIFEST).is_file() => Some(read_manifest(folder)?),
        _ => None,
    };
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

fn read_manifest(folder: &Path) -> Result<Manifest, Failure> {
    let path = folder.join(MANIFEST);
    let text = std::fs::read_to_string(&path).context(format!("read {}", path.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::new(Kind::BadData, format!("read {}: {error}", path.display())))
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

/// As [`release_digest`]; `None` for a stream.
pub(crate) fn digest(pinned: &Pinned) -> Result<Option<String>, Failure> {
    if let Some(manifest) = &pinned.manifest {
        return Ok(Some(manifest.sha256.clone()));
    }
    match &pinned.source {
        Source::Path(path) => pilotfish_dump::identify(path)
            .context(format!("read {}", path.display()))
            .map(Some),
        Source::Stdin => Ok(None),
    }
}
