//! A TCP proxy that breaks things on purpose, between a client and any server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What goes wrong. Bytes are counted per connection, in the server's answer, headers included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Both directions are closed after `bytes`, on the next `times` connections that reach so far.
    Cut {
        /// Bytes of the answer that still arrive.
        bytes: u64,
        /// How often.
        times: u32,
    },
    /// The answer stops after `bytes` and the connection stays open.
    Stall {
        /// Bytes of the answer that still arrive.
        bytes: u64,
    },
    /// The answer trickles.
    Slow {
        /// The pace of one connection.
        bytes_per_second: u64,
    },
    /// HTTP 503 with `Retry-After: 0` instead of an answer, on the next `times` connections.
    Unavailable {
        /// How often.
        times: u32,
    },
    /// One bit of the answer's byte `at` (counted from 0) is flipped, on the next `times`
    /// connections that reach so far.
    Corrupt {
        /// The byte's position.
        at: u64,
        /// How often.
        times: u32,
    },
    /// Connections are accepted and closed at once.
    Refuse,
}

/// The proxy; its threads end with it.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    fault: Mutex<Fault>,
    connections: AtomicU64,
    faults: AtomicU64,
    closed: AtomicBool,
}

impl Proxy {
    /// Listens on a free loopback port before `upstream`: `host:port`, or a URL that has them.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn start(upstream: &str, fault: Fault) -> Self {
        let authority = upstream
            .split_once("://")
            .map_or(upstream, |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let shared = Arc::new(Shared {
            upstream: authority.to_owned(),
            fault: Mutex::new(fault),
            connections: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen on loopback");
        let port = listener.local_addr().expect("the proxy's address").port();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.closed.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.serve(&client));
            }
        });
        Self { shared, port }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes what goes wrong from now on, in open connections too.
    pub fn set(&self, fault: Fault) {
        *self.shared.lock() = fault;
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Faults that really happened so far: a test proves by it that it tested something.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which sees `closed`.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, client: &TcpStream) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        if self.turned_away(client) {
            return;
        }
        let Ok(server) = TcpStream::connect(&self.upstream) else {
            let _ = client.shutdown(Shutdown::Both);
            return;
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = std::io::copy(&mut &*client, &mut &server);
                let _ = server.shutdown(Shutdown::Write);
            });
            // A cut ends both directions, so that neither side waits for the other.
            if self.answer(&server, client).is_none() {
                let _ = server.shutdown(Shutdown::Both);
                let _ = client.shutdown(Shutdown::Both);
            } else {
                let _ = client.shutdown(Shutdown::Write);
            }
        });
    }

    /// Faults that need no server.
    fn turned_away(&self, client: &TcpStream) -> bool {
        let mut fault = self.lock();
        match &mut *fault {
            Fault::Refuse => {}
            Fault::Unavailable { times } if *times > 0 => {
                *times -= 1;
                let mut head = [0; 4096];
                let _ = (&*client).read(&mut head);
                let _ = (&*client).write_all(
                    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\n\
                      Content-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
            _ => return false,
        }
        drop(fault);
        self.faults.fetch_add(1, Ordering::SeqCst);
        let _ = client.shutdown(Shutdown::Both);
        true
    }

    /// Carries the answer; `None` when it was cut short.
    fn answer(&self, mut server: &TcpStream, mut client: &TcpStream) -> Option<()> {
        let mut buffer = vec![0; 64 << 10];
        let mut sent: u64 = 0;
        loop {
            let length = server.read(&mut buffer).ok()?;
            if length == 0 {
                return Some(());
            }
            let chunk = &mut buffer[..length];
            let kept = self.spoil(chunk, sent);
            client.write_all(&chunk[..kept]).ok()?;
            sent += kept as u64;
            if kept < length {
                return self.after_the_cut();
            }
        }
    }

    /// Applies the fault to a chunk that starts at byte `sent`; returns how much of it may pass.
    fn spoil(&self, chunk: &mut [u8], sent: u64) -> usize {
        let mut fault = self.lock();
        let end = sent + chunk.len() as u64;
        match &mut *fault {
            Fault::Cut { bytes, times } if *times > 0 && end > *bytes => {
                *times -= 1;
                self.faults.fetch_add(1, Ordering::SeqCst);
                usize::try_from(bytes.saturating_sub(sent)).unwrap_or(0)
            }
            Fault::Stall { bytes } if end > *bytes => {
                self.faults.fetch_add(1, Ordering::SeqCst);
                usize::try_from(bytes.saturating_sub(sent)).unwrap_or(0)
            }
            Fault::Corrupt { at, times } if *times > 0 && (sent..end).contains(at) => {
                *times -= 1;
                self.faults.fetch_add(1, Ordering::SeqCst);
                chunk[usize::try_from(*at - sent).unwrap_or(0)] ^= 1;
                chunk.len()
            }
            Fault::Slow { bytes_per_second } => {
                let pause = chunk.len() as f64 / (*bytes_per_second).max(1) as f64;
                drop(fault);
                thread::sleep(Duration::from_secs_f64(pause));
                chunk.len()
            }
            _ => chunk.len(),
        }
    }

    /// A stall holds the connection until the fault is changed or the proxy ends.
    fn after_the_cut(&self) -> Option<()> {
        while matches!(*self.lock(), Fault::Stall { .. }) && !self.closed.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
        None
    }
}
