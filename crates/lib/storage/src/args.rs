//! Flags and settings of storages.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};

use crate::azure;

/// Flags of tools that read from storages.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Source")]
pub struct StorageArgs {
    /// Store of one's own: http://minio:9000, http://azurite:10000/ACCOUNT
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// S3 region [else AWS_REGION, the profile; us-east-1 with an endpoint]
    #[arg(long, hide_short_help = true, value_name = "NAME")]
    pub region: Option<String>,
    /// Bucket in the path of URLs: auto (with an endpoint), always, never
    #[arg(
        long,
        hide_short_help = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub path_style: PathStyle,
    /// Read a public bucket or container without credentials
    #[arg(long, hide_short_help = true)]
    pub anonymous: bool,
    /// "Name: value" to send with http(s), not to other hosts; repeatable
    #[arg(long, hide_short_help = true, value_name = "HEADER")]
    pub header: Vec<String>,
    /// File with a bearer token for http(s), read again for each request
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub bearer_token_file: Option<PathBuf>,
    /// PEM file of certificate authorities to trust besides the system's
    #[arg(long, hide_short_help = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Where an S3 address has its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PathStyle {
    /// In the path when there is an endpoint of one's own.
    Auto,
    /// In the path.
    Always,
    /// In the host name.
    Never,
}

/// How long to wait for a storage.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For an answer to begin, and then for each next piece of it.
    pub read: Duration,
}

/// Checked settings of storages. `Debug` shows no secret.
#[derive(Clone)]
pub struct Options {
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) path_style: bool,
    pub(crate) anonymous: bool,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) bearer_token_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) timeouts: Timeouts,
    pub(crate) proxies: Proxies,
    /// From the environment; without them the SDK looks at profiles, web identity and metadata.
    pub(crate) credentials: Option<Credentials>,
    pub(crate) azure: azure::Settings,
}

/// An S3 account.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

/// Proxies by scheme, as the environment names them.
#[derive(Clone, Default)]
pub(crate) struct Proxies {
    pub(crate) http: Option<String>,
    pub(crate) https: Option<String>,
    pub(crate) except: Option<String>,
}

impl StorageArgs {
    /// Checks the flags and takes proxies, endpoint, region and account from the environment `get`.
    ///
    /// # Errors
    /// One sentence for every mistake. Header values are not repeated: they may be secrets.
    pub fn into_options(
        self,
        get: impl Fn(&str) -> Option<String>,
        timeouts: Timeouts,
    ) -> Result<Options, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut headers = Vec::new();
        for (at, header) in self.header.iter().enumerate() {
            match parse_header(header) {
                Some(header) => headers.push(header),
                None => mistakes.push(format!("--header number {} is not \"Name: value\"", at + 1)),
            }
        }
        let either = |a: &str, b: &str| get(a).or_else(|| get(b));
        let azure = azure::Settings::read(&get, self.endpoint.clone());
        mistakes.extend(azure.mistake());
        let endpoint = self
            .endpoint
            .or_else(|| either("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"));
        if let Some(endpoint) = &endpoint
            && !is_plain_address(endpoint)
        {
            mistakes.push(
                "--endpoint is no plain address: write http://host:port, without user or password"
                    .to_owned(),
            );
        }
        let region = self.region.or_else(|| {
            // Without an endpoint the SDK finds the region in profiles and metadata as well.
            endpoint.as_ref()?;
            either("AWS_REGION", "AWS_DEFAULT_REGION").or_else(|| Some("us-east-1".to_owned()))
        });
        let all = either("all_proxy", "ALL_PROXY");
        let proxies = Proxies {
            http: either("http_proxy", "HTTP_PROXY").or_else(|| all.clone()),
            https: either("https_proxy", "HTTPS_PROXY").or(all),
            except: either("no_proxy", "NO_PROXY"),
        };
        let credentials = match (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
            (Some(key), Some(secret)) => Some(Credentials {
                key,
                secret,
                token: get("AWS_SESSION_TOKEN"),
            }),
            _ => None,
        };
        let path_style = match self.path_style {
            PathStyle::Auto => endpoint.is_some(),
            PathStyle::Always => true,
            PathStyle::Never => false,
        };
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Options {
            endpoint,
            region,
            path_style,
            anonymous: self.anonymous,
            headers,
            bearer_token_file: self.bearer_token_file,
            ca_file: self.ca_file,
            timeouts,
            proxies,
            credentials,
            azure,
        })
    }
}

impl Options {
    /// The same settings for another host: without headers and bearer token.
    #[must_use]
    pub fn without_http_credentials(&self) -> Self {
        Self {
            headers: Vec::new(),
            bearer_token_file: None,
            ..self.clone()
        }
    }
}

/// Whether this is an http(s) address without a place for secrets: those come from files and
/// variables, since addresses end up in logs.
#[must_use]
pub fn is_plain_address(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| {
        let bare = url.username().is_empty() && url.password().is_none();
        let ends_with_path = url.query().is_none() && url.fragment().is_none();
        matches!(url.scheme(), "http" | "https") && url.host().is_some() && bare && ends_with_path
    })
}

fn parse_header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, _)| format!("{name}: ***"))
            .collect();
        let proxies = [&self.proxies.http, &self.proxies.https];
        let proxies: Vec<_> = proxies
            .into_iter()
            .flatten()
            .map(|url| crate::address::without_secrets(url))
            .collect();
        f.debug_struct("Options")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .field("anonymous", &self.anonymous)
            .field("headers", &headers)
            .field("bearer_token_file", &self.bearer_token_file)
            .field("ca_file", &self.ca_file)
            .field("timeouts", &self.timeouts)
            .field("proxies", &proxies)
            .field("azure", &self.azure)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        storage: StorageArgs,
    }

    fn options(words: &[&str], env: &[(&str, &str)]) -> Result<Options, Vec<String>> {
        use clap::Parser;
        let line = Line::parse_from(std::iter::once("x").chain(words.iter().copied()));
        let timeouts = Timeouts {
            connect: Duration::from_secs(1),
            read: Duration::from_secs(1),
        };
        let get = |name: &str| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        line.storage.into_options(get, timeouts)
    }

    #[test]
    fn an_endpoint_brings_path_style_and_a_region() {
        let own = options(&["--endpoint", "http://minio:9000"], &[]).unwrap();
        assert!(own.path_style);
        assert_eq!(own.region.as_deref(), Some("us-east-1"));
        let aws = options(&[], &[("AWS_REGION", "eu-west-1")]).unwrap();
        assert!(!aws.path_style);
        assert_eq!(aws.region, None);
        let env = options(
            &[],
            &[("AWS_ENDPOINT_URL", "http://weed"), ("AWS_REGION", "eu")],
        );
        assert_eq!(env.unwrap().region.as_deref(), Some("eu"));
    }

    #[test]
    fn all_mistakes_come_at_once_and_without_secrets() {
        let words = [
            "--header",
            "s3cr3t",
            "--header",
            "A b: s3cr3t",
            "--endpoint",
            "minio:9000",
        ];
        let mistakes = options(&words, &[]).unwrap_err();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(!format!("{mistakes:?}").contains("s3cr3t"));
        let env = [("AWS_ENDPOINT_URL", "http://me:s3cr3t@minio:9000")];
        let mistakes = options(&[], &env).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(!format!("{mistakes:?}").contains("s3cr3t"));
        for proxy in ["http://me:s3cr3t@proxy:3128", "me:s3cr3t@proxy:3128"] {
            let good = options(&["--header", "X-Key: s3cr3t"], &[("HTTPS_PROXY", proxy)]).unwrap();
            assert!(!format!("{good:?}").contains("s3cr3t"), "{good:?}");
        }
    }
}
