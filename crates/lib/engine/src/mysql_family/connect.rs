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

/// Opens one session. The driver takes `max_allowed_packet` from the server.
///
/// # Errors
/// As [`Settings::in_time`] and [`crate::settings::Attempts`].
pub(crate) async fn connect(settings: &Settings, setup: &SessionSetup) -> Result<Conn, Error> {
    settings.in_time(authenticate(settings, setup)).await
}

async fn authenticate(settings: &Settings, setup: &SessionSetup) -> Result<Conn, Error> {
    let mut attempts = settings.password.attempts().await?;
    loop {
        let password = attempts.next()?;
        match open(settings, setup, password.as_ref()).await {
            Ok(mut conn) => {
                attempts.took(password);
                for statement in &setup.statements {
                    conn.query_drop(statement).await?;
                }
                return Ok(conn);
            }
            Err(error) => attempts.failed(password, error)?,
        }
    }
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
