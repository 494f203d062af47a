//! `PG_EXPORTER_*`: variables that postgres_exporter has for its flags, as charts and manifests set them.

use pilotfish_runtime::Environment;

/// Flags there, and what they are worth here.
#[derive(Debug, Default)]
pub(super) struct Variables {
    pub(super) listen: Option<String>,
    pub(super) metrics_path: Option<String>,
    pub(super) include_databases: Vec<String>,
    pub(super) exclude_databases: Vec<String>,
    pub(super) without_oldest: bool,
    pub(super) without_settings: bool,
}

/// What these ask for would be missing, and nobody would see why.
const REFUSED: [(&str, &str); 3] = [
    ("EXTEND_QUERY_PATH", "there are no queries of one's own"),
    (
        "CONSTANT_LABELS",
        "give labels in Prometheus' scrape_configs",
    ),
    (
        "METRIC_PREFIX",
        "names are those that dashboards know, which begin with pg",
    ),
];

/// Said in many words, it asks for nothing.
const DEFAULT: (&str, &str) = ("METRIC_PREFIX", "pg");

/// As Go reads it.
const TRUE: [&str; 6] = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE: [&str; 6] = ["0", "f", "F", "FALSE", "false", "False"];

/// Why a value of one of these is refused.
pub(super) fn refused(name: &str, value: &str) -> Option<&'static str> {
    let (_, why) = REFUSED.iter().find(|(one, _)| *one == name)?;
    (!value.is_empty() && (name, value) != DEFAULT).then_some(why)
}

impl Variables {
    /// # Errors
    /// A sentence for each that asks for what is not here.
    pub(super) fn read(environment: &Environment) -> Result<Self, Vec<String>> {
        let get = |name: &str| environment.get(&format!("PG_EXPORTER_{name}"));
        let refused = REFUSED.iter().filter_map(|(name, _)| {
            let why = refused(name, get(name)?)?;
            Some(format!("PG_EXPORTER_{name}: {why}; remove it"))
        });
        let refused: Vec<_> = refused.collect();
        if !refused.is_empty() {
            return Err(refused);
        }
        let text = |name| get(name).map(str::to_owned);
        let list = |name| -> Vec<String> {
            let names = get(name).unwrap_or_default().split(',').map(str::trim);
            names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let switch = |name| match get(name) {
            Some(text) if TRUE.contains(&text) => Ok(true),
            Some(text) if !FALSE.contains(&text) => {
                Err(vec![format!("PG_EXPORTER_{name}: give true or false")])
            }
            _ => Ok(false),
        };
        Ok(Self {
            listen: text("WEB_LISTEN_ADDRESS"),
            metrics_path: text("WEB_TELEMETRY_PATH"),
            include_databases: list("INCLUDE_DATABASES"),
            exclude_databases: list("EXCLUDE_DATABASES"),
            without_oldest: switch("DISABLE_DEFAULT_METRICS")?,
            without_settings: switch("DISABLE_SETTINGS_METRICS")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_here_is_not_passed_over() {
        let set = |name: &str, value: &str| Environment::from_pairs([(name, value)]);
        let refused = Variables::read(&set("PG_EXPORTER_CONSTANT_LABELS", "a=b"));
        assert!(refused.is_err_and(|why| why[0].contains("scrape_configs")));
        // Charts leave empty ones behind.
        assert!(Variables::read(&set("PG_EXPORTER_CONSTANT_LABELS", "")).is_ok());
        let read = Variables::read(&set("PG_EXPORTER_EXCLUDE_DATABASES", "a, b")).unwrap();
        assert_eq!(read.exclude_databases, ["a", "b"]);
    }
}
