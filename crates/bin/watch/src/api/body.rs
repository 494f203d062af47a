//! What a request may say.

use serde::Deserialize;

use crate::dispatcher::AUTO;

/// Longest id, in bytes: the ledger's column.
const LONGEST_ID: usize = 128;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    release: Option<String>,
}

/// The release that a body names; an empty body names none.
pub(super) fn wish(body: &[u8]) -> Result<Option<String>, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| format!("the body must be {{}} or {{\"release\": \"..\"}}: {error}"))?;
    match body.release {
        Some(release) if release.trim().is_empty() || release.len() > 1024 => {
            Err("release: give a SHA-256 or the object's version, or leave it out".to_owned())
        }
        release => Ok(release),
    }
}

/// What is wrong with any id. Airflow's run ids must pass: `scheduled__2026-11-21T00:00:00+00:00`.
pub(super) fn id_mistake(id: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:+@=~".contains(&byte);
    if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(allowed) {
        return Some(format!(
            "an id has 1 to {LONGEST_ID} letters, digits or ._-:+@=~"
        ));
    }
    None
}

/// What is wrong with an id that a caller made: those of this process's own loads are taken.
pub(super) fn new_id_mistake(id: &str) -> Option<String> {
    let taken = || format!("ids that begin with {AUTO} are taken");
    id_mistake(id).or_else(|| id.starts_with(AUTO).then(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_name_a_release_or_none() {
        assert_eq!(wish(b""), Ok(None));
        assert_eq!(wish(b" {}\n"), Ok(None));
        assert_eq!(wish(br#"{"release":"abc"}"#), Ok(Some("abc".to_owned())));
        for bad in [
            &b"[]"[..],
            br#"{"relaese":"abc"}"#,
            br#"{"release":""}"#,
            b"abc",
        ] {
            assert!(wish(bad).is_err());
        }
    }

    #[test]
    fn ids_are_short_and_plain() {
        let good = "scheduled__2026-11-21T00:00:00+00:00";
        assert_eq!(new_id_mistake(good), None);
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(id_mistake(bad).is_some(), "{bad}");
            assert!(new_id_mistake(bad).is_some(), "{bad}");
        }
        assert_eq!(id_mistake("auto-1"), None);
        assert!(new_id_mistake("auto-1").is_some());
    }
}
