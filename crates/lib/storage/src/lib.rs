//! Object storages behind one trait: S3 and its compatibles, Azure Blob Storage, http(s), and the local
//! file system.
//!
//! A storage lists, describes and reads objects; a read names the version it wants and fails with
//! [`Error::Changed`] rather than hand out bytes of another one. It does one request per call:
//! retries, parallelism and verification belong to the caller. Nothing is ever written.
//!
//! Only this crate knows cloud SDKs.

mod address;
mod args;
mod azure;
#[cfg(feature = "testing")]
pub mod conformance;
mod error;
#[cfg(feature = "testing")]
pub mod faulty;
mod file;
mod http;
mod object;
mod s3;
#[cfg(feature = "testing")]
pub mod serving;
mod tls;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use address::Address;
pub use args::{Options, PathStyle, StorageArgs, Timeouts, is_plain_address};
pub use error::Error;
pub use object::{ByteStream, Checksum, LEAST, Object, Page, Version};

/// Where objects lie. Keys are what [`Address::key`] and [`Page`] give out.
#[async_trait::async_trait]
pub trait Storage: fmt::Debug + Send + Sync {
    /// One page of the objects whose keys start with `prefix`, in no promised order; `after` is the
    /// [`Page::next`] of the page before.
    ///
    /// # Errors
    /// [`Error::Config`] where objects cannot be listed (http).
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, Error>;

    /// Describes the object as it is now; `None` when it is still at the version `known`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::Unreachable`].
    async fn head(&self, key: &str, known: Option<&Version>) -> Result<Option<Object>, Error>;

    /// Bytes of exactly this version of the object: `range`, or all of it. The stream may end early
    /// when the connection is cut in a way nobody can notice: count the bytes.
    ///
    /// # Errors
    /// [`Error::Changed`] when the object has another version now.
    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<ByteStream, Error>;
}

/// Opens the storage that an address lies in. Makes no request yet.
///
/// # Errors
/// [`Error::Config`] when the options cannot work, such as a CA file without certificates.
pub async fn open(address: &Address, options: &Options) -> Result<Arc<dyn Storage>, Error> {
    Ok(match address {
        Address::Azure { .. } => Arc::new(azure::Container::new(address, options)?),
        Address::File { .. } => Arc::new(file::Files),
        Address::Http { .. } => Arc::new(http::Http::new(address, options)?),
        Address::S3 { bucket, .. } => Arc::new(s3::Bucket::open(bucket, options).await?),
    })
}

/// Reads a small object, such as a checksum file, whole.
///
/// # Errors
/// [`Error::Refused`] when it has more than `limit` bytes, and the errors of `head` and `read`.
pub async fn read_small(storage: &dyn Storage, key: &str, limit: usize) -> Result<Vec<u8>, Error> {
    use futures_util::StreamExt;
    let missing = || Error::NotFound {
        object: address::without_secrets(key),
    };
    let object = storage.head(key, None).await?.ok_or_else(missing)?;
    let mut bytes = Vec::new();
    let mut stream = storage.read(&object, None).await?;
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > limit {
            return Err(Error::Refused {
                object: address::without_secrets(key),
                reason: format!("it has more than {limit} bytes"),
            });
        }
    }
    Ok(bytes)
}

/// A client for small requests to neighbours: the TLS and timeouts of the options, without their
/// proxies and headers.
///
/// # Errors
/// [`Error::Config`] when the CA file cannot be used.
pub fn direct_http_client(options: &Options) -> Result<reqwest::Client, Error> {
    http::client_builder(options)?
        .build()
        .map_err(|error| Error::Config(format!("set up http: {error}")))
}
