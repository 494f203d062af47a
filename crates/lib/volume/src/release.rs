//! Reading a volume: which release is live and what its manifest says.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

use crate::{DATA, Error};

/// The manifest's file name inside a release.
pub const MANIFEST: &str = "release.json";

/// How often a reader looks again when a release vanishes between two system calls.
const LOOKS: u32 = 10;

/// 9999-12-31T23:59:59Z: names of releases have four digits for the year.
const LAST_SECOND: i64 = 253_402_300_799;

/// ESTALE: an NFS handle whose file another node removed.
const ESTALE: i32 = 116;

/// A published release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The resolved `..<release>` folder: stays readable while newer releases appear.
    pub path: PathBuf,
    /// What `release.json` says; none on a ConfigMap or Secret volume.
    pub manifest: Option<Manifest>,
}

impl Release {
    /// The release's name: its folder's name without the leading dots.
    #[must_use]
    pub fn name(&self) -> &str {
        let folder = self
            .path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        folder.trim_start_matches('.')
    }
}

/// `release.json`: where a release comes from and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The release's name, as [`release_name`] makes it.
    pub release: String,
    /// The stored object's address, without credentials.
    pub source_url: String,
    /// The source's own mark of this version: version id, ETag or modification time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Bytes of the stored object.
    pub size: u64,
    /// SHA-256 of the stored object, 64 lower-case hex digits.
    pub sha256: String,
    /// When it was fetched, in Unix seconds.
    pub fetched_at: u64,
    /// Whether the object was decompressed or unpacked, or is here as it was stored.
    #[serde(default)]
    pub unpacked: bool,
    /// The release's files, by name.
    pub files: Vec<FileEntry>,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path inside the release, with `/` between folders.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, 64 lower-case hex digits.
    pub sha256: String,
}

/// The live release of a volume, or none when nothing was published yet.
///
/// # Errors
/// [`Error::Foreign`] when `..data` leads out of the volume, [`Error::Manifest`] when `release.json`
/// cannot be read as one, [`Error::Io`] otherwise.
pub fn current(root: &Path) -> Result<Option<Release>, Error> {
    let mut looks = 0;
    loop {
        looks += 1;
        let Some(folder) = live_folder(root)? else {
            return Ok(None);
        };
        let path = root.join(&folder);
        // The folder may be swept between the two calls: then `..data` leads elsewhere by now.
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                return Err(Error::Foreign {
                    path: root.join(DATA),
                    target: folder,
                });
            }
            Err(error) if vanished(&error) && looks < LOOKS => continue,
            Err(error) => return Err(Error::io("open", &path)(error)),
        }
        match read_manifest(&path) {
            Err(Error::Io { source, .. }) if vanished(&source) && looks < LOOKS => {}
            manifest => {
                return Ok(Some(Release {
                    path,
                    manifest: manifest?,
                }));
            }
        }
    }
}

/// The live release as a publisher sees it: a damaged one is none, with a warning, since only the
/// next publication can mend it. Damaged is also one that lacks a file or some of its bytes.
///
/// # Errors
/// Those of [`current`] that publishing does not mend.
pub fn current_if_whole(root: &Path) -> Result<Option<Release>, Error> {
    match current(root) {
        Err(error) if is_damage(&error) => {
            tracing::warn!(%error, "the live release is damaged: it counts as none");
            Ok(None)
        }
        Ok(Some(release)) => Ok(damage(&release).map_or(Some(release), |problem| {
            tracing::warn!(problem, "the live release is damaged: it counts as none");
            None
        })),
        found => found,
    }
}

/// What of the release is not there as its manifest says, in words. No content is read.
fn damage(release: &Release) -> Option<String> {
    let files = release.manifest.iter().flat_map(|manifest| &manifest.files);
    files.into_iter().find_map(|file| {
        let path = release.path.join(&file.name);
        let at = path.display();
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() && found.len() == file.size => None,
            Ok(found) => Some(format!(
                "{at} has {} bytes where the manifest has {}",
                found.len(),
                file.size
            )),
            Err(error) if vanished(&error) => Some(format!("{at} is gone")),
            // Not to be seen now is not gone.
            Err(_) => None,
        }
    })
}

/// `..data` leads to nothing, or the manifest is no manifest.
fn is_damage(error: &Error) -> bool {
    match error {
        Error::Manifest { .. } => true,
        Error::Io { source, .. } => vanished(source),
        _ => false,
    }
}

/// The folder that `..data` names, read from the symlink or the pointer file.
pub(crate) fn live_folder(root: &Path) -> Result<Option<String>, Error> {
    let path = root.join(DATA);
    let target = match fs::symlink_metadata(&path) {
        Err(error) if missing(&error) => return Ok(None),
        Err(error) => return Err(Error::io("open", &path)(error)),
        Ok(metadata) if metadata.is_symlink() => {
            fs::read_link(&path).map(|target| target.to_string_lossy().into_owned())
        }
        Ok(_) => fs::read_to_string(&path).map(|text| text.trim().to_owned()),
    };
    let target = target.map_err(Error::io("read", &path))?;
    let mut components = Path::new(&target).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(_)), None) => Ok(Some(target)),
        _ => Err(Error::Foreign { path, target }),
    }
}

/// The manifest in a release's folder; none when the folder holds no `release.json`.
pub(crate) fn read_manifest(folder: &Path) -> Result<Option<Manifest>, Error> {
    let path = folder.join(MANIFEST);
    match fs::read(&path) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(source) => Err(Error::Manifest { path, source }),
        },
        Err(error) if missing(&error) => Ok(None),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// Every release that [`crate::Publisher`] put on the volume and that is still there, oldest first.
///
/// # Errors
/// [`Error::Io`] when the volume cannot be listed.
pub fn releases(root: &Path) -> Result<Vec<Release>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(Error::io("list", root))? {
        let entry = entry.map_err(Error::io("list", root))?;
        let name = entry.file_name();
        if name
            .to_str()
            .and_then(|name| name.strip_prefix(".."))
            .is_some_and(is_release_name)
        {
            // A folder whose manifest is broken is still ours to sweep.
            let manifest = read_manifest(&entry.path()).ok().flatten();
            found.push(Release {
                path: entry.path(),
                manifest,
            });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// A release's name: UTC time and the first 12 digits of the stored object's SHA-256, so that names
/// sort by age: `20261121T101900Z-3f1c0a9b77de`.
#[must_use]
pub fn release_name(unix_seconds: u64, sha256: &str) -> String {
    let time = utc(unix_seconds).replace(['-', ':'], "");
    let digest: String = sha256.chars().take(12).collect();
    format!("{time}-{digest}")
}

/// The time in a release's name, in Unix seconds; none where it is no such name.
pub(crate) fn named_at(name: &str) -> Option<u64> {
    let name = Some(name).filter(|name| is_release_name(name))?;
    let digits = |at: std::ops::Range<usize>| name.get(at)?.parse::<u8>().ok();
    let year = name.get(..4)?.parse().ok()?;
    let month = Month::try_from(digits(4..6)?).ok()?;
    let date = Date::from_calendar_date(year, month, digits(6..8)?).ok()?;
    let at = date.with_hms(digits(9..11)?, digits(11..13)?, digits(13..15)?);
    u64::try_from(at.ok()?.assume_utc().unix_timestamp()).ok()
}

/// Whether a folder without its dots was named by [`release_name`].
fn is_release_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() == 29
        && bytes[8] == b'T'
        && bytes[15] == b'Z'
        && bytes[16] == b'-'
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 15 | 16 => true,
            0..=14 => byte.is_ascii_digit(),
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Unix seconds as UTC text: `2026-11-21T10:19:00Z`. What four digits of a year cannot hold is shown
/// as the last second that they can.
#[must_use]
pub fn utc(unix_seconds: u64) -> String {
    let seconds = i64::try_from(unix_seconds).unwrap_or(LAST_SECOND);
    OffsetDateTime::from_unix_timestamp(seconds.min(LAST_SECOND))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(&Rfc3339)
        .unwrap_or_default()
}

/// Nothing has that name (also when a parent is no folder).
pub(crate) fn missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Gone since the last look, on this node or another one.
pub(crate) fn vanished(error: &io::Error) -> bool {
    missing(error) || error.raw_os_error() == Some(ESTALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_time_and_digest_and_sort_by_age() {
        let digest = "3f1c0a9b77de".to_owned() + &"0".repeat(52);
        assert_eq!(
            release_name(1_795_256_340, &digest),
            "20261121T101900Z-3f1c0a9b77de"
        );
        assert_eq!(
            release_name(951_782_400, &digest),
            "20000229T000000Z-3f1c0a9b77de"
        );
        assert!(is_release_name(&release_name(0, &digest)));
        assert!(!is_release_name("2026_11_21_10_19_00.123456789"));
        assert!(release_name(1, &digest) < release_name(61, &digest));
        for at in [0, 951_782_400, 1_795_256_340] {
            assert_eq!(named_at(&release_name(at, &digest)), Some(at));
        }
        assert_eq!(named_at("20261399T101900Z-3f1c0a9b77de"), None);
        assert_eq!(named_at("2026_11_21_10_19_00.123456789"), None);
        // Whatever a manifest of somebody else's says.
        assert!(is_release_name(&release_name(u64::MAX, &digest)));
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_795_256_340), "2026-11-21T10:19:00Z");
        assert_eq!(utc(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
