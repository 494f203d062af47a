//! Blobs in Azure Storage, by its REST interface.
//!
//! No crate stands between: the one that others take shows neither the MD5 that Azure keeps nor its error
//! codes, writes blob names anew, and reads the environment. Five verbs and one signature are less.

mod address;
mod identity;
mod listing;
mod settings;
mod sign;

use std::fmt;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use futures_util::{StreamExt, stream};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Response, Url};

use crate::http;
use crate::object::with_patience;
use crate::{Address, ByteStream, Checksum, Error, Object, Options, Page, Storage, Version};

pub(crate) use address::address;
pub(crate) use settings::Settings;
use settings::{Access, Place};

/// Knows all that is asked here, and is served by every account and emulator.
const API: HeaderValue = HeaderValue::from_static("2021-12-02");

/// Blobs of one page of a listing: as many as S3 gives, a megabyte of XML at most.
const PAGE: &str = "1000";

/// A container.
pub(crate) struct Container {
    client: Client,
    address: Address,
    place: Place,
    patience: Duration,
}

/// Without keys, signatures and tokens.
impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container")
            .field("address", &self.address.display_of(""))
            .finish_non_exhaustive()
    }
}

/// Parts of a query, not encoded yet.
type Query<'a> = Vec<(&'static str, &'a str)>;

impl Container {
    pub(crate) fn new(address: &Address, options: &Options) -> Result<Self, Error> {
        let Address::Azure {
            host, container, ..
        } = address
        else {
            return Err(Error::Config(format!("open {address}: it is no blob")));
        };
        Ok(Self {
            client: http::client(options)?,
            address: address.clone(),
            place: options.azure.place(host.as_deref(), container, options)?,
            patience: options.timeouts.read,
        })
    }

    /// One request, with proof of who asks; whatever the status of the answer.
    async fn ask(
        &self,
        method: Method,
        key: &str,
        query: Query<'_>,
        asking: HeaderMap,
    ) -> Result<Response, Error> {
        let object = self.address.display_of(key);
        let mut url = self.url(key, &query, &object)?;
        let mut headers = asking;
        headers.insert("x-ms-version", API);
        headers.insert("x-ms-date", now());
        match &self.place.access {
            Access::Anyone => {}
            Access::Nobody => {
                return Err(Error::Denied {
                    object,
                    reason: "no usable credentials (or give --anonymous): neither key, SAS token \
                             nor identity is in the environment"
                        .to_owned(),
                });
            }
            Access::Signature(sas) => {
                let query = url
                    .query()
                    .map_or(String::new(), |query| format!("{query}&"));
                url.set_query(Some(&format!("{query}{sas}")));
            }
            Access::Key(key) => {
                let text = sign::text(&method, &url, &query, &headers, &self.place.account);
                let proof = sign::shared_key(&self.place.account, key, &text);
                headers.insert(header::AUTHORIZATION, secret(&proof, &object)?);
            }
            Access::Identity(identity) => {
                let token = identity.token(&object).await?;
                let proof = secret(&format!("Bearer {token}"), &object)?;
                headers.insert(header::AUTHORIZATION, proof);
            }
        }
        let request = self.client.request(method, url).headers(headers);
        let answer = request.send().await;
        answer.map_err(|error| self.unanswered(&object, error))
    }

    /// The address of a blob, or of the container for an empty name.
    fn url(&self, key: &str, query: &[(&str, &str)], object: &str) -> Result<Url, Error> {
        let base = &self.place.container;
        let slash = if key.is_empty() { "" } else { "/" };
        let path = format!("{}{slash}{}", base.path(), encoded(key, b"/"));
        let mut url = base.clone();
        url.set_path(&path);
        // Dots that mean folders are followed by whoever reads an address: another blob would come.
        if url.path() != path {
            return Err(Error::Refused {
                object: object.to_owned(),
                reason: "its name has `.` or `..` between slashes".to_owned(),
            });
        }
        let pairs = query.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={}", encoded(value, b"")))
            .collect();
        url.set_query((!pairs.is_empty()).then(|| pairs.join("&")).as_deref());
        Ok(url)
    }

    /// A request without an answer. Accounts are names of hosts: one that is not there has no address.
    fn unanswered(&self, object: &str, error: reqwest::Error) -> Error {
        match http::cut(object, error) {
            Error::Unreachable { object, reason, .. } if reason.contains("dns error") => {
                let host = self.place.container.host_str().unwrap_or_default();
                Error::unreachable(object, format!("is there an account {host}? {reason}"))
            }
            other => other,
        }
    }
}

#[async_trait::async_trait]
impl Storage for Container {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, Error> {
        let object = self.address.display_of(prefix);
        let mut query = vec![
            ("restype", "container"),
            ("comp", "list"),
            // What tells a folder of Data Lake Storage from an empty blob.
            ("include", "metadata"),
            ("maxresults", PAGE),
            ("prefix", prefix),
        ];
        query.extend(after.map(|after| ("marker", after)));
        let answer = self.ask(Method::GET, "", query, HeaderMap::new()).await?;
        if !answer.status().is_success() {
            return Err(refusal(object, &answer));
        }
        let bytes = answer.bytes().await;
        let bytes = bytes.map_err(|error| http::cut(&object, error))?;
        listing::page(&bytes)
            .ok_or_else(|| Error::unreachable(object, "the listing ends in mid-air, or is none"))
    }

    async fn head(&self, key: &str, known: Option<&Version>) -> Result<Option<Object>, Error> {
        let object = self.address.display_of(key);
        let mut asking = HeaderMap::new();
        let known = known.and_then(|known| known.etag.as_deref());
        http::insert(&mut asking, header::IF_NONE_MATCH, known);
        let answer = self.ask(Method::HEAD, key, Vec::new(), asking).await?;
        match answer.status().as_u16() {
            200 => {}
            304 => return Ok(None),
            _ => return Err(refusal(object, &answer)),
        }
        let headers = answer.headers();
        let md5 = http::text(headers, "content-md5").and_then(Checksum::md5_from_base64);
        Ok(Some(Object {
            key: key.to_owned(),
            size: http::length(headers),
            version: version(headers),
            modified: http::modified(headers),
            checksums: md5.into_iter().collect(),
            ranges: true,
            endless: false,
        }))
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<ByteStream, Error> {
        let name = self.address.display_of(&object.key);
        if range.as_ref().is_some_and(Range::is_empty) {
            return Ok(Box::pin(stream::empty()));
        }
        let mut asking = HeaderMap::new();
        http::insert(
            &mut asking,
            header::IF_MATCH,
            object.version.etag.as_deref(),
        );
        let part = range
            .as_ref()
            .map(|part| format!("bytes={}-{}", part.start, part.end - 1));
        http::insert(&mut asking, header::RANGE, part.as_deref());
        let answer = self
            .ask(Method::GET, &object.key, Vec::new(), asking)
            .await?;
        let whole = match answer.status().as_u16() {
            200 => true,
            206 => false,
            412 | 416 => return Err(Error::Changed { object: name }),
            _ => return Err(refusal(name, &answer)),
        };
        let headers = answer.headers();
        // A proxy or an emulator may know neither conditions nor ranges.
        let right_part = match &range {
            None => whole,
            Some(range) if whole => Some(range) == object.size.map(|size| 0..size).as_ref(),
            Some(range) => {
                http::content_range(headers).is_some_and(|(start, _)| start == Some(range.start))
            }
        };
        if !right_part || !version(headers).agrees_with(&object.version) {
            return Err(Error::Changed { object: name });
        }
        let cut = name.clone();
        let body = answer
            .bytes_stream()
            .map(move |chunk| chunk.map_err(|error| http::cut(&cut, error)));
        Ok(with_patience(Box::pin(body), name, self.patience))
    }
}

fn version(headers: &HeaderMap) -> Version {
    Version {
        etag: http::text(headers, header::ETAG).map(quoted),
        ..Version::default()
    }
}

/// An entity tag with its quotes, which listings leave out.
fn quoted(etag: &str) -> String {
    if etag.starts_with('"') {
        etag.to_owned()
    } else {
        format!("\"{etag}\"")
    }
}

/// The meaning of an answer that is no success. Azure's words repeat what was signed: only its code,
/// which says as much, is shown.
fn refusal(object: String, answer: &Response) -> Error {
    let status = answer.status();
    let code = http::text(answer.headers(), "x-ms-error-code").unwrap_or_default();
    let advice = match code {
        "AuthorizationPermissionMismatch" => {
            ": give the identity the role Storage Blob Data Reader on the container"
        }
        "AuthorizationFailure" => ": look at the key, and at the account's network rules",
        "KeyBasedAuthenticationNotPermitted" => ": the account takes identities only",
        "BlobArchived" | "BlobBeingRehydrated" => ": it lies in the archive tier: rehydrate it",
        _ => "",
    };
    let reason = match code {
        "" => format!("the server says {status}"),
        code => format!("the server says {code} ({}){advice}", status.as_u16()),
    };
    match (status.as_u16(), code) {
        (_, "ContainerNotFound" | "ContainerBeingDeleted") => Error::NoContainer { object },
        (404 | 410, _) => Error::NotFound { object },
        // Whoever names no account is told so with 409.
        (401 | 403 | 407, _) | (_, "PublicAccessNotPermitted") => Error::Denied { object, reason },
        (408 | 429 | 500.., _) => Error::Unreachable {
            object,
            reason,
            retry_after: http::retry_after(answer.headers()),
        },
        _ => Error::Refused { object, reason },
    }
}

/// The time as HTTP spells it, to the second.
fn now() -> HeaderValue {
    let seconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let seconds = i64::try_from(seconds).unwrap_or_default();
    let text = DateTime::from_secs(seconds).fmt(DateTimeFormat::HttpDate);
    let value = text.ok().and_then(|text| HeaderValue::from_str(&text).ok());
    value.unwrap_or(HeaderValue::from_static(""))
}

/// A header that no log shows.
fn secret(text: &str, object: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Error::Denied {
        object: object.to_owned(),
        reason: "the credentials have letters that no header has".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Percent-encoded but for unreserved letters and those in `plain`. A space is %20: Azure takes + for a
/// plus.
fn encoded(text: &str, plain: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || plain.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
