//! What foreign keys tie together.

use std::collections::BTreeSet;

/// `changed`, and what the edges (child, parent) tie to it within the release.
pub(crate) fn grown(
    changed: &BTreeSet<String>,
    release: &BTreeSet<String>,
    edges: &[(String, String)],
) -> BTreeSet<String> {
    let mut set = changed.clone();
    loop {
        let before = set.len();
        for (child, parent) in edges {
            if set.contains(child) && release.contains(parent) {
                set.insert(parent.clone());
            }
            if set.contains(parent) && release.contains(child) {
                set.insert(child.clone());
            }
        }
        if set.len() == before {
            return set;
        }
    }
}
