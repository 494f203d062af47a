//! TLS modes over a driver that knows only "on" with switches.
//!
//! The driver keeps its built-in roots beside a CA of ours unless told, and its switch that skips
//! the name check looks for a spelling that rustls has changed since: verify-ca is therefore made
//! from the name the certificate itself presents, after its chain was found good.

use mysql_async::{ClientIdentity, DriverError, IoError, SslOpts};
use rustls::CertificateError;

use crate::Error;
use crate::settings::{Tls, TlsMode};

/// The driver's switches for `mode`, files read and checked now.
pub(super) async fn options(tls: &Tls, mode: TlsMode) -> Result<SslOpts, Error> {
    let verify = matches!(mode, TlsMode::VerifyCa | TlsMode::VerifyFull);
    let mut options = SslOpts::default().with_danger_accept_invalid_certs(!verify);
    if let (true, Some(path)) = (verify, &tls.ca) {
        let (roots, _) = crate::tls::certificates(path).await?;
        options = options
            .with_root_certs(vec![roots.into()])
            .with_disable_built_in_roots(true);
    }
    if let Some((chain_path, key_path)) = &tls.identity {
        let (chain, _) = crate::tls::certificates(chain_path).await?;
        let (key, _) = crate::tls::private_key(key_path).await?;
        options = options.with_client_identity(Some(ClientIdentity::new(chain.into(), key.into())));
    }
    Ok(options)
}

/// Whether `error` is about TLS, not about the account or the network.
pub(super) fn failed(error: &mysql_async::Error) -> bool {
    matches!(
        error,
        mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer)
    ) || matches!(error, mysql_async::Error::Io(IoError::Tls(_)))
        || crate::tls::rustls_error(error).is_some()
}

/// A name that the server's certificate is valid for, when the name was all that was wrong with it.
pub(super) fn presented_name(error: &mysql_async::Error) -> Option<String> {
    let Some(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
        presented,
        ..
    })) = crate::tls::rustls_error(error)
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
