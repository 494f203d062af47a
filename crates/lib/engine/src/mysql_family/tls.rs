//! TLS modes over a driver that knows only "on" with switches.
//!
//! The driver keeps its built-in roots beside a CA of ours unless told, and its switch that skips
//! the name check looks for a spelling that rustls has changed since: verify-ca is therefore made
//! from the name the certificate itself presents, after its chain was found good.

use std::error::Error as _;
use std::path::Path;

use mysql_async::{ClientIdentity, DriverError, IoError, SslOpts};
use rustls::CertificateError;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;
use crate::settings::{Tls, TlsMode};

/// The driver's switches for `mode`, files read and checked now.
pub(super) async fn options(tls: &Tls, mode: TlsMode) -> Result<SslOpts, Error> {
    let verify = matches!(mode, TlsMode::VerifyCa | TlsMode::VerifyFull);
    let mut options = SslOpts::default().with_danger_accept_invalid_certs(!verify);
    if let (true, Some(path)) = (verify, &tls.ca) {
        let pem = read(path).await?;
        certificates(path, &pem)?;
        options = options
            .with_root_certs(vec![pem.into()])
            .with_disable_built_in_roots(true);
    }
    if let Some((chain_path, key_path)) = &tls.identity {
        let chain = read(chain_path).await?;
        certificates(chain_path, &chain)?;
        let key = read(key_path).await?;
        PrivateKeyDer::from_pem_slice(&key).map_err(|error| {
            Error::Config(format!(
                "read the private key {}: {error}",
                key_path.display()
            ))
        })?;
        options = options.with_client_identity(Some(ClientIdentity::new(chain.into(), key.into())));
    }
    Ok(options)
}

async fn read(path: &Path) -> Result<Vec<u8>, Error> {
    tokio::fs::read(path)
        .await
        .map_err(|error| Error::Config(format!("read {}: {error}", path.display())))
}

/// The driver takes anything that is no PEM for DER, even an empty file: refused here with the
/// file's name.
fn certificates(path: &Path, pem: &[u8]) -> Result<(), Error> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        certificate.map_err(|error| {
            Error::Config(format!(
                "read the certificates in {}: {error}",
                path.display()
            ))
        })?;
        count += 1;
    }
    if count == 0 {
        return Err(Error::Config(format!(
            "{} holds no PEM certificate",
            path.display()
        )));
    }
    Ok(())
}

/// Whether `error` is about TLS, not about the account or the network.
pub(super) fn failed(error: &mysql_async::Error) -> bool {
    matches!(
        error,
        mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer)
    ) || matches!(error, mysql_async::Error::Io(IoError::Tls(_)))
        || rustls_error(error).is_some()
}

/// The rustls error inside, if there is one: the driver hands it over wrapped in an I/O error.
pub(super) fn rustls_error(error: &mysql_async::Error) -> Option<&rustls::Error> {
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

/// A name that the server's certificate is valid for, when the name was all that was wrong with it.
pub(super) fn presented_name(error: &mysql_async::Error) -> Option<String> {
    let Some(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
        presented,
        ..
    })) = rustls_error(error)
    else {
        return None;
    };
    presented.iter().find_map(|name| {
        // Rendered as DnsName("db.example.org") or IpAddress(10.0.0.7).
        let name = name.strip_suffix(')')?;
        if let Some(dns) = name.strip_prefix("DnsName(") {
            return Some(dns.trim_matches('"').replacen('*', "any", 1));
        }
        name.strip_prefix("IpAddress(").map(ToOwned::to_owned)
    })
}
