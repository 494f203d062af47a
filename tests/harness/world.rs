//! A test's own corner of the machine: a temp folder, reserved ports, a turn to run servers.

use std::cell::OnceCell;
use std::fs::{File, create_dir_all};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;
use tempfile::TempDir;

use crate::eventually::eventually;
use crate::leftovers;

/// Ports lie below the ephemeral range of Linux (32768 and up), where outgoing connections live.
/// A reservation covers `port + 10000` too: SeaweedFS puts the gRPC door of each service there.
const PORTS: std::ops::Range<u16> = 11_000..21_000;
const GRPC_OFFSET: u16 = 10_000;
const PREFIX: &str = "pf-";

/// A temp folder and all that lives in it; removed at drop unless `PILOTFISH_KEEP` is set.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    slot: Mutex<OnceCell<File>>,
    waits_for_a_turn: bool,
    _owner: Option<File>,
}

impl World {
    /// Makes an empty world. The path is short: a Unix socket's path has 107 bytes at most.
    ///
    /// # Panics
    /// When the temp folder cannot be made.
    #[must_use]
    pub fn new() -> Self {
        leftovers::sweep(&std::env::temp_dir(), PREFIX);
        let mut folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .expect("make a temp folder");
        let keep = variable("PILOTFISH_KEEP").is_some();
        if keep {
            folder.disable_cleanup(true);
            eprintln!("world kept: {}", folder.path().display());
        }
        let owner = (!keep).then(|| leftovers::own(folder.path()));
        Self {
            folder,
            slot: Mutex::default(),
            waits_for_a_turn: true,
            _owner: owner,
        }
    }

    /// A world for work within another world's turn.
    pub(crate) fn within_a_turn() -> Self {
        let mut world = Self::new();
        world.waits_for_a_turn = false;
        world
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file, and the folders above it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        create_dir_all(path.parent().expect("a path in the world has a parent"))
            .expect("make a folder in the world");
        std::fs::write(&path, content).expect("write a file in the world");
        path
    }

    /// A new folder `prefix-0`, `prefix-1`, ...
    pub(crate) fn folder(&self, prefix: &str) -> PathBuf {
        (0..)
            .map(|number| self.join(format!("{prefix}-{number}")))
            .find(|path| std::fs::create_dir(path).is_ok())
            .expect("a world has room for one more folder")
    }

    /// Waits until few enough worlds have servers. The turn is the world's, not the server's: a test
    /// that holds one server and waits for a second could otherwise wait for its own neighbour for ever.
    pub(crate) fn take_turn(&self) {
        if !self.waits_for_a_turn {
            return;
        }
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_init(|| {
            let slots = variable("PILOTFISH_SERVER_SLOTS").map_or(4, |text| {
                text.parse().expect("PILOTFISH_SERVER_SLOTS is a number")
            });
            eventually("a turn to start servers", Duration::from_secs(900), || {
                (0..slots).find_map(|slot| lock(&cache_dir().join(format!("slots/{slot}"))))
            })
        });
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// A port that no other world on this machine uses while this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _reservation: File,
}

impl Port {
    /// Reserves a free port on loopback.
    ///
    /// # Panics
    /// When none is free.
    #[must_use]
    pub fn free() -> Self {
        let mut random = rand::rng();
        (0..1_000)
            .find_map(|_| {
                let number = random.random_range(PORTS);
                let reservation = lock(&cache_dir().join(format!("ports/{number}")))?;
                TcpListener::bind(("127.0.0.1", number)).ok()?;
                TcpListener::bind(("127.0.0.1", number + GRPC_OFFSET)).ok()?;
                Some(Self {
                    number,
                    _reservation: reservation,
                })
            })
            .expect("a free port")
    }

    /// The port's number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.number.fmt(formatter)
    }
}

/// Locks a file, made when missing, or `None` when another process or test holds it.
pub(crate) fn lock(path: &Path) -> Option<File> {
    create_dir_all(path.parent().expect("a lock file has a folder")).expect("make the lock folder");
    let file = File::create(path).expect("make a lock file");
    file.try_lock().ok().map(|()| file)
}

/// Where `./x setup` keeps servers, template data folders and benchmark data, outside the checkout.
///
/// # Panics
/// When neither `XDG_CACHE_HOME` nor `HOME` is set.
#[must_use]
pub fn cache_dir() -> PathBuf {
    variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .expect("HOME or XDG_CACHE_HOME is set")
        .join("pilotfish")
}

/// A variable of the person who runs the tests; an empty one counts as absent.
#[allow(
    clippy::disallowed_methods,
    reason = "the bench is configured by variables, not by a tool's runtime"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
