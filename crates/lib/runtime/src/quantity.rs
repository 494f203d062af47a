//! Times and sizes as people write them.

use std::time::Duration;

/// Clocks and timers take no more than some centuries.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

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

/// Reads a time such as `250ms`, `90s`, `1h30m` or `2d`, ten years at most; for clap's `value_parser`.
///
/// # Errors
/// A sentence that says how to write it, for a number without unit (it would be a guess) and anything else.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time <= LONGEST => Ok(time),
        Ok(_) => Err("write a time of ten years at most".to_owned()),
        Err(why) => Err(why.to_string()),
    }
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
    fn a_time_has_a_unit_and_an_end() {
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "30", "s", "5 parsecs", "-5s", "300000000000y", "11y"] {
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
