//! TLS before the HTTP of a tool.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Handshakes at a time; whoever comes meanwhile waits in the kernel.
const HANDSHAKES: usize = 128;
/// After an error of the listener itself, such as too many open files.
const PAUSE: Duration = Duration::from_secs(1);

type Configure = dyn Fn() -> Result<Arc<ServerConfig>, String> + Send + Sync;

/// How connections are secured: asked for each, so that a certificate which was renewed counts at once.
#[derive(Clone)]
pub struct Front(Arc<Configure>);

impl Front {
    /// By a function that makes the configuration of the next connection, from memory where nothing changed.
    pub fn new(
        configure: impl Fn() -> Result<Arc<ServerConfig>, String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(configure))
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TLS")
    }
}

/// Connections whose handshake is done.
pub(crate) struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    pub(crate) fn new(listener: TcpListener, front: Front) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(HANDSHAKES);
        tokio::spawn(accept_all(listener, front, sender));
        Ok(Self { address, ready })
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // Only where the loop above has ended, which it does not.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept_all(
    listener: TcpListener,
    front: Front,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let turns = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(turn) = Arc::clone(&turns).acquire_owned().await else {
            return;
        };
        let (stream, address) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(%error, "accept a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (front, ready) = (front.clone(), ready.clone());
        tokio::spawn(async move {
            let _turn = turn;
            match timeout(HANDSHAKE, handshake(stream, &front)).await {
                Ok(Ok(stream)) => drop(ready.send((stream, address)).await),
                Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake"),
                Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
            }
        });
    }
}

async fn handshake(stream: TcpStream, front: &Front) -> Result<TlsStream<TcpStream>, String> {
    let config = (front.0)().inspect_err(|error| tracing::warn!(%error, "no TLS"))?;
    let acceptor = TlsAcceptor::from(config);
    acceptor
        .accept(stream)
        .await
        .map_err(|error| error.to_string())
}
