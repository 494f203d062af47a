//! Durations and sizes as people write them.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

// Kubernetes quantities and the IEC and SI spellings of the same powers.
const BYTE_UNITS: [(&str, u64); 20] = [
    ("", 1),
    ("B", 1),
    ("k", 1_000),
    ("K", 1_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("M", 1_000_000),
    ("MB", 1_000_000),
    ("G", 1_000_000_000),
    ("GB", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("Ki", 1 << 10),
    ("KiB", 1 << 10),
    ("Mi", 1 << 20),
    ("MiB", 1 << 20),
    ("Gi", 1 << 30),
    ("GiB", 1 << 30),
    ("Ti", 1 << 40),
    ("TiB", 1 << 40),
];

/// Reads a duration such as `250ms`, `90s`, `5m`, `1h30m` or `2d`; for clap's `value_parser`.
///
/// # Errors
/// A sentence that says how to write it, for a bare number (its unit would be a guess) and anything
/// else.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let help = || format!("\"{text}\" is no duration: write 250ms, 90s, 5m, 1h30m or 2d");
    let mut rest = text.trim();
    let mut milliseconds: u64 = 0;
    if rest.is_empty() {
        return Err(help());
    }
    while !rest.is_empty() {
        let (number, after) = leading_number(rest).ok_or_else(help)?;
        let unit_length = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_length);
        let (_, factor) = DURATION_UNITS
            .iter()
            .find(|(name, _)| *name == unit.trim())
            .ok_or_else(help)?;
        milliseconds = number
            .checked_mul(*factor)
            .and_then(|part| milliseconds.checked_add(part))
            .ok_or_else(|| format!("\"{text}\" is too long a duration"))?;
        rest = next;
    }
    Ok(Duration::from_millis(milliseconds))
}

/// Reads a size in bytes such as `4096`, `64MiB`, `1GB` or a Kubernetes quantity (`512Mi`); for
/// clap's `value_parser`.
///
/// # Errors
/// A sentence that says how to write it.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let help = || format!("\"{text}\" is no size: write 4096, 64MiB or 1GB");
    let (number, unit) = leading_number(text.trim()).ok_or_else(help)?;
    let (_, factor) = BYTE_UNITS
        .iter()
        .find(|(name, _)| *name == unit.trim())
        .ok_or_else(help)?;
    number
        .checked_mul(*factor)
        .ok_or_else(|| format!("\"{text}\" is too large a size"))
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_written() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        assert_eq!(parse_duration("2d"), Ok(Duration::from_secs(172_800)));
    }

    #[test]
    fn a_duration_without_a_unit_is_no_guess() {
        for text in [
            "",
            "30",
            "s",
            "5 parsecs",
            "1h30",
            "-5s",
            "99999999999999999999d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_follow_kubernetes_and_iec() {
        for (text, bytes) in [
            ("4096", 4096),
            ("64MiB", 64 << 20),
            ("1GB", 1_000_000_000),
            ("512Mi", 512 << 20),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1.5GiB", "64 elephants", "99999999TiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
