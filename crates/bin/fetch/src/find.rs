//! Which objects come into question: the one that the address names, or the best of a folder.

use std::collections::HashSet;

use pilotfish_failure::{Failure, Kind};
use pilotfish_storage::{Object, Page, Storage, Version};

use crate::config::{Config, Pick, Selection};
use crate::retry::{Retry, Retrying};

/// Files beside dumps that are about them.
const COMPANIONS: [&str; 6] = [".sha256", ".sha512", ".md5", ".asc", ".sig", "SHA256SUMS"];

/// What a look at the source brought.
#[derive(Debug)]
pub(crate) enum Found {
    /// The one object is still at the version that is known.
    Unchanged,
    /// The object to take, and the older ones to fall back to, best first.
    Objects(Vec<Object>),
}

/// Looks at the source. `known` is the version of a lone object that needs no second look.
pub(crate) async fn find(
    config: &Config,
    storage: &dyn Storage,
    known: Option<&Version>,
    retry: &Retry,
) -> Result<Found, Failure> {
    let key = config.address.key();
    if !config.address.is_folder() {
        return Ok(match retry.run(|| storage.head(key, known)).await? {
            Some(object) => Found::Objects(vec![object]),
            None => Found::Unchanged,
        });
    }
    let listed = listed(config, storage, retry).await?;
    if listed.best.is_empty() {
        return Err(nothing_fits(config, &listed));
    }
    Ok(Found::Objects(listed.best))
}

/// What a folder holds; of a listing of any length only the best are kept.
#[derive(Debug, Default)]
struct Listed {
    best: Vec<Object>,
    /// All objects that were listed.
    count: u64,
    /// The best of those that do not fit, to show a person what there is.
    other: Option<Object>,
}

async fn listed(config: &Config, storage: &dyn Storage, retry: &Retry) -> Result<Listed, Retrying> {
    let (selection, prefix) = (&config.selection, config.address.key());
    let mut listed = Listed::default();
    let mut after: Option<String> = None;
    let mut pages = HashSet::new();
    loop {
        let Page { objects, next } = retry.run(|| storage.list(prefix, after.as_deref())).await?;
        for object in objects {
            // Stores show folders as empty objects.
            if object.key == prefix || object.key.ends_with('/') {
                continue;
            }
            listed.count += 1;
            if matches(selection, prefix, &object) {
                listed.best.push(object);
                listed.best.sort_by(|a, b| order(selection.pick, b, a));
                listed.best.truncate(selection.fallback + 1);
            } else if (listed.other.as_ref())
                .is_none_or(|other| order(selection.pick, other, &object).is_lt())
            {
                listed.other = Some(object);
            }
        }
        after = next;
        let Some(page) = &after else {
            return Ok(listed);
        };
        if !pages.insert(page.clone()) {
            let reason = "the store repeats a page of the listing: it would never end";
            let error = config.address.cut_short(prefix, reason);
            return Err(Retrying::Storage(error));
        }
    }
}

/// A folder without an object to take: a wrong URL, a wrong `--match`, or nothing stored yet.
fn nothing_fits(config: &Config, listed: &Listed) -> Failure {
    let (address, matching) = (&config.address, &config.selection.matching);
    let (message, hint) = match &listed.other {
        None => (
            format!("list {address}: it holds no object"),
            "look at the URL: bucket and folder; or nothing was published there yet".to_owned(),
        ),
        Some(other) => (
            format!(
                "list {address}: of its {} objects none fits --match {matching}",
                listed.count
            ),
            format!(
                "look at --match, which is compared with what follows the URL, and at the URL: it holds {}",
                address.display_of(&other.key)
            ),
        ),
    };
    Failure::new(Kind::Unreachable, message).with_hint(hint)
}

fn matches(selection: &Selection, prefix: &str, object: &Object) -> bool {
    let name = object.key.strip_prefix(prefix).unwrap_or(&object.key);
    let companion = COMPANIONS.iter().any(|suffix| name.ends_with(suffix));
    !companion && selection.matching.matches(name)
}

fn order(pick: Pick, a: &Object, b: &Object) -> std::cmp::Ordering {
    match pick {
        // Objects stored in the same second: the later name.
        Pick::Newest => (a.modified, &a.key).cmp(&(b.modified, &b.key)),
        Pick::NameDesc => a.key.cmp(&b.key),
    }
}
