//! HTTP to a neighbour in the same pod: one request over plain TCP, a short answer, the connection
//! closed. Not a client for the world: no TLS, no redirects, no proxies.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use pilotfish_failure::{Failure, Kind};
use pilotfish_runtime::read_token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::warn;

/// Longest answer that is read, in bytes.
const ANSWER_LIMIT: u64 = 64 << 10;

/// Time for `fetch` to take a request.
const FETCH_PATIENCE: Duration = Duration::from_secs(5);

/// Where a neighbour listens.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// Host and port.
    authority: String,
}

impl Neighbour {
    /// Reads `http://host:port`.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let help = || format!("\"{url}\" is no neighbour: give http://127.0.0.1:PORT");
        let authority = url
            .strip_prefix("http://")
            .ok_or_else(help)?
            .trim_end_matches('/');
        let (host, port) = authority.rsplit_once(':').ok_or_else(help)?;
        let plain = !host.is_empty() && !host.contains(['/', '@', ' ', '\r', '\n', '?', '#']);
        match port.parse::<u16>() {
            Ok(1..) if plain => Ok(Self {
                authority: authority.to_owned(),
            }),
            _ => Err(help()),
        }
    }

    pub(crate) fn at(address: std::net::SocketAddr) -> Self {
        Self {
            authority: address.to_string(),
        }
    }

    /// Posts `body` as JSON and returns status and answer. `headers` are name and value.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
        patience: Duration,
    ) -> Result<(u16, String), Failure> {
        let doing = format!("post {path} to {self}");
        match tokio::time::timeout(patience, self.exchange(path, headers, body)).await {
            Ok(Ok(answer)) => parse_answer(&answer)
                .ok_or_else(|| Failure::new(Kind::Unreachable, format!("{doing}: no HTTP answer"))),
            Ok(Err(error)) => {
                Err(Failure::new(Kind::Unreachable, error.to_string()).context(doing))
            }
            Err(_) => {
                let message = format!("{doing}: no answer within {patience:?}");
                Err(Failure::new(Kind::TimedOut, message))
            }
        }
    }

    /// Tells `fetch` to look at its source, with the token in `token_file`; a refusal is a warning.
    pub(crate) async fn ask_for_a_look(self, token_file: PathBuf) {
        let bearer = match read_token(&token_file).await {
            Ok(token) => format!("Bearer {}", token.unwrap_or_default()),
            Err(error) => {
                warn!(path = %token_file.display(), %error, "cannot read the token for fetch");
                return;
            }
        };
        let headers = [("Authorization", bearer.as_str())];
        match self
            .post("/v1/fetches", &headers, "{}", FETCH_PATIENCE)
            .await
        {
            Ok((200..=299, _)) => {}
            Ok((status, body)) => warn!(fetch = %self, status, body, "fetch refused to look"),
            Err(failure) => warn!(fetch = %self, %failure, "cannot tell fetch to look"),
        }
    }

    async fn exchange(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Vec<u8>> {
        let authority = &self.authority;
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        let mut stream = TcpStream::connect(authority.as_str()).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_LIMIT).read_to_end(&mut answer).await?;
        Ok(answer)
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl fmt::Debug for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn parse_answer(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_neighbours_are_taken() {
        for good in [
            "http://127.0.0.1:9807",
            "http://localhost:1/",
            "http://[::1]:80",
        ] {
            assert!(Neighbour::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "https://x:1",
            "http://x",
            "x:1",
            "http://u:p@x:1",
            "http://x:1/y",
            "http://:1",
        ] {
            assert!(Neighbour::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let answer = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(parse_answer(answer), Some((202, "ok".to_owned())));
        assert_eq!(parse_answer(b"SSH-2.0"), None);
    }
}
