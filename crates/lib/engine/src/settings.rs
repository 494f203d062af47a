//! How to reach one server: route, account, TLS and patience.
//!
//! Values only. Files named here are read at every connect, so a rotated password or certificate
//! needs no restart. `Debug` and `Display` never show a secret.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::{Error, PassFile};

/// Longest credential file that is read, in bytes.
pub(crate) const FILE_LIMIT: u64 = 64 * 1024;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// A setting given as it is, or as the name of a file that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text<T = String> {
    /// The value itself.
    Value(T),
    /// A file that holds the value; line ends at its end do not count.
    File(PathBuf),
}

impl<T: Clone + From<String>> Text<T> {
    /// The value now.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when the file cannot be read: a Secret may be mounted late.
    pub async fn read(&self) -> Result<T, Error> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::File(path) => {
                let mut text = String::new();
                let unreadable = |cause| Error::Unreadable {
                    path: path.clone(),
                    cause,
                };
                let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
                file.take(FILE_LIMIT)
                    .read_to_string(&mut text)
                    .await
                    .map_err(unreadable)?;
                text.truncate(text.trim_end_matches(['\n', '\r']).len());
                Ok(T::from(text))
            }
        }
    }
}

/// The password, and the one that worked last: while a rotation is half done the server may know
/// either.
#[derive(Clone, Default)]
pub struct Password {
    given: Option<Given>,
    known: Arc<Mutex<Known>>,
}

/// How the password is given.
#[derive(Debug, Clone)]
enum Given {
    Text(Text<Secret>),
    /// One that has no line for the account means an account without a password.
    PassFile(PassFile),
}

impl Given {
    async fn read(&self) -> Result<Option<Secret>, Error> {
        match self {
            Self::Text(text) => text.read().await.map(Some),
            Self::PassFile(file) => file.read().await,
        }
    }
}

/// What the server has said about passwords.
#[derive(Default)]
struct Known {
    last_good: Option<Secret>,
    /// One that the server refused while it took the last good one.
    refused: Option<Secret>,
}

impl Password {
    /// The password, or none for accounts that need none.
    #[must_use]
    pub fn new(given: Option<Text<Secret>>) -> Self {
        Self {
            given: given.map(Given::Text),
            known: Arc::default(),
        }
    }

    /// The one that libpq's password file has for the account.
    #[must_use]
    pub fn in_file(file: PassFile) -> Self {
        Self {
            given: Some(Given::PassFile(file)),
            known: Arc::default(),
        }
    }

    /// What to try, in order: the value now, then the last good one where it differs.
    async fn candidates(&self) -> Result<Vec<Option<Secret>>, Error> {
        let Some(given) = &self.given else {
            return Ok(vec![None]);
        };
        let last_good = self.known().last_good.clone();
        match (given.read().await, last_good) {
            (Ok(now), Some(last)) if now.as_ref() != Some(&last) => Ok(vec![now, Some(last)]),
            (Ok(now), _) => Ok(vec![now]),
            (Err(error), Some(last)) => {
                tracing::debug!(%error, "using the last good password");
                Ok(vec![Some(last)])
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Remembers the password that the server took; tells once that it refused the one that is given now.
    fn worked(&self, password: Option<Secret>, refused: Option<Secret>) {
        let mut known = self.known();
        if refused.is_some() && refused != known.refused {
            tracing::warn!(
                from = ?self,
                "the server refuses the password that is given now, and takes the one before: \
                 change the account's (in pods: rotate.sh)"
            );
        }
        *known = Known {
            last_good: password,
            refused,
        };
    }

    /// The passwords to try for one session: the one in force first, then the last one that worked.
    ///
    /// # Errors
    /// Where none can be read.
    pub(crate) async fn attempts(&self) -> Result<Attempts<'_>, Error> {
        Ok(Attempts {
            password: self,
            waiting: self.candidates().await?.into_iter(),
            denied: None,
            refused: None,
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logins with one password after the other, until the server takes one.
pub(crate) struct Attempts<'a> {
    password: &'a Password,
    waiting: std::vec::IntoIter<Option<Secret>>,
    denied: Option<Error>,
    refused: Option<Secret>,
}

impl Attempts<'_> {
    /// The next one to try.
    ///
    /// # Errors
    /// [`Error::LoginRefused`] after the last one, in the server's words about the newest.
    pub(crate) fn next(&mut self) -> Result<Option<Secret>, Error> {
        let no_more = || {
            let denied = self.denied.take();
            denied.unwrap_or_else(|| Error::Config("no password to try".to_owned()))
        };
        self.waiting.next().ok_or_else(no_more)
    }

    /// The server took it.
    pub(crate) fn took(self, password: Option<Secret>) {
        self.password.worked(password, self.refused);
    }

    /// The login failed: whether another password may do.
    ///
    /// # Errors
    /// What has nothing to do with passwords.
    pub(crate) fn failed(&mut self, password: Option<Secret>, error: Error) -> Result<(), Error> {
        let Error::Denied(words) = error else {
            return Err(error);
        };
        self.denied.get_or_insert(Error::LoginRefused(words));
        self.refused = password;
        Ok(())
    }
}

/// Where it comes from; never what it is.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.given {
            Some(given) => given.fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// The way to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// TCP, by name or address.
    Tcp {
        /// Host name or IP address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A Unix socket.
    Socket(PathBuf),
}

impl Route {
    /// Whether the packets stay on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            Self::Socket(_) => true,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How much TLS is asked for. The names are libpq's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TlsMode {
    /// Plain text.
    Disable,
    /// TLS where the server offers it, else plain text; nothing is verified.
    Prefer,
    /// TLS or no connection; the certificate is not verified.
    Require,
    /// The certificate must come from a trusted CA, whatever name it carries.
    VerifyCa,
    /// As verify-ca, and the certificate must carry the host's name.
    VerifyFull,
}

/// TLS settings; PEM files, read at every connect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// What was asked for; `None` decides by the rest, see [`Settings::tls_mode`].
    pub mode: Option<TlsMode>,
    /// CA certificates that replace the built-in roots.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain and private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Names of the engines, for `--engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineName {
    /// MariaDB 10.6 and later.
    #[value(name = "mariadb")]
    MariaDb,
    /// MySQL 8.0 and later.
    #[value(name = "mysql")]
    MySql,
    /// PostgreSQL 14 and later.
    #[value(name = "postgres", alias = "postgresql")]
    Postgres,
}

/// Everything needed to open connections to one server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The engine, where it is not to be detected.
    pub engine: Option<EngineName>,
    /// The way to the server.
    pub route: Route,
    /// Account name.
    pub user: Text,
    /// Account password.
    pub password: Password,
    /// Default database, where one was named.
    pub database: Option<Text>,
    /// TLS settings.
    pub tls: Tls,
    /// Longest time from the first packet to an authenticated session.
    pub connect_timeout: Duration,
}

impl Settings {
    /// Whether a table's name alone says which one is meant. Sessions of PostgreSQL are always in a database.
    #[must_use]
    pub fn finds_bare_tables(&self) -> bool {
        self.database.is_some() || self.engine == Some(EngineName::Postgres)
    }

    /// The default database now.
    ///
    /// # Errors
    /// As [`Text::read`].
    pub async fn database(&self) -> Result<Option<String>, Error> {
        match &self.database {
            Some(text) => text.read().await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits for a session at most as long as a connect may take; failures to reach the server name the route.
    ///
    /// # Errors
    /// [`Error::Unreachable`] also when the server took the connection but did not finish the handshake in time.
    pub(crate) async fn in_time<T>(
        &self,
        session: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = self.connect_timeout;
        match tokio::time::timeout(limit, session).await {
            Ok(Err(Error::Unreachable(reason))) => {
                Err(Error::Unreachable(format!("{self}: {reason}")))
            }
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Unreachable(format!(
                "{self}: no session within {limit:?}"
            ))),
        }
    }

    /// The TLS mode in force. Without `--tls-mode`: verify-full where a CA is given, none on routes
    /// that stay on this machine (it costs throughput and hides nothing there), else prefer.
    #[must_use]
    pub fn tls_mode(&self) -> TlsMode {
        match (&self.route, self.tls.mode) {
            (Route::Socket(_), _) => TlsMode::Disable,
            (_, Some(mode)) => mode,
            (_, None) if self.tls.ca.is_some() => TlsMode::VerifyFull,
            (route, None) if route.is_local() => TlsMode::Disable,
            (_, None) => TlsMode::Prefer,
        }
    }
}

/// The route: what messages call this server.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.route.fmt(f)
    }
}
