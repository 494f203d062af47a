//! What hangs on tables without being an object of its own: columns, policies, triggers, keys.
//!
//! A swap replaces it with its table. What the release brought comes again; what somebody made by hand would be gone
//! without a word, a policy with the protection that it gave.

use std::collections::{BTreeMap, BTreeSet};

use pilotfish_sql::postgres::key;
use tokio_postgres::GenericClient;

use super::ledger::Content;
use super::objects::{self, Object, Place};
use crate::Error;
use crate::load::Drift;
use crate::postgres::cell;

const ATTACHED: &str = include_str!("attached.sql");
/// What `attached.sql` calls columns.
const COLUMN: &str = "column ";

/// One such thing.
struct Thing {
    /// `policy p on app.t`.
    name: String,
    /// The key of its table.
    table: String,
    /// Whoever misses it gets the same answers, later.
    for_speed: bool,
    /// Of what it says, where that is looked at.
    mark: String,
}

/// All that hangs on what stands in these schemas, for the ledger: names, and marks of what policies say.
pub(super) async fn of(
    client: &impl GenericClient,
    schemas: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, Error> {
    let things = read(client, &objects::themselves(schemas)).await?;
    Ok(things
        .into_iter()
        .map(|thing| (thing.name, thing.mark))
        .collect())
}

/// Notes what the live release did not bring and hangs on its tables.
pub(super) async fn look(
    client: &impl GenericClient,
    live: &Content,
    drift: &mut Drift,
) -> Result<(), Error> {
    let Some(brought) = &live.attached else {
        return Ok(());
    };
    let things = read(client, &objects::themselves(&live.schemas)).await?;
    // A ledger that 0.1 wrote before it looked at columns knows none.
    let knows_columns = brought.keys().any(|name| name.starts_with(COLUMN));
    for thing in things {
        if thing.name.starts_with(COLUMN) && !knows_columns {
            continue;
        }
        let kind = match thing.for_speed {
            true => &mut drift.helpers,
            false => &mut drift.attached,
        };
        match brought.get(&thing.name) {
            _ if !live.brought(&thing.table) => {}
            None => drop(kind.insert(thing.name)),
            Some(mark) if *mark != thing.mark => {
                kind.insert(format!("{}, which somebody altered", thing.name));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// What a release brought and somebody took off its tables or altered, with how; `places` are its schemas and the live
/// ones that they stand for, `standing` what stands in them. What only makes queries faster does not count.
pub(super) async fn taken_off(
    client: &impl GenericClient,
    release: &Content,
    places: &[Place],
    standing: &BTreeMap<String, Object>,
) -> Result<BTreeMap<String, String>, Error> {
    let there = read(client, places).await?;
    let there: BTreeMap<String, String> = there
        .into_iter()
        .map(|thing| (thing.name, thing.mark))
        .collect();
    let mut gone = BTreeMap::new();
    for (name, mark) in release.attached.iter().flatten() {
        let for_speed = name.starts_with("index ") || name.starts_with("statistics ");
        let table = name.rsplit_once(" on ").map_or("", |(_, table)| table);
        let how = match there.get(name) {
            _ if for_speed || !standing.contains_key(table) => continue,
            None => "gone",
            Some(now) if now != mark => "altered",
            Some(_) => continue,
        };
        gone.insert(name.clone(), how.to_owned());
    }
    Ok(gone)
}

/// Refuses what [`look`] finds and changes answers or rights; with everything locked nothing can come any more.
///
/// # Errors
/// `Config` with the names.
pub(super) async fn refuse(client: &impl GenericClient, live: &Content) -> Result<(), Error> {
    let mut drift = Drift::default();
    look(client, live, &mut drift).await?;
    if drift.attached.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = drift.attached.into_iter().collect();
    Err(Error::Config(format!(
        "live tables have what no release brought, and it would leave with them: {}; bring it in the dump, or give it up \
         with --overwrite-modified",
        names.join(", ")
    )))
}

async fn read(client: &impl GenericClient, places: &[Place]) -> Result<Vec<Thing>, Error> {
    let schemas: Vec<&String> = places.iter().map(|(place, _)| place).collect();
    let rows = client.query(ATTACHED, &[&schemas]).await?;
    rows.iter()
        .map(|row| {
            let (called, place): (String, String) = (cell(row, 0)?, cell(row, 1)?);
            let stands_for = places.iter().find(|(known, _)| *known == place);
            let schema = stands_for.map_or(place.as_str(), |(_, schema)| schema);
            let table = key(Some(schema), &cell::<String>(row, 2)?);
            Ok(Thing {
                name: format!("{called} on {table}"),
                table,
                for_speed: cell(row, 3)?,
                mark: cell(row, 4)?,
            })
        })
        .collect()
}
