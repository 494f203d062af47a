//! Small blocking HTTP for tests: no redirects followed, no status treated as an error.

use std::time::Duration;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, with their values, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Response {
    /// The first header of that (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.body))
    }
}

/// `GET url`; `None` when nothing answers.
#[must_use]
pub fn get(url: &str) -> Option<Response> {
    request("GET", url, &[], "")
}

/// `GET url?name=value&...`, whatever characters the values have; `None` when nothing answers.
#[must_use]
pub fn query(url: &str, pairs: &[(&str, &str)]) -> Option<Response> {
    let pairs = pairs.iter().copied();
    read(agent().get(url).query_pairs(pairs).call().ok()?)
}

/// Any request; `None` when nothing answers within a minute.
///
/// # Panics
/// When the request itself is malformed.
#[must_use]
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Option<Response> {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(body.to_owned())
        .expect("a well-formed request");
    read(agent().run(request).ok()?)
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        .timeout_global(Some(Duration::from_secs(60)))
        .proxy(None)
        .build()
        .into()
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Option<Response> {
    let body = response
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_vec()
        .ok()?;
    Some(Response {
        status: response.status().as_u16(),
        headers: response
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
