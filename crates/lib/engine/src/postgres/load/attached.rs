//! What hangs on tables without being an object of its own: policies, triggers, keys.
//!
//! A swap replaces it with its table. What the release brought comes again; what somebody made by hand would be gone
//! without a word, a policy with the protection that it gave.

use std::collections::BTreeSet;

use pilotfish_sql::postgres::key;
use tokio_postgres::GenericClient;

use super::ledger::Content;
use crate::Error;
use crate::load::Drift;
use crate::postgres::cell;

const ATTACHED: &str = include_str!("attached.sql");

/// One such thing.
struct Thing {
    /// `policy p`.
    called: String,
    /// The key of its table.
    table: String,
    /// Whoever misses it gets the same answers, later.
    for_speed: bool,
}

impl Thing {
    /// `policy p on app.t`.
    fn name(&self) -> String {
        format!("{} on {}", self.called, self.table)
    }
}

/// The names of all that hangs on what stands in these schemas, for the ledger.
pub(super) async fn of(
    client: &impl GenericClient,
    schemas: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Error> {
    let things = read(client, schemas).await?;
    Ok(things.iter().map(Thing::name).collect())
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
    let by_hand = read(client, &live.schemas).await?.into_iter();
    let by_hand =
        by_hand.filter(|thing| live.brought(&thing.table) && !brought.contains(&thing.name()));
    for thing in by_hand {
        let kind = match thing.for_speed {
            true => &mut drift.helpers,
            false => &mut drift.attached,
        };
        kind.insert(thing.name());
    }
    Ok(())
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

async fn read(
    client: &impl GenericClient,
    schemas: &BTreeSet<String>,
) -> Result<Vec<Thing>, Error> {
    let schemas: Vec<&String> = schemas.iter().collect();
    let rows = client.query(ATTACHED, &[&schemas]).await?;
    rows.iter()
        .map(|row| {
            let (schema, table): (String, String) = (cell(row, 1)?, cell(row, 2)?);
            Ok(Thing {
                called: cell(row, 0)?,
                table: key(Some(&schema), &table),
                for_speed: cell(row, 3)?,
            })
        })
        .collect()
}
