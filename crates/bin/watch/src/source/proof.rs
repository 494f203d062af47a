//! Proof that plain files are whole: a `NAME.sha256` beside `NAME`, as `sha256sum` writes it.
//!
//! Where there is none, the dump's own trailer decides, at the end of the load and before anything
//! live changes.

use std::path::{Path, PathBuf};

use pilotfish_failure::{Context as _, Failure};
use pilotfish_volume::FileStamp;
use tokio::io::AsyncReadExt;

use crate::job;

const SUFFIX: &str = ".sha256";

/// Longest checksum file that is read, in bytes.
const CHECKSUM_LIMIT: u64 = 64 << 10;

/// What keeps the files from being whole, in words; `None` when nothing does. `digest` is that of all
/// of them: of a single file its own.
pub(super) async fn missing(
    root: &Path,
    files: &[FileStamp],
    digest: &str,
) -> Result<Option<String>, Failure> {
    for (file, sums) in pairs(root, files) {
        let Some(expected) = checksum(&sums).await? else {
            continue;
        };
        let found = if file == root {
            digest.to_owned()
        } else {
            job::identify(&file).await?
        };
        if !found.eq_ignore_ascii_case(&expected) {
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            return Ok(Some(format!(
                "{name} does not match {name}{SUFFIX}: waiting for the rest of it, or for the right \
                 checksum"
            )));
        }
    }
    Ok(None)
}

/// Files and where their checksums would be.
fn pairs(root: &Path, files: &[FileStamp]) -> Vec<(PathBuf, PathBuf)> {
    if root.is_file() {
        return vec![(root.to_owned(), beside(root))];
    }
    files
        .iter()
        .filter(|file| !file.name.ends_with(SUFFIX))
        .map(|file| root.join(&file.name))
        .map(|path| (path.clone(), beside(&path)))
        .collect()
}

/// Where the checksum of a file would be.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut sums = path.as_os_str().to_owned();
    sums.push(SUFFIX);
    PathBuf::from(sums)
}

/// The first word of a checksum file; `None` without such a file.
async fn checksum(path: &Path) -> Result<Option<String>, Failure> {
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::from(error).context(format!("open {}", path.display()))),
    };
    let mut text = String::new();
    let mut file = file.take(CHECKSUM_LIMIT);
    file.read_to_string(&mut text)
        .await
        .context(format!("read {}", path.display()))?;
    // Empty while it is being written: no checksum yet, and none that could match.
    Ok(Some(
        text.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned(),
    ))
}
