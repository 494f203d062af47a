//! The process environment, read once.
//!
//! A misspelt variable is a mistake, not silence: in a pod nobody sees that a setting had no effect.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::variables::FAMILY;

/// Prefix of the variables that belong to pilotfish.
pub(crate) const PREFIX: &str = "PILOTFISH_";

/// Where the termination message goes, for containers with a `terminationMessagePath` of their own.
pub(crate) const TERMINATION_LOG: &str = "PILOTFISH_TERMINATION_LOG";

/// The variables of the process, as they were at its start. Values that are not UTF-8 are left out.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    pub(crate) fn read() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        }
    }

    /// An environment of these pairs, for tests.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self {
            variables: pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }

    /// The value of a variable. An empty one counts as not set (manifests and compose files leave
    /// empty ones behind), and so does a service link that Kubernetes injected.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?;
        (!value.is_empty() && !is_service_link(name, value)).then_some(value.as_str())
    }

    /// Whether the variable exists at all, [`get`](Self::get) aside.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// A sentence for each `PILOTFISH_*` variable that no flag of any tool has. `known` are those of
    /// this tool, which a misspelt one most likely means.
    pub(crate) fn misspelt(&self, program: &str, known: &BTreeSet<String>) -> Vec<String> {
        self.variables
            .iter()
            .filter(|(name, value)| {
                name.starts_with(PREFIX)
                    && name.as_str() != TERMINATION_LOG
                    && !known.contains(name.as_str())
                    && !FAMILY.contains(&name.as_str())
                    && !is_service_link(name, value)
            })
            .map(|(name, _)| {
                match nearest(name, known.iter().map(String::as_str))
                    .or_else(|| nearest(name, FAMILY.into_iter()))
                {
                    Some(near) => {
                        format!("{name} is no variable of {program}: did you mean {near}?")
                    }
                    None => format!("{name} is no variable of {program}: remove it"),
                }
            })
            .collect()
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// Whether Kubernetes or Docker links set this variable for a Service whose name collides with ours:
/// a Service `pilotfish-watch` gives PILOTFISH_WATCH_SERVICE_HOST, PILOTFISH_WATCH_PORT=tcp://...,
/// PILOTFISH_WATCH_PORT_9804_TCP_ADDR and so on.
fn is_service_link(name: &str, value: &str) -> bool {
    let by_name = name.contains("_SERVICE_")
        || name.rsplit_once("_PORT_").is_some_and(|(_, tail)| {
            let mut parts = tail.split('_');
            let port = parts.next().unwrap_or_default();
            !port.is_empty()
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
        });
    let by_value = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    by_name || by_value
}

/// The known name closest to a wrong one, if it is close enough to be meant.
fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters behind the prefix may differ: SETTEL is SETTLE, FOO is not URL.
    let budget = (wrong.len().saturating_sub(PREFIX.len()) / 3).max(1);
    known
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= budget)
        .min()
        .map(|(_, name)| name)
}

/// Letters to insert, delete or replace to turn one name into the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> BTreeSet<String> {
        ["PILOTFISH_SETTLE", "PILOTFISH_URL", "PILOTFISH_LOG_LEVEL"]
            .map(str::to_owned)
            .into()
    }

    #[test]
    fn misspelt_variables_are_named_with_the_right_one() {
        let environment =
            Environment::from_pairs([("PILOTFISH_SETTEL", "3s"), ("PILOTFISH_LOGLEVEL", "info")]);
        let mistakes = environment.misspelt("pilotfish-watch", &known());
        assert_eq!(mistakes.len(), 2);
        assert!(
            mistakes[0].contains("did you mean PILOTFISH_LOG_LEVEL?"),
            "{mistakes:?}"
        );
        assert!(
            mistakes[1].contains("did you mean PILOTFISH_SETTLE?"),
            "{mistakes:?}"
        );
    }

    #[test]
    fn variables_of_the_other_tools_are_no_mistakes_but_misspelt_ones_are() {
        let environment = Environment::from_pairs([
            ("PILOTFISH_PASSWORD_FILE", "/password"),
            ("PILOTFISH_FETCH_URL", "http://127.0.0.1:1"),
            ("PILOTFISH_PASSWORDFILE", "/password"),
        ]);
        assert_eq!(
            environment.misspelt("pilotfish-fetch", &known()),
            [
                "PILOTFISH_PASSWORDFILE is no variable of pilotfish-fetch: did you mean PILOTFISH_PASSWORD_FILE?"
            ]
        );
    }

    #[test]
    fn service_links_are_not_ours() {
        let environment = Environment::from_pairs([
            ("PILOTFISH_WATCH_SERVICE_HOST", "10.0.0.1"),
            ("PILOTFISH_WATCH_PORT", "tcp://10.0.0.1:9804"),
            ("PILOTFISH_WATCH_PORT_9804_TCP_ADDR", "10.0.0.1"),
            ("PILOTFISH_WATCH_PORT_9804_TCP_PROTO", "tcp"),
            ("PILOTFISH_URL", "tcp://10.0.0.1:80"),
        ]);
        assert_eq!(
            environment.misspelt("pilotfish-watch", &known()),
            Vec::<String>::new()
        );
        assert_eq!(environment.get("PILOTFISH_URL"), None);
    }

    #[test]
    fn an_unlike_name_gets_no_wild_guess() {
        let environment = Environment::from_pairs([("PILOTFISH_BANANA", "1")]);
        let mistakes = environment.misspelt("pilotfish-watch", &known());
        assert_eq!(
            mistakes,
            ["PILOTFISH_BANANA is no variable of pilotfish-watch: remove it"]
        );
    }

    #[test]
    fn empty_counts_as_not_set_and_debug_shows_no_values() {
        let environment = Environment::from_pairs([("A", ""), ("PASSWORD", "hunter2")]);
        assert_eq!(environment.get("A"), None);
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
