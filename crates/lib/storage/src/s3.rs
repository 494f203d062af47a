//! Objects in S3 and its compatibles.
//!
//! Credentials, profiles and regions are found as every AWS tool finds them: what the environment says
//! beyond keys, endpoint and region, the SDK reads itself. TLS is ring, passed explicitly, since the SDK's own default is another provider.

use std::fmt;
use std::ops::Range;
use std::time::SystemTime;

use aws_config::BehaviorVersion;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::credentials::EnvironmentVariableCredentialsProvider;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use futures_util::stream;
use reqwest::Url;

use crate::args::Credentials as Account;
use crate::object::with_patience;
use crate::{ByteStream, Checksum, Error, Object, Options, Page, Storage, Timeouts, Version};

/// A bucket.
pub(crate) struct Bucket {
    client: Client,
    name: String,
    /// Where it is asked for, unless that follows from the region.
    endpoint: Option<String>,
    timeouts: Timeouts,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Bucket {
    pub(crate) async fn open(name: &str, options: &Options) -> Result<Self, Error> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(options.timeouts.connect)
            .read_timeout(options.timeouts.read)
            .build();
        let http = http_client(options)?;
        let region = match &options.region {
            Some(region) => RegionProviderChain::first_try(Region::new(region.clone())),
            None => region_of_the_machine(&http),
        };
        let region = region.region().await;
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.clone())
            .region(region.clone())
            // One request per call: retries are the caller's.
            .retry_config(RetryConfig::standard().with_max_attempts(1))
            .timeout_config(timeouts)
            // Silence is bounded by our own patience, which does not count slow readers.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if options.anonymous {
            loader = loader.no_credentials();
        } else if let Some(Account { key, secret, token }) = options.credentials.clone() {
            loader = loader.credentials_provider(Credentials::new(
                key,
                secret,
                token,
                None,
                "environment",
            ));
        } else if options.endpoint.as_deref().is_some_and(is_ones_own) {
            loader = loader.credentials_provider(accounts_given(&http, region));
        }
        let config = aws_sdk_s3::config::Builder::from(&loader.load().await)
            .force_path_style(options.path_style)
            // S3-compatible stores reject what the SDK does when it may choose.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        let client = Client::from_conf(config);
        Ok(Self {
            client,
            name: name.to_owned(),
            endpoint: options.endpoint.clone(),
            timeouts: options.timeouts,
        })
    }

    fn address(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    /// The meaning of an SDK error. The address names no host, so that one that does not answer is named here.
    fn failure<E>(&self, key: &str, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match (failure(self.address(key), error), &self.endpoint) {
            (Error::Unreachable { object, reason, .. }, Some(endpoint))
                if status(error).is_none() =>
            {
                Error::unreachable(object, format!("{endpoint} does not answer: {reason}"))
            }
            (failure, _) => failure,
        }
    }
}

#[async_trait::async_trait]
impl Storage for Bucket {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, Error> {
        let answer = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(prefix)
            .set_continuation_token(after.map(str::to_owned))
            .send()
            .await
            .map_err(|error| self.failure(prefix, &error))?;
        let objects = answer.contents().iter().filter_map(|found| {
            Some(Object {
                key: found.key()?.to_owned(),
                size: found.size().and_then(|size| u64::try_from(size).ok()),
                version: Version {
                    etag: found.e_tag().map(str::to_owned),
                    ..Version::default()
                },
                modified: found
                    .last_modified()
                    .and_then(|at| SystemTime::try_from(*at).ok()),
                checksums: Vec::new(),
                ranges: true,
                endless: false,
            })
        });
        let more = answer.is_truncated().unwrap_or(false);
        let next = answer
            .next_continuation_token()
            .filter(|_| more)
            .map(str::to_owned);
        Ok(Page {
            objects: objects.collect(),
            next,
        })
    }

    async fn head(&self, key: &str, known: Option<&Version>) -> Result<Option<Object>, Error> {
        let answer = self
            .client
            .head_object()
            .bucket(&self.name)
            .key(key)
            .checksum_mode(ChecksumMode::Enabled)
            .set_if_none_match(known.and_then(|known| known.etag.clone()))
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if status(&error) == Some(304) => return Ok(None),
            Err(error) => return Err(self.failure(key, &error)),
        };
        let object = Object {
            key: key.to_owned(),
            size: answer
                .content_length()
                .and_then(|size| u64::try_from(size).ok()),
            version: Version {
                // "null" is what an unversioned bucket calls each of its objects.
                id: answer
                    .version_id()
                    .filter(|id| *id != "null")
                    .map(str::to_owned),
                etag: answer.e_tag().map(str::to_owned),
                modified: None,
            },
            modified: answer
                .last_modified()
                .and_then(|at| SystemTime::try_from(*at).ok()),
            checksums: checksums(&answer),
            ranges: true,
            endless: false,
        };
        let marked = object.version.label().is_some();
        Ok(Some(object).filter(|object| !(marked && known == Some(&object.version))))
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<ByteStream, Error> {
        let address = self.address(&object.key);
        if range.as_ref().is_some_and(Range::is_empty) {
            return Ok(Box::pin(stream::empty()));
        }
        let answer = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(&object.key)
            .set_version_id(object.version.id.clone())
            .set_if_match(object.version.strong_etag().map(str::to_owned))
            .set_range(
                range
                    .as_ref()
                    .map(|part| format!("bytes={}-{}", part.start, part.end - 1)),
            )
            .send()
            .await
            .map_err(|error| match status(&error) {
                Some(412 | 416) => Error::Changed {
                    object: address.clone(),
                },
                _ => self.failure(&object.key, &error),
            })?;
        // Some compatible stores do not know If-Match, or ranges.
        let now = Version {
            etag: answer.e_tag().map(str::to_owned),
            ..Version::default()
        };
        let part = answer
            .content_range()
            .map(|part| part.trim_start_matches("bytes ").to_owned());
        let right_part = match (&range, part) {
            (Some(range), Some(part)) => part.starts_with(&format!("{}-", range.start)),
            (Some(range), None) => Some(range) == object.size.map(|size| 0..size).as_ref(),
            (None, _) => true,
        };
        if !now.agrees_with(&object.version) || !right_part {
            return Err(Error::Changed { object: address });
        }
        let name = address.clone();
        let body = stream::unfold(answer.body, move |mut body| {
            let name = name.clone();
            async move {
                let chunk = body.next().await?;
                let cut = |error| Error::unreachable(name, in_words(&error));
                Some((chunk.map_err(cut), body))
            }
        });
        Ok(with_patience(Box::pin(body), address, self.timeouts.read))
    }
}

/// The region that the environment, a profile or the machine's metadata say. The SDK's own chain of
/// these would ask for the metadata by an HTTP client of its own, has none here, and panics.
fn region_of_the_machine(http: &SharedHttpClient) -> RegionProviderChain {
    let config = ProviderConfig::without_region().with_http_client(http.clone());
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(ImdsRegionProvider::builder().configure(&config).build())
        .or_else("us-east-1")
}

/// Whether this endpoint is none of the cloud's.
fn is_ones_own(endpoint: &str) -> bool {
    let host = Url::parse(endpoint)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    let domains = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
    !host.is_some_and(|host| domains.iter().any(|domain| host.ends_with(domain)))
}

/// The SDK's own chain of accounts without the machine's role: the cloud's metadata service knows no
/// account of a store of one's own, and is waited for in vain outside the cloud. A profile may name it.
fn accounts_given(http: &SharedHttpClient, region: Option<Region>) -> CredentialsProviderChain {
    let config = ProviderConfig::without_region()
        .with_http_client(http.clone())
        .with_region(region);
    let profile = ProfileFileCredentialsProvider::builder().configure(&config);
    let identity = WebIdentityTokenCredentialsProvider::builder().configure(&config);
    let container = EcsCredentialsProvider::builder().configure(&config);
    let environment = EnvironmentVariableCredentialsProvider::new();
    CredentialsProviderChain::first_try("Environment", environment)
        .or_else("Profile", profile.build())
        .or_else("WebIdentityToken", identity.build())
        .or_else("EcsContainer", container.build())
}

/// The HTTP client with ring, our certificate authorities and the environment's proxy.
fn http_client(options: &Options) -> Result<SharedHttpClient, Error> {
    let mut roots = TrustStore::default();
    if let Some(pem) = crate::tls::ca_file(options)? {
        roots.add_pem_certificate(pem);
    }
    let tls = TlsContext::builder()
        .with_trust_store(roots)
        .build()
        .map_err(|error| Error::Config(format!("set up TLS: {error}")))?;
    let plain = options
        .endpoint
        .as_ref()
        .is_some_and(|url| url.starts_with("http:"));
    let proxy = proxy(options, plain)?;
    let max_idle = 16;
    Ok(Builder::new()
        .pool_max_idle_per_host(max_idle)
        .build_with_connector_fn(move |settings, components| {
            let mut connector = Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(tls.clone())
                .proxy_config(proxy.clone());
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(
                components.and_then(aws_sdk_s3::config::RuntimeComponents::sleep_impl),
            );
            connector.build()
        }))
}

fn proxy(options: &Options, plain: bool) -> Result<ProxyConfig, Error> {
    let proxies = &options.proxies;
    let Some(url) = (if plain { &proxies.http } else { &proxies.https }) else {
        return Ok(ProxyConfig::disabled());
    };
    let proxy = ProxyConfig::all(url)
        .map_err(|_| Error::Config("the proxy variable holds no address".to_owned()))?;
    Ok(match &proxies.except {
        Some(hosts) => proxy.no_proxy(hosts),
        None => proxy,
    })
}

/// What the store keeps about the whole object; checksums of parts are of no use here.
fn checksums(answer: &HeadObjectOutput) -> Vec<Checksum> {
    if answer.checksum_type() == Some(&ChecksumType::Composite) {
        return Vec::new();
    }
    [
        answer
            .checksum_sha256()
            .and_then(Checksum::sha256_from_base64),
        answer
            .checksum_crc64_nvme()
            .and_then(Checksum::crc64nvme_from_base64),
        answer
            .checksum_crc32_c()
            .and_then(Checksum::crc32c_from_base64),
        answer
            .checksum_crc32()
            .and_then(Checksum::crc32_from_base64),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// The chain of causes: the SDK's own rendering adds whole requests and responses to it.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

/// The meaning of an SDK error.
fn failure<E>(object: String, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.code().unwrap_or_default();
    let words = match (error.message(), status(error)) {
        (Some(message), _) => format!("{code}: {message}"),
        // Answers of proxies and of HEAD have no words of their own.
        (None, Some(status)) => format!("the server says {status}"),
        (None, None) => in_words(error),
    };
    match (status(error), code) {
        (_, "NoSuchBucket") => Error::NoBucket { object },
        (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") | (Some(401 | 403), _) => {
            Error::Denied {
                object,
                reason: words,
            }
        }
        // HEAD has no words, and S3 answers so once a session is over.
        (Some(400), "") => Error::Denied {
            object,
            reason: format!("{words}, as for a session that has expired"),
        },
        (_, "SlowDown" | "RequestTimeout") | (Some(408 | 429 | 500..), _) => {
            Error::unreachable(object, words)
        }
        (Some(404), _) => Error::NotFound { object },
        (Some(301 | 307), _) => Error::Refused {
            object,
            reason: "the bucket is in another region: give --region".to_owned(),
        },
        (Some(status), _) => Error::Refused {
            object,
            reason: format!("{words} ({status})"),
        },
        (None, _) if words.to_lowercase().contains("credential") => Error::Denied {
            object,
            reason: format!("no usable credentials (or give --anonymous): {words}"),
        },
        (None, _) => crate::tls::unanswered(object, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clouds_endpoints_are_known_by_their_hosts() {
        for (endpoint, own) in [
            ("http://minio:9000", true),
            ("http://127.0.0.1:9000", true),
            ("https://s3.example.com/amazonaws.com", true),
            ("https://notamazonaws.com", true),
            ("https://s3.eu-west-1.amazonaws.com", false),
            ("https://S3.cn-north-1.amazonaws.com.cn", false),
            ("https://s3.eu-west-1.api.aws", false),
        ] {
            assert_eq!(is_ones_own(endpoint), own, "{endpoint}");
        }
    }
}
