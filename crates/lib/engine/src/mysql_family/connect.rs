//! Opens authenticated sessions, one connection at a time.
//!
//! The driver's options cache the TLS connector and its pool keeps old passwords, so options are
//! built anew for each connection and there is no pool. The driver would also move a TCP session
//! onto the server's own `@@socket`, which belongs to another container: that is off.

use std::time::Duration;

use mysql_async::{Conn, Opts, OptsBuilder, SslOpts};

use super::ask::Ask as _;
use super::tls;
use crate::settings::{Route, Secret, TlsMode};
use crate::{Error, Settings};

/// First keepalive probe on an idle connection: below the idle limits of common proxies.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What a session needs beyond an account.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionSetup {
    /// Default database; it must exist.
    pub(crate) database: Option<String>,
    /// Statements that run first, in this order.
    pub(crate) statements: Vec<String>,
}

/// Opens one session.
///
/// The password in force is tried first, then the last one that worked. The driver takes
/// `max_allowed_packet` from the server.
///
/// # Errors
/// [`Error::Unreachable`] also when the server took the connection but did not finish the handshake
/// within the connect timeout; it names the route.
pub(crate) async fn connect(settings: &Settings, setup: &SessionSetup) -> Result<Conn, Error> {
    let limit = settings.connect_timeout;
    match tokio::time::timeout(limit, authenticate(settings, setup)).await {
        Ok(Err(Error::Unreachable(reason))) => {
            Err(Error::Unreachable(format!("{settings}: {reason}")))
        }
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Unreachable(format!(
            "{settings}: no session within {limit:?}"
        ))),
    }
}

async fn authenticate(settings: &Settings, setup: &SessionSetup) -> Result<Conn, Error> {
    let (mut denied, mut refused) = (None, None);
    for password in settings.password.candidates().await? {
        match open(settings, setup, password.as_ref()).await {
            Ok(mut conn) => {
                settings.password.worked(password, refused);
                for statement in &setup.statements {
                    conn.query_drop(statement).await?;
                }
                return Ok(conn);
            }
            // The newest password's refusal is the one to report.
            Err(Error::Denied(words)) => {
                denied = denied.or(Some(Error::LoginRefused(words)));
                refused = password;
            }
            Err(error) => return Err(error),
        }
    }
    Err(denied.unwrap_or_else(|| Error::Config("no password to try".to_owned())))
}

async fn open(
    settings: &Settings,
    setup: &SessionSetup,
    password: Option<&Secret>,
) -> Result<Conn, Error> {
    let base = base_options(settings, setup, password).await?;
    let mode = settings.tls_mode();
    if mode == TlsMode::Disable {
        return Ok(Conn::new(base).await?);
    }
    let ssl = tls::options(&settings.tls, mode).await?;
    match Conn::new(with_tls(&base, ssl.clone())).await {
        Err(error) if mode == TlsMode::Prefer && tls::failed(&error) => {
            tracing::debug!(server = %settings, %error, "no TLS, going on in plain text");
            Ok(Conn::new(base).await?)
        }
        Err(error) if mode == TlsMode::VerifyCa => match tls::presented_name(&error) {
            Some(name) => {
                let ssl = ssl.with_danger_tls_hostname_override(Some(name));
                Ok(Conn::new(with_tls(&base, ssl)).await?)
            }
            None => Err(error.into()),
        },
        outcome => Ok(outcome?),
    }
}

fn with_tls(base: &OptsBuilder, ssl: SslOpts) -> Opts {
    base.clone().ssl_opts(ssl).into()
}

async fn base_options(
    settings: &Settings,
    setup: &SessionSetup,
    password: Option<&Secret>,
) -> Result<OptsBuilder, Error> {
    let options = OptsBuilder::default()
        .user(Some(settings.user.read().await?))
        .pass(password.map(Secret::reveal))
        .db_name(setup.database.clone())
        .prefer_socket(false)
        .tcp_keepalive(Some(KEEPALIVE));
    Ok(match &settings.route {
        Route::Tcp { host, port } => options.ip_or_hostname(host).tcp_port(*port),
        Route::Socket(path) => options.socket(Some(path.display().to_string())),
    })
}
