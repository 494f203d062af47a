//! Settings of the server that are numbers or switches, in seconds and bytes.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::{Collect, Collector, Plan};
use crate::metric::{Gathered, Labels};

/// What this session set for itself is shown as it would be without.
const SQL: &str = "SELECT name, unit, CASE source WHEN 'session' THEN reset_val ELSE setting END AS value \
    FROM pg_settings WHERE vartype IN ('bool', 'integer', 'real') AND name <> 'sync_commit_cancel_wait'";
/// On in this session, which only looks; in others it follows from two more.
const READ_ONLY: &str = "transaction_read_only";
const WHAT_MAKES_READ_ONLY: [&str; 2] = ["default_transaction_read_only", "in_hot_standby"];

pub(super) static COLLECTOR: Collector = Collector {
    name: "settings",
    by_default: true,
    help: "pg_settings that are numbers or switches",
    settings: &[],
    plan: |_, _| Some(Plan::server(Settings)),
};

struct Settings;

#[async_trait]
impl Collect for Settings {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(SQL).await?;
        let settings = rows.iter().filter_map(|row| {
            let value = number(row.at(2)?)?;
            Some((row.at(0)?, row.at(1).unwrap_or_default(), value))
        });
        gather(settings, into);
        Ok(())
    }
}

/// Settings as their names, units and values.
fn gather<'a>(settings: impl Iterator<Item = (&'a str, &'a str, f64)>, into: &mut Gathered) {
    let mut read_only = 0.0;
    for (name, unit, value) in settings {
        if name == READ_ONLY {
            continue;
        }
        if WHAT_MAKES_READ_ONLY.contains(&name) && value == 1.0 {
            read_only = 1.0;
        }
        one(name, unit, value, into);
    }
    one(READ_ONLY, "", read_only, into);
}

fn one(name: &str, unit: &str, value: f64, into: &mut Gathered) {
    let (value, ending) = in_base_unit(value, unit);
    let metric = format!("pg_settings_{}{ending}", name.replace(['.', '-'], "_"));
    into.gauge(
        metric,
        format!("The setting {name}."),
        Labels::none(),
        value,
    );
}

fn number(text: &str) -> Option<f64> {
    match text {
        "on" => Some(1.0),
        "off" => Some(0.0),
        _ => text.parse().ok(),
    }
}

/// Seconds or bytes, and how the metric ends: `8kB` is 8192 bytes. -1 is no quantity: it says that something is off, or
/// follows another setting.
fn in_base_unit(value: f64, unit: &str) -> (f64, &'static str) {
    const KIB: f64 = 1024.0;
    let letters = unit.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let count = unit.strip_suffix(letters).unwrap_or_default();
    let (converted, ending) = match letters {
        "ms" => (value / 1000.0, "_seconds"),
        "s" => (value, "_seconds"),
        "min" => (value * 60.0, "_seconds"),
        "h" => (value * 3600.0, "_seconds"),
        "d" => (value * 86_400.0, "_seconds"),
        "B" => (value, "_bytes"),
        "kB" => (value * KIB, "_bytes"),
        "MB" => (value * KIB.powi(2), "_bytes"),
        "GB" => (value * KIB.powi(3), "_bytes"),
        "TB" => (value * KIB.powi(4), "_bytes"),
        _ => (value, ""),
    };
    if value == -1.0 {
        (value, ending)
    } else {
        (converted * count.parse().unwrap_or(1.0), ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Format;

    #[test]
    fn values_are_in_seconds_and_bytes() {
        assert_eq!(in_base_unit(200.0, "ms"), (0.2, "_seconds"));
        assert_eq!(in_base_unit(5.0, "min"), (300.0, "_seconds"));
        assert_eq!(in_base_unit(16.0, "8kB"), (131_072.0, "_bytes"));
        assert_eq!(in_base_unit(2.0, "16MB"), (33_554_432.0, "_bytes"));
        assert_eq!(in_base_unit(-1.0, "kB"), (-1.0, "_bytes"));
        assert_eq!(in_base_unit(4.0, ""), (4.0, ""));
    }

    #[test]
    fn what_this_session_does_to_itself_is_not_shown() {
        let text = |standby| {
            let mut gathered = Gathered::default();
            let settings = [
                ("transaction_read_only", "", 1.0),
                ("in_hot_standby", "", standby),
                ("plpgsql.check-asserts", "", 1.0),
            ];
            gather(settings.into_iter(), &mut gathered);
            Format::shown(&gathered)
        };
        assert!(text(0.0).contains("pg_settings_transaction_read_only 0\n"));
        assert!(text(1.0).contains("pg_settings_transaction_read_only 1\n"));
        assert!(text(1.0).contains("pg_settings_plpgsql_check_asserts 1\n"));
    }
}
