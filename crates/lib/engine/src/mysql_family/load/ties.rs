//! Which tables must go live together: foreign keys tie them.

use std::collections::BTreeSet;

use super::names::literal;
use super::target::MysqlTarget;
use crate::Error;
use crate::mysql_family::ask::Ask as _;
use crate::ties::grown;

/// See [`crate::load::Target::closure`].
pub(super) async fn closure(
    target: &mut MysqlTarget,
    changed: &BTreeSet<String>,
    release: &BTreeSet<String>,
    staged: &[(String, String)],
) -> Result<BTreeSet<String>, Error> {
    let names = &target.access.names;
    let live = literal(&names.live);
    let rows: Vec<(String, String, String, String)> = target
        .conn
        .query(format!(
            "SELECT constraint_schema, table_name, unique_constraint_schema, referenced_table_name FROM \
             information_schema.referential_constraints WHERE (constraint_schema = {live} OR \
             unique_constraint_schema = {live}) AND constraint_schema NOT IN ({}, {})",
            literal(&names.staging),
            literal(&names.previous)
        ))
        .await?;
    let database = names.live.clone();
    let ours = [
        names.live.clone(),
        names.staging.clone(),
        names.previous.clone(),
    ];
    let mut edges: Vec<(String, String)> = staged.to_vec();
    let mut outside = Vec::new();
    for (child_schema, child, parent_schema, parent) in rows {
        if parent_schema != database {
            continue;
        }
        if child_schema == database && (release.contains(&child) || changed.contains(&child)) {
            edges.push((child, parent));
        } else {
            outside.push((format!("{child_schema}.{child}"), parent));
        }
    }
    for (schema, child, parent) in into(target, &database).await? {
        if !ours.contains(&schema) {
            outside.push((format!("{schema}.{child}"), parent));
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

/// Foreign keys into a schema: schema and table that have them, and the table they lead to. `information_schema` shows
/// those of tables that the account has rights on; InnoDB's own list shows all, to those who have PROCESS.
pub(super) async fn into(
    target: &mut MysqlTarget,
    schema: &str,
) -> Result<Vec<(String, String, String)>, Error> {
    // MariaDB lists names as its files are called, MySQL as they are.
    let (list, name) = if target.access.flavour.mariadb {
        let name = |part: String| {
            format!("CONVERT(CONVERT(CAST({part} AS BINARY) USING filename) USING utf8mb4)")
        };
        ("INNODB_SYS_FOREIGN", name as fn(String) -> String)
    } else {
        (
            "INNODB_FOREIGN",
            std::convert::identity as fn(String) -> String,
        )
    };
    let before = |column: &str| name(format!("SUBSTRING_INDEX({column}, '/', 1)"));
    let behind = |column: &str| name(format!("SUBSTRING({column}, LOCATE('/', {column}) + 1)"));
    let keys = format!(
        // As bytes: the columns compare without case, and `App` is another database than `app` on Linux.
        "SELECT {}, {}, {} FROM information_schema.{list} WHERE CAST({} AS BINARY) = CAST({} AS BINARY)",
        before("for_name"),
        behind("for_name"),
        behind("ref_name"),
        before("ref_name"),
        literal(schema)
    );
    match target.conn.query(keys).await.map_err(Error::from) {
        Err(Error::Denied(why)) => {
            tracing::debug!(
                why,
                "foreign keys of tables without rights on them are not seen"
            );
            Ok(Vec::new())
        }
        keys => keys,
    }
}
