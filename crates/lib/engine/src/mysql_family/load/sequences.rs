//! Defaults that draw from a MariaDB sequence: they keep the staging schema's name through a RENAME
//! (measured), so they are pointed at the live one.

use std::collections::{BTreeMap, BTreeSet};

use pilotfish_sql::mysql::{Mode, quote};

use super::ledger::Entry;
use super::names::{Names, literal, qualified};
use super::objects::{mode, qualifiers, requalify};
use super::target::MysqlTarget;
use crate::Error;
use crate::load::{SessionState, SwapPlan};
use crate::mysql_family::ask::Ask as _;

/// Points defaults that draw from a staged sequence at the live one: before the swap where that is
/// there already, else afterwards.
///
/// # Errors
/// `Refused` when a table would go live and name what is about to be dropped.
pub(super) async fn point_at_live(
    target: &mut MysqlTarget,
    names: &Names,
    plan: &SwapPlan,
) -> Result<Vec<Entry>, Error> {
    let staged = target.tables_of(&names.staging).await?;
    let is_sequence = |name: &str| staged.get(name).is_some_and(|kind| kind == "SEQUENCE");
    if !target.access.flavour.mariadb || !staged.keys().any(|name| is_sequence(name)) {
        return Ok(Vec::new());
    }
    let live = target.tables_of(&names.live).await?;
    let mut sequences = staged.keys().filter(|name| is_sequence(name));
    let sequences_live = sequences.all(|name| live.contains_key(name));
    let mut todo = Vec::new();
    let defaults = staged_defaults(target, names, plan).await?;
    for (table, columns) in &defaults {
        if sequences_live {
            let alter = alter_defaults(&names.staging, table, columns);
            target.conn.query_drop(alter).await?;
        } else {
            todo.push(Entry::of_table(
                &format!("defaults of {table}"),
                table,
                alter_defaults(&names.live, table, columns),
            ));
        }
    }
    let nothing = BTreeMap::new();
    let later = if sequences_live { &nothing } else { &defaults };
    for table in plan.swap.iter().filter(|table| !is_sequence(table)) {
        let columns = later.get(table).map(Vec::as_slice).unwrap_or_default();
        refuse_ties(target, names, table, columns).await?;
    }
    Ok(todo)
}

/// A column and its new default.
type Default = (String, String);

/// The defaults of the tables to swap that name the staging schema, by table, moved to the live one.
async fn staged_defaults(
    target: &mut MysqlTarget,
    names: &Names,
    plan: &SwapPlan,
) -> Result<BTreeMap<String, Vec<Default>>, Error> {
    let rows: Vec<(String, String, String)> = target
        .conn
        .query(format!(
            "SELECT table_name, column_name, column_default FROM information_schema.columns WHERE \
             table_schema = {} AND LOCATE({}, column_default) > 0 ORDER BY table_name, ordinal_position",
            literal(&names.staging),
            literal(&quote(&names.staging))
        ))
        .await?;
    let mode = mode(target.access.flavour, &SessionState::default());
    let mut defaults: BTreeMap<String, Vec<Default>> = BTreeMap::new();
    for (table, column, default) in rows {
        if plan.swap.contains(&table)
            && let Some(moved) = moved(&default, mode, &names.staging, &names.live)
        {
            defaults.entry(table).or_default().push((column, moved));
        }
    }
    Ok(defaults)
}

/// A default as the server writes it, moved to another schema; `None` where it names nothing there.
fn moved(default: &str, mode: Mode, from: &str, to: &str) -> Option<String> {
    let named = qualifiers(default.as_bytes(), mode);
    named.iter().any(|name| name == from).then(|| {
        let moved = requalify(default.as_bytes(), mode, from, to);
        String::from_utf8_lossy(&moved).into_owned()
    })
}

fn alter_defaults(schema: &str, table: &str, columns: &[Default]) -> String {
    let clauses: Vec<String> = columns
        .iter()
        .map(|(column, default)| format!("ALTER COLUMN {} SET DEFAULT ({default})", quote(column)))
        .collect();
    format!(
        "ALTER TABLE {} {}",
        qualified(schema, table),
        clauses.join(", ")
    )
}

/// Nothing but the defaults that `later` puts right may tie a table to schemas that come and go.
async fn refuse_ties(
    target: &mut MysqlTarget,
    names: &Names,
    table: &str,
    later: &[Default],
) -> Result<(), Error> {
    let staged = qualified(&names.staging, table);
    let definition: Option<(String, String)> = target
        .conn
        .query_first(format!("SHOW CREATE TABLE {staged}"))
        .await?;
    let Some((_, definition)) = definition else {
        return Ok(());
    };
    let ours = BTreeSet::from([names.staging.as_str(), names.previous.as_str()]);
    let mode = mode(target.access.flavour, &SessionState::default());
    let follows = |line: &str| {
        let mut columns = later.iter().map(|(column, _)| quote(column));
        columns.any(|column| line.trim_start().starts_with(&format!("{column} ")))
    };
    let tie = definition
        .lines()
        .filter(|line| !follows(line))
        .find(|line| {
            let named = qualifiers(line.as_bytes(), mode);
            named.iter().any(|name| ours.contains(name.as_str()))
        });
    match tie {
        None => Ok(()),
        Some(line) => Err(Error::Refused(format!(
            "the table {table} would keep a name of the stage after the swap: {}",
            line.trim().trim_end_matches(',')
        ))),
    }
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::Flavour;

    use super::*;

    #[test]
    fn defaults_follow_the_table_whole() {
        let mode = Mode {
            flavour: Flavour {
                mariadb: true,
                version: 10_11_00,
            },
            no_backslash_escapes: false,
            ansi_quotes: false,
        };
        let default = "concat('`st`.',nextval(`st`.`s`))";
        let default = moved(default, mode, "st", "app").expect("it names the stage");
        assert_eq!(default, "concat('`st`.',nextval(`app`.`s`))");
        assert_eq!(
            alter_defaults("app", "t", &[("id".to_owned(), default)]),
            "ALTER TABLE `app`.`t` ALTER COLUMN `id` SET DEFAULT (concat('`st`.',nextval(`app`.`s`)))"
        );
        assert_eq!(moved("'`st`.'", mode, "st", "app"), None);
    }
}
