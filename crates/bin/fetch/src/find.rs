//! Which objects come into question: the one that the address names, or the best of a folder.

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
    let best = best_of_folder(config, storage, retry).await?;
    if best.is_empty() {
        let message = format!("list {}: no object matches", config.address);
        return Err(Failure::new(Kind::Unreachable, message)
            .with_hint("nothing was published there yet, or --match does not fit"));
    }
    Ok(Found::Objects(best))
}

/// The best objects; of a listing of any length only these are held.
async fn best_of_folder(
    config: &Config,
    storage: &dyn Storage,
    retry: &Retry,
) -> Result<Vec<Object>, Retrying> {
    let prefix = config.address.key();
    let mut best: Vec<Object> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let Page { objects, next } = retry.run(|| storage.list(prefix, after.as_deref())).await?;
        for object in objects {
            if matches(&config.selection, prefix, &object) {
                best.push(object);
                best.sort_by(|a, b| order(config.selection.pick, b, a));
                best.truncate(config.selection.fallback + 1);
            }
        }
        after = next;
        if after.is_none() {
            return Ok(best);
        }
    }
}

fn matches(selection: &Selection, prefix: &str, object: &Object) -> bool {
    let name = object.key.strip_prefix(prefix).unwrap_or(&object.key);
    let companion = COMPANIONS.iter().any(|suffix| name.ends_with(suffix));
    // Stores show folders as empty objects.
    let folder = name.is_empty() || name.ends_with('/');
    !companion && !folder && selection.matching.matches(name)
}

fn order(pick: Pick, a: &Object, b: &Object) -> std::cmp::Ordering {
    match pick {
        // Objects stored in the same second: the later name.
        Pick::Newest => (a.modified, &a.key).cmp(&(b.modified, &b.key)),
        Pick::NameDesc => a.key.cmp(&b.key),
    }
}
