//! What a request may say.

use serde::Deserialize;

use crate::dispatcher::{AUTO, FEWEST_DIGITS};

/// Longest id, in bytes: the ledger's column.
const LONGEST_ID: usize = 128;

/// Bounds of an object's version without quotes, in bytes: the longest is S3's, and nothing that a
/// storage makes is as short as the shortest.
const SHORTEST_VERSION: usize = 8;
const LONGEST_VERSION: usize = 1024;

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
        Some(release) if !is_release(&release) => Err(format!(
            "release: give the dump's SHA-256 or its first {FEWEST_DIGITS} digits or more, or the \
             object's version as release.json has it ({SHORTEST_VERSION} to {LONGEST_VERSION} \
             printable ASCII characters, or an ETag in its quotes), or leave it out"
        )),
        release => Ok(release),
    }
}

/// Whether a release can have this name. Versions are opaque (S3 version ids, ETags, times), so only
/// what nobody would make one of is refused.
fn is_release(name: &str) -> bool {
    if let Some(digits) = name.strip_prefix("sha256:") {
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        return hex && (FEWEST_DIGITS..=64).contains(&digits.len());
    }
    let tag = name.strip_prefix("W/").unwrap_or(name);
    let quoted = tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"');
    let printable = name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let long = name.len() >= SHORTEST_VERSION || quoted;
    long && name.len() <= LONGEST_VERSION && printable && name.trim() == name
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
        let named = Ok(Some("abcdef012345".to_owned()));
        assert_eq!(wish(br#"{"release":"abcdef012345"}"#), named);
        for bad in [&b"[]"[..], br#"{"relaese":"abcdef012345"}"#, b"abc"] {
            assert!(wish(bad).is_err());
        }
        let why = wish(br#"{"release":"zz"}"#).unwrap_err();
        assert!(why.contains("SHA-256") && why.contains("version"), "{why}");
    }

    #[test]
    fn names_that_storages_make_are_taken_and_nonsense_is_not() {
        let digest = "0123456789abcdef".repeat(4);
        for name in [
            digest.as_str(),
            &digest[..12],
            &format!("sha256:{digest}"),
            // S3 version ids of AWS, MinIO and SeaweedFS; ETags, also of multipart uploads.
            "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRcxv.bjVBH40Nr8X8gdRQBpUMLUo",
            "7b1c1a3e-90f5-4d9c-9a0f-2a1f5d9c0b1e",
            "68f2a1b4c3d2e1f00123456789abcdef",
            "\"5d41402abc4b2a76b9719d911017c592-12\"",
            "5d41402abc4b2a76b9719d911017c592",
            // An HTTP server's tags and times, Azure's ETag, a generation of Google's.
            "W/\"1\"",
            "\"v7\"",
            "Wed, 21 Oct 2026 07:28:00 GMT",
            "0x8DBF4C5B1E0A7F2",
            "1712345678901234",
            &"x".repeat(1024),
        ] {
            assert!(is_release(name), "{name}");
        }
        for name in [
            "",
            " ",
            "zz",
            "abcdef0",
            "\"\"",
            "sha256:abc",
            &format!("sha256:{digest}0"),
            "sha256:0123456789xyz",
            " 1712345678901234",
            "17123456\n78901234",
            "17123456\u{0}78901234",
            "dr\u{fc}gs-2026-11-21",
            &"x".repeat(1025),
        ] {
            assert!(!is_release(name), "{name}");
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
