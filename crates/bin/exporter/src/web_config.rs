//! `--web.config.file` of Prometheus' exporters: TLS, client certificates, users and passwords.

mod users;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::http::{HeaderName, HeaderValue};
use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::Front;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde::Deserialize;

use crate::{locked, yaml};

pub(crate) use users::{Users, only};

/// The file. What it says of ciphers and of HTTP/2 has no effect: rustls offers none that are weak.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    tls_server_config: Option<TlsServer>,
    #[serde(default)]
    http_server_config: HttpServer,
    #[serde(default)]
    basic_auth_users: BTreeMap<String, String>,
    #[serde(default)]
    rate_limit: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsServer {
    cert_file: PathBuf,
    key_file: PathBuf,
    #[serde(default)]
    client_auth_type: ClientAuth,
    client_ca_file: Option<PathBuf>,
    min_version: Option<String>,
    max_version: Option<String>,
    #[serde(default)]
    cipher_suites: Vec<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "taken for the sake of files that have it")]
    prefer_server_cipher_suites: Option<bool>,
    #[serde(default)]
    curve_preferences: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
enum ClientAuth {
    #[default]
    NoClientCert,
    RequestClientCert,
    RequireAnyClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpServer {
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    #[expect(dead_code, reason = "taken for the sake of files that have it")]
    http2: Option<bool>,
}

/// Either of the two that there are, alone.
const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// What the file asks for.
#[derive(Debug, Default)]
pub(crate) struct WebConfig {
    pub(crate) front: Option<Front>,
    pub(crate) users: Users,
    pub(crate) headers: BTreeMap<String, String>,
}

impl WebConfig {
    /// Reads it, and the certificates once: a mistake is told at the start.
    ///
    /// # Errors
    /// `Config`, naming the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |why: String| {
            let message = format!("read {}: {why}", path.display());
            Failure::new(Kind::Config, message)
        };
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let content: Content = match text.trim().is_empty() {
            true => Content::default(),
            false => yaml::read(&text).map_err(wrong)?,
        };
        for (name, value) in &content.http_server_config.headers {
            if name.parse::<HeaderName>().is_err() || value.parse::<HeaderValue>().is_err() {
                return Err(wrong(format!("the header {name} is none that HTTP has")));
            }
        }
        if content.rate_limit.is_some() {
            tracing::warn!(
                "rate_limit of the web config has no effect: one scrape is under way at a time"
            );
        }
        let front = match content.tls_server_config {
            Some(tls) => {
                let passed_over = tls.passed_over();
                if !passed_over.is_empty() {
                    tracing::warn!(keys = ?passed_over, "of the web config these have no effect: what rustls offers is strong, and all of it is offered");
                }
                Some(front(tls.beside(path)).map_err(wrong)?)
            }
            None => None,
        };
        Ok(Self {
            front,
            users: Users::new(content.basic_auth_users).map_err(wrong)?,
            headers: content.http_server_config.headers,
        })
    }
}

impl TlsServer {
    /// Paths are meant from the folder of the file.
    fn beside(mut self, file: &Path) -> Self {
        let folder = file.parent().unwrap_or(Path::new("."));
        self.cert_file = folder.join(&self.cert_file);
        self.key_file = folder.join(&self.key_file);
        self.client_ca_file = self.client_ca_file.map(|path| folder.join(path));
        self
    }

    /// When its files changed last.
    fn changed(&self) -> Vec<Option<SystemTime>> {
        let files = [
            Some(&self.cert_file),
            Some(&self.key_file),
            self.client_ca_file.as_ref(),
        ];
        let changed = |path: &PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
        files.into_iter().flatten().map(changed).collect()
    }

    fn versions(&self) -> Result<&'static [&'static SupportedProtocolVersion], String> {
        let newest = |text: &str| match text {
            "TLS13" => Ok(true),
            "TLS10" | "TLS11" | "TLS12" => Ok(false),
            _ => Err("min_version and max_version: there are TLS12 and TLS13".to_owned()),
        };
        let least = self.min_version.as_deref().map_or(Ok(false), newest)?;
        let most = self.max_version.as_deref().map_or(Ok(true), newest)?;
        match (least, most) {
            (false, true) => Ok(rustls::ALL_VERSIONS),
            (true, true) => Ok(TLS13),
            (false, false) => Ok(TLS12),
            (true, false) => Err("min_version is above max_version".to_owned()),
        }
    }

    /// What it says to no effect.
    fn passed_over(&self) -> Vec<&'static str> {
        let said = [
            ("cipher_suites", !self.cipher_suites.is_empty()),
            ("curve_preferences", !self.curve_preferences.is_empty()),
        ];
        let said = said.into_iter().filter(|(_, is_said)| *is_said);
        said.map(|(name, _)| name).collect()
    }

    fn server_config(&self) -> Result<ServerConfig, String> {
        let at =
            |path: &Path, why: &dyn ToString| format!("{}: {}", path.display(), why.to_string());
        let chain = CertificateDer::pem_file_iter(&self.cert_file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| at(&self.cert_file, &error))?;
        let key = PrivateKeyDer::from_pem_file(&self.key_file);
        let key = key.map_err(|error| at(&self.key_file, &error))?;
        let versions = self.versions()?;
        let builder =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(versions)
                .map_err(|error| error.to_string())?;
        let builder = match (self.client_auth_type, &self.client_ca_file) {
            (ClientAuth::NoClientCert | ClientAuth::RequestClientCert, Some(_)) => {
                return Err(
                    "client_ca_file: no certificate is verified without client_auth_type"
                        .to_owned(),
                );
            }
            (ClientAuth::NoClientCert | ClientAuth::RequestClientCert, None) => {
                builder.with_no_client_auth()
            }
            (ClientAuth::RequireAnyClientCert, _) => {
                return Err("client_auth_type: RequireAnyClientCert proves nothing: use RequireAndVerifyClientCert".to_owned());
            }
            (_, None) => return Err("client_auth_type: verifying needs client_ca_file".to_owned()),
            (kind, Some(path)) => {
                let mut roots = RootCertStore::empty();
                let certificates =
                    CertificateDer::pem_file_iter(path).map_err(|error| at(path, &error))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| at(path, &error))?;
                    roots.add(certificate).map_err(|error| at(path, &error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::new(rustls::crypto::ring::default_provider()),
                );
                let verifier = match kind {
                    ClientAuth::VerifyClientCertIfGiven => verifier.allow_unauthenticated(),
                    _ => verifier,
                };
                builder
                    .with_client_cert_verifier(verifier.build().map_err(|error| at(path, &error))?)
            }
        };
        builder
            .with_single_cert(chain, key)
            .map_err(|error| at(&self.cert_file, &error))
    }
}

/// Reads the certificates again where their files have changed, and goes on with the last good ones where that fails:
/// of a pair that is being renewed one half may be old.
fn front(tls: TlsServer) -> Result<Front, String> {
    let first = (tls.changed(), Arc::new(tls.server_config()?));
    let known = Mutex::new(first);
    Ok(Front::new(move || {
        let mut known = locked(&known);
        let changed = tls.changed();
        if changed != known.0 {
            // Said once for each change.
            known.0 = changed;
            match tls.server_config() {
                Ok(config) => known.1 = Arc::new(config),
                Err(error) => tracing::warn!(%error, "cannot read the new certificate"),
            }
        }
        Ok(Arc::clone(&known.1))
    }))
}
