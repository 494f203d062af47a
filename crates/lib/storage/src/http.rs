//! Objects behind http and https.
//!
//! Redirects are followed here and not by the client, so that no header a person gave, whatever its
//! name, reaches another host. An object is described by asking for its first byte: HEAD is refused
//! by signed addresses and by some servers, and does not tell whether ranges work.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Client, NoProxy, Proxy, RequestBuilder, Response, StatusCode, Url};

use crate::address::without_secrets;
use crate::object::with_patience;
use crate::{Address, ByteStream, Error, Object, Options, Page, Storage, Version};

/// Redirects followed for one request; browsers take 20, curl 50, a dump needs few.
const REDIRECTS: u32 = 10;

/// Longest wait that a server's Retry-After may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

pub(crate) struct Http {
    client: Client,
    /// The origin that credentials are for.
    origin: Url,
    /// User and password from the address.
    user: Option<(String, String)>,
    options: Options,
}

/// Without user and password.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = without_secrets(self.origin.as_str());
        f.debug_struct("Http")
            .field("origin", &origin)
            .finish_non_exhaustive()
    }
}

impl Http {
    pub(crate) fn new(address: &Address, options: &Options) -> Result<Self, Error> {
        let Address::Http { url } = address else {
            return Err(Error::Config(format!(
                "open {address}: it is no http address"
            )));
        };
        let user = (!url.username().is_empty() || url.password().is_some()).then(|| {
            (
                url.username().to_owned(),
                url.password().unwrap_or_default().to_owned(),
            )
        });
        Ok(Self {
            client: client(options)?,
            origin: url.clone(),
            user,
            options: options.clone(),
        })
    }

    /// One GET, redirects followed; whatever the status of the last answer.
    async fn get(&self, key: &str, asking: &HeaderMap) -> Result<Response, Error> {
        let object = without_secrets(key);
        let config = |problem: String| Error::Refused {
            object: object.clone(),
            reason: problem,
        };
        let mut url = Url::parse(key).map_err(|error| config(error.to_string()))?;
        for _ in 0..=REDIRECTS {
            let mut target = url.clone();
            // The address's own user and password are sent as a header, and only to its origin.
            let _ = target.set_username("");
            let _ = target.set_password(None);
            let request = self.client.get(target).headers(asking.clone());
            let request = if url.origin() == self.origin.origin() {
                self.with_credentials(request, &object)?
            } else {
                request
            };
            let answer = request.send().await.map_err(|error| cut(&object, error))?;
            if !answer.status().is_redirection() || answer.status() == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            let location = answer.headers().get(header::LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            url = match next {
                Some(next) if url.scheme() == "https" && next.scheme() != "https" => {
                    return Err(config(format!(
                        "it redirects from https to {}",
                        without_secrets(next.as_str())
                    )));
                }
                Some(next) if matches!(next.scheme(), "http" | "https") => next,
                _ => return Err(config("it redirects to no address".to_owned())),
            };
        }
        Err(config(format!("it redirects more than {REDIRECTS} times")))
    }

    fn with_credentials(
        &self,
        mut request: RequestBuilder,
        object: &str,
    ) -> Result<RequestBuilder, Error> {
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(path) = &self.options.bearer_token_file {
            let denied = |reason: String| Error::Denied {
                object: object.to_owned(),
                reason,
            };
            let token = std::fs::read_to_string(path).map_err(|error| {
                denied(format!(
                    "the token file {} cannot be read: {error}",
                    path.display()
                ))
            })?;
            request = request.bearer_auth(token.trim());
        }
        for (name, value) in &self.options.headers {
            request = request.header(name, value);
        }
        Ok(request)
    }
}

#[async_trait::async_trait]
impl Storage for Http {
    async fn list(&self, prefix: &str, _after: Option<&str>) -> Result<Page, Error> {
        let address = without_secrets(prefix);
        Err(Error::Config(format!(
            "list {address}: an http address names one object, no folder"
        )))
    }

    async fn head(&self, key: &str, known: Option<&Version>) -> Result<Option<Object>, Error> {
        let mut asking = HeaderMap::new();
        asking.insert(header::RANGE, HeaderValue::from_static("bytes=0-0"));
        if let Some(known) = known {
            insert(&mut asking, header::IF_NONE_MATCH, known.etag.as_deref());
            if known.etag.is_none() {
                insert(
                    &mut asking,
                    header::IF_MODIFIED_SINCE,
                    known.modified.as_deref(),
                );
            }
        }
        let answer = self.get(key, &asking).await?;
        let status = answer.status();
        if status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        // An empty object has no first byte, and the answer says how many it has: `bytes */0`.
        let total = content_range(answer.headers()).map(|(_, total)| total);
        let empty = status == StatusCode::RANGE_NOT_SATISFIABLE && total == Some(Some(0));
        let (size, ranges) = match status {
            StatusCode::PARTIAL_CONTENT => (total.flatten(), total.flatten().is_some()),
            StatusCode::OK => (length(answer.headers()), false),
            _ if empty => (Some(0), false),
            _ => return Err(refusal(key, &answer)),
        };
        let mut object = Object {
            key: key.to_owned(),
            size,
            version: version(answer.headers()),
            modified: modified(answer.headers()),
            // What comes with a part may be the part's.
            checksums: Vec::new(),
            ranges,
            endless: size.is_none() && ends_with_connection(&answer),
        };
        // Parts of two versions under one mark would go unnoticed; one answer has one version.
        object.ranges &= object.is_settled();
        // Servers that know no conditions answer in full.
        let marked = object.version.label().is_some();
        Ok(Some(object).filter(|object| !(marked && known == Some(&object.version))))
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<ByteStream, Error> {
        let changed = || Error::Changed {
            object: without_secrets(&object.key),
        };
        let mut asking = HeaderMap::new();
        if let Some(range) = &range {
            if range.is_empty() {
                return Ok(Box::pin(futures_util::stream::empty()));
            }
            let bytes = format!("bytes={}-{}", range.start, range.end - 1);
            insert(&mut asking, header::RANGE, Some(&bytes));
        }
        if let Some(etag) = object.version.strong_etag() {
            insert(&mut asking, header::IF_MATCH, Some(etag));
        } else {
            insert(
                &mut asking,
                header::IF_UNMODIFIED_SINCE,
                object.version.modified.as_deref(),
            );
        }
        let answer = self.get(&object.key, &asking).await?;
        let status = answer.status();
        if matches!(
            status,
            StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE
        ) {
            return Err(changed());
        }
        if !status.is_success() {
            return Err(refusal(&object.key, &answer));
        }
        // Servers that know no If-Match answer with whatever they have now.
        let size = match (&range, status) {
            (Some(range), StatusCode::PARTIAL_CONTENT) => match content_range(answer.headers()) {
                Some((Some(start), total)) if start == range.start => total,
                _ => return Err(changed()),
            },
            (Some(_), _) => return Err(changed()),
            (None, _) => length(answer.headers()),
        };
        let other_size = matches!((size, object.size), (Some(now), Some(then)) if now != then);
        // Who trusted in the first answer's length or end must not get one that has neither.
        let endless = size.is_none() && !object.endless && ends_with_connection(&answer);
        if other_size || endless || !version(answer.headers()).agrees_with(&object.version) {
            return Err(changed());
        }
        let name = without_secrets(&object.key);
        let stream_name = name.clone();
        let stream = answer
            .bytes_stream()
            .map(move |chunk| chunk.map_err(|error| cut(&stream_name, error)));
        Ok(with_patience(
            Box::pin(stream),
            name,
            self.options.timeouts.read,
        ))
    }
}

/// What all clients have in common: our TLS, no redirects, no proxies.
pub(crate) fn client_builder(options: &Options) -> Result<reqwest::ClientBuilder, Error> {
    Ok(Client::builder()
        .tls_backend_preconfigured(crate::tls::client(options)?)
        .user_agent(concat!("pilotfish/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(options.timeouts.connect)
        .read_timeout(options.timeouts.read)
        // Ranges in parallel are faster over connections of their own than in one h2 window.
        .http1_only()
        // The environment was read at the start; the client must not read it again.
        .no_proxy())
}

pub(crate) fn client(options: &Options) -> Result<Client, Error> {
    let config = |error: reqwest::Error| Error::Config(format!("set up http: {error}"));
    let mut builder = client_builder(options)?;
    let except = options
        .proxies
        .except
        .as_deref()
        .and_then(NoProxy::from_string);
    let proxy = |built: reqwest::Result<Proxy>| {
        // The address of a proxy may hold a password: the error must not repeat it.
        let built =
            built.map_err(|_| Error::Config("the proxy variable holds no address".into()))?;
        Ok(built.no_proxy(except.clone()))
    };
    if let Some(url) = &options.proxies.http {
        builder = builder.proxy(proxy(Proxy::http(url))?);
    }
    if let Some(url) = &options.proxies.https {
        builder = builder.proxy(proxy(Proxy::https(url))?);
    }
    builder.build().map_err(config)
}

/// The meaning of an answer that is no success.
fn refusal(key: &str, answer: &Response) -> Error {
    let object = without_secrets(key);
    let status = answer.status();
    let reason = format!("the server says {status}");
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Error::NotFound { object },
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => Error::Denied { object, reason },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Error::Unreachable {
                object,
                reason,
                retry_after: retry_after(answer.headers()),
            }
        }
        status if status.is_server_error() => Error::Unreachable {
            object,
            reason,
            retry_after: retry_after(answer.headers()),
        },
        _ => Error::Refused { object, reason },
    }
}

/// No answer, or a body that broke off: the chain of causes without the address's secrets.
pub(crate) fn cut(object: &str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    crate::tls::unanswered(object.to_owned(), reason)
}

pub(crate) fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}

pub(crate) fn text(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether the answer tells neither its length nor, in chunks, its end.
fn ends_with_connection(answer: &Response) -> bool {
    let chunked = text(answer.headers(), header::TRANSFER_ENCODING)
        .is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked"));
    length(answer.headers()).is_none() && !chunked
}

pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH)?.parse().ok()
}

/// First byte and whole size from `bytes 0-0/123`, `bytes 5-9/*`, `bytes */0`.
pub(crate) fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let range = text(headers, header::CONTENT_RANGE)?
        .trim()
        .strip_prefix("bytes ")?;
    let (range, total) = range.split_once('/')?;
    let start = range
        .split_once('-')
        .and_then(|(start, _)| start.trim().parse().ok());
    Some((start, total.trim().parse().ok()))
}

fn version(headers: &HeaderMap) -> Version {
    Version {
        id: None,
        etag: text(headers, header::ETAG).map(str::to_owned),
        modified: text(headers, header::LAST_MODIFIED).map(str::to_owned),
    }
}

pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = text(headers, header::RETRY_AFTER)?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

pub(crate) fn modified(headers: &HeaderMap) -> Option<SystemTime> {
    let text = text(headers, header::LAST_MODIFIED)?;
    let date = aws_sdk_s3::primitives::DateTime::from_str(
        text,
        aws_sdk_s3::primitives::DateTimeFormat::HttpDate,
    );
    SystemTime::try_from(date.ok()?).ok()
}
