//! TLS modes over a driver that knows only whether there is TLS: the rest is a verifier of certificates.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    server::ParsedCertificate,
};
use tokio_postgres_rustls::MakeRustlsConnect;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::Error;
use crate::settings::{Tls, TlsMode};

/// When the certificate ends that a server showed, in seconds since the epoch; empty until it has shown one.
pub(super) type CertificateEnd = Arc<OnceLock<u64>>;

/// The driver's TLS for `mode`, files read and checked now, and where to look for what the server shows.
pub(super) async fn connector(
    tls: &Tls,
    mode: TlsMode,
) -> Result<(MakeRustlsConnect, CertificateEnd), Error> {
    let end = CertificateEnd::default();
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Config(format!("use TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier(tls, mode, provider, Arc::clone(&end)).await?);
    let config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some((chain, key)) => {
            let (_, chain) = crate::tls::certificates(chain).await?;
            let (_, key) = crate::tls::private_key(key).await?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| Error::Config(format!("use the client's certificate: {error}")))?
        }
    };
    Ok((MakeRustlsConnect::new(config), end))
}

async fn verifier(
    tls: &Tls,
    mode: TlsMode,
    provider: Arc<CryptoProvider>,
    end: CertificateEnd,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let (chain, trusted) = match mode {
        TlsMode::VerifyCa | TlsMode::VerifyFull => {
            let (chain, trusted) = chain(tls, Arc::clone(&provider)).await?;
            (Some(chain), trusted)
        }
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => (None, Vec::new()),
    };
    Ok(Arc::new(Verifier {
        provider,
        chain,
        trusted,
        any_name: mode == TlsMode::VerifyCa,
        end,
    }))
}

/// The authorities that are trusted, and the certificates of a file.
async fn chain(
    tls: &Tls,
    provider: Arc<CryptoProvider>,
) -> Result<(Arc<WebPkiServerVerifier>, Vec<CertificateDer<'static>>), Error> {
    let mut roots = RootCertStore::empty();
    let mut trusted = Vec::new();
    match &tls.ca {
        Some(path) => {
            (_, trusted) = crate::tls::certificates(path).await?;
            roots.add_parsable_certificates(trusted.iter().cloned());
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map(|chain| (chain, trusted))
        .map_err(|error| Error::Config(format!("use the certificate authorities: {error}")))
}

/// What is asked of the server's certificate; that the server has its key is always asked.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Whose certificates are taken; none asks for nothing (`prefer`, `require`): TLS hides the packets from those
    /// who only listen.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that are trusted themselves: a server may show one that it signed itself.
    trusted: Vec<CertificateDer<'static>>,
    /// A certificate of theirs will do whatever name it carries (`verify-ca`).
    any_name: bool,
    /// Noted of whatever is shown, good or not.
    end: CertificateEnd,
}

/// When a certificate begins and ends, in seconds since the epoch.
fn validity(certificate: &CertificateDer<'_>) -> Option<(u64, u64)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate.validity;
    let [begin, end] = [validity.not_before, validity.not_after];
    Some(
        [begin, end]
            .map(|time| time.to_unix_duration().as_secs())
            .into(),
    )
}

impl Verifier {
    /// One that is trusted itself, as libpq takes it: an authority's own certificate is refused as a server's otherwise.
    fn is_trusted(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> bool {
        let now = now.as_secs();
        let is_valid =
            validity(certificate).is_some_and(|(begin, end)| (begin..=end).contains(&now));
        let is_named = || {
            let parsed = ParsedCertificate::try_from(certificate);
            parsed.is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
        };
        self.trusted.contains(certificate) && is_valid && (self.any_name || is_named())
    }

    /// Where nothing is asked of a certificate, its form is not either: OpenSSL makes some of the first version still,
    /// with which rustls does nothing.
    fn taken(
        &self,
        verdict: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match verdict {
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.chain.is_none() =>
            {
                Ok(HandshakeSignatureValid::assertion())
            }
            verdict => verdict,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some((_, end)) = validity(certificate) {
            let _ = self.end.set(end);
        }
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        if self.is_trusted(certificate, name, now) {
            return Ok(ServerCertVerified::assertion());
        }
        match chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is looked at last, when the chain was found good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.any_name => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        self.taken(verify_tls12_signature(message, certificate, signed, known))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        self.taken(verify_tls13_signature(message, certificate, signed, known))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
