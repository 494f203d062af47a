//! Who may change something over HTTP: those who know the token, which may change at any time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, AUTHORIZATION};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use tokio::io::AsyncReadExt;
use tracing::warn;

/// Longest token file that is read, in bytes.
const TOKEN_LIMIT: u64 = 4 << 10;

/// Lets only those through to `routes` who send the token in `token_file` as a bearer token; nobody
/// when there is no such file. The file is read for each call, so that a rotated token needs no
/// restart. Refusals are 401, 403 (no file was given) and 503 (the file holds no token), with
/// `{"error": .., "hint": ..}`.
pub fn bearer_only<S>(routes: Router<S>, token_file: Option<PathBuf>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes.route_layer(from_fn_with_state(Arc::new(token_file), check))
}

/// The token in a file, without white space around it; `None` when there is none.
///
/// # Errors
/// When the file cannot be read, or is longer than a token.
pub async fn read_token(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(TOKEN_LIMIT + 1).read_to_string(&mut text).await?;
    if text.len() as u64 > TOKEN_LIMIT {
        return Err(io::Error::other(format!("longer than {TOKEN_LIMIT} bytes")));
    }
    let token = text.trim();
    Ok((!token.is_empty()).then(|| token.to_owned()))
}

async fn check(
    State(token_file): State<Arc<Option<PathBuf>>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let Some(path) = token_file.as_ref() else {
        return refuse(
            StatusCode::FORBIDDEN,
            "changing calls are off: there is no token",
            Some("start with --token-file, a file that holds the bearer token"),
        );
    };
    let token = read_token(path).await.unwrap_or_else(|error| {
        warn!(path = %path.display(), %error, "cannot read the token file");
        None
    });
    let Some(token) = token else {
        return refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "the token file holds no token",
            Some("mount the Secret, or write the token into the file"),
        );
    };
    if is_bearer(&headers, &token) {
        return next.run(request).await;
    }
    let refused = refuse(
        StatusCode::UNAUTHORIZED,
        "the bearer token is missing or wrong",
        None,
    );
    ([(header::WWW_AUTHENTICATE, "Bearer")], refused).into_response()
}

fn refuse(status: StatusCode, error: &str, hint: Option<&str>) -> Response {
    let body = serde_json::json!({"error": error, "hint": hint});
    (status, Json(body)).into_response()
}

fn is_bearer(headers: &HeaderMap, token: &str) -> bool {
    let given = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '));
    given.is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case("bearer") && same(given.trim(), token)
    })
}

/// Compares in a time that does not depend on where the texts differ.
fn same(given: &str, token: &str) -> bool {
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
    fn only_the_whole_token_opens() {
        let with = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        for right in ["Bearer secret", "bearer  secret"] {
            assert!(is_bearer(&with(right), "secret"), "{right}");
        }
        for wrong in [
            "Bearer secre",
            "Bearer secrets",
            "Bearer ",
            "Basic secret",
            "secret",
        ] {
            assert!(!is_bearer(&with(wrong), "secret"), "{wrong}");
        }
        assert!(!is_bearer(&HeaderMap::new(), "secret"));
    }

    #[tokio::test]
    async fn a_token_file_is_short() {
        let path = std::env::temp_dir().join(format!("token-{}", std::process::id()));
        for (text, token) in [
            (" trout\n".to_owned(), Some("trout")),
            ("\n".to_owned(), None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_token(&path).await.unwrap().as_deref(), token);
        }
        std::fs::write(&path, "x".repeat(5000)).unwrap();
        assert!(read_token(&path).await.is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(read_token(&path).await.is_err());
    }
}
