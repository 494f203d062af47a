//! What stands in schemas: relations, routines, types and the rest, each with a key that people can read.

use std::collections::BTreeMap;

use pilotfish_sql::postgres::{key, quote};
use tokio_postgres::GenericClient;

use crate::Error;
use crate::postgres::cell;

const OBJECTS: &str = include_str!("objects.sql");

/// Statistics of tables that are in another schema than their statistics, and the statements that mend that.
const STATISTICS: &str = "SELECT format('ALTER STATISTICS %I.%I SET SCHEMA %I', n.nspname, s.stxname, $2::text) \
    FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace JOIN pg_class c ON c.oid = s.stxrelid \
    JOIN pg_namespace t ON t.oid = c.relnamespace WHERE n.nspname = $1::text AND t.nspname = $2::text";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    class: u32,
    pub(super) oid: u32,
    /// As ALTER calls its kind.
    what: String,
    /// To whom it belongs, where this account may not do as it likes with it.
    pub(super) owner: Option<String>,
    /// Of the schema that it was found in.
    pub(super) schema: String,
}

/// A schema to look into, and the one that keys name for it.
pub(super) type Place = (String, String);

/// Schemas that stand for themselves.
pub(super) fn themselves<'s>(schemas: impl IntoIterator<Item = &'s String>) -> Vec<Place> {
    let schemas = schemas.into_iter();
    schemas
        .map(|schema| (schema.clone(), schema.clone()))
        .collect()
}

/// What stands in these schemas, by key: of tables, views and sequences the ledger's, `f(integer)` of routines, and
/// of the others with their kind in front, `type t`.
pub(super) async fn of(
    client: &impl GenericClient,
    places: &[Place],
) -> Result<BTreeMap<String, Object>, Error> {
    let names: Vec<&String> = places.iter().map(|(place, _)| place).collect();
    let mut objects = BTreeMap::new();
    for row in client.query(OBJECTS, &[&names]).await? {
        let object = Object {
            schema: cell(&row, 0)?,
            class: cell(&row, 2)?,
            oid: cell(&row, 3)?,
            what: cell(&row, 4)?,
            owner: cell(&row, 5)?,
        };
        let name: String = cell(&row, 1)?;
        let stands_for = places.iter().find(|(known, _)| *known == object.schema);
        let schema = stands_for.map_or(object.schema.as_str(), |(_, schema)| schema);
        let key = match object.what.as_str() {
            "ROUTINE" | "AGGREGATE" => signed(schema, &name, places),
            "OPERATOR" => format!("operator {}", signed(schema, &name, places)),
            "TABLE" | "FOREIGN TABLE" | "VIEW" | "MATERIALIZED VIEW" | "SEQUENCE" => {
                key(Some(schema), &name)
            }
            what => format!("{} {}", what.to_lowercase(), key(Some(schema), &name)),
        };
        objects.insert(key, object);
    }
    Ok(objects)
}

/// Types of arguments are shown with their schemas.
fn signed(schema: &str, signature: &str, places: &[Place]) -> String {
    let mut signature = signature.to_owned();
    for (place, stands_for) in places
        .iter()
        .filter(|(place, stands_for)| place != stands_for)
    {
        let (place, stands_for) = (quote(place) + ".", quote(stands_for) + ".");
        signature = signature.replace(&place, &stands_for);
    }
    match schema {
        "public" => signature,
        schema => format!("{}.{signature}", quote(schema)),
    }
}

/// The statement that moves an object to another schema, by the name that it has now.
pub(super) async fn moved(
    client: &impl GenericClient,
    object: &Object,
    schema: &str,
) -> Result<String, Error> {
    const IDENTITY: &str = "SELECT identity FROM pg_catalog.pg_identify_object($1, $2, 0)";
    let row = client
        .query_one(IDENTITY, &[&object.class, &object.oid])
        .await?;
    let (what, name): (_, String) = (&object.what, cell(&row, 0)?);
    Ok(format!("ALTER {what} {name} SET SCHEMA {}", quote(schema)))
}

/// Statements that bring statistics out of the schema `from` after their tables, which have gone to `to`.
pub(super) async fn statistics_follow(
    client: &impl GenericClient,
    from: &str,
    to: &str,
) -> Result<Vec<String>, Error> {
    let rows = client.query(STATISTICS, &[&from, &to]).await?;
    rows.iter().map(|row| cell(row, 0)).collect()
}
