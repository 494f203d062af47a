//! Azure's shared key: what is signed, and how.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, Url};
use sha2::Sha256;

use crate::http;

/// What a request says, in the order in which Azure signs it. Requests here have no body.
pub(super) fn text(
    method: &Method,
    url: &Url,
    query: &[(&str, &str)],
    headers: &HeaderMap,
    account: &str,
) -> String {
    let has = |name: header::HeaderName| http::text(headers, name).unwrap_or_default();
    let standard = [
        // Content-Encoding, -Language, -Length, -MD5 and -Type, and Date, of which x-ms-date takes the place.
        "",
        "",
        "",
        "",
        "",
        "",
        has(header::IF_MODIFIED_SINCE),
        has(header::IF_MATCH),
        has(header::IF_NONE_MATCH),
        has(header::IF_UNMODIFIED_SINCE),
        has(header::RANGE),
    ];
    let own = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        let name = name.as_str();
        let value = value.to_str().ok()?.trim();
        (name.starts_with("x-ms-")).then(|| format!("{name}:{value}\n"))
    };
    let mut own: Vec<String> = headers.iter().filter_map(own).collect();
    own.sort();
    let mut query: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("\n{name}:{value}"))
        .collect();
    query.sort();
    format!(
        "{method}\n{}\n{}/{account}{}{}",
        standard.join("\n"),
        own.concat(),
        url.path(),
        query.concat(),
    )
}

/// The header that proves to have the key.
pub(super) fn shared_key(account: &str, key: &[u8], text: &str) -> String {
    // HMAC takes keys of any length.
    let signature = Hmac::<Sha256>::new_from_slice(key).map(|mut mac| {
        mac.update(text.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    });
    format!("SharedKey {account}:{}", signature.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_signed_as_azures_manual_shows_it() {
        let url = Url::parse("https://myaccount.blob.core.windows.net/mycontainer").unwrap();
        let query = [
            ("restype", "container"),
            ("comp", "metadata"),
            ("timeout", "20"),
        ];
        let mut headers = HeaderMap::new();
        headers.insert("x-ms-version", "2015-02-21".parse().unwrap());
        headers.insert(
            "x-ms-date",
            "Fri, 26 Jun 2015 23:39:12 GMT".parse().unwrap(),
        );
        let signed = text(&Method::GET, &url, &query, &headers, "myaccount");
        assert_eq!(
            signed,
            "GET\n\n\n\n\n\n\n\n\n\n\n\n\
             x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
             /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
        headers.insert(header::RANGE, "bytes=0-9".parse().unwrap());
        headers.insert(header::IF_MATCH, "\"0x1\"".parse().unwrap());
        let signed = text(&Method::GET, &url, &[], &headers, "myaccount");
        assert!(
            signed.starts_with("GET\n\n\n\n\n\n\n\n\"0x1\"\n\n\nbytes=0-9\nx-ms-"),
            "{signed}"
        );
        // RFC 4231, case 2.
        let proof = shared_key("me", b"Jefe", "what do ya want for nothing?");
        assert_eq!(
            proof,
            "SharedKey me:W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="
        );
    }
}
