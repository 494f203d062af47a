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

/// Nanoseconds of each unit of time. None is longer than a week: months and years have no one length, and `M` would be
/// taken for minutes.
const TIME_UNITS: [(&[&str], u64); 8] = [
    (&["ns"], 1),
    (&["us", "µs"], 1_000),
    (&["ms", "msec"], 1_000_000),
    (&["s", "sec", "secs", "second", "seconds"], SECOND),
    (&["m", "min", "mins", "minute", "minutes"], 60 * SECOND),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600 * SECOND),
    (&["d", "day", "days"], 86_400 * SECOND),
    (&["w", "week", "weeks"], 7 * 86_400 * SECOND),
];

const SECOND: u64 = 1_000_000_000;

/// Reads a time such as `250ms`, `90s`, `1h30m`, `1.5h` or `2d`, ten years at most; for clap's `value_parser`.
///
/// # Errors
/// A sentence that says how to write it, for a number without unit (it would be a guess) and anything else.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let too_long = || "write a time of ten years at most".to_owned();
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    let mut more = true;
    while more {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after.trim_start(), char::is_alphabetic);
        let time = times(number, length(number, unit)?).ok_or_else(too_long)?;
        total = total.checked_add(time).ok_or_else(too_long)?;
        rest = after.trim_start();
        more = !rest.is_empty();
    }
    if total > LONGEST {
        return Err(too_long());
    }
    Ok(total)
}

/// As [`parse_duration`], for what would never come or never pause.
///
/// # Errors
/// As there, and for no time at all.
pub fn parse_duration_above_zero(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("write a time above zero, such as 10s".to_owned()),
        time => Ok(time),
    }
}

/// The characters at the beginning that are `wanted`, and the rest.
fn split(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !wanted(c)).unwrap_or(text.len()))
}

/// Nanoseconds of a unit that stands behind a number.
fn length(number: &str, unit: &str) -> Result<u64, String> {
    let digits = number.split('.');
    let is_number = digits.clone().count() <= 2 && digits.clone().all(|part| !part.is_empty());
    if !is_number {
        return Err("write a time such as 250ms, 90s, 5m or 1h30m".to_owned());
    }
    let known = TIME_UNITS.iter().find(|(names, _)| names.contains(&unit));
    match (known, unit) {
        (Some((_, length)), _) => Ok(*length),
        (None, "") => Err(format!(
            "time unit needed: {number}s, or {number}m for minutes"
        )),
        (None, "M") => Err("M is no unit of time: 5m is five minutes".to_owned()),
        (None, _) => Err(format!(
            "unknown time unit \"{unit}\": write ms, s, m, h, d or w"
        )),
    }
}

/// So many units of that many nanoseconds, what is less than one left out; `None` where it is more than anything is.
fn times(number: &str, unit: u64) -> Option<Duration> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let whole = u128::from(whole.parse::<u64>().ok()?);
    let digits = part.get(..9).unwrap_or(part);
    let parts = u128::from(digits.parse::<u64>().ok()?);
    let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    let nanos = (whole * scale + parts).checked_mul(u128::from(unit))? / scale;
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
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
        let second = Duration::from_secs(1);
        for (text, time) in [
            ("250ms", second / 4),
            ("90s", second * 90),
            ("5m", second * 300),
            ("1h30m", second * 5400),
            (" 1 hour 30 min ", second * 5400),
            ("1.5h", second * 5400),
            ("0.25s", second / 4),
            ("2d", second * 2 * 86_400),
            ("1w", second * 7 * 86_400),
            ("0s", Duration::ZERO),
            ("1.0000000009999ns", Duration::from_nanos(1)),
        ] {
            assert_eq!(parse_duration(text), Ok(time), "{text}");
        }
        for text in [
            "",
            " ",
            "s",
            "5 parsecs",
            "-5s",
            "+5s",
            "5s,",
            "1.2.3s",
            ".5s",
            "5.s",
            "1s2",
            "522w6d1s",
            "18446744073709551615s1000000000ns",
            "99999999999999999999s",
            "18446744073709551615w18446744073709551615w",
            "1y",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_otherwise_is_refused_with_the_right_way() {
        for (text, hint) in [
            ("5M", "5m is five minutes"),
            ("1h5M", "5m is five minutes"),
            ("0", "0s"),
            ("30", "30s, or 30m for minutes"),
            (" 00 ", "00s"),
            ("5S", "write ms, s, m, h, d or w"),
            ("1month", "write ms, s, m, h, d or w"),
        ] {
            let refused = parse_duration(text).expect_err(text);
            assert!(refused.contains(hint), "{text}: {refused}");
        }
    }

    #[test]
    fn no_time_at_all_can_be_refused() {
        assert_eq!(
            parse_duration_above_zero("1ms"),
            Ok(Duration::from_millis(1))
        );
        assert!(parse_duration_above_zero("0s").is_err());
        assert!(parse_duration_above_zero("0").is_err());
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
