//! TLS before any server of the bench: ended here, with a certificate of an authority made for it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use crate::world::World;

/// Bytes carried at once; less than rustls holds of plain text.
const CHUNK: usize = 8 << 10;

/// The front; it stops listening when dropped.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    authority: String,
    closed: Arc<AtomicBool>,
}

impl TlsFront {
    /// Listens on a free loopback port before `upstream`, which is `host:port` or a URL that has them.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn start(upstream: &str) -> Self {
        let upstream = upstream
            .split_once("://")
            .map_or(upstream, |(_, rest)| rest);
        let upstream = upstream.split('/').next().unwrap_or_default().to_owned();
        let (authority, config) = certificates();
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen on loopback");
        let port = listener.local_addr().expect("the front's address").port();
        let closed = Arc::new(AtomicBool::new(false));
        let accepting = Arc::clone(&closed);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.load(Ordering::SeqCst) {
                    return;
                }
                let (config, upstream) = (Arc::clone(&config), upstream.clone());
                // A client that does not trust the certificate goes away: that is its affair.
                thread::spawn(move || drop(serve(&client, config, &upstream)));
            }
        });
        Self {
            port,
            authority,
            closed,
        }
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The authority to trust, as PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which sees `closed`.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// PEM files of an authority, of a certificate of its for 127.0.0.1, and of that one's key.
///
/// # Panics
/// When they cannot be made.
#[must_use]
pub fn certificate_files(world: &World) -> [PathBuf; 3] {
    let (authority, leaf, key) = chain();
    [
        world.write("ca.pem", authority),
        world.write("cert.pem", leaf.pem()),
        world.write("key.pem", key.serialize_pem()),
    ]
}

/// An authority, a certificate of its for 127.0.0.1, and that one's key.
fn chain() -> (String, Certificate, KeyPair) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("make a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("make an authority");
    let key = KeyPair::generate().expect("make a key");
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .and_then(|mut leaf| {
            // OpenSSL takes one that is called as its authority for that authority.
            leaf.distinguished_name
                .push(DnType::CommonName, "127.0.0.1");
            leaf.signed_by(&key, &authority)
        })
        .expect("make a certificate");
    (authority.pem(), leaf, key)
}

/// A new authority, and a server's configuration with a certificate of its for 127.0.0.1.
fn certificates() -> (String, Arc<ServerConfig>) {
    let (authority, leaf, key) = chain();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("set up TLS")
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("use the certificate");
    (authority, Arc::new(config))
}

fn serve(client: &TcpStream, config: Arc<ServerConfig>, upstream: &str) -> io::Result<()> {
    let tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let tls = Mutex::new(tls);
    let server = TcpStream::connect(upstream)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = decrypt(client, &server, &tls);
            let _ = server.shutdown(Shutdown::Write);
        });
        let answered = encrypt(&server, client, &tls);
        let _ = client.shutdown(Shutdown::Both);
        answered
    })
}

/// What the client says, to the server. The lock is held only while nothing is waited for.
fn decrypt(
    mut client: &TcpStream,
    mut server: &TcpStream,
    tls: &Mutex<ServerConnection>,
) -> io::Result<()> {
    let mut buffer = [0; CHUNK];
    loop {
        let length = client.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let (mut sealed, mut plain) = (&buffer[..length], Vec::new());
        {
            let mut tls = tls.lock().unwrap_or_else(PoisonError::into_inner);
            while !sealed.is_empty() {
                tls.read_tls(&mut sealed)?;
                let state = tls.process_new_packets();
                // The handshake's answers, or the alert that says why there is none.
                while tls.wants_write() {
                    tls.write_tls(&mut client)?;
                }
                let ready = state.map_err(io::Error::other)?.plaintext_bytes_to_read();
                let start = plain.len();
                plain.resize(start + ready, 0);
                tls.reader().read_exact(&mut plain[start..])?;
            }
        }
        server.write_all(&plain)?;
    }
}

/// What the server says, to the client.
fn encrypt(
    mut server: &TcpStream,
    mut client: &TcpStream,
    tls: &Mutex<ServerConnection>,
) -> io::Result<()> {
    let mut buffer = [0; CHUNK];
    loop {
        let length = server.read(&mut buffer)?;
        let mut tls = tls.lock().unwrap_or_else(PoisonError::into_inner);
        if length == 0 {
            tls.send_close_notify();
        }
        tls.writer().write_all(&buffer[..length])?;
        while tls.wants_write() {
            tls.write_tls(&mut client)?;
        }
        if length == 0 {
            return Ok(());
        }
    }
}
