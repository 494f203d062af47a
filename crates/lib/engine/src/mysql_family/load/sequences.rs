//! Defaults that draw from a MariaDB sequence: they keep the staging schema's name through a RENAME
//! (measured), so they are pointed at the live one.

use pilotfish_sql::mysql::quote;

use super::ledger::Entry;
use super::names::{Names, qualified};
use super::target::MysqlTarget;
use crate::Error;
use crate::load::SwapPlan;
use crate::mysql_family::ask::Ask as _;

/// Points defaults that draw from a staged sequence at the live one: before the swap where that is
/// there already, else afterwards.
pub(super) async fn point_at_live(
    target: &mut MysqlTarget,
    names: &Names,
    plan: &SwapPlan,
) -> Result<Vec<Entry>, Error> {
    let staged = target.tables_of(&names.staging).await?;
    if !target.access.flavour.mariadb || !staged.values().any(|kind| kind == "SEQUENCE") {
        return Ok(Vec::new());
    }
    let live = target.tables_of(&names.live).await?;
    let sequences_live = staged
        .iter()
        .filter(|(_, kind)| *kind == "SEQUENCE")
        .all(|(name, _)| live.contains_key(name));
    let mut todo = Vec::new();
    for table in plan
        .swap
        .iter()
        .filter(|table| staged.get(*table).is_some_and(|kind| kind != "SEQUENCE"))
    {
        let definition: Option<(String, String)> = target
            .conn
            .query_first(format!(
                "SHOW CREATE TABLE {}",
                qualified(&names.staging, table)
            ))
            .await?;
        let Some((_, definition)) = definition else {
            continue;
        };
        let clauses = sequence_defaults(&definition, &names.staging, &names.live);
        if clauses.is_empty() {
            continue;
        }
        if sequences_live {
            target
                .conn
                .query_drop(alter_defaults(&names.staging, table, &clauses))
                .await?;
        } else {
            todo.push(Entry::of_table(
                &format!("defaults of {table}"),
                table,
                alter_defaults(&names.live, table, &clauses),
            ));
        }
    }
    Ok(todo)
}

/// `nextval(schema.s)` in a column's default, as SHOW CREATE TABLE writes it, moved to another schema:
/// (column, ALTER clause). MariaDB keeps the staging schema's name through a RENAME (measured).
fn sequence_defaults(definition: &str, from: &str, to: &str) -> Vec<String> {
    let needle = format!("nextval({}.", quote(from));
    definition
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('`') && line.contains(&needle))
        .filter_map(|line| {
            let column = &line[..=line[1..].find('`')? + 1];
            let start = line.find(&needle)?;
            let sequence = &line[start + needle.len()..];
            let end = sequence.find("`)")? + 1;
            Some(format!(
                "ALTER COLUMN {column} SET DEFAULT nextval({}.{})",
                quote(to),
                &sequence[..end]
            ))
        })
        .collect()
}

/// The ALTER TABLE for [`sequence_defaults`].
fn alter_defaults(schema: &str, table: &str, clauses: &[String]) -> String {
    format!(
        "ALTER TABLE {} {}",
        qualified(schema, table),
        clauses.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_defaults_follow_the_table() {
        let definition =
            "CREATE TABLE `t` (\n  `id` int(11) NOT NULL DEFAULT nextval(`st`.`s`),\n  `a` int\n)";
        assert_eq!(
            sequence_defaults(definition, "st", "app"),
            ["ALTER COLUMN `id` SET DEFAULT nextval(`app`.`s`)"]
        );
    }
}
