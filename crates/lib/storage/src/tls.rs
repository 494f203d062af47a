//! Whom to trust: the system's certificate authorities and those of `--ca-file`.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::{Error, Options};

/// The certificates of `--ca-file` as they stand in the file, checked: the S3 client panics on a file
/// without certificates.
pub(crate) fn ca_file(options: &Options) -> Result<Option<Vec<u8>>, Error> {
    let Some(path) = &options.ca_file else {
        return Ok(None);
    };
    let name = path.display();
    let pem = std::fs::read(path)
        .map_err(|error| Error::Config(format!("read the CA file {name}: {error}")))?;
    certificates(&pem)
        .map(|_| Some(pem))
        .ok_or_else(|| Error::Config(format!("read the CA file {name}: it holds no certificate")))
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates
        .ok()
        .filter(|certificates| !certificates.is_empty())
}

/// A failed request in the clients' words, by meaning: a certificate that is refused now is refused
/// in a moment as well. Neither client hands out rustls's own error.
pub(crate) fn unanswered(object: String, words: String) -> Error {
    match words.split_once("invalid peer certificate: ") {
        Some((_, reason)) => Error::Untrusted {
            object,
            reason: reason.to_owned(),
        },
        None => Error::unreachable(object, words),
    }
}

/// The TLS client of http(s), with ring as everywhere in pilotfish.
pub(crate) fn client(options: &Options) -> Result<rustls::ClientConfig, Error> {
    let mut roots = rustls::RootCertStore::empty();
    let (system, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = ca_file(options)? {
        roots.add_parsable_certificates(certificates(&pem).unwrap_or_default());
    } else if system == 0 {
        tracing::warn!(
            "no certificate authorities found: https will fail; mount a CA bundle or give --ca-file"
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Config(format!("set up TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
