//! Who may ask: names, and passwords as bcrypt keeps them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::locked;

/// Compared with where there is no such user, so that a name cannot be told by the time it takes: of no password.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuJk1Z0WZ4qXPpHnZ2Xk3Yl0m8u1JxN7m";

/// Passwords that are looked at a time: whoever guesses them does not take the processor from the database.
const TURNS: usize = 1;
/// Longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everybody, where there is none.
pub(crate) struct Users {
    hashes: BTreeMap<String, String>,
    /// Digests of headers that were right: bcrypt takes a tenth of a second on purpose, and Prometheus comes back.
    known: Mutex<HashSet<[u8; 32]>>,
    turn: Semaphore,
}

impl Users {
    /// # Errors
    /// Naming the user whose password is no hash of bcrypt's.
    pub(super) fn new(hashes: BTreeMap<String, String>) -> Result<Self, String> {
        let is_hash = |hash: &String| hash.parse::<bcrypt::HashParts>().is_ok();
        if let Some((user, _)) = hashes.iter().find(|(_, hash)| !is_hash(hash)) {
            return Err(format!(
                "basic_auth_users: the password of {user} is no hash of bcrypt's"
            ));
        }
        Ok(Self {
            hashes,
            known: Mutex::default(),
            turn: Semaphore::new(TURNS),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether a header `Authorization` was right before.
    fn knows(&self, authorization: &str) -> bool {
        locked(&self.known).contains(&digest(authorization))
    }

    /// Whether a header `Authorization` is of one of them.
    fn are(&self, authorization: &str) -> bool {
        if self.knows(authorization) {
            return true;
        }
        let right = self.verify(authorization).unwrap_or(false);
        if right {
            locked(&self.known).insert(digest(authorization));
        }
        right
    }

    fn verify(&self, authorization: &str) -> Option<bool> {
        let (scheme, encoded) = authorization.split_once(' ')?;
        let plain = BASE64_STANDARD.decode(encoded.trim()).ok()?;
        let plain = String::from_utf8(plain).ok()?;
        let (user, password) = plain.split_once(':')?;
        let hash = self.hashes.get(user);
        let matches = bcrypt::verify(password, hash.map_or(NOBODY, String::as_str));
        Some(scheme.eq_ignore_ascii_case("basic") && hash.is_some() && matches.unwrap_or(false))
    }
}

fn digest(authorization: &str) -> [u8; 32] {
    Sha256::digest(authorization.as_bytes()).into()
}

impl Default for Users {
    fn default() -> Self {
        Self {
            hashes: BTreeMap::new(),
            known: Mutex::default(),
            turn: Semaphore::new(TURNS),
        }
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.hashes.keys()).finish()
    }
}

/// Lets nobody else through.
pub(crate) async fn only(
    State(users): State<Arc<Users>>,
    request: Request,
    next: Next,
) -> Response {
    let header = request.headers().get(header::AUTHORIZATION);
    let header = header
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    // Whoever guesses does not make those wait who are known.
    if users.knows(&header) {
        return next.run(request).await;
    }
    let Ok(Ok(turn)) = tokio::time::timeout(PATIENCE, users.turn.acquire()).await else {
        let busy = "too many passwords are being looked at\n";
        return (StatusCode::SERVICE_UNAVAILABLE, busy).into_response();
    };
    let looking = Arc::clone(&users);
    let asked = tokio::task::spawn_blocking(move || looking.are(&header)).await;
    drop(turn);
    if asked.unwrap_or(false) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Basic")];
    (StatusCode::UNAUTHORIZED, challenge, "Unauthorized\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_right_or_wrong() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let users = Users::new(BTreeMap::from([("prometheus".to_owned(), hash)])).unwrap();
        let plain = BTreeMap::from([("p".to_owned(), "secret".to_owned())]);
        assert!(Users::new(plain).is_err());
        let header = |plain: &str| format!("Basic {}", BASE64_STANDARD.encode(plain));
        assert!(users.are(&header("prometheus:secret")));
        assert!(users.are(&header("prometheus:secret")), "from memory");
        for plain in ["prometheus:wrong", "nobody:secret", "prometheus", ""] {
            assert!(!users.are(&header(plain)), "{plain}");
        }
        assert!(!users.are("Bearer x") && !users.are(""));
        assert!(!format!("{users:?}").contains("$2"));
    }
}
