//! Objects that are files of this machine, or of a volume mounted on it.
//!
//! A file has no sign of being whole. One that was written to a moment ago counts as not there yet:
//! whoever asks again after the pause that the error names gets it once its writer is done.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream;

use crate::object::COARSE;
use crate::{ByteStream, Error, Object, Page, Storage, Version};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// Deepest folder below the listed one that is looked into; a loop of mounts ends here.
const DEPTH: usize = 16;

#[derive(Debug)]
pub(crate) struct Files;

#[async_trait::async_trait]
impl Storage for Files {
    async fn list(&self, prefix: &str, _after: Option<&str>) -> Result<Page, Error> {
        let prefix = prefix.to_owned();
        blocking(prefix.clone(), move || {
            // A prefix need not end at a folder.
            let folder = prefix.rfind('/').map_or("/", |at| &prefix[..=at]);
            let mut objects = Vec::new();
            walk(fs::read_dir(folder)?, DEPTH, &mut objects);
            objects.retain(|object| object.key.starts_with(&prefix));
            Ok(Page {
                objects,
                next: None,
            })
        })
        .await
    }

    async fn head(&self, key: &str, known: Option<&Version>) -> Result<Option<Object>, Error> {
        let path = key.to_owned();
        let object = blocking(key.to_owned(), move || {
            let metadata = fs::metadata(&path)?;
            if !metadata.is_file() {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            Ok(describe(path, &metadata))
        })
        .await?;
        being_written(&object)?;
        Ok(Some(object).filter(|object| known != Some(&object.version)))
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<ByteStream, Error> {
        let path = object.key.clone();
        let opened = blocking(object.key.clone(), move || {
            let file = File::open(&path)?;
            let metadata = file.metadata()?;
            Ok((file, version(&metadata)))
        });
        let (mut file, version) = opened.await?;
        if version != object.version {
            return Err(changed(&object.key));
        }
        let range = range.unwrap_or(0..object.size.unwrap_or(0));
        file.seek(SeekFrom::Start(range.start))
            .map_err(|error| failure(&object.key, &error))?;
        let reading = Reading {
            file,
            left: range.end.saturating_sub(range.start),
            object: object.clone(),
        };
        Ok(Box::pin(stream::unfold(Some(reading), |reading| async {
            let reading = reading?;
            let key = format!("file://{}", reading.object.key);
            let next = tokio::task::spawn_blocking(move || reading.next()).await;
            match next.unwrap_or_else(|_| Err(Error::unreachable(key, "the reader ended"))) {
                Ok(Some((bytes, reading))) => Some((Ok(bytes), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })))
    }
}

/// A range of a file that is being read.
struct Reading {
    file: File,
    left: u64,
    object: Object,
}

impl Reading {
    fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let wanted = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
        let mut chunk = Vec::with_capacity(wanted);
        let limit = wanted as u64;
        let io = |error: io::Error| failure(&self.object.key, &error);
        (&self.file)
            .take(limit)
            .read_to_end(&mut chunk)
            .map_err(io)?;
        self.left -= chunk.len() as u64;
        // Whoever writes into the file while it is read changes its time: bytes read before and
        // after are not one version.
        let now = self.file.metadata().map_err(io)?;
        if chunk.len() < wanted || version(&now) != self.object.version {
            return Err(changed(&self.object.key));
        }
        Ok(Some((Bytes::from(chunk), self)))
    }
}

/// Collects the files of a folder and of those below it. What cannot be looked into has no dump for
/// us: `lost+found` at the top of a disk, and what was removed since its name was read.
fn walk(entries: fs::ReadDir, depth: usize, objects: &mut Vec<Object>) {
    for entry in entries.map_while(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        let (Some(text), Some(name)) = (path.to_str(), name.to_str()) else {
            tracing::warn!(?path, "left out: its name is not UTF-8");
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                objects.push(describe(text.to_owned(), &metadata));
            }
            // Links to folders are not followed: they could lead round in circles.
            Ok(metadata) if metadata.is_dir() && !path.is_symlink() && depth > 0 => {
                if let Ok(entries) = fs::read_dir(&path) {
                    walk(entries, depth - 1, objects);
                }
            }
            _ => {}
        }
    }
}

/// Fails for as long as the file's last change is too fresh to be its last.
fn being_written(object: &Object) -> Result<(), Error> {
    let Some(modified) = object.modified else {
        return Ok(());
    };
    let now = SystemTime::now();
    let left = (modified + COARSE).duration_since(now).unwrap_or_default();
    // A time far ahead of the clock says nothing about the writer.
    if left.is_zero() || left > 2 * COARSE {
        return Ok(());
    }
    Err(Error::Unreachable {
        object: format!("file://{}", object.key),
        reason: "it was written to a moment ago; waiting until its writer is done".to_owned(),
        retry_after: Some(left),
    })
}

fn describe(key: String, metadata: &fs::Metadata) -> Object {
    Object {
        key,
        size: Some(metadata.len()),
        version: version(metadata),
        modified: metadata.modified().ok(),
        checksums: Vec::new(),
        ranges: true,
        endless: false,
    }
}

fn version(metadata: &fs::Metadata) -> Version {
    let (inode, size) = (metadata.ino(), metadata.len());
    let id = format!(
        "{inode}-{size}-{}.{:09}",
        metadata.mtime(),
        metadata.mtime_nsec()
    );
    Version {
        id: Some(id),
        ..Version::default()
    }
}

async fn blocking<T: Send + 'static>(
    path: String,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failure(&path, &error)),
        Err(_) => Err(Error::unreachable(
            format!("file://{path}"),
            "the reader ended",
        )),
    }
}

fn failure(path: &str, error: &io::Error) -> Error {
    let object = format!("file://{path}");
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::NotFound { object },
        io::ErrorKind::PermissionDenied => Error::Denied {
            object,
            reason: error.to_string(),
        },
        io::ErrorKind::IsADirectory => Error::Refused {
            object,
            reason: "it is no regular file; a folder to pick from ends with a slash".to_owned(),
        },
        _ => Error::unreachable(object, error.to_string()),
    }
}

fn changed(path: &str) -> Error {
    Error::Changed {
        object: format!("file://{path}"),
    }
}
