//! What keeps live tables from being changed in place.

use std::collections::BTreeSet;

use tokio_postgres::GenericClient;

use crate::Error;
use crate::postgres::cell;
use crate::postgres::load::schemas::live_table;
use crate::postgres::load::target::PostgresTarget;

/// The first reason, in words.
const HINDRANCES: &str = include_str!("hindrances.sql");

/// Looks at tables, by their quoted names.
pub(super) async fn of(
    client: &impl GenericClient,
    tables: &[String],
) -> Result<Option<String>, Error> {
    let row = client.query_opt(HINDRANCES, &[&tables]).await?;
    row.map(|row| cell(&row, 0)).transpose()
}

/// Why these live tables cannot be changed in place.
pub(in crate::postgres::load) async fn in_the_way(
    target: &PostgresTarget,
    tables: &BTreeSet<String>,
) -> Result<Option<String>, Error> {
    let names = tables
        .iter()
        .map(|table| live_table(table))
        .collect::<Result<Vec<_>, Error>>()?;
    of(&*target.session, &names).await
}
