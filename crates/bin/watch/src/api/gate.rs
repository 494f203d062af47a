//! Who may change something: those who know the token, which may change at any time.

use std::path::Path;

use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Door, Refused};

/// Longest token file that is read, in bytes.
const TOKEN_LIMIT: usize = 4 << 10;

/// Lets a changing call through, or says why not.
pub(super) async fn check(
    Extract(door): Extract<Door>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let Some(path) = &door.token_file else {
        return Refused::new(
            StatusCode::FORBIDDEN,
            "changing calls are off: there is no token",
        )
        .hint("start watch with --token-file, a file that holds the bearer token")
        .into_response();
    };
    let Some(token) = read_token(path).await else {
        return Refused::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{} holds no token", path.display()),
        )
        .hint("mount the Secret, or write the token into the file")
        .into_response();
    };
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    match given {
        Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") && same(given, &token) => {
            next.run(request).await
        }
        _ => {
            let refused = Refused::new(
                StatusCode::UNAUTHORIZED,
                "the bearer token is missing or wrong",
            );
            ([(header::WWW_AUTHENTICATE, "Bearer")], refused).into_response()
        }
    }
}

/// The token in a file, without white space around it; `None` when there is none.
pub(crate) async fn read_token(path: &Path) -> Option<String> {
    let text = tokio::fs::read_to_string(path).await.ok()?;
    let token = text.trim();
    (!token.is_empty() && token.len() <= TOKEN_LIMIT).then(|| token.to_owned())
}

/// Compares in a time that does not depend on where the texts differ.
fn same(given: &str, token: &str) -> bool {
    let given = given.trim();
    let differences = given
        .bytes()
        .zip(token.bytes())
        .fold(0, |seen, (left, right)| seen | (left ^ right));
    given.len() == token.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        assert!(same("secret", "secret"));
        assert!(same(" secret", "secret"));
        for wrong in ["", "s", "secre", "secrets", "secreT"] {
            assert!(!same(wrong, "secret"), "{wrong}");
        }
    }
}
