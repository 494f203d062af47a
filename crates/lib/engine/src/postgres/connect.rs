//! Opens authenticated sessions, one connection at a time.
//!
//! Options and certificates are read anew for each, so that what was rotated counts at once; there is no pool.
//! The driver moves the packets of a connection in a task of its own, which ends with its client.

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, Transaction};

use super::tls;
use crate::settings::{Route, Secret, TlsMode};
use crate::{Error, Settings};

/// First keepalive probe on an idle connection: below the idle limits of common proxies.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The database that every cluster has, where nobody names one.
const MAINTENANCE: &str = "postgres";
/// How files of sockets begin; the port follows.
const SOCKET_FILE: &str = ".s.PGSQL.";
const DEFAULT_PORT: u16 = 5432;

/// One session. Dropped, it says goodbye to the server as soon as the runtime gets to it.
pub(super) struct Session {
    client: Client,
    packets: JoinHandle<Result<(), tokio_postgres::Error>>,
    certificate_end: Option<u64>,
}

impl Session {
    /// Opens a session in `database`, else in the default one.
    ///
    /// # Errors
    /// As [`Settings::in_time`] and [`crate::settings::Attempts`].
    pub(super) async fn open(settings: &Settings, database: Option<&str>) -> Result<Self, Error> {
        let database = match database {
            Some(name) => name.to_owned(),
            None => settings.database().await?.unwrap_or(MAINTENANCE.to_owned()),
        };
        settings
            .in_time(Self::authenticate(settings, &database))
            .await
    }

    async fn authenticate(settings: &Settings, database: &str) -> Result<Self, Error> {
        let mut attempts = settings.password.attempts().await?;
        loop {
            let password = attempts.next()?;
            match Self::open_by(settings, database, password.as_ref()).await {
                Ok(session) => {
                    attempts.took(password);
                    return Ok(session);
                }
                Err(error) => attempts.failed(password, error)?,
            }
        }
    }

    async fn open_by(
        settings: &Settings,
        database: &str,
        password: Option<&Secret>,
    ) -> Result<Self, Error> {
        let mut config = options(settings, database, password).await?;
        let mode = settings.tls_mode();
        if mode == TlsMode::Disable {
            return Self::connect_plainly(&config).await;
        }
        let (connector, end) = tls::connector(&settings.tls, mode).await?;
        match config.connect(connector).await {
            Ok((client, connection)) => Ok(Self {
                client,
                packets: tokio::spawn(connection),
                certificate_end: end.get().copied(),
            }),
            // As libpq: TLS that fails is no reason to fail where none is asked for.
            Err(error) if mode == TlsMode::Prefer && crate::tls::rustls_error(&error).is_some() => {
                tracing::debug!(server = %settings, %error, "no TLS, going on in plain text");
                config.ssl_mode(SslMode::Disable);
                Self::connect_plainly(&config).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn connect_plainly(config: &Config) -> Result<Self, Error> {
        let (client, connection) = config.connect(NoTls).await?;
        Ok(Self {
            client,
            packets: tokio::spawn(connection),
            certificate_end: None,
        })
    }

    /// When the certificate ends that the server showed, in seconds since the epoch; none without TLS.
    pub(super) fn certificate_end(&self) -> Option<u64> {
        self.certificate_end
    }

    /// A transaction.
    pub(super) async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        Ok(self.client.transaction().await?)
    }

    /// A transaction that may only read. Its statements end soon after whoever asked is gone, however long they
    /// would take: the server looks for him (PostgreSQL 14).
    pub(super) async fn look_only(&mut self) -> Result<Transaction<'_>, Error> {
        let look = self.client.build_transaction().read_only(true);
        let transaction = look.start().await?;
        transaction
            .batch_execute("SET LOCAL client_connection_check_interval = '2s'")
            .await?;
        Ok(transaction)
    }

    /// Ends the session in good order: the server hears of it before this returns.
    pub(super) async fn close(self) {
        drop(self.client);
        if let Ok(Err(error)) = self.packets.await {
            tracing::debug!(%error, "the session ended badly");
        }
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

async fn options(
    settings: &Settings,
    database: &str,
    password: Option<&Secret>,
) -> Result<Config, Error> {
    let mut config = Config::new();
    config
        .user(settings.user.read().await?)
        .dbname(database)
        .application_name("pilotfish")
        .keepalives_idle(KEEPALIVE)
        .ssl_mode(match settings.tls_mode() {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        });
    if let Some(password) = password {
        config.password(password.reveal());
    }
    match &settings.route {
        Route::Tcp { host, port } => config.host(host).port(*port),
        Route::Socket(path) => {
            let (folder, port) = socket(path);
            config.host_path(folder).port(port)
        }
    };
    Ok(config)
}

/// Folder and port of a socket, which people name by its folder or by its file.
fn socket(path: &Path) -> (&Path, u16) {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let port = file
        .strip_prefix(SOCKET_FILE)
        .and_then(|port| port.parse().ok());
    match (port, path.parent()) {
        (Some(port), Some(folder)) => (folder, port),
        _ => (path, DEFAULT_PORT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_named_by_its_folder_or_its_file() {
        let folder = Path::new("/run/postgresql");
        assert_eq!(socket(folder), (folder, 5432));
        assert_eq!(socket(&folder.join(".s.PGSQL.5433")), (folder, 5433));
    }
}
