//! Who may ask: names, and passwords as bcrypt keeps them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Compared with where there is no such user, so that a name cannot be told by the time it takes: of no password.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuJk1Z0WZ4qXPpHnZ2Xk3Yl0m8u1JxN7m";

/// Everybody, where there is none.
#[derive(Default)]
pub(crate) struct Users {
    hashes: BTreeMap<String, String>,
    /// Digests of headers that were right: bcrypt takes a tenth of a second on purpose, and Prometheus comes back.
    known: Mutex<HashSet<[u8; 32]>>,
}

impl Users {
    pub(super) fn new(hashes: BTreeMap<String, String>) -> Self {
        Self {
            hashes,
            known: Mutex::default(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether a header `Authorization` is of one of them.
    fn are(&self, authorization: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(authorization.as_bytes()).into();
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(&digest) {
            return true;
        }
        let right = self.verify(authorization).unwrap_or(false);
        if right {
            known().insert(digest);
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
    let asked = tokio::task::spawn_blocking(move || users.are(&header)).await;
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
        let users = Users::new(BTreeMap::from([("prometheus".to_owned(), hash)]));
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
