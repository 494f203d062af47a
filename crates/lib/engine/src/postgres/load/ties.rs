//! Which tables must go live together: foreign keys tie them.

use std::collections::BTreeSet;

use pilotfish_sql::postgres::key;
use tokio_postgres::GenericClient;

use super::names::is_ours;
use crate::Error;
use crate::postgres::cell;
use crate::ties::grown;

/// Child and parent of every foreign key; those of partitions are made by their parent's.
const FOREIGN_KEYS: &str = "SELECT DISTINCT cn.nspname, c.relname, pn.nspname, p.relname \
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
    JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace JOIN pg_catalog.pg_class p ON p.oid = k.confrelid \
    JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE k.contype = 'f'";

/// See [`crate::load::Target::closure`].
pub(super) async fn closure(
    client: &impl GenericClient,
    changed: &BTreeSet<String>,
    release: &BTreeSet<String>,
    staged: &[(String, String)],
) -> Result<BTreeSet<String>, Error> {
    let mut edges = staged.to_vec();
    let mut outside = Vec::new();
    for row in client.query(FOREIGN_KEYS, &[]).await? {
        let spaces: (String, String) = (cell(&row, 0)?, cell(&row, 2)?);
        if is_ours(&spaces.0) || is_ours(&spaces.1) {
            continue;
        }
        let child = key(Some(&spaces.0), &cell::<String>(&row, 1)?);
        let parent = key(Some(&spaces.1), &cell::<String>(&row, 3)?);
        if release.contains(&child) || changed.contains(&child) {
            edges.push((child, parent));
        } else {
            outside.push((child, parent));
        }
    }
    let set = grown(changed, release, &edges);
    if let Some((child, parent)) = outside.into_iter().find(|(_, parent)| set.contains(parent)) {
        return Err(Error::Config(format!(
            "{child}, which is not part of the release, has a foreign key to {parent}: a swap would leave it \
             pointing at the old table; drop that foreign key"
        )));
    }
    Ok(set)
}
