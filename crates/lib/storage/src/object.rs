//! What storages say about objects.

use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::Error;

/// Bytes on their way.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// An object at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What to ask the storage for.
    pub key: String,
    /// Bytes; unknown when an http server does not say.
    pub size: Option<u64>,
    /// What tells this version from others.
    pub version: Version,
    /// When it was stored.
    pub modified: Option<SystemTime>,
    /// Checksums of the whole object that the storage keeps. An ETag is none.
    pub checksums: Vec<Checksum>,
    /// Whether parts of it can be asked for.
    pub ranges: bool,
    /// Its bytes end when the connection does: nothing tells a cut from the end.
    pub endless: bool,
}

/// A time as the version's mark is fine to one second: two versions stored within it look the same.
pub(crate) const COARSE: Duration = Duration::from_secs(2);

impl Object {
    /// Whether equal marks promise equal bytes from now on: the mark is a strong one, or the time in
    /// it is so long past that nothing can be stored under it any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let long_past = |modified: SystemTime| {
            let age = SystemTime::now().duration_since(modified);
            age.is_ok_and(|age| age >= COARSE)
        };
        self.version.is_strong()
            || (self.version.label().is_some() && self.modified.is_some_and(long_past))
    }
}

/// The marks by which a storage tells versions of one object apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Version id of a versioned bucket; inode, size and time of a file.
    pub id: Option<String>,
    /// Entity tag, with its quotes.
    pub etag: Option<String>,
    /// `Last-Modified`, as the server spells it.
    pub modified: Option<String>,
}

impl Version {
    /// The best mark in one string, for manifests; none when the storage gives no mark at all.
    #[must_use]
    pub fn label(&self) -> Option<String> {
        self.id
            .clone()
            .or_else(|| self.etag.clone())
            .or_else(|| self.modified.clone())
    }

    /// Whether equal marks promise equal bytes. A weak ETag and a time (one second fine) do not.
    #[must_use]
    pub fn is_strong(&self) -> bool {
        self.id.is_some() || self.strong_etag().is_some()
    }

    pub(crate) fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }

    /// Whether `other` could be the same version: no mark that both have differs.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let differ =
            |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
        !(differ(&self.id, &other.id)
            || differ(&self.etag, &other.etag)
            || differ(&self.modified, &other.modified))
    }
}

/// A checksum of a whole object, as the storage keeps it.
#[derive(Clone, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256, 64 lower-case hex digits.
    Sha256(String),
    /// CRC-64/NVME, the default of AWS's own clients.
    Crc64Nvme(u64),
    /// CRC-32C (Castagnoli).
    Crc32C(u32),
    /// CRC-32 (ISO-HDLC).
    Crc32(u32),
    /// MD5, 32 lower-case hex digits: proof against accidents, not against people.
    Md5(String),
}

impl Checksum {
    /// Stores spell checksums in base64. One of a multipart upload, `...-7`, is a checksum of
    /// checksums and says nothing about the whole.
    pub(crate) fn sha256_from_base64(text: &str) -> Option<Self> {
        decoded::<32>(text).map(|bytes| Self::Sha256(hex(&bytes)))
    }

    pub(crate) fn md5_from_base64(text: &str) -> Option<Self> {
        decoded::<16>(text).map(|bytes| Self::Md5(hex(&bytes)))
    }

    pub(crate) fn crc64nvme_from_base64(text: &str) -> Option<Self> {
        decoded(text).map(u64::from_be_bytes).map(Self::Crc64Nvme)
    }

    pub(crate) fn crc32c_from_base64(text: &str) -> Option<Self> {
        decoded(text).map(u32::from_be_bytes).map(Self::Crc32C)
    }

    pub(crate) fn crc32_from_base64(text: &str) -> Option<Self> {
        decoded(text).map(u32::from_be_bytes).map(Self::Crc32)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decoded<const N: usize>(base64: &str) -> Option<[u8; N]> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(base64.trim())
        .ok()?;
    bytes.try_into().ok()
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(hex) => write!(f, "sha256:{hex}"),
            Self::Crc64Nvme(value) => write!(f, "crc64nvme:{value:016x}"),
            Self::Crc32C(value) => write!(f, "crc32c:{value:08x}"),
            Self::Crc32(value) => write!(f, "crc32:{value:08x}"),
            Self::Md5(hex) => write!(f, "md5:{hex}"),
        }
    }
}

/// Some of the objects of a folder.
#[derive(Debug, Default)]
pub struct Page {
    /// The objects, as far as a listing describes them: without checksums and version ids.
    pub objects: Vec<Object>,
    /// Where the next page begins; none at the end.
    pub next: Option<String>,
}

/// Bytes that a connection must bring in the time that it may be silent: less is silence.
pub const LEAST: u64 = 1024;

/// A stream that fails when less than [`LEAST`] comes in `patience`: a silent connection is a dead one,
/// and one that trickles would never end. Only the time spent waiting for the connection counts.
pub(crate) fn with_patience(stream: ByteStream, object: String, patience: Duration) -> ByteStream {
    let next = move |(mut stream, mut left, mut came): (ByteStream, Duration, u64)| {
        let object = object.clone();
        async move {
            let began = Instant::now();
            let Ok(item) = tokio::time::timeout(left, stream.next()).await else {
                let silent = match came {
                    0 => format!("timed out: nothing came for {patience:?}"),
                    _ => format!("timed out: only {came} bytes came in {patience:?}"),
                };
                // Whoever asks again after the error waits as long for the same silence.
                let again = (stream, patience, 0);
                return Some((Err(Error::unreachable(object, silent)), again));
            };
            let item = item?;
            left = left.saturating_sub(began.elapsed());
            came += item.as_ref().map_or(0, |chunk| chunk.len() as u64);
            if came >= LEAST {
                (left, came) = (patience, 0);
            }
            Some((item, (stream, left, came)))
        }
    };
    Box::pin(futures_util::stream::unfold((stream, patience, 0), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chunks of so many bytes, one every 20 ms.
    async fn read(length: usize, chunks: usize) -> Result<u64, Error> {
        let trickle = futures_util::stream::iter(0..chunks).then(move |_| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(Bytes::from(vec![0; length]))
        });
        let patience = Duration::from_millis(200);
        let mut stream = with_patience(Box::pin(trickle), "object".to_owned(), patience);
        let mut size = 0;
        while let Some(chunk) = stream.next().await {
            size += chunk?.len() as u64;
        }
        Ok(size)
    }

    #[tokio::test]
    async fn a_connection_that_trickles_is_as_good_as_silent() {
        let slow = read(10, 100).await.unwrap_err();
        assert!(slow.is_transient(), "{slow}");
        assert!(slow.to_string().contains("bytes came in 200ms"), "{slow}");
        // The end of a transfer may be short, and a slow one is as long as it is.
        assert_eq!(read(10, 3).await.unwrap(), 30);
        assert_eq!(read(1024, 20).await.unwrap(), 20 * 1024);
    }
}
