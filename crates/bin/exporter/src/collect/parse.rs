//! What servers write where a number is meant.

use time::{Date, Month, PrimitiveDateTime, Time};

/// A cell as a number. PostgreSQL says `t` and `f`.
pub(super) fn number(text: &str) -> Option<f64> {
    match text {
        "t" | "true" => Some(1.0),
        "f" | "false" => Some(0.0),
        _ => text.parse().ok(),
    }
}

/// A status or a variable of MariaDB and MySQL as a number: words for on and off, times of certificates and of others.
pub(super) fn status(text: &str) -> Option<f64> {
    let word = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if word(&["yes", "on", "primary"]) {
        return Some(1.0);
    }
    // `Connecting` is a receiver that does not run, `non-Primary` a node of Galera that serves nobody.
    if word(&[
        "no",
        "off",
        "disabled",
        "connecting",
        "non-primary",
        "disconnected",
    ]) {
        return Some(0.0);
    }
    text.parse().ok().or_else(|| timestamp(text))
}

/// `2026-11-29 18:56:37` or, of certificates, `Nov  9 18:56:37 2026 GMT`, as seconds since the epoch. The first has no
/// zone; it is taken for UTC, as mysqld_exporter takes it.
pub(super) fn timestamp(text: &str) -> Option<f64> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next()?;
    let (date, clock) = match month(first) {
        Some(month) => {
            let day = words.next()?.parse().ok()?;
            let clock = words.next()?;
            let year = words.next()?.parse().ok()?;
            words.next()?;
            (Date::from_calendar_date(year, month, day).ok()?, clock)
        }
        None => {
            let mut parts = first.splitn(3, '-');
            let year = parts.next()?.parse().ok()?;
            let month: u8 = parts.next()?.parse().ok()?;
            let day = parts.next()?.parse().ok()?;
            let month = Month::try_from(month).ok()?;
            (
                Date::from_calendar_date(year, month, day).ok()?,
                words.next()?,
            )
        }
    };
    let mut parts = clock.splitn(3, ':');
    let mut part = || parts.next()?.parse::<u8>().ok();
    let clock = Time::from_hms(part()?, part()?, part()?).ok()?;
    if words.next().is_some() {
        return None;
    }
    let moment = PrimitiveDateTime::new(date, clock).assume_utc();
    Some(moment.unix_timestamp() as f64)
}

fn month(text: &str) -> Option<Month> {
    const NAMES: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let place = NAMES.iter().position(|name| *name == text)?;
    Month::try_from(u8::try_from(place + 1).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_servers_are_numbers() {
        for text in ["Yes", "ON", "Primary", "1"] {
            assert_eq!(status(text), Some(1.0), "{text}");
        }
        for text in ["No", "OFF", "DISABLED", "Connecting", "non-Primary", "0.00"] {
            assert_eq!(status(text), Some(0.0), "{text}");
        }
        for text in [
            "",
            "InnoDB",
            "Preparing",
            "mysql-bin.000123",
            "10.11.19-MariaDB",
        ] {
            assert_eq!(status(text), None, "{text}");
        }
        assert_eq!(number("t"), Some(1.0));
        assert_eq!(number("-1.5"), Some(-1.5));
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(timestamp("1970-01-02 00:00:01"), Some(86_401.0));
        assert_eq!(timestamp("Jan  2 00:00:01 1970 GMT"), Some(86_401.0));
        for text in [
            "1970-01-02",
            "Jan 2",
            "1970-13-02 00:00:01",
            "1970-01-02 00:00:01 x",
        ] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }
}
