//! Tokens of Microsoft Entra: for a workload identity, an application with a secret, or the machine.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, StatusCode, Url, header};
use serde_json::Value;
use tokio::sync::Mutex;

use super::encoded;
use crate::{Error, Options, http};

/// A token is not used in its last minutes: a clock may be wrong, and a request takes time.
const MARGIN: Duration = Duration::from_secs(300);
/// The metadata service is on the machine, or nowhere.
const METADATA_CONNECT: Duration = Duration::from_secs(2);

/// How to come by a token.
pub(super) enum Way {
    /// The service account of a pod, whose projected token is exchanged.
    Federated {
        url: Url,
        client: String,
        file: PathBuf,
    },
    /// An application.
    Secret {
        url: Url,
        client: String,
        secret: String,
    },
    /// The machine, or what is assigned to it.
    Managed { url: Url },
}

/// Somebody whose tokens open containers.
pub(super) struct Identity {
    client: Client,
    way: Way,
    token: Mutex<Option<Token>>,
}

struct Token {
    text: String,
    until: Instant,
}

impl Identity {
    pub(super) fn new(way: Way, options: &Options) -> Result<Self, Error> {
        let client = match way {
            // No proxy knows the machine's own address.
            Way::Managed { .. } => http::client_builder(options)?
                .connect_timeout(METADATA_CONNECT)
                .build()
                .map_err(|error| Error::Config(format!("set up http: {error}")))?,
            _ => http::client(options)?,
        };
        Ok(Self {
            client,
            way,
            token: Mutex::default(),
        })
    }

    /// A token that is good for a while; connections in parallel wait for the same one.
    pub(super) async fn token(&self, object: &str) -> Result<String, Error> {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref()
            && Instant::now() < token.until
        {
            return Ok(token.text.clone());
        }
        let token = self.fetch(object).await?;
        let text = token.text.clone();
        *kept = Some(token);
        Ok(text)
    }

    async fn fetch(&self, object: &str) -> Result<Token, Error> {
        let asked = Instant::now();
        let answer = self.request(object)?.send().await;
        let answer = answer.map_err(|error| self.unanswered(object, error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await;
        let bytes = bytes.map_err(|error| http::cut(object, error))?;
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() {
            let reason = format!("{} says {}", self.service(), in_words(status, &said));
            return Err(match status.as_u16() {
                // The metadata service has 404 and 410 while it starts.
                404 | 408 | 410 | 429 | 500.. => Error::Unreachable {
                    object: object.to_owned(),
                    reason,
                    retry_after: http::retry_after(&headers),
                },
                _ => Error::Denied {
                    object: object.to_owned(),
                    reason,
                },
            });
        }
        let Some(text) = said["access_token"].as_str() else {
            let reason = format!("{} gives no token", self.service());
            return Err(Error::unreachable(object, reason));
        };
        // Seconds, which one service writes as a number and the other as text.
        let lives = &said["expires_in"];
        let lives = lives.as_u64().or_else(|| lives.as_str()?.parse().ok());
        let lives = Duration::from_secs(lives.unwrap_or(0).min(86_400));
        Ok(Token {
            text: text.to_owned(),
            until: asked + lives - MARGIN.min(lives / 2),
        })
    }

    fn request(&self, object: &str) -> Result<RequestBuilder, Error> {
        Ok(match &self.way {
            Way::Managed { url } => self.client.get(url.clone()).header("Metadata", "true"),
            Way::Secret {
                url,
                client,
                secret,
            } => self.exchange(url, &[("client_id", client), ("client_secret", secret)]),
            Way::Federated { url, client, file } => {
                // Rotated by the kubelet: read for each exchange.
                let token = std::fs::read_to_string(file).map_err(|error| Error::Denied {
                    object: object.to_owned(),
                    reason: format!(
                        "the token file {} of AZURE_FEDERATED_TOKEN_FILE cannot be read: {error}",
                        file.display()
                    ),
                })?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let proof = [
                    ("client_id", client.as_str()),
                    ("client_assertion_type", kind),
                    ("client_assertion", token.trim()),
                ];
                self.exchange(url, &proof)
            }
        })
    }

    fn exchange(&self, url: &Url, proof: &[(&str, &str)]) -> RequestBuilder {
        let asked = [
            ("grant_type", "client_credentials"),
            ("scope", "https://storage.azure.com/.default"),
        ];
        let fields = asked.iter().chain(proof);
        let fields: Vec<_> = fields
            .map(|(name, value)| format!("{name}={}", encoded(value, b"")))
            .collect();
        self.client
            .post(url.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(fields.join("&"))
    }

    fn unanswered(&self, object: &str, error: reqwest::Error) -> Error {
        let nobody = error.is_connect() && matches!(self.way, Way::Managed { .. });
        match http::cut(object, error) {
            Error::Unreachable { object, .. } if nobody => Error::Denied {
                object,
                reason: "no usable credentials (or give --anonymous): neither key, SAS token nor \
                         workload identity is in the environment, and this machine has no identity"
                    .to_owned(),
            },
            Error::Unreachable { object, reason, .. } => {
                Error::unreachable(object, format!("{}: {reason}", self.service()))
            }
            other => other,
        }
    }

    fn service(&self) -> &'static str {
        match self.way {
            Way::Managed { .. } => "the machine's metadata service",
            _ => "the token service",
        }
    }
}

/// `AADSTS700016: Application ... was not found`, or the status alone.
fn in_words(status: StatusCode, said: &Value) -> String {
    let words = said["error_description"].as_str();
    match words.and_then(|words| words.lines().next()) {
        Some(words) => format!("{words} ({})", status.as_u16()),
        None => status.to_string(),
    }
}
