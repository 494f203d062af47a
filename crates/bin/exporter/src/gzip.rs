//! Answers in fewer bytes, for who takes them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Prometheus always asks for it.
pub(crate) fn wanted(accept_encoding: Option<&str>) -> bool {
    let all = accept_encoding.unwrap_or_default().split(',');
    let mut parts = all.map(|one| one.split(';').map(str::trim));
    parts.any(|mut one| {
        let is_gzip = one
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !one.any(|quality| matches!(quality, "q=0" | "q=0.0"))
    })
}

/// At the level that costs least: metrics are much alike.
pub(crate) fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    // Writing into memory cannot fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_refuses_it_gets_text() {
        assert!(wanted(Some("gzip")) && wanted(Some("br, gzip;q=0.5")));
        assert!(!wanted(None) && !wanted(Some("gzip;q=0")) && !wanted(Some("br")));
    }
}
