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

/// Packs an answer that comes in pieces, at the level that costs least: metrics are much alike.
pub(crate) struct Packer(GzEncoder<Vec<u8>>);

impl Default for Packer {
    fn default() -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::fast()))
    }
}

impl Packer {
    pub(crate) fn take(&mut self, piece: &[u8]) {
        // Writing into memory cannot fail.
        let _ = self.0.write_all(piece);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.finish().unwrap_or_default()
    }
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
