//! What stands in schemas: relations, routines and types, each with a key that people can read.

use std::collections::BTreeMap;

use pilotfish_sql::postgres::{key, quote};
use tokio_postgres::GenericClient;

use crate::Error;
use crate::postgres::cell;

/// But those of extensions; sequences of a column go with their table, and so do row types.
const OBJECTS: &str = "\
    WITH own AS (SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e' \
    OR deptype IN ('a', 'i') AND refobjsubid > 0 AND refclassid = 'pg_catalog.pg_class'::regclass), \
    space AS (SELECT oid, nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY($1)) \
    SELECT s.nspname, c.relname::text, c.oid, CASE WHEN c.relkind = 'p' THEN 'r' ELSE c.relkind::text END \
    FROM pg_catalog.pg_class c JOIN space s ON s.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND NOT EXISTS (SELECT FROM own \
    WHERE own.classid = 'pg_catalog.pg_class'::regclass AND own.objid = c.oid AND (c.relkind = 'S' OR EXISTS \
    (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = own.classid AND e.objid = c.oid AND e.deptype = 'e'))) \
    UNION ALL SELECT s.nspname, p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', \
    p.oid, CASE WHEN p.prokind = 'a' THEN 'A' ELSE 'P' END \
    FROM pg_catalog.pg_proc p JOIN space s ON s.oid = p.pronamespace WHERE NOT EXISTS (SELECT FROM \
    pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid \
    AND e.deptype IN ('e', 'i')) \
    UNION ALL SELECT s.nspname, t.typname::text, t.oid, 'T' \
    FROM pg_catalog.pg_type t JOIN space s ON s.oid = t.typnamespace LEFT JOIN pg_catalog.pg_class r \
    ON r.oid = t.typrelid WHERE (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND r.relkind = 'c' \
    OR t.typtype = 'b' AND t.typelem = 0) AND NOT EXISTS (SELECT FROM \
    pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_type'::regclass AND e.objid = t.oid \
    AND e.deptype IN ('e', 'i'))";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    kind: Kind,
    oid: u32,
    /// Of the schema that it was found in.
    pub(super) schema: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    ForeignTable,
    View,
    MaterializedView,
    Sequence,
    Routine,
    Aggregate,
    Type,
}

impl Kind {
    fn of(letter: &str) -> Self {
        match letter {
            "f" => Self::ForeignTable,
            "v" => Self::View,
            "m" => Self::MaterializedView,
            "S" => Self::Sequence,
            "P" => Self::Routine,
            "A" => Self::Aggregate,
            "T" => Self::Type,
            _ => Self::Table,
        }
    }

    /// What ALTER calls it, and the type that shows its name.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Table => ("TABLE", "regclass"),
            Self::ForeignTable => ("FOREIGN TABLE", "regclass"),
            Self::View => ("VIEW", "regclass"),
            Self::MaterializedView => ("MATERIALIZED VIEW", "regclass"),
            Self::Sequence => ("SEQUENCE", "regclass"),
            Self::Routine => ("ROUTINE", "regprocedure"),
            Self::Aggregate => ("AGGREGATE", "regprocedure"),
            Self::Type => ("TYPE", "regtype"),
        }
    }
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

/// What stands in these schemas, by key: of tables the ledger's, `f(integer)` of routines, `type t` of types.
pub(super) async fn of(
    client: &impl GenericClient,
    places: &[Place],
) -> Result<BTreeMap<String, Object>, Error> {
    let names: Vec<&String> = places.iter().map(|(place, _)| place).collect();
    let mut objects = BTreeMap::new();
    for row in client.query(OBJECTS, &[&names]).await? {
        let (place, name, letter): (String, String, String) =
            (cell(&row, 0)?, cell(&row, 1)?, cell(&row, 3)?);
        let stands_for = places.iter().find(|(known, _)| *known == place);
        let schema = stands_for.map_or(place.as_str(), |(_, schema)| schema);
        let kind = Kind::of(&letter);
        let key = match kind {
            Kind::Routine | Kind::Aggregate => routine(schema, &name, places),
            Kind::Type => format!("type {}", key(Some(schema), &name)),
            _ => key(Some(schema), &name),
        };
        let oid = cell(&row, 2)?;
        objects.insert(
            key,
            Object {
                kind,
                oid,
                schema: place,
            },
        );
    }
    Ok(objects)
}

/// Types of arguments are shown with their schemas.
fn routine(schema: &str, signature: &str, places: &[Place]) -> String {
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
    let (what, shown) = object.kind.words();
    let row = client
        .query_one(&format!("SELECT $1::oid::{shown}::text"), &[&object.oid])
        .await?;
    let name: String = cell(&row, 0)?;
    Ok(format!("ALTER {what} {name} SET SCHEMA {}", quote(schema)))
}
