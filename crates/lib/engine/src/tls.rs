//! What all drivers share of TLS: PEM files, and what rustls says of a failure.

use std::error::Error as Cause;
use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;

/// A file of one certificate or more: its bytes, and what is in it. A driver would take anything that is no PEM
/// for DER, even an empty file.
///
/// # Errors
/// `Config`, with the file's name.
pub(crate) async fn certificates(
    path: &Path,
) -> Result<(Vec<u8>, Vec<CertificateDer<'static>>), Error> {
    let pem = read(path).await?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| {
        Error::Config(format!(
            "read the certificates in {}: {error}",
            path.display()
        ))
    })?;
    if found.is_empty() {
        return Err(Error::Config(format!(
            "{} holds no PEM certificate",
            path.display()
        )));
    }
    Ok((pem, found))
}

/// A file of a private key: its bytes, and the key.
///
/// # Errors
/// `Config`, with the file's name.
pub(crate) async fn private_key(path: &Path) -> Result<(Vec<u8>, PrivateKeyDer<'static>), Error> {
    let pem = read(path).await?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        Error::Config(format!("read the private key {}: {error}", path.display()))
    })?;
    Ok((pem, key))
}

async fn read(path: &Path) -> Result<Vec<u8>, Error> {
    tokio::fs::read(path)
        .await
        .map_err(|error| Error::Config(format!("read {}: {error}", path.display())))
}

/// The rustls error inside, if there is one: drivers hand it over wrapped in I/O errors.
pub(crate) fn rustls_error<'e>(error: &'e (dyn Cause + 'static)) -> Option<&'e rustls::Error> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let io = inner.downcast_ref::<std::io::Error>();
        cause = match io.and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => inner.source(),
        };
    }
    None
}

/// A failure of TLS by meaning.
pub(crate) fn meaning(error: &rustls::Error) -> Error {
    use rustls::{CertificateError as Bad, Error as Tls};
    match error {
        Tls::InvalidCertificate(Bad::UnknownIssuer) => Error::Config(
            "the server's certificate is not signed by a trusted CA: name its CA with --tls-ca"
                .to_owned(),
        ),
        Tls::InvalidCertificate(Bad::NotValidForNameContext { .. }) => Error::Config(format!(
            "{error}: connect by that name, or use --tls-mode verify-ca"
        )),
        Tls::InvalidCertificate(_) | Tls::NoCertificatesPresented | Tls::General(_) => {
            Error::Config(format!("use TLS: {error}"))
        }
        _ => Error::Unreachable(format!("use TLS: {error}")),
    }
}
